from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest

from foam_viz.logs.parsing import event_decoder, event_file
from foam_viz.logs.parsing.event_file import EventFile, read_event_file
from foam_viz.logs.parsing.event_message import MessageError, parse_event
from tests.logs.examples import examples
from tests.logs.make_tensorboard import (
    START,
    chunk,
    content,
    event,
    hparams,
    record,
    simple,
    tensor,
    varint,
    version,
    write_events,
)


def scalars(found: EventFile) -> list[tuple[str, int, float, float]]:
    return [
        (found.tags[tag], step, time, value)
        for tag, step, time, value in zip(
            found.tag.tolist(), found.step.tolist(), found.wall_time.tolist(), found.value.tolist(), strict=True
        )
    ]


def values(tmp_path: Path, *events: bytes) -> list[tuple[str, int, float, float]]:
    return scalars(read_event_file(write_events(tmp_path / "events", *events)))


def test_simple_values_in_order(tmp_path: Path) -> None:
    steps = [0, 1, 127, 128, 16_383, 16_384, 2**35, 2**62, -1, -(2**63)]
    events = [event(simple("a", i / 8), step=step, wall_time=START + i) for i, step in enumerate(steps)] * 6
    expected = [("a", step, START + i, i / 8) for i, step in enumerate(steps)] * 6
    assert values(tmp_path, *events) == expected


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    found = values(tmp_path, *(event(simple("a", x), step=1) for x in (math.inf, -math.inf, math.nan, 1.5, -0.0)))
    assert [str(value) for *_, value in found] == ["inf", "-inf", "nan", "1.5", "-0.0"]


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (1, chunk(4, struct.pack("<f", 1.5)), 1.5),
        (2, chunk(4, struct.pack("<d", 0.1)), 0.1),
        (3, chunk(4, struct.pack("<i", -7)), -7),
        (9, chunk(4, struct.pack("<q", -(2**40))), -(2**40)),
        (4, chunk(4, b"\xff"), 255),
        (10, chunk(4, b"\x01"), 1),
        (19, chunk(4, struct.pack("<e", 0.25)), 0.25),
        (14, chunk(4, struct.pack("<f", -2.5)[2:]), -2.5),
        (23, chunk(4, struct.pack("<Q", 2**63)), 2.0**63),
        (1, chunk(5, struct.pack("<f", 1.5)), 1.5),
        (1, b"\x2d" + struct.pack("<f", 1.5), 1.5),
        (2, chunk(6, struct.pack("<d", 0.1)), 0.1),
        (2, b"\x31" + struct.pack("<d", 0.1), 0.1),
        (3, chunk(7, varint(-7)), -7),
        (3, b"\x38" + varint(-7), -7),
        (9, chunk(10, varint(-(2**40))), -(2**40)),
        (10, chunk(11, b"\x01"), 1),
        (19, chunk(13, varint(0x3400)), 0.25),
        (14, chunk(13, varint(0xC020)), -2.5),
        (22, chunk(16, varint(2**32 - 1)), 2**32 - 1),
        (23, chunk(17, varint(2**63)), 2.0**63),
    ],
)
def test_tensors_of_every_kind(tmp_path: Path, kind: int, fields: bytes, expected: float) -> None:
    found = values(tmp_path, *(event(tensor("loss", kind, fields), step=step) for step in range(8)))
    assert [(step, value) for _, step, _, value in found] == [(step, expected) for step in range(8)]


@pytest.mark.parametrize(
    "value",
    [
        tensor("a", 1, chunk(5, struct.pack("<2f", 1, 2)), shape=(2,)),
        tensor("a", 1, chunk(4, struct.pack("<2f", 1, 2))),
        tensor("a", 1, b""),
        tensor("a", 7, chunk(8, b"text"), plugin="text"),
        tensor("a", 1, chunk(4, struct.pack("<f", 1)), plugin="pr_curves"),
        tensor("a", 8, chunk(9, struct.pack("<2f", 1, 2))),
        tensor("a", 1, chunk(4, struct.pack("<f", 1)), shape=(0,)),
        chunk(1, b"a") + chunk(5, b"\x09" + bytes(8)),
        chunk(1, b"a") + chunk(4, b""),
    ],
)
def test_what_is_no_scalar_is_counted(tmp_path: Path, value: bytes) -> None:
    events = [event(simple("b", 1.0), step=step) for step in range(6)]
    found = read_event_file(write_events(tmp_path / "events", *events[:3], event(value, step=1), *events[3:]))
    assert [tag for tag, *_ in scalars(found)] == ["b"] * 6 and sum(found.skipped.values()) == 1
    assert found.damage is None


