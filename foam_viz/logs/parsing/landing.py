"""From records to rows: values that stand on other lines than their step find it.

A record with a step is a row. One without lands at the step before it or at the one that follows; in a log without
steps, records that belong to one epoch are one row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from foam_viz.logs.core.column_names import role_of
from foam_viz.logs.parsing.blocks import LANDS, Lands
from foam_viz.logs.parsing.record import BAR, EVALUATION_BAR, Record
from foam_viz.logs.parsing.record_choice import epoch_of, evaluation_bars_told, of_one_rank, only_last, without_stale
from foam_viz.logs.parsing.text_lines import counted

_SCORES = ("loss", "held_out_loss", "accuracy")
_PLACES = ("step", "epoch", "timestamp")


@dataclass
class Landed:
    """Rows of a log.

    Attributes:
        rows: Texts by name.
        used: Lines that went into rows, by kind.
        notes: What was done with lines that have no step of their own.
        unsure: Names that only evaluation bars hold: where a line says the same, the line counts.
    """

    rows: list[dict[str, str]] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    unsure: frozenset[str] = frozenset()


def land(records: Sequence[Record]) -> Landed:
    """Give every record its row.

    Args:
        records: In the order of the log; their cells may be changed.
    """
    landed = Landed()
    kept = only_last(evaluation_bars_told(of_one_rank(list(records), landed.notes)), landed.notes)
    without_stale(kept, landed.notes)
    told = {name for record in kept if record.kind != EVALUATION_BAR for name in record.cells}
    landed.unsure = frozenset(name for record in kept for name in record.cells) - told
    marks = _marks(kept)
    if marks:
        _at_steps(kept, marks, landed)
    else:
        _by_epoch(kept, landed)
    return landed


def _marks(records: Sequence[Record]) -> list[int]:
    """Return the indices of records at which others may land; none when the log has no steps."""
    stepped = [index for index, record in enumerate(records) if record.has_step()]
    valued = [index for index in stepped if records[index].has_values()]
    if any(records[index].kind != BAR for index in stepped):
        stepped = [index for index in stepped if records[index].kind != BAR or records[index].has_values()]
        return stepped if valued or _loose(records) else []
    if valued:
        return valued
    bars = [index for index in stepped if (bar := records[index].bar) is not None and bar.may_train]
    if not bars or not _loose(records):
        return []
    longest = max(records[index].bar.total for index in bars)  # type: ignore[union-attr]
    bars = [index for index in bars if records[index].bar.total == longest]  # type: ignore[union-attr]
    return bars if _tells_apart(records, bars) else []


def _loose(records: Sequence[Record]) -> list[int]:
    return [index for index, record in enumerate(records) if not record.has_step() and not record.only_epoch]


def _tells_apart(records: Sequence[Record], bars: Sequence[int]) -> bool:
    """Say whether no two records of the same names stand behind one state of a bar."""
    loose = _loose(records)
    behind = np.searchsorted(bars, loose)
    seen: set[tuple[int, frozenset[str]]] = set()
    for index, place in zip(loose, behind, strict=True):
        key = (int(place), frozenset(records[index].cells))
        if key in seen:
            return False
        seen.add(key)
    return True


# A log with steps.


def _at_steps(records: Sequence[Record], marks: Sequence[int], landed: Landed) -> None:
    epochs = _epochs_of_headings(records, marks)
    rows: list[dict[str, str]] = []
    extra: list[list[dict[str, str]]] = []
    for index in marks:
        row = records[index].cells
        if records[index].has_values():
            landed.used[records[index].kind] += records[index].lines
        if index in epochs and not records[index].has_epoch():
            row["epoch"] = epochs[index]
        rows.append(row)
        extra.append([])
    if epochs:
        headings = [record for record in records if record.only_epoch]
        landed.used[headings[0].kind] += len(headings)
    known = {name for row in rows for name in row}
    loose = _loose(records)
    mode = _mode(records, marks, loose)
    mode_of_epochs = _mode_of_epochs(records, marks, loose)
    where: Counter[Lands] = Counter()
    for index in loose:
        record = records[index]
        behind = int(np.searchsorted(marks, index))
        lands: Lands = record.lands if record.lands in ("before", "after") else mode  # type: ignore[assignment]
        if record.has_epoch():
            lands = mode_of_epochs
        if lands == "after" and (behind == len(marks) or behind and _another_epoch(rows[behind - 1], rows[behind])):
            lands = "before"
        if lands == "before" and behind == 0:
            if not _scores(record):
                continue
            lands = "after"
        where[lands] += 1
        landed.used[record.kind] += record.lines
        place = behind - 1 if lands == "before" else behind
        _attach(record, rows[place], extra[place], known)
    landed.notes += [
        f"{counted(count, 'record')} without a step landed {LANDS[lands]}." for lands, count in where.items()
    ]
    for row, more in zip(rows, extra, strict=True):
        landed.rows += [one for one in (row, *more) if any(role_of(name).kind not in _PLACES for name in one)]


def _attach(record: Record, row: dict[str, str], extra: list[dict[str, str]], known: set[str]) -> None:
    """Add the values of a record to a row; what stands there already is never replaced."""
    target = row
    cells = {}
    for name, value in record.cells.items():
        kind = role_of(name).kind
        if kind in _PLACES or kind in ("learning_rate", "tokens") and name in known:
            if kind == "epoch" and not any(role_of(other).kind == "epoch" for other in row):
                cells.setdefault(name, value)
            elif kind == "timestamp":
                row.setdefault(name, value)
            continue
        cells[name if name not in known else f"epoch {name}"] = value
    if any(name in row for name in cells):
        step = {name: value for name, value in row.items() if role_of(name).kind in ("step", "epoch")}
        target = next((one for one in extra if not any(name in one for name in cells)), {})
        if not target:
            target.update(step)
            extra.append(target)
    target.update(cells)


def _mode(records: Sequence[Record], marks: Sequence[int], loose: Sequence[int]) -> Lands:
    """Where lines without a step or an epoch belong: to the step that follows if the first of them come before any."""
    free = [index for index in loose if records[index].lands is None and not records[index].has_epoch()]
    scored = [index for index in free if _scores(records[index])]
    return "after" if scored and scored[0] < marks[0] else "before"


def _mode_of_epochs(records: Sequence[Record], marks: Sequence[int], loose: Sequence[int]) -> Lands:
    """Lines that tell an epoch close it, unless one stands before every step: a trainer's line before its bar."""
    told = [index for index in loose if records[index].lands is None and records[index].has_epoch()]
    told = [index for index in told if _scores(records[index])]
    places = np.searchsorted(marks, told)
    each = len(told) >= 3 and len(set(places.tolist())) == len(told)
    return "after" if each and places[0] == 0 and places[-1] < len(marks) else "before"


