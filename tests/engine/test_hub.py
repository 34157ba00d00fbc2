"""The service as a page uses it, without Streamlit: start, pause, step, goals, kill, continue, reap."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from foam_viz.engine import store
from foam_viz.engine.server.hub import ControlRefused, Hub, HubFull
from foam_viz.engine.wire.commands import CommandError, Drop, make
from foam_viz.settings import Settings
from foam_viz.trace.disk import bundle
from tests.engine.conftest import experiment, until


def test_start_pause_step_and_goals(hub: Hub) -> None:
    run, key = hub.create(experiment("foam", "shampoo", "adamw"), session="s")
    until(lambda: run.header)
    assert (run.step, run.running) == (0, False)
    assert len(run.traces[0].manifest.factors) == 18
    assert run.traces[2].manifest.factors == ()

    hub.command(run.view_id, key, make("step"))
    until(lambda: run.step == 1 and not run.running)
    hub.command(run.view_id, key, make("check"))
    until(lambda: run.step == 10 and not run.running)
    hub.command(run.view_id, key, make("check"))
    until(lambda: run.step == 20 and not run.running)
    hub.command(run.view_id, key, make("refresh"))
    until(lambda: run.step == 30 and not run.running)
    # Lockstep: every lane has the same steps, and the same first loss.
    for trace in run.traces:
        assert np.array_equal(trace.values("steps", "step"), np.arange(1, 31))
    assert len({trace.values("steps", "loss")[0] for trace in run.traces}) == 1

    hub.command(run.view_id, key, make("start"))
    until(lambda: run.step > 60)
    assert run.running
    assert run.steps_per_second > 0
    hub.command(run.view_id, key, make("pause"))
    until(lambda: not run.running)
    step = run.step
    time.sleep(0.4)
    assert run.step == step


def test_speed_is_kept(hub: Hub) -> None:
    run, key = hub.create(experiment("adamw"), session="s")
    hub.command(run.view_id, key, make("speed", steps_per_second=25.0))
    hub.command(run.view_id, key, make("start"))
    until(lambda: run.step >= 1)
    began, first = time.monotonic(), run.step
    time.sleep(2)
    rate = (run.step - first) / (time.monotonic() - began)
    assert 12 < rate < 32


def test_a_reset_makes_a_new_run_and_keeps_the_old_one(hub: Hub, settings: Settings) -> None:
    """Nothing that was trained is lost: the old run is paused, can be found again and trained on."""
    old, key = hub.create(experiment("foam"), session="s", speed=50.0)
    hub.command(old.view_id, key, make("start"))
    until(lambda: old.step > 10)
    new, new_key = hub.renew(old.view_id, key, experiment("adamw", "sgd", "shampoo"), session="s")
    until(lambda: len(new.traces) == 3 and not new.pending)
    assert (new.step, new.running, new.header["speed"]) == (0, False, 50.0)
    assert [lane.optimizer for lane in new.experiment.lanes] == ["adamw", "sgd", "shampoo"]
    assert old.successor == new.view_id
    hub.command(new.view_id, new_key, make("step"))
    until(lambda: new.step == 1)
    again = hub.find(old.view_id, session="s")
    until(lambda: again.header)
    assert not again.running
    assert again.step >= old.step
    assert [lane.optimizer for lane in again.experiment.lanes] == ["foam"]
    hub.command(again.view_id, key, make("step"))
    until(lambda: again.step == old.step + 1 or again.step > old.step)


def test_who_watches_a_run_that_is_reset_sees_it_paused_and_its_successor(hub: Hub) -> None:
    old, key = hub.create(experiment("adamw"), session="s", owner="mine")
    hub.command(old.view_id, key, make("start"))
    until(lambda: old.step > 5)
    assert hub.find(old.view_id, session="t", owner="theirs") is old
    new, _ = hub.renew(old.view_id, None, experiment("sgd"), session="s", owner="mine")
    until(lambda: not old.running and not old.pending)
    assert hub.find(old.view_id, session="t", owner="theirs") is old
    assert old.successor == new.view_id
    with pytest.raises(ControlRefused):
        hub.renew(old.view_id, None, experiment("sgd"), session="t", owner="theirs")


def test_the_successor_of_a_run_is_known_after_a_restart(settings: Settings) -> None:
    """Who opens the link of the old run is still led to the new one, as long as that is kept."""
    found = []
    hub = Hub(settings)
    try:
        old, key = hub.create(experiment("adamw"), session="s", owner="mine")
        new, new_key = hub.renew(old.view_id, key, experiment("sgd"), session="s", owner="mine")
        for run, whose in ((old, key), (new, new_key)):
            until(lambda run=run: hub.find(run.view_id, session="s") and hub.opened(run.view_id).header)
            hub.command(run.view_id, whose, make("step"))
            until(lambda run=run: hub.opened(run.view_id).step == 1)
    finally:
        hub.close()
    for kept in (True, False):
        again = Hub(settings)
        try:
            if not kept:
                until(lambda again=again: again.data.delete(new.view_id))
            opened = again.find(old.view_id, session="t", owner="theirs")
            found.append(opened.successor if opened is not None else None)
            until(lambda opened=opened: opened.header)
        finally:
            again.close()
    assert found == [new.view_id, ""]


def test_a_browser_steers_its_runs_without_the_key(hub: Hub) -> None:
    """A tab that was reloaded has another session, and the same browser."""
    run, _ = hub.create(experiment("adamw"), session="s", owner="mine")
    assert hub.controls(run.view_id, None, "mine")
    for other in (None, "", "s", "theirs", run.owner):
        assert not hub.controls(run.view_id, None, other)
    hub.command(run.view_id, None, make("step"), owner="mine")
    until(lambda: run.step == 1)


def test_a_divergence_is_shown_and_the_others_go_on(hub: Hub) -> None:
    run, key = hub.create(experiment("sgd:lr=1000", "adamw"), session="s")
    hub.command(run.view_id, key, make("start"))
    until(lambda: run.header and run.header["lanes"][0]["status"] == "diverged" and run.step > 50)
    assert run.traces[0].manifest.diverged_step is not None
    assert run.traces[0].rows("steps") == run.traces[0].manifest.diverged_step
    assert run.running


def test_a_key_steers_and_a_view_id_does_not(hub: Hub) -> None:
    run, key = hub.create(experiment("adamw"), session="s")
    assert run.view_id != key
    assert store.is_identity(run.view_id)
    for wrong in (None, "", run.view_id, "0" * 32):
        with pytest.raises(ControlRefused):
            hub.command(run.view_id, wrong, make("start"))
    with pytest.raises(CommandError, match="must be one of"):
        make("explode")
    with pytest.raises(ValueError, match="the hub alone"):
        hub.command(run.view_id, key, Drop())
    assert hub.find(run.view_id, session="other") is run
    assert hub.find("../../etc", session="other") is None


def test_a_killed_engine_is_replaced_and_its_run_goes_on(hub: Hub, settings: Settings) -> None:
    run, key = hub.create(experiment("foam", "adamw"), session="s")
    hub.command(run.view_id, key, make("start"))
    lane = store.lane_directory(store.run_directory(settings.data_directory, run.view_id), 0)
    until(lambda: list((lane / "checkpoints").glob("*.pt")) and run.step > 60)
    before = run.traces[0].values("steps", "loss").copy()
    dead = hub.engine_processes()[0]
    os.kill(dead, signal.SIGKILL)
    until(lambda: "replaced" in run.notice)
    until(lambda: run.running and run.step > len(before) + 5, 90)
    assert hub.engine_processes()[0] != dead
    steps = run.traces[0].values("steps", "step")
    assert np.array_equal(steps, np.arange(1, len(steps) + 1))
    # Deterministic: what is trained again is what was trained before.
    assert np.array_equal(run.traces[0].values("steps", "loss")[: len(before)], before)
    hub.command(run.view_id, key, make("pause"))
    until(lambda: not run.running)
    until(lambda: len(bundle.read(lane).values("steps", "step")) == run.traces[0].rows("steps"))
    saved = bundle.read(lane).values("steps", "loss")
    assert np.array_equal(saved, run.traces[0].values("steps", "loss"))


def test_an_interrupted_run_reopens_paused_and_continues(settings: Settings) -> None:
    first = Hub(settings)
    try:
        run, key = first.create(experiment("foam"), session="s")
        first.command(run.view_id, key, make("start"))
        until(lambda: run.step > 40)
    finally:
        first.close()
    reached = run.step
    second = Hub(settings)
    try:
        again = second.find(run.view_id, session="t")
        assert again is not None
        until(lambda: again.header)
        assert not again.running
        assert again.step >= reached  # what was left was saved when the hub went
        assert not second.controls(run.view_id, "f" * 32)
        second.command(run.view_id, key, make("start"))
        until(lambda: again.step > reached + 5)
        steps = again.traces[0].values("steps", "step")
        assert np.array_equal(steps, np.arange(1, len(steps) + 1))
    finally:
        second.close()


def test_a_run_ends_after_the_grace_time_and_stays_on_disk(settings: Settings) -> None:
    active = {"s"}
    hub = Hub(settings, is_active=lambda session: session in active)
    try:
        run, key = hub.create(experiment("adamw"), session="s")
        hub.command(run.view_id, key, make("start"))
        until(lambda: run.step > 5)
        time.sleep(1.5)
        assert hub.controls(run.view_id, key)
        active.clear()
        until(lambda: not hub.controls(run.view_id, key), 20)
        lane = store.lane_directory(store.run_directory(settings.data_directory, run.view_id), 0)
        until(lambda: bundle.read(lane).rows("steps") >= run.step, 20)
    finally:
        hub.close()


def test_no_folder_to_write_to(tmp_path: Path) -> None:
    blocked = tmp_path / "data"
    blocked.write_text("a file, not a folder")
    hub = Hub(Settings(data_directory=blocked, engines=1, device="cpu"))
    try:
        run, key = hub.create(experiment("adamw"), session="s")
        hub.command(run.view_id, key, make("start"))
        until(lambda: run.step > 5)
        assert "Autosave is off" in run.header["autosave_problem"]
        assert "data_directory" in run.header["autosave_problem"]
    finally:
        hub.close()


def test_a_browser_holds_a_few_runs_and_the_server_some(settings: Settings) -> None:
    hub = Hub(Settings(data_directory=settings.data_directory, engines=1, runs_per_browser=2, maximum_runs=3))
    try:
        first, _ = hub.create(experiment("adamw"), session="a1", owner="a")
        second, _ = hub.create(experiment("adamw"), session="a2", owner="a")  # another tab, or a reload
        third, key = hub.create(experiment("adamw"), session="a3", owner="a")  # the oldest idle one makes room
        assert first.view_id not in hub._runs
        assert hub.controls(third.view_id, key)
        hub.find(second.view_id, session="b")  # others watch it: it stays
        fourth, _ = hub.create(experiment("adamw"), session="a4", owner="a")
        assert second.view_id in hub._runs and third.view_id not in hub._runs
        hub.find(fourth.view_id, session="b")
        with pytest.raises(HubFull, match="2 runs that train or that others watch .runs_per_browser."):
            hub.create(experiment("adamw"), session="a5", owner="a")
        hub.create(experiment("adamw"), session="b")
        with pytest.raises(HubFull, match="maximum_runs"):
            hub.create(experiment("adamw"), session="c")
        until(lambda: third.view_id not in hub._runs and hub.history.find(third.view_id), 120)
        assert hub.find(third.view_id, session="d") is None
        assert "saved, but it cannot be opened now" in hub.why_missing(third.view_id)
        assert "maximum_runs" in hub.why_missing(third.view_id)
        assert hub.why_missing("0" * 32) == ""
    finally:
        hub.close()


def test_a_silent_stranger_does_not_block_a_second_engine(settings: Settings) -> None:
    """Strangers that connect and say nothing come before the engines; the engines are heard all the same."""
    hub = Hub(Settings(data_directory=settings.data_directory, engines=2, device="cpu"))
    strangers = [socket.create_connection(("127.0.0.1", hub._engines.pool.port)) for _ in range(4)]
    try:
        runs = [hub.create(experiment("adamw"), session=name) for name in "ab"]
        assert {run.engine for run, _ in runs} == {0, 1}
        for run, key in runs:
            hub.command(run.view_id, key, make("step"))
        for run, _ in runs:
            until(lambda run=run: run.step == 1, 90)
    finally:
        for stranger in strangers:
            stranger.close()
        hub.close()


def test_two_running_groups_are_marked_as_sharing_the_machine(hub: Hub) -> None:
    runs = [hub.create(experiment("adamw"), session=name) for name in "ab"]
    alone, key = runs[0]
    hub.command(alone.view_id, key, make("start"))
    until(lambda: alone.step > 3)
    assert not alone.traces[0].manifest.shared_machine
    for run, key in runs:
        hub.command(run.view_id, key, make("start"))
    until(lambda: all(run.traces and run.traces[0].manifest.shared_machine for run, _ in runs))


def test_engines_end_with_their_server(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom foam_viz.engine.server.hub import Hub\n"
        "from foam_viz.settings import Settings\n"
        f"hub = Hub(Settings(data_directory=Path({str(tmp_path)!r}), engines=1))\nhub.ready(90)\n"
        "print(hub.engine_processes()[0], flush=True)\ntime.sleep(60)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    engine = int(server.stdout.readline())
    server.kill()
    server.wait()

    def gone() -> bool:
        try:
            status = Path(f"/proc/{engine}/stat").read_text()
        except OSError:
            return True
        return status.rpartition(")")[2].split()[0] == "Z"

    until(gone, 20)