def test_a_tensor_keeps_the_plugin_of_its_first_record(tmp_path: Path) -> None:
    curve = [
        event(content(1, 1.0, "<f", "pr", plugin), step=i) for i, plugin in enumerate(("pr_curves", "", "", "", ""))
    ]
    assert values(tmp_path, *curve) == []


def test_records_with_unusual_fields(tmp_path: Path) -> None:
    """Several values, unknown fields of every wire type, a field twice, fields in another order."""
    unknown = (
        varint(100 << 3)
        + varint(5)
        + chunk(101, b"xy")
        + varint(102 << 3 | 1)
        + bytes(8)
        + varint(103 << 3 | 5)
        + bytes(4)
    )
    twice = event(simple("a", 1.0), step=3) + b"\x10\x07"
    reordered = (
        chunk(5, chunk(1, b"\x15" + struct.pack("<f", 2.0) + chunk(1, b"a")))
        + b"\x10\x08"
        + b"\x09"
        + struct.pack("<d", START)
    )
    events = [
        event(simple("a", 1.0), simple("b", 2.0), step=1),
        event(simple("a", 1.0) + unknown, step=2, extra=unknown),
        twice,
        reordered,
        event(simple("a", 1.0), step=4) + chunk(5, chunk(1, simple("c", 5.0))),
        event(step=9),
    ] * 5
    one = [("a", 1, 1.0), ("b", 1, 2.0), ("a", 2, 1.0), ("a", 7, 1.0), ("a", 8, 2.0), ("a", 4, 1.0), ("c", 4, 5.0)]
    assert [(tag, step, value) for tag, step, _, value in values(tmp_path, *events)] == one * 5


def test_a_step_given_twice_counts_the_last_in_every_record(tmp_path: Path) -> None:
    events = [event(simple("a", 1.0), step=step) + b"\x10\x07" for step in (7, 3, 4, 5, 6, 8)]
    assert [step for _, step, _, _ in values(tmp_path, *events)] == [7] * 6


def test_a_record_that_is_no_message_is_counted(tmp_path: Path) -> None:
    found = read_event_file(write_events(tmp_path / "e", b"\x0b\x01", event(simple("a", 1.0), step=2), b"\xff" * 30))
    assert scalars(found) == [("a", 2, START, 1.0)] and found.skipped["records that are no events"] == 2
    with pytest.raises(MessageError):
        parse_event(chunk(5, b"\x0a\x7f"))


def test_hyperparameters(tmp_path: Path) -> None:
    found = read_event_file(write_events(tmp_path / "e", event(hparams(lr=0.5, name="x", flag=False))))
    assert found.hyperparameters == {"lr": 0.5, "name": "x", "flag": False} and not found.skipped


def test_a_tail_cut_anywhere_leaves_the_whole_records(tmp_path: Path) -> None:
    first, last = [record(event(simple("a", float(i)), step=i)) for i in (1, 2)]
    for size in range(1, len(last)):
        (tmp_path / "e").write_bytes(record(version()) + first + last[:size])
        found = read_event_file(tmp_path / "e")
        assert scalars(found) == [("a", 1, START, 1.0)] and found.records == 2
        assert found.damage is not None and found.damage.reason == ""
        assert found.damage.offset == len(record(version()) + first)


def test_damage_stops_at_its_record(tmp_path: Path) -> None:
    records = [record(version()), *(record(event(simple("a", float(i)), step=i)) for i in range(1, 5))]
    whole, start = b"".join(records), len(b"".join(records[:3]))
    for place in range(len(records[3])):
        broken = bytearray(whole)
        broken[start + place] ^= 0x40
        (tmp_path / "e").write_bytes(broken)
        found = read_event_file(tmp_path / "e")
        assert [step for _, step, _, _ in scalars(found)] == [1, 2]
        assert found.damage is not None and (found.damage.offset, found.damage.record) == (start, 3)
        assert "check sum" in found.damage.reason and ("length" in found.damage.reason) == (place < 12)


