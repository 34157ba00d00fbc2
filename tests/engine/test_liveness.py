"""What a class relies on: no message, crash or slow run of one costs another anything but a moment."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foam_viz.engine import store
from foam_viz.engine.server import viewers
from foam_viz.engine.server.hub import ControlRefused, Hub
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.engine.wire.commands import make
from foam_viz.settings import Settings
from foam_viz.trace.disk import bundle
from tests.engine.conftest import delete, experiment, until


def whole(run: LabRun) -> None:
    """Every step is there once, in every lane."""
    with run.lock:
        for trace in run.traces:
            steps = trace.values("steps", "step")
            assert np.array_equal(steps, np.arange(1, len(steps) + 1))


def kill_engine(hub: Hub) -> None:
    os.kill(hub.engine_processes()[0], signal.SIGKILL)


def started(hub: Hub, speed: float | None = None, *lanes: str) -> tuple[LabRun, str]:
    run, key = hub.create(experiment(*(lanes or ("adamw",))), session="s")
    if speed:
        hub.command(run.view_id, key, make("speed", steps_per_second=speed))
    hub.command(run.view_id, key, make("start"))
    return run, key


def test_after_a_crash_speed_and_place_are_as_before(hub: Hub) -> None:
    run, _ = started(hub, 20.0, "foam")
    until(lambda: run.step >= 30)
    reached = run.step
    kill_engine(hub)
    until(lambda: "replaced" in run.notice)
    assert run.pending  # a page that waits goes on looking
    until(lambda: not run.recovering, 90)
    assert run.header["speed"] == 20.0
    began, first = time.monotonic(), run.step
    assert first >= reached
    time.sleep(2)
    assert (run.step - first) / (time.monotonic() - began) < 40  # at full speed it is hundreds
    until(lambda: run.step > first)
    whole(run)


def test_a_pause_that_no_engine_answered_is_sent_again(hub: Hub) -> None:
    run, key = started(hub, 20.0)
    until(lambda: run.step >= 5)
    os.kill(hub.engine_processes()[0], signal.SIGSTOP)
    hub.command(run.view_id, key, make("pause"))
    time.sleep(0.3)
    assert run.pending
    reached = run.step
    kill_engine(hub)
    until(lambda: not run.pending, 90)
    assert not run.running
    assert run.step >= reached
    stood = run.step
    time.sleep(0.5)
    assert run.step == stood
    assert run.header["handled"] == run.sent
    whole(run)


def test_a_goal_outlives_a_crash(hub: Hub) -> None:
    run, key = hub.create(experiment("foam:period=200,start=200"), session="s")
    hub.command(run.view_id, key, make("speed", steps_per_second=50.0))
    hub.command(run.view_id, key, make("check"))
    until(lambda: run.step >= 20)
    kill_engine(hub)
    until(lambda: run.step >= 200 and not run.running and not run.pending, 120)
    assert run.step == 200
    whole(run)


def test_a_second_crash_before_the_first_answer_loses_nothing(hub: Hub) -> None:
    run, _ = started(hub, 20.0)
    until(lambda: run.step >= 10)
    reached, dead = run.step, hub.engine_processes()[0]
    kill_engine(hub)
    until(lambda: hub.engine_processes() and hub.engine_processes()[0] != dead, 30)
    kill_engine(hub)
    until(lambda: run.running and not run.pending and run.step > reached, 120)
    assert run.header["speed"] == 20.0
    whole(run)


def test_a_run_that_crashed_before_its_first_answer_is_made(settings: Settings) -> None:
    hub = Hub(settings)
    try:
        run, key = hub.create(experiment("adamw"), session="s")
        hub.command(run.view_id, key, make("step"))
        kill_engine(hub)
        until(lambda: run.step == 1 and not run.pending, 120)
        whole(run)
    finally:
        hub.close()


def test_rows_of_an_earlier_incarnation_are_not_heard(hub: Hub) -> None:
    """A link that is opened again just after its grace time, while the engine still speaks of the run that ended."""
    run, key = started(hub)
    until(lambda: run.step >= 5)
    other, other_key = hub.create(experiment("adamw"), session="t")
    old = {"type": "rows", **run.header}
    with hub._lock:
        hub._drop(run.view_id)
    again = hub.find(run.view_id, session="s")
    assert again is not None and again is not run
    hub._engines.on_message(0, dict(old), {})
    assert not again.header
    until(lambda: again.header, 60)
    hub.command(again.view_id, key, make("start"))
    until(lambda: again.step > old["step"])
    hub.command(other.view_id, other_key, make("step"))
    until(lambda: other.step == 1)
    whole(again)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("rows", {"lanes": []}),
        ("rows", {"step": None, "recovering": None}),
        ("lanes", {"manifests": [{}], "restored_step": 0}),
        ("no such kind", {}),
        ("rows", {"lanes": [{"step": 1}] * 3}),
    ],
)
def test_no_message_is_fatal(hub: Hub, kind: str, change: dict[str, Any]) -> None:
    run, key = started(hub)
    until(lambda: run.step >= 3)
    header = {**run.header, "type": kind, "epoch": run.epoch, **change}
    hub._engines.on_message(0, header, {})
    until(lambda: not run.pending and run.running, 60)
    before = run.step
    until(lambda: run.step > before + 3)
    hub.command(run.view_id, key, make("pause"))
    until(lambda: not run.pending and not run.running)
    whole(run)


def test_a_stopped_engine_is_replaced_and_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(Settings(**{**vars(settings), "silent_seconds": 2.0}))
    try:
        assert hub.ready(120)
        run, _ = started(hub, 20.0)
        until(lambda: run.step >= 5)
        os.kill(hub.engine_processes()[0], signal.SIGSTOP)
        until(lambda: "silent for 2 s" in run.notice, 30)
        before = run.step
        until(lambda: run.running and not run.pending and run.step > before, 120)
        whole(run)
    finally:
        hub.close()


def test_the_device_of_the_installation_is_used(settings: Settings) -> None:
    hub = Hub(Settings(**{**vars(settings), "device": "mps"}))
    try:
        run, _ = hub.create(experiment("adamw"), session="s")
        until(lambda: run.header, 120)
        if run.header["device"] != "mps":  # a machine without one says so
            until(lambda: run.notice, 10)
            assert "device = mps: this machine has none" in run.notice
    finally:
        hub.close()


def test_a_run_pauses_at_the_steps_that_the_installation_allows(settings: Settings) -> None:
    hub = Hub(Settings(**{**vars(settings), "maximum_steps": 12}))
    try:
        run, key = started(hub)
        until(lambda: run.step == 12 and not run.running, 120)
        until(lambda: "maximum_steps = 12" in run.notice, 10)
        hub.command(run.view_id, key, make("start"))
        until(lambda: not run.pending and "maximum_steps" in run.notice)
        assert run.step == 12
    finally:
        hub.close()


def test_a_run_that_no_page_shows_is_paused_and_said(settings: Settings) -> None:
    hub = Hub(Settings(**{**vars(settings), "idle_pause_seconds": 2.0}), is_active=lambda _: True)
    try:
        run, key = started(hub)
        until(lambda: run.step >= 3, 120)
        time.sleep(3)
        assert run.running  # in sight
        hub.show(run.view_id, session="s", hidden=True)
        until(lambda: not run.running, 20)
        assert "idle_pause_seconds" in run.notice
        hub.show(run.view_id, session="s", hidden=False)
        hub.command(run.view_id, key, make("start"))
        until(lambda: run.running and not run.pending)
    finally:
        hub.close()


def test_a_page_that_shows_something_else_does_not_keep_a_run_training(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its browser is connected and in sight, but asks for the run no more: another page of the app is open."""
    monkeypatch.setattr(viewers, "SHOWN_SECONDS", 2.0)
    hub = Hub(Settings(**{**vars(settings), "idle_pause_seconds": 2.0}), is_active=lambda _: True)
    try:
        run, _ = started(hub)
        until(lambda: hub.find(run.view_id, session="s") and run.step >= 3, 120)
        end = time.monotonic() + 6
        until(lambda: hub.find(run.view_id, session="s") and time.monotonic() > end)
        assert run.running
        until(lambda: not run.running, 60)
        assert "idle_pause_seconds" in run.notice
    finally:
        hub.close()


