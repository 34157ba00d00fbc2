"""TensorBoard event files: records with their check sums, and the scalars in them as arrays.

A file is a row of records: length (uint64), masked CRC-32C of the length, that many bytes, masked CRC-32C of the bytes.
It is read a block at a time; :mod:`foam_viz.logs.parsing.event_decoder` makes scalars of the records.
"""

from __future__ import annotations

import io
import struct
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from foam_viz.logs.parsing.event_decoder import Decoder

BLOCK_BYTES = 1 << 22


@dataclass(frozen=True)
class Damage:
    """Why reading stopped before the end of a file.

    Attributes:
        offset: Byte at which the record begins that could not be read.
        record: Its number, from 0.
        reason: What is wrong; empty when the file just ends within the record, as that of a live run does.
    """

    offset: int
    record: int
    reason: str


@dataclass
class EventFile:
    """The scalars of one file, in the order in which they were written.

    Attributes:
        tags: Names of the curves.
        tag: (n,) int32, index into ``tags``.
        step: (n,) int64.
        wall_time: (n,) float64, seconds since 1970.
        value: (n,) float64.
        records: Whole records read.
        first_time: Earliest time of any record; NaN when none has one.
        skipped: Number of values that are no scalars, by kind.
        hyperparameters: What the hparams plugin says of the run.
        damage: Where and why reading stopped early, or None.
    """

    tags: list[str] = field(default_factory=list)
    tag: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    step: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    wall_time: np.ndarray = field(default_factory=lambda: np.empty(0))
    value: np.ndarray = field(default_factory=lambda: np.empty(0))
    records: int = 0
    first_time: float = float("nan")
    skipped: Counter[str] = field(default_factory=Counter)
    hyperparameters: dict[str, object] = field(default_factory=dict)
    damage: Damage | None = None


def is_event_file(head: bytes) -> bool:
    """Say whether bytes begin with a whole header of a record, check sum included."""
    return len(head) >= 12 and _masked(head[:8]) == struct.unpack_from("<I", head, 8)[0] and head[:8] != bytes(8)


def read_event_file(path: Path) -> EventFile:
    """Read all scalars of a file, or those before its first damage."""
    with path.open("rb") as file:
        return _read(file)


def read_head(head: bytes) -> EventFile:
    """Read the whole records among the first bytes of a file."""
    return _read(io.BytesIO(head))


def _read(file: BinaryIO) -> EventFile:
    found, decoder, scanner = EventFile(), Decoder(), _Scanner()
    parts: list[tuple[np.ndarray, ...]] = []
    rest, missing, begin = b"", 0, 0
    while found.damage is None and (block := file.read(max(BLOCK_BYTES, missing))):
        buffer = rest + block if rest else block
        starts, lengths, end, missing, reason = scanner.scan(buffer)
        if len(starts):
            parts.append(decoder.decode(buffer, starts, lengths))
        found.records += len(starts)
        begin += end
        if reason:
            found.damage = Damage(begin, found.records, reason)
        rest = buffer[end:]
    if rest and found.damage is None:
        found.damage = Damage(begin, found.records, "")
    if parts:
        found.tag, found.step, found.wall_time, found.value = (
            np.concatenate(part) for part in zip(*parts, strict=True)
        )
    found.tags, found.skipped, found.first_time = decoder.tags, decoder.skipped, decoder.first_time
    found.hyperparameters = decoder.hyperparameters
    return found


def _masked(data: bytes) -> int:
    from google_crc32c import value

    return _mask(value(data))


def _mask(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


class _Scanner:
    """Finds the records of a file and checks their sums."""

    def __init__(self) -> None:
        self._lengths: dict[bytes, int] = {}  # headers whose sum was right: few lengths make up a file

    def scan(self, buffer: bytes) -> tuple[np.ndarray, np.ndarray, int, int, str]:
        """Find the whole records in a buffer that begins with one.

        Returns:
            Starts and lengths (k,) int64 of their contents, the byte behind the last good record, the number of bytes
            that the next one has at least, and what is wrong with it, empty when it is just not all there.
        """
        from google_crc32c import value as crc32c

        starts, sums = array("q"), array("I")
        known, at, end, missing, reason = self._lengths, 0, len(buffer), 0, ""
        while end - at >= 12:
            header = buffer[at : at + 12]
            length = known.get(header)
            if length is None:
                length, crc = struct.unpack("<QI", header)
                if _mask(crc32c(header[:8])) != crc:
                    reason = "the check sum of the length of a record is wrong"
                    break
                known[header] = length
            start = at + 12
            stop = start + length
            if stop + 4 > end:
                missing = length + 16
                break
            starts.append(start)
            sums.append(crc32c(buffer[start:stop]))
            at = stop + 4
        first = np.frombuffer(starts, np.int64)
        last = np.append(first[1:] - 16, at - 4)[
            : len(first)
        ]  # records follow one another: 4 bytes of sum, 12 of header
        good = self._check(buffer, last, np.frombuffer(sums, np.uint32))
        if good < len(first):
            at, missing, reason = int(first[good]) - 12, 0, "the check sum of a record is wrong"
        return first[:good], (last - first)[:good], at, missing, reason

    @staticmethod
    def _check(buffer: bytes, stops: np.ndarray, sums: np.ndarray) -> int:
        """Number of records before the first whose sum is not the one that follows it."""
        data = np.frombuffer(buffer, np.uint8)
        written = np.zeros(len(stops), np.uint32)
        for position in range(4):
            written |= data[stops + position].astype(np.uint32) << np.uint32(8 * position)
        masked = ((sums >> np.uint32(15)) | (sums << np.uint32(17))) + np.uint32(0xA282EAD8)
        wrong = np.flatnonzero(masked != written)
        return int(wrong[0]) if len(wrong) else len(stops)
