"""Faults of engine and disk while runs train: what is said is true, nothing is lost that need not be."""

from __future__ import annotations

import os
import signal
import sys
import time

import numpy as np
import pytest

from foam_viz.engine import store
from foam_viz.engine.server.hub import Hub
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.engine.wire.commands import Pause, SetSpeed, Start
from foam_viz.settings import Settings
from foam_viz.trace.disk import bundle
from tests.engine.conftest import delete, experiment, until


def started(hub: Hub, speed: float | None = 5.0) -> tuple[LabRun, str]:
    run, key = hub.create(experiment("foam", "adamw"), session="s", speed=speed)
    hub.command(run.view_id, key, Start())
    return run, key


def whole(run: LabRun) -> None:
    with run.lock:
        for trace in run.traces:
            steps = trace.values("steps", "step")
            assert np.array_equal(steps, np.arange(1, len(steps) + 1))
            checks = trace.values("checks", "step").tolist()
            assert checks == sorted(checks)


@pytest.mark.parametrize("heard", [False, True], ids=["the pause is on its way", "the pause was heard"])
def test_an_engine_killed_at_five_steps_a_second_with_a_pause_under_way(
    hub: Hub, settings: Settings, heard: bool
) -> None:
    """It comes back paused, trained again to the last published step, and no row is doubled or missing."""
    run, key = started(hub)
    until(lambda: run.step >= 12, 120)
    engine = hub.engine_processes()[0]
    if not heard:
        os.kill(engine, signal.SIGSTOP)
    hub.command(run.view_id, key, Pause())
    published = run.step
    losses = [trace.values("steps", "loss").copy() for trace in run.traces]
    os.kill(engine, signal.SIGKILL)
    until(lambda: hub.engine_processes() and hub.engine_processes()[0] != engine, 60)
    until(lambda: not run.pending, 180)
    assert (run.running, run.header["speed"]) == (False, 5.0)
    assert run.step >= published
    for trace, before in zip(run.traces, losses, strict=True):
        assert np.array_equal(trace.values("steps", "loss")[: len(before)], before)
    stood = run.step
    time.sleep(0.6)
    assert run.step == stood
    whole(run)
    hub.command(run.view_id, key, Start())
    until(lambda: run.step >= stood + 3, 60)
    hub.command(run.view_id, key, Pause())
    until(lambda: not run.pending and not run.running)
    whole(run)
    lane = store.lane_directory(store.run_directory(settings.data_directory, run.view_id), 0)
    until(lambda: bundle.read(lane).values("steps", "step").tolist() == list(range(1, run.step + 1)))


def test_the_data_directory_is_deleted_while_a_run_trains(hub: Hub, settings: Settings) -> None:
    run, key = started(hub, 50.0)
    until(lambda: run.step > 20 and not run.header["autosave_problem"], 120)
    delete(settings.data_directory)
    until(lambda: "Autosave is off since step" in run.header["autosave_problem"], 60)
    before = run.step
    until(lambda: run.step > before + 20)
    whole(run)
    hub.command(run.view_id, key, Pause())
    until(lambda: not run.running and not run.pending)
    assert "Autosave is off" in run.header["autosave_problem"]
    assert "autosave_notice" in run.header and "Autosave is on again" not in run.header["autosave_notice"]
    other, other_key = hub.create(experiment("adamw"), session="t")  # a new run has a folder of its own again
    hub.command(other.view_id, other_key, Start())
    until(lambda: other.step > 5)
    assert hub.find(run.view_id, session="s") is run


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prlimit")
def test_a_disk_that_takes_no_more_is_said_until_it_does(hub: Hub, settings: Settings) -> None:
    """Files that may not grow stand for a full disk: every write of the engine fails."""
    import resource

    run, key = started(hub, 50.0)
    until(lambda: run.step > 20, 120)
    engine = hub.engine_processes()[0]
    limit = resource.prlimit(engine, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    until(lambda: "Autosave is off since step" in run.header["autosave_problem"], 60)
    before = run.step
    until(lambda: run.step > before + 20)
    assert hub.engine_processes()[0] == engine
    resource.prlimit(engine, resource.RLIMIT_FSIZE, limit)
    until(lambda: "Autosave is on again" in run.header["autosave_notice"], 150)
    assert not run.header["autosave_problem"]
    hub.command(run.view_id, key, Pause())
    until(lambda: not run.running and not run.pending)
    whole(run)
    lane = store.lane_directory(store.run_directory(settings.data_directory, run.view_id), 0)
    until(lambda: bundle.read(lane).values("steps", "step").tolist() == list(range(1, run.step + 1)))


def test_a_change_of_speed_outlives_a_crash(hub: Hub) -> None:
    run, key = started(hub, None)
    until(lambda: run.step > 5, 120)
    os.kill(hub.engine_processes()[0], signal.SIGSTOP)
    hub.command(run.view_id, key, SetSpeed(5.0))
    os.kill(hub.engine_processes()[0], signal.SIGKILL)
    until(lambda: not run.pending and run.running, 180)
    assert run.header["speed"] == 5.0
    whole(run)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"maximum_hours": 0.001}, "maximum_hours = 0.001"), ({"maximum_steps": 12}, "maximum_steps = 12")],
)
def test_a_cap_pauses_for_good_and_is_named(settings: Settings, change: dict, words: str) -> None:
    from foam_viz.engine.worker.group import Group

    group = Group("a" * 32, experiment("adamw"), Settings(**{**vars(settings), **change}), "cpu")
    group.lockstep.trained_seconds = 3.6 if "hours" in words else 0.0
    group.start()
    for _ in range(20):
        if group.running:
            group.advance(time.monotonic())
    assert not group.running
    assert words in group.notice
    group.notice = ""
    group.start()
    assert not group.running and words in group.notice


def test_width_and_lanes_beyond_the_limits_are_named(settings: Settings) -> None:
    from foam_viz.experiment import cost

    made = experiment("adamw", "sgd", "foam")
    errors = cost.review(made, Settings(**{**vars(settings), "maximum_width": 64, "maximum_lanes": 2}))
    said = " ".join(map(str, errors))
    assert "width = 128" in said and "at most 64 here (maximum_width)" in said
    assert "at most 2 here (maximum_lanes)" in said
