"""Pages as Streamlit runs them, without a browser: what the widgets say and what the clicks do."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from foam_viz.engine.server.hub import Hub
from foam_viz.tasks.catalogue import TASKS
from foam_viz.ui.lab import board as lab_board
from foam_viz.ui.lab import controls as lab_controls
from foam_viz.ui.lab import head as lab_head
from tests.engine.conftest import until
from tests.ui.pages import ROOT, lab, next_run, opened, press, settle, state, stepped

pytestmark = pytest.mark.usefixtures("one_hub")


def test_start_page_opens() -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    assert not app.exception
    assert app.title[0].value == "Watch a preconditioner go stale"


def test_the_lab_opens_with_two_lanes_and_no_run() -> None:
    app = lab()
    assert [lane.optimizer for lane in state(app).experiment.lanes] == ["foam", "shampoo"]
    assert app.button(key="do-start").disabled is False
    assert app.button(key="do-pause").disabled is True
    assert app.button(key="do-reset").disabled is True


def test_step_and_reset() -> None:
    app = press(lab(batch_size="16"), "do-step")
    settle(app)
    assert state(app).run().step == 1
    press(app, "do-check")
    settle(app)
    assert state(app).run().step == 10
    press(app, "do-reset")
    settle(app)
    assert state(app).run().step == 0


def test_start_and_pause_change_what_can_be_pressed() -> None:
    app = press(lab(batch_size="16"), "do-start")
    settle(app)
    assert app.button(key="do-start").disabled is True
    assert app.button(key="do-pause").disabled is False
    press(app, "do-pause")
    settle(app)
    assert app.button(key="do-start").disabled is False


def test_an_answer_in_the_middle_of_drawing_reaches_the_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The controls were drawn while the run trained; then it is paused: the board is told for what they were drawn."""
    app = press(lab(), "do-start")
    run = state(app).run()
    until(lambda: run.step > 0)
    draw = lab_controls.controls

    def draw_and_answer(*arguments: object) -> object:
        drawn = draw(*arguments)
        if run.running:
            state(app).command("pause")
            run.wait(30)
        return drawn

    boards = []
    monkeypatch.setattr(lab_controls, "controls", draw_and_answer)
    monkeypatch.setattr(lab_board, "board", lambda **told: boards.append(told))
    app.run()
    assert not run.running and not app.exception
    assert boards[-1]["outline"] != lab_head.outline(run), "the feed says another one, so the page runs again"
    app.run()
    assert boards[-1]["outline"] == lab_head.outline(run)
    assert not app.button(key="do-start").disabled
    assert app.button(key="do-pause").disabled


def test_a_link_fills_the_widgets_and_what_it_has_wrong_is_shown() -> None:
    app = lab(task="digits-classifier", seed="7", lane=["foam:tau=nan,period=25", "adamw", "nonsense"])
    assert app.number_input(key="set.run.seed").value == 7
    assert app.selectbox(key="set.task").value == "digits-classifier"
    shown = " ".join(warning.value for warning in app.warning)
    assert "tau" in shown
    assert "nan" in shown
    assert "nonsense" in shown
    first = state(app).experiment.lanes[0]
    assert (first.settings["period"], first.settings["tau"]) == (25, 0.75)


def test_a_run_that_would_stop_a_class_is_refused_with_the_remedy() -> None:
    app = lab(task="digits-autoencoder", lane="foam:max_preconditioner_dim=1")
    words = "max_preconditioner_dim = 1: must be at least"
    assert any(words in error.value.replace("\\", "") for error in app.sidebar.error)
    press(app, "do-start")
    said = " ".join(error.value for error in app.main.error).replace("\\", "")
    assert words in said
    assert "maximum_factors" in said
    assert state(app).view_id is None
    assert state(app).experiment.lanes[0].settings["max_preconditioner_dim"] == 1  # nothing made is lost


def test_markup_in_a_link_is_text() -> None:
    app = lab(lane="foam", **{"[x](http://e)": "<b>!</b>"})
    shown = app.warning[0].value
    assert "[x](http" not in shown
    assert "\\[x\\]" in shown


