"""One run of a class is hostile: the others' steps and answers hold, and that one alone ends or moves."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from foam_viz.engine.server import recovery
from foam_viz.engine.server.hub import Hub, TooCostly
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.engine.wire.commands import make
from foam_viz.engine.worker import memory
from foam_viz.experiment import config, cost
from foam_viz.settings import Settings
from tests.engine.conftest import experiment, until

FACTORS = ("digits-autoencoder", {}, [("foam", {"max_preconditioner_dim": 2})])
LONG = ("digits-vit", {"width": 256, "depth": 3, "batch_size": 400}, [("adamw", {})])


def hostile(task: str, settings: dict, lanes: list) -> config.Experiment:
    made, errors = config.build(task, settings, {}, lanes)
    assert not errors
    return made


@pytest.fixture
def lenient(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub whose projections are wrong: hostile runs come into the engine that all share."""
    monkeypatch.setattr(cost, "OWN_ENGINE_SECONDS", float("inf"))
    monkeypatch.setattr(recovery, "HELD_UP_SECONDS", 2.0)
    changes = {"maximum_factors": 1_000_000, "step_seconds": 600.0, "runs_per_browser": 16, "engine_memory_mb": 65536}
    hub = Hub(Settings(**{**vars(settings), **changes, "round_seconds": 600.0}))
    assert hub.ready(180)
    yield hub
    hub.close()


def classmates(hub: Hub) -> list[tuple[LabRun, str]]:
    runs = [hub.create(experiment("adamw"), session=name) for name in "abc"]
    for run, key in runs:
        hub.command(run.view_id, key, make("speed", steps_per_second=20.0))
        hub.command(run.view_id, key, make("start"))
    until(lambda: all(run.step > 5 for run, _ in runs), 120)
    return runs


def are_served(hub: Hub, runs: list[tuple[LabRun, str]]) -> None:
    """They go on and are answered soon, while a step of the hostile run takes longer than either; bounds are wide, as
    other tests may have the machine."""
    before, waits = [run.step for run, _ in runs], []
    for run, key in runs:
        asked = time.monotonic()
        hub.command(run.view_id, key, make("follow", factor=0))
        run.wait(30)
        waits.append(time.monotonic() - asked)
    assert sorted(waits)[1] < 5
    until(lambda: all(run.step >= first + 10 for (run, _), first in zip(runs, before, strict=True)), 30)


def test_a_run_of_long_steps_moves_to_an_engine_of_its_own(lenient: Hub) -> None:
    runs = classmates(lenient)
    slow, key = lenient.create(hostile(*LONG), session="h")
    lenient.command(slow.view_id, key, make("start"))
    until(lambda: slow.engine >= 1 and not slow.recovering, 240)
    assert "of its own" in slow.notice
    are_served(lenient, runs)
    until(lambda: slow.step >= 3, 120)
    assert slow.running
    steps = slow.traces[0].values("steps", "step")
    assert steps.tolist() == list(range(1, len(steps) + 1))
    lenient.command(slow.view_id, key, make("pause"))
    until(lambda: not slow.running and not slow.pending, 60)


def test_a_step_that_holds_everybody_up_is_ended_and_its_run_alone_pays(lenient: Hub) -> None:
    runs = classmates(lenient)
    slow, key = lenient.create(hostile(*FACTORS), session="h")
    lenient._engines.placement.settings = Settings(**{**vars(lenient.settings), "step_seconds": 3.0})
    lenient.command(slow.view_id, key, make("start"))
    until(lambda: slow.engine >= 1, 240)
    until(lambda: all(run.running and not run.recovering for run, _ in runs), 240)
    are_served(lenient, runs)
    # In the engine of its own its check is longer than a step may take.
    until(lambda: slow.gone, 400)
    assert "step_seconds" in slow.notice
    assert not slow.running and not slow.pending
    are_served(lenient, runs)


def test_what_costs_too_much_is_refused_before_it_is_built(settings: Settings) -> None:
    hub = Hub(settings)
    try:
        with pytest.raises(TooCostly, match="max_preconditioner_dim = 1: must be at least") as caught:
            hub.create(hostile("digits-autoencoder", {}, [("foam", {"max_preconditioner_dim": 1})]), session="s")
        assert "maximum_factors" in str(caught.value)
        run, key = hub.create(experiment("adamw"), session="s")
        with pytest.raises(TooCostly):
            hub.renew(
                run.view_id,
                key,
                hostile("digits-autoencoder", {}, [("foam", {"max_preconditioner_dim": 1})]),
                session="s",
            )
        assert hub.controls(run.view_id, key)  # the run that was there still is
    finally:
        hub.close()


def test_a_projected_cost_chooses_the_engine_and_a_full_house_says_so(settings: Settings) -> None:
    hub = Hub(Settings(**{**vars(settings), "own_engines": 1, "step_seconds": 600.0, "engine_memory_mb": 65536}))
    try:
        long = hostile("digits-vit", {"width": 512, "depth": 2, "batch_size": 1400}, [("adamw", {})])
        run, _ = hub.create(long, session="s")
        assert run.engine == 1
        waits = [hub.create(long, session=name)[0] for name in "tu"]
        assert [(other.queued, other.ahead) for other in waits] == [(True, 0), (True, 1)]
        assert "own_engines" in waits[0].room
        small, key = hub.create(experiment("adamw"), session="v")  # those of the other kind do not wait behind them
        assert (small.queued, small.engine) == (False, 0)
        with hub._lock:
            hub._drop(run.view_id)
        until(lambda: waits[0].engine == 2, 30)
        until(lambda: waits[1].ahead == 0, 30)
    finally:
        hub.close()


