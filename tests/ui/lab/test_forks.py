"""Forks from the page: here and now, at the time cursor, and with one setting changed."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.engine.conftest import until
from tests.ui.pages import lab, next_run, opened, press, settle, state

pytestmark = pytest.mark.usefixtures("one_hub")


def fork(app: AppTest, place: int = 0, setting: str = "", value: str = "") -> None:
    key = f"fork.{state(app).view_id}.{place}"
    opened(app, f"{key}.open")
    if setting:
        app.selectbox(key=f"{key}.setting").select(setting).run()
        app.text_input(key=f"{key}.value.{setting}").input(value).run()
    press(app, f"{key}.do")
    run = state(app).run()
    run.wait(30)
    until(lambda: not run.header.get("catching_up"))
    app.run()


def at_ten() -> AppTest:
    app = press(lab(v="2", batch_size="16", lane=["foam", "adamw"]), "do-check")
    settle(app)
    assert state(app).run().step == 10
    return app


def test_a_fork_of_now_is_a_new_lane_and_stands_in_the_link() -> None:
    app = at_ten()
    fork(app)
    run = state(app).run()
    assert [len(run.traces), len(run.experiment.lanes)] == [3, 3]
    assert app.query_params["fork"] in ("3:1:10", ["3:1:10"])
    assert any("Lane 1 up to step 10." in caption.value for caption in app.sidebar.caption)
    press(app, "do-step")
    settle(app)
    losses = [trace.values("steps", "loss") for trace in run.traces]
    assert np.array_equal(losses[0], losses[2]) and len(losses[2]) == 11
    # Whoever opens the link where the run is no longer kept trains the same.
    link = {**dict(app.query_params)}
    link.pop("run")
    again = lab(**link)
    assert state(again).experiment == run.experiment


def test_what_if_at_the_time_cursor() -> None:
    app = at_ten()
    state(app).moment = 4
    opened(app, f"fork.{state(app).view_id}.0.open")
    assert any("after step 4, the time cursor's" in text.value for text in app.sidebar.markdown)
    fork(app, 0, "lr", "0.5")
    run = state(app).run()
    assert [(edit.key, edit.value) for edit in run.experiment.edits] == [("5:3:lr", 0.5)]
    losses = [trace.values("steps", "loss") for trace in run.traces]
    assert np.array_equal(losses[0][:5], losses[2][:5]) and not np.array_equal(losses[0], losses[2])
    assert len(losses[2]) == 10


def test_a_what_if_that_cannot_be_is_said_with_the_lane() -> None:
    app = at_ten()
    fork(app, 0, "tau", "3")
    said = " ".join(caption.value for caption in app.sidebar.caption).replace("\\", "")
    assert "Lane 1 (FOAM): tau = 3: must be a number strictly between 0 and 1" in said
    assert len(state(app).run().experiment.lanes) == 2


def test_removing_a_lane_keeps_what_was_forked_from_it() -> None:
    app = at_ten()
    fork(app, 0, "tau", "0.3")
    next_run(app)
    press(app, "repeat-edits")
    assert len(state(app).next.lane_ids) == 3
    press(app, f"remove-{state(app).next.lane_ids[0]}")
    settle(app)
    new = state(app).run()
    assert [lane.optimizer for lane in new.experiment.lanes] == ["adamw", "foam"]
    assert [(edit.key, edit.value) for edit in new.experiment.edits] == [("11:2:tau", 0.3)]