@pytest.mark.parametrize(
    ("field", "typed", "allowed"),
    [("epsilon_max", "-1", "a number above 0"), ("epsilon", "1e-3", "at least"), ("tau", "nan", "strictly between")],
)
def test_an_invalid_setting_stops_start_and_is_named_beside_its_box_with_its_lane(field, typed, allowed) -> None:
    """Whether it is out of its range or does not fit another one: what is shown and what is trained never differ."""
    app = lab(v="2", lane=["adamw", "foam"])
    lane = state(app).next.lane_ids[1]
    opened(app, f"lane-{lane}")
    app.text_input(key=f"set.lane.{lane}.foam.{field}").input(typed).run()
    assert not app.exception
    blamed = "epsilon_max" if field == "epsilon" else field
    said = " ".join(error.value for error in app.main.error).replace("\\", "")
    assert f"Lane 2 (FOAM): {blamed} = " in said and allowed in said
    assert any(f"{blamed} = " in caption.value.replace("\\", "") for caption in app.sidebar.caption)
    assert app.text_input(key=f"set.lane.{lane}.foam.{field}").value == typed
    for button in ("start", "step", "check", "refresh"):
        assert app.button(key=f"do-{button}").disabled
    assert len(state(app).next.refused) == 1
    assert state(app).view_id is None
    app.text_input(key=f"set.lane.{lane}.foam.{field}").input("0.5" if field == "tau" else "1e-5").run()
    assert not app.button(key="do-start").disabled


def test_what_was_typed_in_a_box_that_is_closed_again_is_kept_and_trained() -> None:
    app = lab(v="2", lane=["adamw", "foam"])
    lane = state(app).next.lane_ids[1]
    app.session_state["lanes-open"] = {lane: True}  # as a press on its name does
    opened(opened(app, f"lane-{lane}"), f"more-{lane}")
    app.text_input(key=f"set.lane.{lane}.foam.weight_decay").input("0.25").run()
    app.text_input(key=f"set.lane.{lane}.foam.tau").input("0.5").run()
    app.session_state["lanes-open"] = {}
    for box in (f"more-{lane}", f"lane-{lane}"):
        app.session_state[box] = False
        app.run()
    app.run()
    assert f"set.lane.{lane}.foam.tau" not in {one.key for one in app.text_input}
    settings = state(app).experiment.lanes[1].settings
    assert settings["weight_decay"] == 0.25 and settings["tau"] == 0.5
    opened(opened(app, f"lane-{lane}"), f"more-{lane}")
    assert app.text_input(key=f"set.lane.{lane}.foam.weight_decay").value == "0.25"


def test_who_comes_back_to_an_optimizer_has_what_was_set_meanwhile() -> None:
    app = lab(v="2", lane="foam")
    key = f"set.lane.{state(app).next.lane_ids[0]}"
    app.selectbox(key=f"{key}.optimizer").select("shampoo").run()
    app.text_input(key=f"{key}.shampoo.lr").input("0.02").run()
    app.selectbox(key=f"{key}.optimizer").select("foam").run()
    assert app.text_input(key=f"{key}.foam.lr").value == "0.02"
    assert state(app).experiment.lanes[0].settings["lr"] == 0.02


def test_values_of_a_link_that_do_not_fit_each_other_are_shown_as_they_are_and_not_trained() -> None:
    app = lab(v="2", lane="foam:epsilon=1e-3,epsilon_max=3e-7")
    lane = state(app).next.lane_ids[0]
    assert app.text_input(key=f"set.lane.{lane}.foam.epsilon").value == "0.001"
    assert app.text_input(key=f"set.lane.{lane}.foam.epsilon_max").value == "3e-7"
    assert app.button(key="do-start").disabled
    assert "epsilon=0.001" in app.query_params["lane"] and "epsilon_max=3e-7" in app.query_params["lane"]


def test_what_is_typed_a_moment_before_a_click_is_what_is_trained() -> None:
    app = lab(v="2", batch_size="16", lane="foam")
    lane = state(app).next.lane_ids[0]
    app.number_input(key=f"set.lane.{lane}.foam.period").set_value(20)
    press(app, "do-step")  # one message of the browser holds both
    settle(app)
    assert state(app).run().experiment.lanes[0].settings["period"] == 20