def test_the_engine_refuses_too(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "require", lambda *_, **__: None)  # a hub that would let everything pass
    hub = Hub(settings)
    try:
        run, key = hub.create(hostile("digits-autoencoder", {}, [("foam", {"max_preconditioner_dim": 1})]), session="s")
        until(lambda: run.gone, 120)
        assert "maximum_factors" in run.notice
        assert not run.pending
        hub.command(run.view_id, key, make("start"))  # tries again, and is told again
        until(lambda: run.gone and not run.pending, 30)
    finally:
        hub.close()


def test_a_run_that_ended_for_want_of_memory_is_opened_again_on_demand(hub: Hub) -> None:
    run, key = hub.create(experiment("adamw"), session="s")
    hub.command(run.view_id, key, make("start"))
    until(lambda: run.step > 20)
    ended = {"type": "ended", "view_id": run.view_id, "epoch": run.epoch, "message": "Ended: memory"}
    hub._engines.on_message(0, ended, {})
    assert (run.gone, run.running, run.pending, run.notice) == (True, False, False, "Ended: memory")
    assert run.traces[0].manifest.status == "interrupted"
    hub.command(run.view_id, key, make("step"))
    until(lambda: not run.pending and not run.gone, 60)
    steps = run.traces[0].values("steps", "step")
    assert steps.tolist() == list(range(1, len(steps) + 1))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone tells what a process has")
def test_memory_beyond_the_limit_is_refused_where_it_is_asked_for() -> None:
    script = (
        "import torch\nfrom foam_viz.engine.worker import memory\ntorch.zeros(1)\nassert memory.limit(256 * 2**20)\n"
        "torch.zeros(2**20)\n"
        "try:\n    torch.zeros(2**28)\nexcept RuntimeError as error:\n    assert memory.is_exhausted(error), error\n"
        "else:\n    raise SystemExit('it had the memory')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=180)


def test_a_run_that_left_its_own_engine_is_opened_when_that_has_written_everything(settings: Settings) -> None:
    """Reopened at once, the run goes on from its last step, and nobody takes its old engine for another server."""
    active = {"a": True}
    changes = {"own_engines": 1, "checkpoint_seconds": 600.0, "grace_seconds": 1.0}
    hub = Hub(Settings(**{**vars(settings), **changes}), is_active=lambda session: active.get(session, False))
    try:
        made, key = hub.create(experiment("adamw"), session="a")
        until(lambda: made.header, 180)
        hub.command(made.view_id, key, make("start"))
        until(lambda: made.step > 20, 180)
        with made.lock:
            hub._engines.placement.move(made)
        until(lambda: made.engine >= 1 and not made.recovering and made.step > 40, 180)
        hub.command(made.view_id, key, make("pause"))
        until(lambda: not made.pending, 60)
        last, own = made.step, made.engine
        active["a"] = False
        until(lambda: made.view_id not in hub._runs, 60)
        again = hub.find(made.view_id, session="b")
        active["b"] = True
        assert again.awaited == own or not hub._engines.pool.leaves(own)
        until(lambda: again.header, 120)
        assert again.step == last
        hub.command(made.view_id, key, make("step"))
        until(lambda: again.step == last + 1 and not again.pending, 60)
        time.sleep(1.5)
        assert "another server" not in again.header["autosave_problem"]
    finally:
        hub.close()


def test_a_want_of_memory_is_known_by_what_it_led_to() -> None:
    """A checkpoint that finds no memory: torch.save raises an error of its own about the position in the file."""
    with pytest.raises(RuntimeError) as caught:
        try:
            raise MemoryError
        except MemoryError:
            raise RuntimeError("unexpected pos 9531520 vs 9531412")  # noqa: B904 - as torch does it
    assert memory.is_exhausted(caught.value)
    assert memory.is_exhausted(RuntimeError("can't start new thread"))
    assert not memory.is_exhausted(RuntimeError("unexpected pos 9531520 vs 9531412"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone tells what a process has")
def test_a_run_without_memory_ends_alone_and_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """For real: an engine that several share has a small limit; one run after the other begins until none is left."""
    monkeypatch.setattr(cost, "OWN_ENGINE_SECONDS", float("inf"))
    changes = {"engine_memory_mb": 400, "own_engines": 0, "runs_per_browser": 64, "silent_seconds": 60.0}
    hub = Hub(Settings(**{**vars(settings), **changes}))
    large = ("digits-vit", {"width": 192, "depth": 2, "batch_size": 64}, [("adamw", {})])
    try:
        assert hub.ready(180)
        small, key = hub.create(experiment("adamw"), session="s")
        hub.command(small.view_id, key, make("start"))
        until(lambda: small.step > 5, 120)
        process, runs = hub.engine_processes(), []
        while not any(run.gone for run in runs):
            assert len(runs) < 30, "there is no end of memory"
            run, its_key = hub.create(hostile(*large), session="s")
            runs.append(run)
            hub.command(run.view_id, its_key, make("start"))
            until(lambda: runs[-1].step >= 2 or any(run.gone for run in runs), 180)
        ended = [run for run in runs if run.gone]
        assert len(ended) == 1
        assert "no memory left of the 400 MiB" in ended[0].notice and "engine_memory_mb" in ended[0].notice
        assert len(runs) > 1
        before = [run.step for run in (small, *runs)]
        until(lambda: all(run.step > step or run.gone for run, step in zip((small, *runs), before, strict=True)), 120)
        assert not small.gone
        assert hub.engine_processes() == process  # nobody else lost anything
    finally:
        hub.close()
