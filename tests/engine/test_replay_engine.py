"""The replay engine: a process that answers by number, prepares a run once, is stopped, and comes back when it dies."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest

from foam_viz import cli
from foam_viz.analysis.fronts import front, reference_settings, to_csv
from foam_viz.analysis.replay_setting import NoReplay, tau_and_cap
from foam_viz.engine.replay import commands, process
from foam_viz.engine.replay.client import EngineLost, ReplayClient, Superseded
from foam_viz.engine.wire import protocol
from foam_viz.trace.disk import bundle

ROOT = Path(__file__).resolve().parents[2]
WAIT = 120


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "run"
    sets = [part for text in ("width=24", "period=5", "tau=0.3") for part in ("--set", text)]
    assert cli.main(["train", "--steps", "60", "--stream", "--quiet", *sets, "--out", str(place)]) == 0
    return place


@pytest.fixture(scope="module")
def client() -> Iterator[ReplayClient]:
    client = ReplayClient()
    yield client
    client.close()


def test_a_run_is_prepared_and_replayed(client: ReplayClient, run: Path) -> None:
    preparation = client.prepare(run)
    ready = preparation.ready.result(WAIT)
    assert ready is preparation is client.prepare(run)
    assert (preparation.share, preparation.words) == (1.0, "ready")
    assert preparation.own.values["tau"] == 0.3 and preparation.grid.period == 5
    replay = client.run(run).result(WAIT)
    assert replay.exact and replay.differs(bundle.read(run).checks) == 0
    other = client.run(run, preparation.own.changed({"tau": 0.6}), updates=True).result(WAIT)
    assert other.open_loop and other.checks == replay.checks and other.updates


def test_a_map_a_front_and_a_calibration(client: ReplayClient, run: Path) -> None:
    preparation = client.prepare(run).ready.result(WAIT)
    settings = tau_and_cap(preparation.own, [0.2, 0.5, 0.8], [1e-5, 1e-4])
    points = client.summaries(run, settings).result(WAIT)
    assert [point.setting for point in points] == settings
    quick = client.summaries(run, settings, error_every=0).result(WAIT)
    assert [p.decompositions for p in quick] == [p.decompositions for p in points]
    references = client.summaries(run, reference_settings(preparation.own, preparation.grid)).result(WAIT)
    for work in ("decompositions", "kernel_seconds"):
        found = front([*points, *references], work)
        paid = [getattr(point, work) for point in found.best]
        left = [point.error_left for point in found.best]
        assert paid == sorted(paid) and left == sorted(left, reverse=True)
        assert all(
            any(getattr(b, work) <= getattr(p, work) and b.error_left <= p.error_left for b in found.best)
            for p in found.points
        )
    table = to_csv([*points, *references]).splitlines()
    assert len(table) == 1 + len(points) + len(references) and table[0].startswith("label,optimizer,period,tau")
    told = client.calibrate(run).result(WAIT)
    assert told["setting"]["optimizer"] == "foam" and len(told["quantiles"]) == 21 and told["smallest"] > 0


def test_what_cannot_be_done_is_said(client: ReplayClient, run: Path, tmp_path: Path) -> None:
    preparation = client.prepare(run).ready.result(WAIT)
    with pytest.raises(NoReplay, match="a multiple of 5"):
        client.run(run, preparation.own.changed({"period": 7})).result(WAIT)
    with pytest.raises(NoReplay):
        client.prepare(tmp_path / "missing").ready.result(WAIT)
    assert cli.main(["train", "--steps", "5", "--quiet", "--out", str(tmp_path / "plain")]) == 0
    with pytest.raises(NoReplay) as error:
        client.prepare(tmp_path / "plain").ready.result(WAIT)
    assert "--stream" in error.value.remedy


def test_of_settings_that_wait_the_newest_counts(client: ReplayClient, run: Path) -> None:
    own = client.prepare(run).ready.result(WAIT).own
    asked = [client.run(run, own.changed({"tau": 0.01 * i})) for i in range(1, 60)]
    assert asked[-1].result(WAIT).setting.values["tau"] == pytest.approx(0.59)
    outcomes = [future.exception(WAIT) for future in asked]
    assert any(isinstance(outcome, Superseded) for outcome in outcomes)
    assert all(outcome is None or isinstance(outcome, Superseded) for outcome in outcomes)


def test_an_engine_that_dies_is_replaced(client: ReplayClient, run: Path) -> None:
    client.prepare(run).ready.result(WAIT)
    pending = client.run(run, client.prepare(run).own)
    client._process.kill()
    client._process.wait()
    assert client.run(run).exception(WAIT) is None or isinstance(client.run(run).exception(WAIT), EngineLost)
    assert pending.exception(WAIT) is None or isinstance(pending.exception(WAIT), EngineLost), "never answered"
    assert client.run(run).result(WAIT).exact


def test_a_preparation_is_stopped(run: Path) -> None:
    client = ReplayClient()
    try:
        preparation = client.prepare(run)
        client.stop(run)
        with pytest.raises(CancelledError):
            preparation.ready.result(WAIT)
        assert client.prepare(run).ready.result(WAIT).own is not None
    finally:
        client.close()


def test_a_preparation_that_others_wait_for_goes_on_when_one_leaves(run: Path) -> None:
    client = ReplayClient()
    try:
        preparation = client.prepare(run, "a")
        assert client.prepare(run, "b") is preparation
        client.leave(run, "a")
        client.leave(run, "nobody")
        assert preparation.ready.result(WAIT).own is not None
        client.leave(run, "b")  # it is ready: nothing to stop
        assert client.prepare(run, "c") is preparation
        client.stop(run)
        abandoned = client.prepare(run, "a")
        client.leave(run, "a")
        with pytest.raises(CancelledError):
            abandoned.ready.result(WAIT)
    finally:
        client.close()


def test_what_is_asked_of_a_ready_run_is_answered_while_another_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    (theirs, asks), (answers, ours) = Pipe(duplex=False), Pipe(duplex=False)
    engine = process.ReplayEngine(theirs, ours)
    engine._plans["ready"] = SimpleNamespace(summaries=lambda settings, error_every: [], bytes=0)

    def prepare(path: str, progress: Callable[[float, str], None]) -> None:
        protocol.send(asks, {"number": 2, **commands.to_json(commands.Summarize("ready", ()))})
        progress(0.5, "half")
        raise NoReplay("it is", "over")

    monkeypatch.setattr(process, "prepare_path", prepare)
    protocol.send(asks, {"number": 1, **commands.to_json(commands.Prepare("large"))})
    asks_end = threading.Thread(target=engine.serve)
    asks_end.start()
    told = [protocol.receive(answers)[0] for _ in range(3)]
    asks.close()
    asks_end.join(WAIT)
    assert [(one["number"], one["kind"]) for one in told] == [(1, "progress"), (2, "done"), (1, "refused")]


def test_commands_come_back_as_they_went(client: ReplayClient, run: Path) -> None:
    own = client.prepare(run).ready.result(WAIT).own
    for command in (
        commands.Prepare("a"),
        commands.RunSetting("a", own, True),
        commands.RunSetting("a"),
        commands.Summarize("a", (own,), 5),
        commands.Calibrate("a"),
        commands.Stop("a"),
    ):
        assert commands.from_json(commands.to_json(command)) == command


def test_a_client_brings_no_torch() -> None:
    script = "import sys, foam_viz.engine.replay.client, foam_viz.experiment.export; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60).returncode == 0