def test_rules_and_precisions_of_a_link_reach_the_page_or_are_refused_on_it() -> None:
    app = lab(precision="float64", lane="foam:eigenvalues=clamp")
    assert app.selectbox(key="set.run.precision").value == "float64"
    assert any("eigenvalues" in warning.value and "floor, shift" in warning.value for warning in app.warning)
    app = lab(precision="float16", lane="foam")
    assert any("precision" in warning.value and "float32, float64" in warning.value for warning in app.warning)
    assert state(app).experiment.run_settings["precision"] == "float32"


def test_a_device_without_float64_is_named_on_the_page(engines: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(engines), "devices", [("mps", "Apple GPU"), ("cpu", "CPU")])
    monkeypatch.setattr(engines, "device", lambda name: "mps" if name == "auto" else name)
    app = lab(precision="float64", lane="foam")
    shown = " ".join(error.value for error in app.error)
    assert "precision" in shown and "choose the CPU" in shown
    assert state(app).experiment.run_settings["precision"] == "float64" and app.button(key="do-start").disabled
    app.selectbox(key="device").select("cpu").run()
    assert not app.error and state(app).experiment.run_settings["precision"] == "float64"


def test_another_task_brings_its_own_defaults_and_keeps_what_was_set() -> None:
    app = lab(v="2", lane="foam:tau=0.5")
    lane = state(app).next.lane_ids[0]
    own = dict(TASKS["digits-autoencoder"].optimizer_defaults)
    assert state(app).experiment.lanes[0].settings["epsilon_max"] == own["epsilon_max"]
    app.selectbox(key="set.task").select("spirals").run()
    settings = state(app).experiment.lanes[0].settings
    assert (settings["tau"], settings["epsilon_max"]) == (0.5, 3e-7)
    assert app.text_input(key=f"set.lane.{lane}.foam.epsilon_max").value == "3e-7"


def test_lanes_come_and_go_and_keep_their_own_settings() -> None:
    app = lab(lane=["foam:tau=0.5", "shampoo:period=50"])
    first, second = state(app).next.lane_ids
    press(app, "add-lane")
    assert len(state(app).experiment.lanes) == 3
    press(app, f"remove-{first}")
    lanes = state(app).experiment.lanes
    assert lanes[0].optimizer == "shampoo"
    assert lanes[0].settings["period"] == 50
    assert app.number_input(key=f"set.lane.{second}.shampoo.period").value == 50
    for _ in range(4):
        press(app, "add-lane")
    assert len(state(app).experiment.lanes) == 6
    assert not [button for button in app.button if button.key == "add-lane"]


def test_another_optimizer_keeps_what_both_know() -> None:
    app = lab(lane="foam:lr=0.003,period=20")
    lane = state(app).next.lane_ids[0]
    app.selectbox(key=f"set.lane.{lane}.optimizer").select("dr-shampoo").run()
    settings = state(app).experiment.lanes[0].settings
    assert (settings["lr"], settings["period"]) == (0.003, 20)


def test_a_preset_fills_the_page() -> None:
    app = lab(lane="adamw")
    app.selectbox(key="preset").select("how-stale").run()
    assert [lane.settings["period"] for lane in state(app).experiment.lanes] == [10, 50, 100, 200]


def test_changed_settings_are_trained_by_a_new_run_and_the_old_one_is_kept(engines: Hub) -> None:
    app = stepped(lane="foam")
    old = state(app).view_id
    lane = state(app).next.lane_ids[0]
    next_run(app)
    app.number_input(key=f"set.lane.{lane}.foam.period").set_value(20).run()
    assert any("Reset" in info.value for info in app.info)
    assert not app.button(key="do-start").disabled  # this run trains on with its own settings
    press(app, "use-own")
    assert app.number_input(key=f"set.lane.{state(app).next.lane_ids[0]}.foam.period").value == 10
    assert not app.button(key="do-start").disabled
    app.number_input(key=f"set.lane.{state(app).next.lane_ids[0]}.foam.period").set_value(20).run()
    press(app, "do-reset")
    settle(app)
    new = state(app).run()
    assert new.view_id != old and new.step == 0
    assert new.experiment.lanes[0].settings["period"] == 20
    assert app.query_params["run"] == new.view_id
    kept = engines.find(old, session="another tab")
    until(lambda: kept.step == 1)
    assert kept.experiment.lanes[0].settings["period"] == 10


