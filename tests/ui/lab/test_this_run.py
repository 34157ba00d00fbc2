"""The settings of a run that has begun, beside those of the next one."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from foam_viz.engine.server.hub import Hub
from foam_viz.engine.wire.commands import make
from tests.engine.conftest import until
from tests.ui.pages import lab, next_run, opened, press, settle, state, stepped

pytestmark = pytest.mark.usefixtures("one_hub")


def key(app: AppTest, setting: str, place: int = 0) -> str:
    return f"now.{state(app).view_id}.{place}.{setting}"


def more(app: AppTest, place: int = 0) -> AppTest:
    return opened(app, f"more.{state(app).view_id}.{place}")


def said(elements: object) -> str:
    return " ".join(element.value for element in elements).replace("\\", "")


def test_a_run_that_has_begun_has_two_tabs() -> None:
    app = lab(v="2", batch_size="16", lane="foam")
    assert not app.tabs
    app = press(app, "do-step")
    settle(app)
    assert [tab.label for tab in app.tabs] == ["This run", "Next run"]
    assert app.slider(key=key(app, "tau")).value == 0.75
    assert app.select_slider(key=key(app, "epsilon_max")).value == 3e-5
    assert app.number_input(key=key(app, "period")).value == 10


def test_a_control_that_is_let_go_edits_the_run_in_its_next_step_and_the_link_holds_it() -> None:
    app = stepped(lane=["foam", "shampoo"])
    app.slider(key=key(app, "tau")).set_value(0.4).run()
    settle(app)
    run = state(app).run()
    assert [(edit.key, edit.value) for edit in run.experiment.edits] == [("2:1:tau", 0.4)]
    assert app.query_params["edit"] in ("2:1:tau=0.4", ["2:1:tau=0.4"])
    assert app.slider(key=key(app, "tau")).value == 0.4
    assert "From step 2 on, lane 1: τ = 0.4" in said(app.sidebar.caption)
    press(app, "do-step")
    settle(app)
    assert list(run.traces[0].values("events", "setting")) == ["tau"]
    assert state(app).view_id == run.view_id
    # Undo appends the inverse edit.
    press(app, "do-undo")
    settle(app)
    assert [edit.value for edit in run.experiment.edits] == [0.4, 0.75]
    assert app.slider(key=key(app, "tau")).value == 0.75


def test_a_select_slider_and_a_box_edit_too() -> None:
    app = stepped(lane=["foam", "shampoo"])
    slider = app.select_slider(key=key(app, "lr", 1))
    larger = next(value for value in slider.options if value and float(str(value).replace("\u2009", "")) > 0.05)
    slider.set_value(float(str(larger))).run()
    more(app, 1).text_input(key=key(app, "weight_decay", 1)).input("0.25").run()
    app.selectbox(key=key(app, "grafting", 1)).select("none").run()
    settle(app)
    now = state(app).run().experiment.settings_at(1, 2)
    assert now["lr"] > 0.05 and (now["weight_decay"], now["grafting"]) == (0.25, None)


def test_a_value_that_cannot_be_is_said_beside_its_box_with_the_lane_and_nothing_changes() -> None:
    app = more(stepped(lane=["adamw", "foam"]), 1)
    app.text_input(key=key(app, "weight_decay", 1)).input("-3").run()
    assert not app.exception
    words = "Lane 2 (FOAM): weight_decay = -3: must be a number from 0 to 1000000"
    assert words in said(app.sidebar.caption) and words in said(app.main.error)
    assert app.text_input(key=key(app, "weight_decay", 1)).value == "-3"
    assert state(app).run().experiment.edits == ()
    assert not app.button(key="do-start").disabled
    app.text_input(key=key(app, "weight_decay", 1)).input("0.1").run()
    settle(app)
    assert not app.main.error
    assert state(app).run().experiment.settings_at(1, 2)["weight_decay"] == 0.1


def test_values_that_do_not_fit_each_other_are_refused() -> None:
    app = stepped(lane="foam")
    app.select_slider(key=key(app, "epsilon")).set_value(0.003).run()
    assert not app.exception
    assert "Lane 1 (FOAM): epsilon = 0.003: must be a value with which epsilon_max" in said(app.sidebar.caption)
    assert state(app).run().experiment.edits == ()


def test_settings_of_the_next_run_leave_this_one_alone(engines: Hub) -> None:
    app = stepped(lane="foam")
    old = state(app).view_id
    lane = state(app).next.lane_ids[0]
    next_run(app)
    app.number_input(key=f"set.lane.{lane}.foam.period").set_value(20).run()
    assert not app.button(key="do-start").disabled  # it trains on with its own
    press(app, "do-step")
    settle(app)
    assert state(app).view_id == old and state(app).run().experiment.lanes[0].settings["period"] == 10
    app.text_input(key=f"set.lane.{lane}.foam.epsilon").input("-1").run()
    assert app.button(key="do-reset").disabled and not app.button(key="do-start").disabled
    assert "The next run cannot be started until this is mended" in said(app.main.error)


def test_reset_begins_without_the_edits_unless_they_are_taken_along() -> None:
    app = stepped(lane="foam")
    app.slider(key=key(app, "tau")).set_value(0.4).run()
    settle(app)
    press(app, "do-reset")
    settle(app)
    assert state(app).run().experiment.edits == ()
    press(app, "do-step")
    settle(app)
    app.slider(key=key(app, "tau")).set_value(0.4).run()
    settle(app)
    next_run(app)
    press(app, "repeat-edits")
    press(app, "do-reset")
    settle(app)
    assert [edit.key for edit in state(app).run().experiment.edits] == ["2:1:tau"]
    press(app, "forget-edits")
    assert state(app).experiment.edits == ()


def test_a_link_with_edits_trains_them() -> None:
    app = lab(v="2", batch_size="16", lane="foam", edit="2:tau=0.4")
    assert "From step 2 on, every lane: τ = 0.4" in said(app.sidebar.caption)
    for _ in range(2):
        press(app, "do-step")
        settle(app)
    assert list(state(app).run().traces[0].values("events", "setting")) == ["tau"]


def test_an_ended_run_is_not_edited_and_says_so() -> None:
    app = lab(v="2", batch_size="16", steps="3", lane="foam")
    press(app, "do-start")
    until(lambda: state(app).run().ended)
    app.run()
    assert app.slider(key=key(app, "tau")).disabled
    assert "The run has ended at step 3: its settings stay as they are." in said(app.sidebar.caption)
    state(app).edit("k", 1, "tau", 0.4)
    assert "the run has ended at step 3: tau stays as it was" in state(app).unedited["k"]
    assert state(app).run().experiment.edits == ()


def test_who_watches_cannot_edit() -> None:
    owner = stepped(lane="foam")
    guest = lab(run=state(owner).view_id, v="2", lane="foam", batch_size="16")
    guest.session_state["session"].recognise("5" * 32)
    guest.run()
    assert guest.slider(key=key(guest, "tau")).disabled
    assert "Somebody else steers this run" in said(guest.sidebar.caption)
    state(guest).edit("k", 1, "tau", 0.4)
    assert "belongs to somebody else" in state(guest).problem
    assert state(owner).run().experiment.edits == ()


def test_two_pages_that_edit_at_once_are_both_told(engines: Hub) -> None:
    app = stepped(lane="foam")
    other = lab(run=state(app).view_id, v="2", lane="foam", batch_size="16")
    state(other).take_control(state(app).view_id, state(app).control_key)
    other.run()
    app.slider(key=key(app, "tau")).set_value(0.4).run()
    settle(app)
    state(other).edit(key(other, "tau"), 1, "tau", 0.2)  # its page still shows 0.75
    state(other).run().wait(30)
    for page in (app, other):
        page.run()
        assert "Two pages changed tau of lane 1: one to 0.4, then another to 0.2" in said(page.warning)
        assert page.slider(key=key(page, "tau")).value == 0.2


def test_a_foreign_command_is_refused(engines: Hub) -> None:
    app = stepped(lane="foam")
    engines.command(state(app).view_id, state(app).control_key, make("undo"))
    settle(app)
    assert "edit = (none): must be there to be undone" in said(app.warning)
