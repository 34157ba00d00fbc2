"""A small local W&B folder, written as W&B's own datastore writes it."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

_BLOCK = 32768


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def items(values: dict[str, object]) -> bytes:
    """A history, summary or configuration; nested keys are given with ``/``."""
    out = b""
    for key, value in values.items():
        parts = key.split("/")
        named = message(1, key.encode()) if len(parts) == 1 else b"".join(message(2, part.encode()) for part in parts)
        out += message(1, named + message(16, json.dumps(value).encode()))
    return out


def datastore(records: list[bytes]) -> bytes:
    """Records in blocks, those that span blocks in pieces."""
    out = bytearray(b":W&B" + struct.pack("<HB", 0xBEE1, 0))
    for record in records:
        left, begun = record, False
        while True:
            room = _BLOCK - len(out) % _BLOCK
            if room < 7:
                out += bytes(room)
                continue
            piece, left = left[: room - 7], left[room - 7 :]
            kind = (3 if left else 4) if begun else (2 if left else 1)
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
            begun = True
            if not left:
                break
    return bytes(out)


def records(steps: int = 50, exit_code: int | None = 0, padding: int = 0) -> list[bytes]:
    config = {"lr": 0.001, "optimizer": "foam", "hf_token": "abcdefgh", "_wandb": {"x": 1}}
    started = message(17, integer(1, 1_795_301_835))
    run = (
        message(1, b"abc123")
        + message(3, b"digits")
        + message(4, items(config))
        + message(8, b"foam-run")
        + message(13, b"host")
    )
    out = [message(17, run + started)]
    out.append(message(26, message(10, b"me@example.org") + message(18, b"NVIDIA H100") + integer(19, 8)))
    for step in range(steps):
        loss = 2.0 - step / 100 if step < steps - 1 else float("nan")
        row = {"_step": 2 * step, "_runtime": step / 2, "_timestamp": 1_795_301_835 + step, "train/loss": loss}
        typed = message(1, message(1, b"epoch") + integer(5, 2 * step)) + message(
            1, message(1, b"t") + message(7, b"x")
        )
        out.append(message(2, items(row) + typed))
    out.append(message(7, b""))
    if padding:
        out.insert(5, message(3, items({"long": "x" * padding, "best": 1.5})))
    if exit_code is not None:
        out.append(message(18, integer(1, exit_code)))
    return out


def make_wandb(folder: Path) -> Path:
    """Write one finished run."""
    run = folder / "wandb" / "offline-run-20261121_225600-abc123"
    (run / "files").mkdir(parents=True)
    (run / "logs").mkdir()
    (run / "files" / "output.log").write_text("epoch 1 loss 2.0\n")
    (run / "files" / "requirements.txt").write_text("torch==2.13\n")
    (run / "logs" / "debug.log").write_text("api_key=secret\n")
    (run / "run-abc123.wandb").write_bytes(datastore(records(padding=50_000)))
    return folder / "wandb"