def test_what_was_typed_for_the_next_run_is_there_when_its_tab_opens_again(engines: Hub) -> None:
    app = stepped(lane="foam")
    key = f"set.lane.{state(app).next.lane_ids[0]}.foam.epsilon"
    next_run(app)
    app.text_input(key=key).input("minus one").run()
    app.session_state["whose-settings"] = "This run"
    app.run()
    app.run()
    assert "The next run cannot be started" in " ".join(error.value for error in app.main.error)
    next_run(app)
    assert app.text_input(key=key).value == "minus one"


def test_a_preset_over_a_paused_run_makes_a_new_one_to_which_watchers_are_led() -> None:
    app = stepped(lane="adamw")
    old = state(app).view_id
    guest = lab(run=old)
    guest.session_state["session"].tab = "guest"
    guest.session_state["session"].recognise("1" * 32)
    guest.run()
    app.selectbox(key="preset").select("how-stale").run()
    settle(app)
    new = state(app).run()
    assert new.view_id != old and new.step == 0
    assert new.experiment == state(app).experiment
    assert [lane.settings["period"] for lane in new.experiment.lanes] == [10, 50, 100, 200]
    assert app.query_params["run"] == new.view_id
    assert app.query_params["lane"] == [lane.text() for lane in new.experiment.lanes]
    guest.run()
    press(guest, "watch-successor")
    assert state(guest).view_id == new.view_id
    assert guest.query_params["run"] == new.view_id
    assert state(guest).experiment == new.experiment


def test_removing_a_lane_of_a_run_makes_a_new_one(engines: Hub) -> None:
    app = stepped(lane=["foam", "adamw"])
    old = state(app).view_id
    next_run(app)
    press(app, f"remove-{state(app).next.lane_ids[0]}")
    new = state(app).run()
    assert new.view_id != old and [lane.optimizer for lane in new.experiment.lanes] == ["adamw"]
    assert len(engines.find(old, session="another tab").experiment.lanes) == 2


def test_the_speed_shown_is_the_speed_run_at() -> None:
    app = lab(v="2", batch_size="16", lane="adamw")
    app.selectbox(key="speed").select("5 steps/s").run()
    press(app, "do-step")
    settle(app)
    link = dict(app.query_params)
    assert link["steps_per_second"] == "5"
    again = lab(**{**link, "steps_per_second": "25"})  # as by somebody else's link, or an older one
    assert again.selectbox(key="speed").value == "5 steps/s"
    assert state(again).run().header["speed"] == 5
    press(app, "do-reset")
    settle(app)
    assert state(app).run().header["speed"] == 5 and app.selectbox(key="speed").value == "5 steps/s"


def test_the_link_holds_what_is_looked_at() -> None:
    app = stepped(lane=["adamw", "foam"])
    here = state(app)  # as the board tells it
    here.look |= {"loss_axis": "decompositions", "measure": "age", "side_by_side": "raster"}
    here.factor, here.moment, here.cards = 2, 7, ("loss", "turn")
    app.run()
    link = dict(app.query_params)
    assert (link["loss_axis"], link["factor"], link["followed_lane"]) == ("decompositions", "2", "1")
    assert (link["measure"], link["side_by_side"], link["moment"]) == ("age", "raster", "7")
    assert link["panel"] == ["loss", "turn"]
    again = lab(**link)
    there = state(again)
    assert (there.look, there.factor, there.lane) == ({**here.look}, 2, 1)
    assert (there.moment, there.cards) == (7, ("loss", "turn"))
    assert not again.warning
    assert state(lab(lane="foam", panel="teach")).cards == ("teach",)
    assert "panel" in lab(lane="foam", panel="lots").warning[0].value


def test_a_run_and_its_configuration_can_be_taken_away() -> None:
    app = opened(stepped(lane=["foam", "adamw"]), "share")
    downloads = {button.label: button.proto for button in app.get("download_button")}
    assert set(downloads) == {"Run bundle", "Python program", "Command", "YAML of FOAM's artifact"}
    assert not app.exception and "--optimizer foam" in app.code[0].value
    app.selectbox(key="take-away-lane").select(1).run()
    assert "--optimizer adamw" in app.code[0].value