def test_blocks_smaller_than_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [event(simple("a" * (1 + i % 50), i / 8), step=i) for i in range(300)]
    whole = values(tmp_path, *events)
    assert [value for *_, value in whole] == [i / 8 for i in range(300)]
    for size in (1, 13, 64, 1000):
        monkeypatch.setattr(event_file, "BLOCK_BYTES", size)
        assert values(tmp_path, *events) == whole
    monkeypatch.setattr(event_decoder, "_SMALLEST_GROUP", 10**9)  # every record by itself
    monkeypatch.setattr(event_file, "BLOCK_BYTES", 1 << 20)
    assert values(tmp_path, *events) == whole


def test_kinds_of_one_length_are_told_apart(tmp_path: Path) -> None:
    """Two tags of one length, and a tensor and a simple value that are equally long."""
    short = content(1, 0.5, "<f", "abc", plugin="")
    long = simple("abc" + "x" * (len(short) - len(simple("abc", 0.0))), 0.25)
    assert len(short) == len(long)
    kinds = [("abc", short, 0.5), (long[2 : 2 + long[1]].decode(), long, 0.25)]
    rng = np.random.default_rng(0)
    picked = [kinds[i] for i in rng.integers(0, 2, 200)]
    found = values(tmp_path, *(event(value, step=5) for _, value, _ in picked))
    assert [(tag, value) for tag, _, _, value in found] == [(tag, number) for tag, _, number in picked]


def test_equal_hashes_do_not_mix_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_decoder, "_hashes", lambda rows: np.zeros(len(rows), np.uint64))
    picked = [f"tag{i % 7}" for i in range(100)]
    found = values(tmp_path, *(event(simple(tag, float(i)), step=i) for i, tag in enumerate(picked)))
    assert [(tag, value) for tag, _, _, value in found] == [(tag, float(i)) for i, tag in enumerate(picked)]


def test_random_events_as_tensorboards_own_classes_read_them(tmp_path: Path) -> None:
    event_pb2 = pytest.importorskip("tensorboard.compat.proto.event_pb2")
    rng = np.random.default_rng(1)
    events, expected = [], []
    for i in range(2_000):
        message = event_pb2.Event(wall_time=START + i / 8, step=int(rng.choice([i, 0, -i, i << 30])))
        for _ in range(rng.choice([0, 1, 1, 1, 1, 2])):
            value = message.summary.value.add(tag=f"{'x' * rng.integers(0, 4)}{rng.integers(0, 9)}")
            value.simple_value = float(rng.standard_normal())
            if rng.random() < 0.3:
                value.tensor.dtype = 2
                value.tensor.double_val.append(float(rng.standard_normal()))
            number = value.simple_value if value.WhichOneof("value") == "simple_value" else value.tensor.double_val[0]
            expected.append((value.tag, message.step, message.wall_time, number))
        events.append(message.SerializeToString())
    assert values(tmp_path, *events) == expected


def test_real_files_as_the_event_accumulator_reads_them() -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from tensorboard.util.tensor_util import make_ndarray

    paths = [path for part in ("tensorboard", "algoperf") for path in examples(part).rglob("*tfevents*")]
    assert len(paths) >= 7
    for path in paths:
        reference = accumulator.EventAccumulator(str(path), {"scalars": 0, "tensors": 0})
        reference.Reload()
        tags = reference.Tags()
        expected = {tag: [(e.step, e.wall_time, e.value) for e in reference.Scalars(tag)] for tag in tags["scalars"]}
        for tag in tags["tensors"]:
            if reference.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
                read = [(e.step, e.wall_time, float(make_ndarray(e.tensor_proto))) for e in reference.Tensors(tag)]
                expected[tag] = read
        found = read_event_file(path)
        assert found.damage is None and sorted(found.tags) == sorted(expected)
        for index, tag in enumerate(found.tags):
            mine = found.tag == index
            columns = (found.step[mine], found.wall_time[mine], found.value[mine])
            np.testing.assert_array_equal(np.array(columns), np.array(expected[tag]).T)
