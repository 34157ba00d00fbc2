"""The factor stream of a run: what it keeps, what it costs, and that keeping it changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from foam_viz import cli
from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config, cost
from foam_viz.recording import stream
from foam_viz.recording.stream import Sample
from foam_viz.recording.stream.writing import RUN_BYTES, StreamFile
from foam_viz.trace.disk import bundle


def run(optimizer: str = "foam", steps: int = 40, **settings: object) -> Run:
    torch.set_num_threads(1)
    experiment, errors = config.build(run_settings={"steps": steps}, lanes=[(optimizer, settings)])
    assert not errors
    return Run(experiment.lane_config(0), run_id="0" * 32, stream=True)


def test_a_sample_is_the_statistics_of_its_check_bit_for_bit(tmp_path: Path) -> None:
    trained = run(steps=20)
    kept: dict[tuple[int, str], np.ndarray] = {}
    while trained.live:
        trained.advance()
        if trained.checked:
            for factor_stack in trained.optimizer.factor_stacks():
                for row, factor in enumerate(factor_stack.factors):
                    kept[trained.step, factor.id] = factor_stack.statistics[row].numpy().copy()
    file = StreamFile(tmp_path, RUN_BYTES, every=10)
    for samples in trained.drain_stream():
        file.add(samples)
    file.flush()
    found = [sample for sample in stream.read(tmp_path).samples if sample.kind == "factor"]
    assert len(found) == len(kept) == 36
    asymmetric = 0
    for sample in found:
        assert np.array_equal(sample.values, kept[sample.step, sample.id])
        assert (sample.beta, sample.steps, sample.root) == (0.99, sample.step, 2)
        asymmetric += not np.array_equal(sample.values, sample.values.T)
    assert asymmetric, "no factor differs from its mirror image: the test shows less than it says"


def test_turns_are_kept_when_they_are_taken() -> None:
    trained = run("shampoo-staggered", steps=30, period=10, start=10)
    while trained.live:
        trained.advance()
    steps = [samples[0].step for samples in trained.drain_stream()]
    assert steps[0] == 10 and len(steps) > 10
    assert [s.kind for s in run().drain_stream()] == []


def test_a_run_with_a_stream_is_the_run_without() -> None:
    with_stream, without = run(steps=30), run(steps=30)
    without._stream = None
    while with_stream.live:
        with_stream.advance()
        without.advance()
    for one, other in zip(with_stream.model.parameters(), without.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_command_line_keeps_the_stream_in_folder_and_zip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("folder", "run.zip"):
        given = ["train", "--steps", "20", "--stream", "--out", str(tmp_path / name), "--quiet"]
        assert cli.main(given) == 0
        record = stream.read(tmp_path / name)
        assert len([s for s in record.samples if s.kind == "factor"]) == 36
        assert bundle.read(tmp_path / name).manifest.status == "finished"
    assert "The factor stream takes about 0.5 MiB: 2 checks of all factors." in capsys.readouterr().err


def test_a_stream_of_an_optimizer_without_damped_factors_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["train", "--optimizer", "adamw", "--stream", "--out", str(tmp_path / "run")])
    assert code == 2
    told = capsys.readouterr().err
    assert "--stream = adamw" in told and "choose one of shampoo" in told
    assert not (tmp_path / "run").exists()


def test_what_a_stream_takes_is_said_beforehand() -> None:
    experiment, _ = config.build(run_settings={"steps": 600}, lanes=[("foam", {}), ("adamw", {})])
    told = cost.stream(experiment, 0, RUN_BYTES)
    trained = run(steps=10)
    trained.advance()
    while trained.live:
        trained.advance()
    samples = trained.drain_stream()[0]
    numbers = sum(len(s.values) * (len(s.values) + 1) // 2 for s in samples if s.kind == "factor")
    assert told is not None and told.bytes_a_check == 4 * numbers
    assert (told.checks, told.stride, told.bytes) == (60, 1, 60 * 4 * numbers)
    assert cost.stream(experiment, 1, RUN_BYTES) is None
    long, _ = config.build(run_settings={"steps": 100_000}, lanes=[("foam", {})])
    thinned = cost.stream(long, 0, RUN_BYTES)
    assert thinned is not None and thinned.stride == 64 and thinned.bytes <= RUN_BYTES
    assert "one in 64 stays" in thinned.words


def test_a_stream_beyond_its_cap_keeps_every_second_check(tmp_path: Path) -> None:
    def samples(step: int) -> list[Sample]:
        return [Sample(step, "factor", "0.block_0.0", np.eye(8, dtype=np.float32) * step)]

    size = 4 * 36
    file = StreamFile(tmp_path, 4 * size, every=10)
    for step in range(10, 100, 10):
        file.add(samples(step))
        file.flush()
    assert (file.spacing.stride, file.bytes, file.full) == (4, 3 * size, False)
    record = stream.read(tmp_path)
    assert [sample.step for sample in record.samples] == [10, 40, 80]  # the first decomposes, so it stays
    assert record.notes == ("the stream was thinned to stay within its cap: it keeps one check of 4",)
    again = StreamFile(tmp_path, 4 * size, every=10)
    assert again.spacing == file.spacing
    for step in (100, 110, 120):
        again.add(samples(step))
    again.flush()
    assert [sample.step for sample in stream.read(tmp_path).samples] == [10, 40, 80, 120]


def test_a_cap_below_one_check_ends_the_stream(tmp_path: Path) -> None:
    file = StreamFile(tmp_path, 100)
    file.add([Sample(1, "factor", "0.block_0.0", np.eye(8, dtype=np.float32))])
    assert file.full and file.bytes == 0
