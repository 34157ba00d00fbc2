"""Streams of lab runs: on by default where the run is small, kept across restarts, dropped by a reset."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from foam_viz.engine import store
from foam_viz.engine.replay.plan import prepare_path
from foam_viz.engine.wire.commands import Change
from foam_viz.engine.worker.group import Group
from foam_viz.engine.worker.lane_streams import LaneStreams
from foam_viz.experiment import config, cost
from foam_viz.recording import stream
from foam_viz.recording.stream import Sample
from foam_viz.settings import Settings
from foam_viz.trace.disk import bundle
from foam_viz.trace.manifest import Manifest


def group(tmp_path: Path, **changes: object) -> Group:
    experiment, errors = config.build(
        task_settings={"width": 16},
        run_settings={"steps": 60},
        lanes=[("foam", {"period": 5, **changes}), ("adamw", {})],
    )
    assert not errors
    return Group("0" * 32, experiment, replace(Settings(), data_directory=tmp_path, device="cpu"))


def advance(made: Group, steps: int) -> None:
    for _ in range(steps):
        made.advance(time.monotonic())
    made.drain()
    made.save(time.monotonic(), everything=True)
    assert made.saving.saver.wait()


def lane(tmp_path: Path, number: int) -> Path:
    return store.lane_directory(store.run_directory(tmp_path, "0" * 32), number)


def test_a_lab_run_can_be_replayed(tmp_path: Path) -> None:
    made = group(tmp_path)
    made.open_autosave()
    advance(made, 30)
    made.close()
    assert prepare_path(lane(tmp_path, 0)).run().differs(bundle.read(lane(tmp_path, 0)).checks) == 0
    assert stream.read(lane(tmp_path, 1)).samples == ()


def test_a_run_that_goes_on_elsewhere_goes_on_with_its_stream(tmp_path: Path) -> None:
    made = group(tmp_path)
    made.open_autosave()
    advance(made, 20)
    made.advance(time.monotonic())  # not saved: the next engine makes it again
    made.saving.saver.close()
    again = group(tmp_path)
    again.restore()
    assert again.step == 20
    advance(again, 20)
    again.close()
    steps = {sample.step for sample in stream.read(lane(tmp_path, 0)).samples}
    assert steps == set(range(10, 41, 5))
    assert prepare_path(lane(tmp_path, 0)).run().differs(bundle.read(lane(tmp_path, 0)).checks) == 0


def test_a_run_that_begins_anew_begins_its_stream_anew(tmp_path: Path) -> None:
    made = group(tmp_path)
    made.open_autosave()
    advance(made, 30)
    made.close()
    made = group(tmp_path)
    made.open_autosave()
    advance(made, 15)
    made.close()
    assert {sample.step for sample in stream.read(lane(tmp_path, 0)).samples} == {10, 15}


def test_large_runs_are_not_streamed_unasked() -> None:
    small, _ = config.build(lanes=[("foam", {}), ("adamw", {})])
    large, errors = config.build(task_settings={"width": 512}, lanes=[("foam", {})])
    assert [cost.streams_by_default(small, i) for i in (0, 1)] == [True, False]
    assert not errors and not cost.streams_by_default(large, 0)


def test_what_waits_is_written_or_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    manifest = Manifest(run_id="0", name="n", created="", config={"optimizer_settings": {"period": 5}})
    streams = LaneStreams([tmp_path], [manifest], None)
    sample = Sample(5, "factor", "0.block_0.0", np.eye(4, dtype=np.float32))
    with monkeypatch.context() as patch:
        patch.setattr(
            "foam_viz.recording.stream.writing.write_atomically",
            lambda *_, **__: (_ for _ in ()).throw(OSError("full")),
        )
        with pytest.raises(OSError, match="full"):
            streams.write([[[[sample]]]])
    assert streams.write([]) == []
    assert len(stream.read(tmp_path).samples) == 1


@pytest.mark.parametrize("back", [0, 13])
def test_a_fork_goes_on_with_the_stream_of_its_parent(tmp_path: Path, back: int) -> None:
    """A fork of now, and one of an earlier step between two checkpoints; each has its past and its own after it."""
    made = group(tmp_path, tau=0.5)
    made.open_autosave()
    advance(made, 12)
    advance(made, 15)
    shared = 27 - back
    made.fork(1, shared, [Change(3, "tau", 0.05)])
    assert len(made.lanes) == 3 and made.notice == ""
    while made.catching_up:
        made.advance(time.monotonic())
    advance(made, 20)
    made.fork(3, None)  # of the fork
    advance(made, 10)
    made.close()
    for number in (0, 2, 3):
        steps = [sample.step for sample in stream.read(lane(tmp_path, number)).samples if sample.kind == "factor"]
        assert sorted(set(steps)) == list(range(10, 56, 5)) and steps == sorted(steps)
        per_step = len(steps) / len(set(steps))
        assert per_step == len(made.lanes[0].factors)  # none twice
        assert prepare_path(lane(tmp_path, number)).run().differs(bundle.read(lane(tmp_path, number)).checks) == 0


def test_a_fork_that_was_lost_before_it_was_copied_has_its_stream(tmp_path: Path) -> None:
    made = group(tmp_path)
    made.open_autosave()
    advance(made, 22)
    made.fork(1, None)
    advance(made, 8)
    made.close()
    shutil.rmtree(lane(tmp_path, 2))
    again = Group("0" * 32, made.experiment, replace(Settings(), data_directory=tmp_path, device="cpu"))
    again.restore()
    advance(again, 60 - again.step)
    again.close()
    assert prepare_path(lane(tmp_path, 2)).run().differs(bundle.read(lane(tmp_path, 2)).checks) == 0


def test_a_fork_that_is_cancelled_leaves_no_stream(tmp_path: Path) -> None:
    made = group(tmp_path)
    made.open_autosave()
    advance(made, 30)
    made.fork(1, 12)
    assert made.catching_up
    made.cancel_fork()
    advance(made, 10)
    made.fork(1, None)
    advance(made, 5)
    made.close()
    assert prepare_path(lane(tmp_path, 2)).run().differs(bundle.read(lane(tmp_path, 2)).checks) == 0