def test_a_run_of_which_nothing_was_saved_begins_anew_after_a_crash_and_says_so(hub: Hub, settings: Settings) -> None:
    (settings.data_directory / "runs").mkdir(parents=True, exist_ok=True)
    run, key = hub.create(experiment("adamw"), session="s")
    folder = store.run_directory(settings.data_directory, run.view_id)
    until(lambda: run.header)
    delete(folder)
    folder.write_text("in the way: nothing can be saved")
    hub.command(run.view_id, key, make("speed", steps_per_second=20.0))
    hub.command(run.view_id, key, make("start"))
    until(lambda: run.step > 10, 120)
    hub._engines.pool.end(0, "was ended by a test")
    until(lambda: "trained again from step 0" in run.notice, 300)
    assert "Nothing of it could be restored" in run.notice
    until(lambda: not run.recovering, 120)
    steps = run.traces[0].values("steps", "step")
    assert steps.tolist() == list(range(1, len(steps) + 1))


def test_commands_come_before_the_rest_of_a_round(hub: Hub) -> None:
    """Twelve groups train; a click is answered between two slices, not after a round of all."""
    hub.settings = Settings(**{**vars(hub.settings), "runs_per_browser": 64})
    for _ in range(12):
        started(hub, None, "adamw")
    run, key = hub.create(experiment("adamw"), session="t")
    until(lambda: run.header and all(r.step > 5 for r in list(hub._runs.values()) if r is not run))
    waits = []
    for _ in range(10):
        began = time.monotonic()
        hub.command(run.view_id, key, make("step"))
        run.wait(10)
        waits.append(time.monotonic() - began)
    assert sorted(waits)[5] < 1.0


