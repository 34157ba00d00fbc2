"""Text logs of any program: lines that hold a step and numbers under names, however they are set.

``step=10 loss=2.3``, ``Step: 10/500 | Loss: 2.3``, ``iter 10: loss 2.3, time 12.3ms``, ``{'loss': 2.3, 'epoch': 0.1}``
and progress bars are found as they are, styles that span lines by the entries of
:mod:`foam_viz.logs.formats.block_catalogue`; a pattern in the same grammar does the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from foam_viz.logs.core.column_names import role_of
from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.epochs import Planned
from foam_viz.logs.core.reader import Group, LogFile, Options, Reader
from foam_viz.logs.formats.block_catalogue import BLOCKS
from foam_viz.logs.formats.table import traces_of_tables
from foam_viz.logs.parsing.block_records import Records
from foam_viz.logs.parsing.blocks import Block, parse
from foam_viz.logs.parsing.cells import parse_column, uses_decimal_comma
from foam_viz.logs.parsing.landing import Landed, land
from foam_viz.logs.parsing.patterns import PatternError
from foam_viz.logs.parsing.record import Record, is_step
from foam_viz.logs.parsing.table_model import Table
from foam_viz.logs.parsing.text_lines import LogText, looks_like_text
from foam_viz.trace import Trace

PREVIEWED = 20
"""Matches that a preview shows."""
_PREVIEWED_CHARACTERS = 300
_LOSSES = frozenset({"loss", "held_out_loss"})
_ENOUGH_LINES, _ENOUGH_ROWS = 3, 2
_FEW_LINES, _SMALL_PART = 10, 0.05
_LOOKED_AT = 3000
_TAIL_BYTES = 65536
_MOST_KEYS = 500


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim text files in which at least three lines hold values of steps or epochs."""
    return [(file,) for file in files if looks_like_text(file.head) and _holds_lines(file)]


def _holds_lines(file: LogFile) -> bool:
    if _is_log(LogText.of_head(file)):
        return True
    if file.size <= len(file.head):
        return False
    with file.path.open("rb") as stream:  # much may be printed before training starts
        stream.seek(max(0, file.size - _TAIL_BYTES))
        return _is_log(LogText(stream.read().decode("utf-8", errors="replace")))


def _is_log(text: LogText) -> bool:
    landed = land(list(Records(BLOCKS).of(text, _LOOKED_AT)))
    return sum(landed.used.values()) >= _ENOUGH_LINES and len(landed.rows) >= _ENOUGH_ROWS


def preview(file: LogFile, pattern: str) -> list[tuple[int, dict[str, str]]]:
    """Return the first twenty records that a pattern takes: their line numbers from 1 and their values.

    Args:
        file: A text log.
        pattern: See :attr:`Options.line_pattern`; empty for the built-in one.

    Raises:
        LogError: The pattern cannot be compiled, or no group of it is a step.
    """
    found = []
    for record in _records(file, pattern).of(LogText.of(file)):
        found.append((record.line, record.cells))
        if len(found) >= PREVIEWED:
            break
    return found


def pattern_of(file: LogFile, text: str) -> Block:
    """Return the grammar that a user typed.

    Raises:
        LogError: An expression cannot be compiled, or no named group is a step or an epoch.
    """
    place = f"pattern {text[:200]}"
    try:
        block = parse(text)
    except PatternError as error:
        remedy = "its parts are regular expressions as RE2 has them"
        raise file.problem(place, str(error), remedy) from error
    names = block.groups()
    pairs = {"name", "value"} <= set(names) or block.columns or bool(block.inside) and not block.inside_groups()
    if not pairs and not any(is_step(name) or role_of(name).kind == "epoch" for name in names):
        has = f"its groups are {', '.join(names)}" if names else "it has no named group"
        remedy = r"name one, for example (?P<step>\d+)"
        raise file.problem(place, f"has no group for the step: {has}", remedy)
    return block


def _records(file: LogFile, pattern: str) -> Records:
    return Records((pattern_of(file, pattern),), loose=False) if pattern else Records(BLOCKS)


def read(group: Group, options: Options) -> list[Trace]:
    """Read one file.

    Raises:
        LogError: No line holds a step and a number, hardly any line does, or the user's pattern is of no use.
    """
    (file,) = group
    text = LogText.of(file)
    reading = _records(file, options.line_pattern)
    reading.spans = options.show_matches
    records = list(reading.of(text))
    matches = _matches(records) if options.show_matches else []
    landed = land(records)
    used = sum(landed.used.values())
    if not landed.rows:
        given = (
            "the pattern takes no line" if options.line_pattern else "no line holds a step and a number under a name"
        )
        raise file.problem("", given, "give a pattern with named groups, one of them step")
    if not options.line_pattern and used < _FEW_LINES and used < _SMALL_PART * reading.seen:
        reason = f"{used:,} of {reading.seen:,} lines look like values: not taken as a log"
        raise file.problem("", reason, "if it is one, give a pattern for its lines")
    table = Table([], notes=[*text.notes, *text.length_notes(), _used_note(landed, reading.seen, options)])
    table.notes += landed.notes
    cells, totals = _columns(landed.rows, table.notes)
    for kind in ("step", "epoch", "timestamp"):
        _unite(cells, kind)
    comma = _decimal_comma(cells, table.notes)
    for key, column in sorted(cells.items(), key=lambda item: item[0] in landed.unsure):
        _add_column(table, key, column, comma)
    planned = Planned(_total_of("step", table, totals), _total_of("epoch", table, totals))
    traces = traces_of_tables([table], group, READER.name, options, planned=planned)
    for trace in traces if matches else ():
        trace.manifest = trace.manifest.with_(extra={**trace.manifest.extra, "matches": matches})
    return traces


