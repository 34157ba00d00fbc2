"""JSON and JSON lines as tables: records, columns, histories and runs, wherever in the document they stand."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from foam_viz.logs.core.column_names import role_of
from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.damage import parsed_json
from foam_viz.logs.core.metric_points import side_by_side
from foam_viz.logs.core.reader import LogFile
from foam_viz.logs.parsing.cells import BLANK, parse_number
from foam_viz.logs.parsing.json_columns import columns_of, groups_of_lists, is_number, metric_lists, runs_by_name
from foam_viz.logs.parsing.table_model import Table
from foam_viz.logs.parsing.text_lines import decode, were
from foam_viz.trace.visible import visible_json

_NAMES = ("name", "run_name", "run", "id", "run_id", "experiment", "label", "optimizer")
_DEEPEST = 12


def read_json(file: LogFile) -> list[Table]:
    """Read a JSON document or JSON lines; a table for each run in it.

    Raises:
        LogError: It is not JSON, or no list of records or numbers is in it.
    """
    text, notes = decode(file.path.read_bytes())
    records = _lines(file, text, notes)
    if records is not None:
        tables = [table_of_records(records, "")]
    else:
        document = parsed_json(file, text)
        tables = list(tables_in(document))
    if not any(table.series for table in tables):
        raise file.problem("", "holds no list of records or of numbers", "a log needs more than one value of a metric")
    for table in tables:
        table.notes[:0] = notes
    return [table for table in tables if table.series]


def looks_like_json_lines(text: str) -> bool:
    """Say whether a text begins with a line that is a whole JSON object, and goes on with another."""
    lines = [line for line in text.split("\n", 40)[:40] if line.strip()]
    if not lines or not lines[0].lstrip().startswith("{") or not lines[0].rstrip().endswith("}"):
        return False
    return len(lines) >= 2 and lines[1].lstrip().startswith("{") and _parsed(lines[0]) is not None


def _parsed(line: str) -> dict[str, object] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return visible_json(value) if "\\ud" in line or "\\uD" in line else value


def _lines(file: LogFile, text: str, notes: list[str]) -> list[dict[str, object]] | None:
    """Return the records of JSON lines, or None when the text is one document."""
    if not looks_like_json_lines(text):
        return None
    lines = text.split("\n")
    records: list[dict[str, object]] = []
    bad: list[int] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = _parsed(line)
        if record is None:
            bad.append(number)
        else:
            records.append(record)
    if bad and bad[-1] == len(lines):  # the text does not end with a line break
        notes.append(f"The last line (line {bad.pop():,}) is cut off and was dropped.")
    if bad:
        where = ", ".join(f"{number:,}" for number in bad[:3])
        notes.append(f"{were(len(bad), 'line')} dropped as no JSON object: {where}{', …' if len(bad) > 3 else ''}.")
    return records


def tables_in(document: object, name: str = "", depth: int = 0) -> Iterator[Table]:
    """Find what is a series in a document, and make a table for each run."""
    if depth > _DEEPEST:
        return
    if isinstance(document, list):
        dicts = [item for item in document if isinstance(item, dict)]
        if dicts and len(dicts) >= 0.5 * len(document):
            nested = [
                list(tables_in(item, _name_of(item) or f"{name} {position + 1}".strip(), depth + 1))
                for position, item in enumerate(dicts[:500])
            ]
            if sum(map(bool, nested)) > 0.5 * len(nested) and not any(role_of(key).kind == "step" for key in dicts[0]):
                for tables in nested:
                    yield from tables
            elif len(dicts) > 1:
                yield table_of_records(dicts, name)
        elif len(document) > 1 and all(_is_row(item) and len(item) == len(document[0]) for item in document):
            yield _from_rows(document, name)
        return
    if not isinstance(document, dict):
        return
    columns = columns_of(document)
    if columns:
        yield from _from_columns(document, columns, name)
        return
    runs = runs_by_name(document) if not depth else []
    if runs:
        yield table_of_records(runs, name)
        return
    metrics = metric_lists(document)
    if metrics:
        notes: list[str] = []
        yield Table(side_by_side(metrics, notes), notes=notes, name=name)
        return
    stepped = _by_step(document)
    if stepped is not None:
        yield table_of_records(stepped, name)
        return
    found = [
        (key, list(tables_in(value, key, depth + 1)))
        for key, value in document.items()
        if isinstance(value, dict | list)
    ]
    found = [(key, tables) for key, tables in found if tables]
    config = _scalars({key: value for key, value in document.items() if key not in dict(found)})
    several = sum(len(tables) for _, tables in found) > 1
    for _, tables in found:
        for table in tables:
            table.config = {**config, **table.config}
            table.length = table.length or _length(config)
            table.name = (table.name or name) if several else _name_of(document) or name
            yield table


def _name_of(document: Mapping[str, object]) -> str:
    return next(
        (str(document[key])[:120] for key in _NAMES if isinstance(document.get(key), str) and document[key]), ""
    )


def _is_row(value: object) -> bool:
    return isinstance(value, list) and 2 <= len(value) <= 50 and all(is_number(item) or item is None for item in value)


def _by_step(document: Mapping[str, object]) -> list[dict[str, object]] | None:
    """Records under their step: ``{"0": {"loss": 2.0}, "10": {...}}``."""
    if len(document) < 2 or not all(key.isdecimal() and isinstance(value, dict) for key, value in document.items()):
        return None
    return [{"step": int(key[:18]), **value} for key, value in document.items() if isinstance(value, dict)]


def _scalars(document: Mapping[str, object], depth: int = 0) -> dict[str, object]:
    """What of a document is configuration or summary: everything but long lists."""
    kept: dict[str, object] = {}
    for key, value in list(document.items())[:500]:
        if isinstance(value, dict):
            if depth < 4:
                kept[key] = _scalars(value, depth + 1)
        elif (
            not isinstance(value, list) or len(value) <= 20 and not any(isinstance(item, dict | list) for item in value)
        ):
            kept[key] = value
    return kept


def _length(config: Mapping[str, object]) -> float:
    """Seconds of the run by a summary that names its unit: ``total_time_minutes``, ``total_wall_time_seconds``."""
    lengths = [
        float(value) * role.scale
        for key, value in config.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
        for role in (role_of(key),)
        if role.kind == "total_seconds" and role.scale and math.isfinite(value)
    ]
    return max(lengths, default=0.0)


@dataclass
class _Column:
    """A column of records in the making: numbers, or texts once one turns up."""

    rows: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    text_rows: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    units: set[str] = field(default_factory=set)


def table_of_records(records: Sequence[Mapping[str, object]], name: str) -> Table:
    """Put records under each other: a column for each key, nested ones as ``outer/inner``; an absent key is a blank."""
    columns: dict[str, _Column] = {}
    left: dict[str, int] = {}
    for row, record in enumerate(records):
        _collect(record, "", row, columns, left, 0)
    table = Table([], name=name)
    for key, column in columns.items():
        values, missing = np.full(len(records), np.nan), np.ones(len(records), bool)
        values[column.rows], missing[column.rows] = column.values, False
        if column.texts and len(column.texts) >= len(column.rows):
            cells = np.full(len(records), None, object)
            cells[column.text_rows] = column.texts
            table.texts[key] = cells
            continue
        if column.texts:
            table.notes.append(
                f"{key!r}: {len(column.texts):,} texts among the numbers were left blank: {column.texts[0][:40]!r}."
            )
        unit = next(iter(column.units)) if len(column.units) == 1 else ""
        table.series.append(Series(key, values, missing if missing.any() else None, unit))
    if left:
        names = ", ".join(repr(key) for key in list(left)[:8])
        table.notes.append(f"Left out as lists: {names}{' and others' if len(left) > 8 else ''}.")
    return table


def _collect(
    record: Mapping[str, object], prefix: str, row: int, columns: dict[str, _Column], left: dict[str, int], depth: int
) -> None:
    for key, value in record.items():
        name = prefix + key
        if isinstance(value, float | int):
            column = columns.get(name) or columns.setdefault(name, _Column())
            column.rows.append(row)
            column.values.append(_real(value))
        elif isinstance(value, str):
            _collect_text(columns.setdefault(name, _Column()), row, value)
        elif isinstance(value, dict):
            if depth < _DEEPEST:
                _collect(value, f"{name}/", row, columns, left, depth + 1)
        elif value is not None:
            left[name] = left.get(name, 0) + 1


def _collect_text(column: _Column, row: int, text: str) -> None:
    if text in BLANK:
        return
    parsed = parse_number(text) if len(text) < 40 else None
    if parsed is None:
        column.text_rows.append(row)
        column.texts.append(text[:500])
    else:
        column.rows.append(row)
        column.values.append(parsed[0])
        column.units.add(parsed[1])


def _real(value: float | int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _from_rows(rows: Sequence[Sequence[object]], name: str) -> Table:
    """Rows without names; three numbers with a date first are an export of TensorBoard's page: time, step, value."""
    width = len(rows[0])
    names = [f"column {position + 1}" for position in range(width)]
    if width == 3 and all(isinstance(row[0], float | int) and row[0] > 8e8 for row in rows[:20]):
        names = ["timestamp", "step", "value"]
    return table_of_records([dict(zip(names, row, strict=False)) for row in rows], name)


def _from_columns(document: Mapping[str, object], columns: Mapping[str, list[object]], name: str) -> Iterator[Table]:
    """Lists under their names; those that can only be a run of their own are a table of their own."""
    notes: list[str] = []
    groups = groups_of_lists(columns, notes)
    config = _scalars({key: value for key, value in document.items() if key not in columns})
    for position, group in enumerate(groups):
        rows = [dict(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True)]
        table = table_of_records(rows, name)
        table.notes += notes
        table.config = dict(config)
        table.length = _length(table.config)
        table.name = _name_of(document) or name
        if position:
            table.name = " ".join(filter(None, (table.name, ", ".join(group)[:80])))
        yield table
