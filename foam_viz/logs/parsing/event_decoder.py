"""Records of a TensorBoard event file to scalars, thousands at a time.

Nearly all records are one scalar each and differ in the time, the step and the number alone. So they are compared as
rows of bytes: one of each kind is parsed field by field, and the numbers of all whose other bytes are the same are
taken from the same place. Whatever differs is parsed by itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from foam_viz.logs.parsing.event_message import Event, MessageError, Scalar, fields, parse_event

_ROUNDS = 16  # kinds of layout that are looked for among records of one length before each is parsed by itself
_SMALLEST_GROUP = 4
_MIX = np.random.default_rng(0).integers(0, 1 << 63, 1 << 10, np.uint64) | np.uint64(1)


@dataclass(frozen=True)
class _Layout:
    """Where the number of a record lies, counted from the record's summary, and whose it is."""

    place: int
    type: str
    tag: int


class Decoder:
    """Turns records into scalars; keeps what it learns from one block for the next."""

    def __init__(self) -> None:
        self.tags: list[str] = []
        self.skipped: Counter[str] = Counter()
        self.hyperparameters: dict[str, object] = {}
        self.first_time = float("nan")
        self._index: dict[str, int] = {}
        self._plugins: dict[str, str] = {}
        self._layouts: dict[tuple[int, int, bytes], _Layout] = {}

    def decode(self, buffer: bytes, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, ...]:
        """Tag, step, wall time and value of the scalars of the records, in order."""
        data = np.frombuffer(buffer, np.uint8)
        tag = np.full(len(starts), -1, np.int32)
        value, wall_time = np.zeros(len(starts)), np.zeros(len(starts))
        step, summary, regular = _heads(data, starts, lengths)
        sizes = starts + lengths - summary
        whole = np.flatnonzero(regular)
        if len(whole):
            wall_time[whole] = np.lib.stride_tricks.sliding_window_view(data, 8)[starts[whole] + 1].view("<f8")[:, 0]
        self._seen(wall_time[whole])
        irregular = [np.flatnonzero(~regular)]
        for size in np.unique(sizes[whole]):
            group = whole[sizes[whole] == size]
            if len(group) >= _SMALLEST_GROUP:
                group = self._decode_equal(buffer, data, starts, summary, int(size), group, tag, value)
            irregular.append(group)
        extra = self._decode_one_by_one(buffer, starts, lengths, np.sort(np.concatenate(irregular)))
        taken = np.flatnonzero(tag >= 0)
        columns = (tag[taken], step[taken], wall_time[taken], value[taken])
        if not extra:
            return columns
        others = [np.array(column) for column in zip(*extra, strict=True)]
        order = np.argsort(np.concatenate([taken, others[0]]), kind="stable")
        return tuple(
            np.concatenate([mine, other.astype(mine.dtype)])[order]
            for mine, other in zip(columns, others[1:], strict=True)
        )

    def _decode_equal(
        self,
        buffer: bytes,
        data: np.ndarray,
        starts: np.ndarray,
        summary: np.ndarray,
        size: int,
        group: np.ndarray,
        tag: np.ndarray,
        value: np.ndarray,
    ) -> np.ndarray:
        """Fill tag and value of the records whose summaries have one length; returns those that remain."""
        windows = np.lib.stride_tricks.sliding_window_view(data, size)
        left: list[np.ndarray] = []
        for _ in range(_ROUNDS):
            if len(group) < _SMALLEST_GROUP:
                break
            begin, first = int(starts[group[0]]), int(summary[group[0]])
            layout = self._layout(buffer[begin : first + size], first - begin)
            if layout is None:
                left.append(group[:1])
                group = group[1:]
                continue
            rows = windows[summary[group]]
            width = np.dtype(layout.type).itemsize
            numbers = rows[:, layout.place : layout.place + width].copy().view(layout.type)[:, 0].astype(np.float64)
            rows[:, layout.place : layout.place + width] = 0
            _, chosen, kind = np.unique(_hashes(rows), return_index=True, return_inverse=True)
            same = (rows == rows[chosen][kind]).all(1)
            tags = np.full(len(chosen), -1, np.int32)
            for number, row in enumerate(chosen):
                begin, first = int(starts[group[row]]), int(summary[group[row]])
                key = (layout.place, width, rows[row].tobytes())
                other = self._layouts.get(key) or self._layout(buffer[begin : first + size], first - begin)
                if other is not None and (other.place, other.type) == (layout.place, layout.type):
                    self._layouts[key] = other
                    tags[number] = other.tag
            mine = tags[kind]
            done = same & (mine >= 0)
            tag[group[done]], value[group[done]] = mine[done], numbers[done]
            group = group[~done]
        return np.concatenate([*left, group])

    def _layout(self, record: bytes, summary: int) -> _Layout | None:
        """The layout of a record that holds one scalar and, from byte ``summary`` on, nothing but its summary."""
        try:
            event = parse_event(record)
            alone = len(list(fields(record, summary, len(record)))) == 1
        except MessageError:
            return None
        if not alone or len(event.scalars) != 1 or event.others or event.hyperparameters:
            return None
        scalar = event.scalars[0]
        if scalar.is_tensor and not scalar.plugin and scalar.tag not in self._plugins:
            return None  # TensorFlow may have named the plugin in an earlier record of this block
        index = self._register(scalar)
        if scalar.place is None or index < 0:
            return None
        return _Layout(scalar.place - summary, scalar.type, index)

    def _register(self, scalar: Scalar) -> int:
        """Number of a scalar's tag, -1 for a tensor of a plugin whose values are no scalars."""
        plugin = self._plugins.setdefault(scalar.tag, scalar.plugin)
        if scalar.is_tensor and plugin not in ("", "scalars"):
            return -1
        if scalar.tag not in self._index:
            self._index[scalar.tag] = len(self.tags)
            self.tags.append(scalar.tag)
        return self._index[scalar.tag]

    def _decode_one_by_one(
        self, buffer: bytes, starts: np.ndarray, lengths: np.ndarray, records: np.ndarray
    ) -> list[tuple[int, int, int, float, float]]:
        """Record, tag, step, wall time and value of each scalar."""
        found = []
        for record in records.tolist():
            begin = int(starts[record])
            try:
                event = parse_event(buffer[begin : begin + int(lengths[record])])
            except MessageError:
                self.skipped["records that are no events"] += 1
                continue
            self._seen(np.array([event.wall_time]))
            self._skip(event)
            for scalar in event.scalars:
                index = self._register(scalar)
                if index < 0:
                    self.skipped[self._plugins[scalar.tag]] += 1
                else:
                    found.append((record, index, event.step, event.wall_time, scalar.value))
        return found

    def _skip(self, event: Event) -> None:
        for tag, kind in event.others:
            if kind not in ("tensors", "graph"):
                self._plugins.setdefault(tag, kind)
            self.skipped[kind] += 1
        self.hyperparameters.update(event.hyperparameters)

    def _seen(self, times: np.ndarray) -> None:
        times = times[np.isfinite(times) & (times > 0)]
        if len(times):
            self.first_time = float(np.fmin(self.first_time, times.min()))


