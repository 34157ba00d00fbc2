"""Small TensorBoard logs, their protobuf bytes written by hand, as torch and TensorFlow 2 write them."""

from __future__ import annotations

import struct
from pathlib import Path

from google_crc32c import value as crc32c

START = 1_700_000_000.0


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def chunk(field: int, content: bytes) -> bytes:
    """A field of wire type 2."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def event(*values: bytes, step: int = 0, wall_time: float = START, extra: bytes = b"") -> bytes:
    """An event whose summary holds the values, each the content of one ``Summary.Value``."""
    head = b"\x09" + struct.pack("<d", wall_time) + (b"\x10" + varint(step) if step else b"")
    return head + (chunk(5, b"".join(chunk(1, value) for value in values)) if values else b"") + extra


def simple(tag: str, number: float) -> bytes:
    return chunk(1, tag.encode()) + b"\x15" + struct.pack("<f", number)


def tensor(tag: str, kind: int, fields: bytes, plugin: str = "scalars", shape: tuple[int, ...] = ()) -> bytes:
    """A value that holds a tensor; ``fields`` are those of its content."""
    dims = b"".join(chunk(2, b"\x08" + varint(size)) for size in shape)
    metadata = chunk(9, chunk(1, chunk(1, plugin.encode()))) if plugin else b""
    return chunk(1, tag.encode()) + chunk(8, b"\x08" + varint(kind) + chunk(2, dims) + fields) + metadata


def content(kind: int, number: float, word: str, tag: str = "loss", plugin: str = "scalars") -> bytes:
    """A scalar tensor with ``tensor_content``."""
    return tensor(tag, kind, chunk(4, struct.pack(word, number)), plugin)


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


def version(wall_time: float = START) -> bytes:
    return b"\x09" + struct.pack("<d", wall_time) + chunk(3, b"brain.Event:2")


def hparams(**values: float | str | bool) -> bytes:
    """The value by which torch's ``add_hparams`` says what the run was started with."""
    entries = b""
    for name, value in values.items():
        if isinstance(value, bool):
            encoded = b"\x20" + varint(value)
        elif isinstance(value, str):
            encoded = chunk(3, value.encode())
        else:
            encoded = b"\x11" + struct.pack("<d", value)
        entries += chunk(1, chunk(1, name.encode()) + chunk(2, encoded))
    plugin = chunk(1, b"hparams") + chunk(2, chunk(3, entries))
    return chunk(1, b"_hparams_/session_start_info") + chunk(9, chunk(1, plugin))


def write_events(path: Path, *events: bytes, wall_time: float = START) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(record, (version(wall_time), *events))))
    return path


def make_tensorboard(folder: Path) -> Path:
    """A torch run with hyperparameters, a resume and a text, and a TensorFlow run."""
    run = folder / "runs" / "foam"
    first = [
        event(simple(tag, number), step=step, wall_time=START + step)
        for step in range(40)
        for tag, number in (("train/loss", 2.0 - step / 64), ("train/lr", 0.5), ("val/acc", 25.0))[
            : 3 if step % 8 == 0 else 2
        ]
    ]
    text = event(tensor("note", 7, chunk(8, b"hello"), "text", (1,)), step=1)
    write_events(run / "events.out.tfevents.1700000000.host.1.0", *first, text)
    again = [event(simple("train/loss", 1.0), step=step, wall_time=START + 100 + step) for step in range(30, 50)]
    write_events(run / "events.out.tfevents.1700000100.host.1.0", *again, wall_time=START + 100)
    write_events(
        run / "1700000000.123" / "events.out.tfevents.1700000000.host.1.1",
        event(hparams(lr=0.5, optimizer="foam", nesterov=True)),
        event(simple("hparam/best", 75.0)),
        wall_time=START + 200,
    )
    tf = [event(content(1, 3.0 - step / 8, "<f"), step=step, wall_time=START + step) for step in range(10)]
    write_events(folder / "keras" / "train" / "events.out.tfevents.1700000000.host.2.v2", *tf)
    write_events(
        folder / "keras" / "validation" / "events.out.tfevents.1700000000.host.3.v2",
        *(event(content(1, 4.0 - step / 8, "<f"), step=step, wall_time=START + step + 0.5) for step in range(0, 10, 3)),
    )
    return folder
