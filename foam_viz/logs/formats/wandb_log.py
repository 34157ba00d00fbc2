"""W&B's binary run log (``run-*.wandb``): records in blocks of 32 KiB, as in LevelDB's log, each a protobuf message.

The file begins with ``:W&B``, two bytes of magic and one of version. A record has seven bytes in front: CRC-32 of type
and data, length, type (whole, or first, middle and last piece of one that spans blocks). Field numbers are those of
W&B's ``wandb_internal.proto``.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from foam_viz.logs.core.records import Records
from foam_viz.logs.parsing.event_message import MessageError, fields

MAGIC = b":W&B"
_HEADER = 7
_BLOCK = 32768
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_HISTORY, _SUMMARY, _CONFIG, _STATISTICS, _RUN, _EXIT, _ENVIRONMENT = 2, 3, 5, 7, 17, 18, 26
_RUN_TEXTS = {1: "run_id", 3: "project", 6: "group", 7: "job_type", 8: "name", 12: "sweep_id"}
_ENVIRONMENT_TEXTS = {1: "os", 2: "python", 18: "gpu_type"}
_ENVIRONMENT_COUNTS = {17: "cpu_count", 19: "gpu_count"}


@dataclass
class RunLog:
    """What one run log holds.

    Attributes:
        run: Texts of the run: run_id, name, project, group, job_type, sweep_id.
        config: Its configuration.
        summary: Its last values, as W&B keeps them.
        environment: os, python, gpu_type, gpu_count, cpu_count; nothing of the person.
        started: Seconds since 1970; None when not said.
        exit_code: None when the run's end is not in the log.
        history: A row for each time that something was logged.
        statistics: Number of records of system metrics.
        notes: What was damaged.
    """

    run: dict[str, str] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)
    summary: dict[str, object] = field(default_factory=dict)
    environment: dict[str, object] = field(default_factory=dict)
    started: float | None = None
    exit_code: int | None = None
    history: Records = field(default_factory=Records)
    statistics: int = 0
    notes: list[str] = field(default_factory=list)


def parse(data: bytes) -> RunLog:
    """Read a whole run log; what is damaged is left out and noted."""
    log = RunLog()
    bad, first = 0, ""
    for place, record in _records(data, log.notes):
        try:
            _record(record, log)
        except (MessageError, ValueError, RecursionError, struct.error) as error:
            bad += 1
            first = first or f"the first at byte {place:,}: {error}"
    if bad:
        log.notes.append(f"{bad:,} records cannot be read and are left out, {first}")
    return log


def _records(data: bytes, notes: list[str]) -> Iterator[tuple[int, bytes]]:
    at, pieces, began = _HEADER, [], 0
    damaged: list[int] = []
    while at + _HEADER <= len(data):
        room = _BLOCK - at % _BLOCK
        if room < _HEADER:
            at += room
            continue
        checksum, length, kind = struct.unpack_from("<IHB", data, at)
        end = at + _HEADER + length
        if end > len(data) and length + _HEADER <= room:
            break  # the writer had not finished it
        if length + _HEADER > room or zlib.crc32(data[at + 6 : end]) != checksum or not _WHOLE <= kind <= _LAST:
            damaged.append(at)
            at, pieces = at + room, []  # records begin anew with each block
            continue
        piece = data[at + _HEADER : end]
        if kind in (_WHOLE, _FIRST):
            pieces, began = [piece], at
        elif pieces:
            pieces.append(piece)
        if kind in (_WHOLE, _LAST) and pieces:
            yield began, b"".join(pieces)
            pieces = []
        at = end
    if damaged:
        notes.append(f"{len(damaged)} blocks are damaged, the first at byte {damaged[0]:,}; their records are left out")
    if at < len(data) and any(data[at:]):
        notes.append(f"the last record is cut off at byte {at:,}, as in a run that is still going or was killed")


def _record(record: bytes, log: RunLog) -> None:
    for number, wire, end, start in fields(record, 0, len(record)):
        if wire != 2:
            continue
        if number == _HISTORY:
            log.history.add(dict(_items(record, start, end)))
        elif number == _CONFIG:
            log.config.update(_items(record, start, end))
        elif number == _SUMMARY:
            log.summary.update(_items(record, start, end))
        elif number == _STATISTICS:
            log.statistics += 1
        elif number == _RUN:
            _run(record, start, end, log)
        elif number == _EXIT:
            log.exit_code = next((value for n, kind, value, _ in fields(record, start, end) if n == 1 and not kind), 0)
        elif number == _ENVIRONMENT:
            for inner, kind, value, begin in fields(record, start, end):
                if inner in _ENVIRONMENT_TEXTS and kind == 2:
                    log.environment[_ENVIRONMENT_TEXTS[inner]] = _text(record, begin, value)
                elif inner in _ENVIRONMENT_COUNTS and kind == 0:
                    log.environment[_ENVIRONMENT_COUNTS[inner]] = value


def _run(record: bytes, start: int, end: int, log: RunLog) -> None:
    for number, wire, value, begin in fields(record, start, end):
        if wire != 2:
            continue
        if number in _RUN_TEXTS:
            log.run[_RUN_TEXTS[number]] = _text(record, begin, value)
        elif number == 4:
            log.config.update(_items(record, begin, value))
        elif number == 17:
            log.started = next(
                (float(v) for n, kind, v, _ in fields(record, begin, value) if n == 1 and not kind), None
            )


def _items(data: bytes, start: int, end: int) -> Iterator[tuple[str, object]]:
    """Pairs of a history, a summary or a configuration: their items are all field 1."""
    for number, wire, stop, begin in fields(data, start, end):
        if number != 1 or wire != 2:
            continue
        key, nested, value = "", [], None
        for inner, kind, last, first in fields(data, begin, stop):
            if inner == 1 and kind == 2:
                key = _text(data, first, last)
            elif inner == 2 and kind == 2:
                nested.append(_text(data, first, last))
            elif inner in (8, 16) and kind == 2:
                value = json.loads(data[first:last])
            elif inner == 7 and kind == 2:
                value = _text(data, first, last)
            elif inner == 6 and kind == 1:
                value = struct.unpack_from("<d", data, first)[0]
            elif inner == 5 and kind == 0:
                value = (last >> 1) ^ -(last & 1)
            elif inner == 4 and kind == 0:
                value = bool(last)
        if name := key or "/".join(nested):
            yield name, value


def _text(data: bytes, start: int, end: int) -> str:
    return data[start:end].decode("utf-8", "replace")