def _scores(record: Record) -> bool:
    return any(role_of(name).kind in _SCORES for name in record.cells)


def _number(row: dict[str, str], kind: str) -> float | None:
    for name, value in row.items():
        if role_of(name).kind == kind:
            try:
                return float(value.partition("/")[0].replace(",", ""))
            except ValueError:
                return None
    return None


def _another_epoch(before: dict[str, str], after: dict[str, str]) -> bool:
    first, second = _number(before, "epoch"), _number(after, "epoch")
    if first is not None and second is not None and first != second:
        return True
    first, second = _number(before, "step"), _number(after, "step")
    return first is not None and second is not None and second < first


def _epochs_of_headings(records: Sequence[Record], marks: Sequence[int]) -> dict[int, str]:
    """Return the epoch of each mark, as headings between the marks tell it: those before it, or those behind it."""
    headings = [index for index, record in enumerate(records) if record.only_epoch]
    if not headings:
        return {}
    behind = np.searchsorted(headings, marks)
    sizes = np.bincount(behind, minlength=len(headings) + 1)
    follows = len(headings) > 1 and sizes[0] > 0.5 * np.median(sizes[1:-1]) and sizes[-1] < 0.5 * np.median(sizes[1:-1])
    if len(headings) == 1:
        follows = sizes[0] > 0 and sizes[1] == 0
    result = {}
    for index, place in zip(marks, behind, strict=True):
        heading = place if follows else place - 1
        if 0 <= heading < len(headings):
            result[index] = epoch_of(records[headings[heading]])
    return result


# A log without steps.


def _by_epoch(records: Sequence[Record], landed: Landed) -> None:
    """A row an epoch, where lines tell the epoch; lines that repeat a name begin another row."""
    placed = [
        index
        for index, record in enumerate(records)
        if record.only_epoch or record.has_epoch() or record.lands == "own"
    ]
    if not placed:
        return
    scored = [index for index in _loose(records) if not records[index].has_epoch() and _scores(records[index])]
    after = bool(scored) and scored[0] < placed[0] and not (scored[-1] > placed[-1])
    rows: list[dict[str, str]] = []
    waiting: list[Record] = []
    for record in records:
        cells = record.cells
        if record.only_epoch or record.has_epoch():
            epoch = epoch_of(record)
            same = rows and epoch_of(Record("", 0, rows[-1])) == epoch
            others = {name for name in cells if role_of(name).kind not in _PLACES}
            if not same or others & set(rows[-1]):
                rows.append({})
            for one in (record, *waiting):
                for name, value in one.cells.items():
                    rows[-1].setdefault(name, value)
            waiting = []
        elif record.lands == "own":
            rows.append(dict(cells))
        elif after:
            waiting.append(record)
        elif rows:
            if set(cells) - {"timestamp"} & set(rows[-1]) and any(
                name in rows[-1] for name in cells if name != "timestamp"
            ):
                rows.append({name: value for name, value in rows[-1].items() if role_of(name).kind == "epoch"})
            for name, value in cells.items():
                rows[-1].setdefault(name, value)
        else:
            continue
        landed.used[record.kind] += record.lines
    landed.rows = [row for row in rows if any(role_of(name).kind not in _PLACES for name in row)]