def test_another_link_is_opened_in_a_tab_that_has_a_run_already() -> None:
    app = stepped(lane="foam")
    old = state(app).view_id
    app.switch_page("pages/run_logs.py").run()
    app.query_params.clear()
    app.query_params["v"], app.query_params["lane"] = "2", "shampoo:period=50"
    app.switch_page("pages/live_lab.py").run()
    assert [lane.settings["period"] for lane in state(app).experiment.lanes] == [50]
    assert state(app).view_id is None and old not in str(dict(app.query_params))


def test_advice_about_buttons_is_for_who_steers_and_the_facts_are_for_all(engines: Hub) -> None:
    owner = press(lab(batch_size="16", lane="foam"), "do-step")
    settle(owner)
    run = state(owner).run()
    guest = lab(run=run.view_id, lane="foam", batch_size="16")
    guest.session_state["session"].recognise("2" * 32)
    with run.lock:
        run.say("Reopened from its autosave, paused.", "Press Start to continue.")
        run.room, run.ahead, run.queued = "memory", 1, True
    try:
        for page, advised in ((owner.run(), True), (guest.run(), False)):
            said = " ".join(one.value.replace("\\", "") for one in (*page.warning, *page.info))
            assert "Reopened from its autosave, paused." in said
            assert ("Press Start" in said, "takes it out of the queue" in said) == (advised, advised)
            assert "1 run before it" in said and "before yours" not in said
    finally:
        run.queued = False


def test_a_run_of_somebody_else_is_watched(engines: Hub) -> None:
    owner = press(lab(batch_size="16", lane="foam"), "do-step")
    settle(owner)
    view_id = state(owner).view_id
    guest = lab(run=view_id, lane="foam", batch_size="16")
    assert guest.button(key="do-start").disabled and not guest.info  # whose tab it is will be known in a moment
    guest.session_state["session"].recognise("2" * 32)
    guest.run()
    assert any("somebody else steers" in info.value for info in guest.info)
    assert guest.button(key="do-start").disabled is True
    assert state(guest).run().step == 1
    press(guest, "take-copy")
    assert state(guest).view_id is None
    press(guest, "do-step")
    assert state(guest).view_id != view_id


def test_a_reloaded_tab_shows_its_key_and_steers_again() -> None:
    owner = press(lab(batch_size="16", lane="foam"), "do-step")
    view_id = state(owner).view_id
    key = state(owner).control_key
    until(lambda: state(owner).run().step == 1)
    again = lab(run=view_id, lane="foam", batch_size="16")
    assert again.button(key="do-start").disabled is True
    state(again).take_control(view_id, "0" * 32)
    assert not state(again).may_control(state(again).run())
    state(again).take_control(view_id, key)
    again.run()
    assert again.button(key="do-start").disabled is False


def test_a_view_id_of_another_form_is_refused() -> None:
    app = lab(run="../../secret")
    assert state(app).view_id is None
    assert any("run" in warning.value for warning in app.warning)


def test_who_watches_a_run_is_led_to_the_one_that_its_owner_began_after_it(engines: Hub) -> None:
    owner = press(lab(batch_size="16", lane="foam"), "do-step")
    settle(owner)
    guest = lab(run=state(owner).view_id, lane="foam", batch_size="16")
    guest.session_state["session"].recognise("3" * 32)
    engines.attend(state(owner).view_id, "guest", browser="theirs")  # all pages of these tests are one session
    press(owner, "do-reset")
    settle(owner)
    guest.run()
    assert any("begun another run" in info.value for info in guest.info)
    press(guest, "watch-successor")
    assert state(guest).view_id == state(owner).view_id
    assert guest.query_params["run"] in (state(owner).view_id, [state(owner).view_id])


def test_a_run_that_waits_says_how_many_wait_before_it(engines: Hub) -> None:
    app = press(lab(batch_size="16", lane="foam"), "do-step")
    settle(app)
    run = state(app).run()
    run.queued, run.ahead, run.room = True, 3, "its share of the training process"
    try:
        app.run()
        assert any("3 runs before it. It starts by itself" in info.value.replace("\\", "") for info in app.info)
        assert not app.button(key="do-pause").disabled
    finally:
        run.queued, run.ahead = False, None
