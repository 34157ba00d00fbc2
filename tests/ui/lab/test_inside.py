"""Inside a step, and goals that follow the followed factor."""

from __future__ import annotations

import pytest

from tests.ui.pages import lab, opened, press, settle, state

pytestmark = pytest.mark.usefixtures("one_hub")


def test_one_press_for_each_phase_and_the_numbers_that_it_used() -> None:
    app = press(lab(v="2", batch_size="16", lane=["foam", "adamw"]), "do-check")
    settle(app)
    run = state(app).run()
    assert run.step == 10
    opened(app, "inside")
    for name, title in (("gradient", "Loss of the batch"), ("statistics", "tr L"), ("check", "none in this step")):
        others = {"gradient", "statistics", "check", "update"} - {name}
        assert not app.button(key=f"phase-{name}").disabled
        assert all(app.button(key=f"phase-{other}").disabled for other in others)
        press(app, f"phase-{name}")
        settle(app)
        assert title in " ".join(text.value for text in app.markdown).replace("\\", "")
        assert run.step == 10
    press(app, "phase-update")
    settle(app)
    assert run.step == 11
    assert "ΔW" in " ".join(text.value for text in app.markdown)
    assert not app.button(key="phase-gradient").disabled
    press(app, "phase-gradient")
    settle(app)
    press(app, "do-step")  # finishes the step at hand
    settle(app)
    assert run.step == 12


def test_to_check_follows_the_followed_lane_unless_any_may_stop_it() -> None:
    app = press(lab(v="2", batch_size="16", lane=["shampoo:period=3,start=3", "foam:period=7,start=7"]), "do-step")
    settle(app)
    run = state(app).run()
    state(app).lane = 1  # as a click on the second row of the table does
    app.run()
    press(app, "do-check")
    settle(app)
    assert run.step == 7
    opened(app, "inside").toggle(key="any-lane").set_value(True).run()
    app.session_state["inside"] = False  # what was chosen holds while it is closed
    app.run()
    press(app, "do-check")
    settle(app)
    assert run.step == 9