def _heads(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step and start of the summary of each record, and whether the record is a time, perhaps a step, a summary."""
    last = len(data) - 1
    tenth = data[np.minimum(starts + 9, last)]
    more = (lengths >= 12) & (tenth == 0x10)
    regular = (data[np.minimum(starts, last)] == 0x09) & (more | ((lengths >= 11) & (tenth == 0x2A)))
    step, at = np.zeros(len(starts), np.uint64), starts + np.where(more, 10, 9)
    for position in range(10):
        byte = data[np.minimum(at, last)]
        step |= np.where(more, byte & 0x7F, 0).astype(np.uint64) << np.uint64(7 * position)
        at = at + more
        more = more & (byte >= 0x80)
        if not more.any():
            break
    regular &= ~more & (at + 2 <= starts + lengths) & (data[np.minimum(at, last)] == 0x2A)
    return step.view(np.int64), at, regular


def _hashes(rows: np.ndarray) -> np.ndarray:
    """A number for each row of bytes (k, m), equal for equal rows."""
    count, size = rows.shape
    words = -(-size // 8)
    if words > len(_MIX):
        return np.arange(count, dtype=np.uint64)  # kilobytes a record: each is looked at by itself
    padded = np.zeros((count, words * 8), np.uint8)
    padded[:, :size] = rows
    mixed = padded.view(np.uint64) * _MIX[:words]
    return (mixed ^ (mixed >> np.uint64(32))).sum(1)
