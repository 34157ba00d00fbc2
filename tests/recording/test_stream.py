"""The factor stream on the disk: it comes back as it went, stays within its cap, and survives a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from foam_viz.optim.shampoo import Shampoo
from foam_viz.recording import stream
from foam_viz.recording.stream import Sample
from foam_viz.recording.stream.writing import StreamFile
from foam_viz.trace import Stream, Writer, summarize
from foam_viz.trace.disk import bundle
from tests.synthetic import SyntheticRun


def samples(step: int, size: int = 8) -> list[Sample]:
    generator = np.random.default_rng(step)
    half = generator.normal(size=(size, size)).astype(np.float32)
    return [
        Sample(step, "factor", "0.block_0.0", half + half.T, 2, 1e-9),
        Sample(step, "gradient", "layer.weight", generator.normal(size=(3, 2, 4)).astype(np.float32)),
    ]


SIZE = (8 * 9 // 2 + 24) * 4


def test_a_stream_comes_back_as_it_went(tmp_path: Path) -> None:
    trace = SyntheticRun().advance(20).trace
    bundle.write(trace, tmp_path / "run")
    file = StreamFile(tmp_path / "run", 10 * SIZE)
    for step in range(1, 4):
        file.add(samples(step))
        file.flush()
    assert file.bytes == 3 * SIZE
    record = stream.read(tmp_path / "run")
    assert record.notes == ()
    for got, put in zip(record.samples, [s for step in range(1, 4) for s in samples(step)], strict=True):
        assert (got.step, got.kind, got.id, got.root, got.epsilon) == (
            put.step,
            put.kind,
            put.id,
            put.root,
            put.epsilon,
        )
        assert np.array_equal(got.values, put.values)
    assert len(bundle.read(tmp_path / "run").steps) == len(trace.steps)
    archive = tmp_path / "run.zip"
    stream.pack(tmp_path / "run", archive)
    assert len(stream.read(archive).samples) == 6
    assert summarize(bundle.read(archive)) == summarize(trace)


def test_a_stream_is_thinned_at_its_cap(tmp_path: Path) -> None:
    net = torch.nn.Linear(8, 8, bias=False)
    optimizer = Shampoo(net.parameters(), lr=1e-2)
    once = 2 * 8 * 9 // 2 * 4
    wanted = Stream(factors=("0.*",), every=2, byte_cap=3 * once + 1, gradients=False)
    with Writer(tmp_path / "run", stream=wanted) as writer:
        writer.observe(optimizer)
        for step in range(1, 21):
            net(torch.randn(2, 8)).square().mean().backward()
            optimizer.step()
            writer.log(step, loss=1.0)
    assert [s.step for s in stream.read(tmp_path / "run").samples] == [2, 2, 8, 8, 16, 16]
    events = bundle.read(tmp_path / "run").events.to_pylist()
    assert [(event["kind"], event["step"]) for event in events] == [("stream-thinned", 8), ("stream-thinned", 12)]


def test_a_continued_stream_drops_what_is_beyond(tmp_path: Path) -> None:
    file = StreamFile(tmp_path, 3 * SIZE)
    for step in (1, 2, 3):
        file.add(samples(step))
        file.flush()
    again = StreamFile(tmp_path, 3 * SIZE, after=1)
    assert again.bytes == SIZE
    again.add(samples(2))
    again.flush()
    assert [s.step for s in stream.read(tmp_path).samples] == [1, 1, 2, 2]


@pytest.mark.parametrize("damage", ["cut", "shape"])
def test_a_torn_part_is_left_out_aloud(tmp_path: Path, damage: str) -> None:
    file = StreamFile(tmp_path, 10 * SIZE)
    for step in (1, 2):
        file.add(samples(step))
        if damage == "shape" and step == 1:
            file._pending[0]["shape"] = [9, 9]
        file.flush()
    part = tmp_path / "stream" / "stream.00000000.arrow"
    if damage == "cut":
        part.write_bytes(part.read_bytes()[:-20])
    record = stream.read(tmp_path)
    assert [s.step for s in record.samples] == [2, 2]
    assert len(record.notes) == 1 and part.name in record.notes[0]


def test_no_stream_is_no_error_and_no_bundle_is(tmp_path: Path) -> None:
    assert stream.read(tmp_path).samples == ()
    with pytest.raises(bundle.BundleError):
        stream.read(tmp_path / "missing")