def _used_note(landed: Landed, seen: int, options: Options) -> str:
    used = sum(landed.used.values())
    by = " by the pattern given" if options.line_pattern else ""
    kinds = ", ".join(f"{count:,} × {kind}" for kind, count in landed.used.most_common())
    return f"{used:,} of {seen:,} lines hold values{by}" + (f": {kinds}." if len(landed.used) > 1 else ".")


def _matches(records: Sequence[Record]) -> list[dict[str, object]]:
    """Return the first lines that a pattern takes, and where in them it finds values, as JSON has it."""
    shown = (line for record in records for line in record.spans)
    return [
        {"line": number, "text": line[:_PREVIEWED_CHARACTERS], "spans": [list(span) for span in spans]}
        for (number, line, spans), _ in zip(shown, range(PREVIEWED), strict=False)
    ]


def _columns(
    rows: Sequence[dict[str, str]], notes: list[str]
) -> tuple[dict[str, list[str | None]], dict[str, Counter[int]]]:
    """Return the cells of each name, one a row, and the totals that stand behind the counters."""
    cells: dict[str, list[str | None]] = {}
    totals: dict[str, Counter[int]] = {}
    left: set[str] = set()
    for position, row in enumerate(rows):
        for key, value in row.items():
            if key not in cells and len(cells) >= _MOST_KEYS:
                left.add(key)
                continue
            if "/" in value:
                number, _, total = value.partition("/")
                if total.strip().isdecimal():
                    value = _without_total(key, number, int(total.strip()[:15]), totals)
            column = cells.setdefault(key, [])
            column += [None] * (position - len(column))
            column.append(value)
    for column in cells.values():
        column += [None] * (len(rows) - len(column))
    if left:
        notes.append(f"{len(left):,} further names were left out: more than {_MOST_KEYS} different ones.")
    return cells, totals


def _without_total(key: str, number: str, total: int, totals: dict[str, Counter[int]]) -> str:
    """``10/500`` is a counter with its total, but 9812/10000 of an accuracy is a part."""
    if role_of(key).kind == "accuracy" and total and number.strip().isdecimal():
        return repr(int(number.strip()[:15]) / total)
    totals.setdefault(key, Counter())[total] += 1
    return number


def _decimal_comma(cells: dict[str, list[str | None]], notes: list[str]) -> bool:
    """Say whether commas in the numbers of a log are decimal; a loss of ``3,812`` is hardly above a thousand."""
    texts = [cell for column in cells.values() for cell in column if cell is not None and "," in cell]
    if not texts:
        return False
    found = uses_decimal_comma(texts)
    if found is None:
        losses = [cell for key, column in cells.items() if role_of(key).kind in _LOSSES for cell in column if cell]
        found = bool(losses) and all("," in cell for cell in losses)
        notes += ["Losses such as 3,812 were taken for numbers with a decimal comma. This is a guess."] if found else []
    elif found:
        notes.append("Numbers are written with a decimal comma.")
    return found


def _add_column(table: Table, key: str, column: list[str | None], comma: bool) -> None:
    if role_of(key).kind == "timestamp" and any(cell is not None and cell.startswith("--") for cell in column):
        table.series.append(_without_year(key, column))
        table.notes.append(f"{key!r}: the dates have no year; the wall clock counts from the first of them.")
        return
    parsed = parse_column(key, column, decimal_comma=comma)
    if parsed is None:
        table.texts[key] = np.array(column, object)
    else:
        table.series.append(parsed.series)
        table.notes += parsed.notes


def _without_year(key: str, column: Sequence[str | None]) -> Series:
    """Seconds since the first date; a date that falls from December to January lies in the next year."""
    values = np.full(len(column), np.nan)
    year, before, first = 2001, 0, None
    for position, cell in enumerate(column):
        try:
            date = datetime.fromisoformat(f"2000-{cell[2:]}") if cell is not None and cell.startswith("--") else None
        except ValueError:
            date = None
        if date is None:
            continue
        year += before == 12 and date.month == 1
        before = date.month
        seconds = date.replace(
            year=year if (date.month, date.day) != (2, 29) else 2000 + 4 * (year // 4 - 500)
        ).timestamp()
        first = seconds if first is None else first
        values[position] = seconds - first
    missing = np.isnan(values)
    return Series(key, values, missing if missing.any() else None, "s")


def _total_of(kind: str, table: Table, totals: dict[str, Counter[int]]) -> int:
    """Return the total that stands most often behind the best column of a kind; 0 without one."""
    names = [one.name for one in table.series if role_of(one.name).kind == kind]
    best = min(names, key=lambda name: role_of(name).penalty, default="")
    return totals[best].most_common(1)[0][0] if best in totals else 0


def _unite(cells: dict[str, list[str | None]], kind: str) -> None:
    """Lines of training may say ``iter`` where those of evaluation say ``step``: one column where never both stand."""
    names = [name for name in cells if role_of(name).kind == kind]
    names.sort(key=lambda name: sum(cell is not None for cell in cells[name]), reverse=True)
    for name in names[1:]:
        main, other = cells[names[0]], cells[name]
        if all(a is None or b is None for a, b in zip(main, other, strict=True)):
            cells[names[0]] = [b if a is None else a for a, b in zip(main, other, strict=True)]
            del cells[name]


READER = Reader(
    name="key-value",
    label="Text log",
    summary="Lines such as step=10 loss=2.3, blocks of lines, progress bars; the pattern can be changed.",
    find=find,
    read=read,
)