def saved_steps(settings: Settings, run: LabRun) -> list[int]:
    lane = store.lane_directory(store.run_directory(settings.data_directory, run.view_id), 0)
    return bundle.read(lane).values("steps", "step").tolist() if Path(lane).exists() else []


def test_edits_outlive_a_crash_answered_or_not(hub: Hub) -> None:
    """An edit that no engine answered acts after what was seen, never in a step that is trained again."""
    run, key = hub.create(experiment("foam:tau=0.5"), session="s")

    def edit(setting: str, value: float) -> None:
        change = {"lane": 1, "setting": setting, "value": value}
        hub.command(run.view_id, key, make("edit", changes=(change,)))

    hub.command(run.view_id, key, make("speed", steps_per_second=20.0))
    hub.command(run.view_id, key, make("start"))
    until(lambda: run.step >= 5)
    edit("tau", 0.2)
    until(lambda: run.experiment.edits)
    first = run.experiment.edits[0].step
    assert run.traces[0].manifest.config["edits"][0]["setting"] == "tau"
    until(lambda: run.step >= first + 5)
    os.kill(hub.engine_processes()[0], signal.SIGSTOP)
    edit("lr", 0.5)
    reached = run.step
    kill_engine(hub)
    until(lambda: not run.pending and run.step > reached + 3, 120)
    assert [edit.setting for edit in run.experiment.edits] == ["tau", "lr"]
    assert run.experiment.edits[1].step > reached
    whole(run)
    with run.lock:
        rows = run.traces[0].events.to_pandas()
    assert list(rows[rows.kind == "edit"].step) == [edit.step for edit in run.experiment.edits]


def test_a_foreign_run_cannot_be_edited(hub: Hub) -> None:
    run, _ = hub.create(experiment("foam"), session="s", owner="a" * 32)
    with pytest.raises(ControlRefused, match="belongs to somebody else"):
        hub.command(run.view_id, "0" * 32, make("undo"), owner="b" * 32)
