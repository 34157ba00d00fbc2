"""The tables of a FOAM artifact run directory: ``metrics.csv``, ``factor_diagnostics.csv`` and the printed lines.

A directory that was run into twice has the rows of all its runs under the first run's header. AdamW writes three
columns less, so its rows shift; the number of cells tells them apart, and a step that falls back to the start.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.reader import LogFile
from foam_viz.logs.parsing.cells import BLANK, parse_number
from foam_viz.logs.parsing.text_lines import LONGEST_LINE, decode

SHAMPOO_ONLY = ("cap_refreshes", "damping_updates", "factor_dimensions")
"""Columns of ``metrics.csv`` that a run of AdamW does not write; they stand together."""

LARGEST_TABLE = 256 << 20
STEP_LINE = re.compile(r"^epoch=(\d{1,9})/\d+ step=(\d{1,9})/(\d{1,9}) global_step=(\d{1,15}) (.*)$")
"""A line of one training step; the rest of it are values as ``key=value``."""

_AFTER_RATE = "evd_rate"
_VALUE = re.compile(r"(\w+)=(\S+)")


@dataclass
class Rows:
    """Rows of one run out of one table.

    Attributes:
        columns: (n,) float64 for each column, NaN where a cell holds nan or nothing.
        blank: (n,) bool for each column, true where a cell holds nothing.
        texts: Cells of the columns that hold text.
    """

    columns: dict[str, np.ndarray] = field(default_factory=dict)
    blank: dict[str, np.ndarray] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def steps(self) -> np.ndarray:
        """Return the optimizer step of each row (n,) int64."""
        return self.columns["global_step"].astype(np.int64)

    def series(self, name: str, *, nan_is_missing: bool = False) -> Series:
        """Return one column; with ``nan_is_missing`` the word nan means that nothing was measured."""
        values = self.columns[name]
        missing = self.blank[name] | np.isnan(values) if nan_is_missing else self.blank[name]
        return Series(name, values, missing if missing.any() else None)

    def counter(self, *names: str) -> np.ndarray:
        """Return the first column that is there under one of the names; NaN throughout without any."""
        found = next((name for name in names if name in self.columns), None)
        return self.columns[found] if found else np.full(len(self.columns["global_step"]), np.nan)


def read_table(file: LogFile, notes: list[str], factor_column: str = "") -> list[Rows]:
    """Read the runs in a table, in the order in which they were written.

    Args:
        file: The table.
        notes: What was split, shifted or dropped is added.
        factor_column: Column by which rows of one step differ; empty for a table of one row a step.

    Raises:
        LogError: It is no CSV or too large.
    """
    if file.size > LARGEST_TABLE:
        raise file.problem("", f"{file.size:,} bytes are too many for this table; {LARGEST_TABLE:,} are read")
    text, remarks = decode(file.path.read_bytes())
    notes += [f"{file.name}: {remark}" for remark in remarks]
    reader = csv.reader(io.StringIO(text, newline=""))
    header: list[str] = []
    segments: list[tuple[list[str], list[list[str]]]] = []
    dropped: list[int] = []
    try:
        for row in reader:
            if not header or "global_step" in row:
                header = [name.strip() for name in row]  # a later run may write a header of its own
                continue
            names = _layout(header, len(row))
            if not row:
                continue
            if names is None or parse_number(row[names.index("global_step")]) is None:
                dropped.append(reader.line_num)
                continue
            if not segments or segments[-1][0] != names or _restarts(segments[-1], row, factor_column):
                segments.append((names, []))
            segments[-1][1].append(row)
    except csv.Error as error:
        raise file.problem(f"line {reader.line_num}", f"is no CSV: {error}") from error
    if dropped:
        notes.append(
            f"{file.name}: {len(dropped):,} rows dropped, the first at line {dropped[0]:,}: not {len(header)} cells, "
            "or no step; the last row of a run that was killed looks so."
        )
    if len(segments) > 1:
        counts = ", ".join(f"{len(names)}" for names, _ in segments)
        notes.append(
            f"{file.name} holds {len(segments)} runs under one header (rows of {counts} cells): the directory was run "
            "into more than once. They were told apart by the number of cells and by steps that begin again."
        )
    return [_columns(names, rows) for names, rows in segments]


def _layout(header: Sequence[str], cells: int) -> list[str] | None:
    """Names of the cells of a row; None where their number fits neither kind of run."""
    if cells == len(header):
        return list(header)
    without = [name for name in header if name not in SHAMPOO_ONLY]
    if len(without) == len(header) - 3 and cells == len(without):
        return without
    if len(without) == len(header) and cells == len(header) + 3 and _AFTER_RATE in header:
        position = header.index(_AFTER_RATE) + 1
        return [*header[:position], *SHAMPOO_ONLY, *header[position:]]
    return None


def _restarts(segment: tuple[list[str], list[list[str]]], row: list[str], factor_column: str) -> bool:
    """Say whether a row begins another run: its step is not beyond the first one that the same curve has."""
    names, rows = segment
    step, first = row[names.index("global_step")], rows[0][names.index("global_step")]
    parsed, begin = parse_number(step), parse_number(first)
    last = parse_number(rows[-1][names.index("global_step")])
    if parsed is None or begin is None or last is None or parsed[0] > begin[0]:
        return False
    if parsed[0] < last[0]:
        return True
    if not factor_column or factor_column not in names:
        return True
    position = names.index(factor_column)
    return rows[0][position] == row[position]


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Rows:
    found = Rows()
    for position, name in enumerate(names):
        cells = [row[position].strip() for row in rows]
        if name in found.blank:
            continue
        parsed = [None if cell in BLANK else parse_number(cell) for cell in cells]
        blank = np.array([cell in BLANK for cell in cells])
        if any(number is None and not empty for number, empty in zip(parsed, blank, strict=True)):
            found.texts[name] = cells
            if name != "global_step":
                continue
        found.columns[name] = np.array([np.nan if number is None else number[0] for number in parsed])
        found.blank[name] = blank
    return found


def read_printed(file: LogFile, notes: list[str]) -> list[Rows]:
    """Read the lines of single steps in what a run printed; a step that begins again begins another run.

    Raises:
        LogError: It is too large.
    """
    if file.size > LARGEST_TABLE:
        raise file.problem("", f"{file.size:,} bytes are too many for a printed log; {LARGEST_TABLE:,} are read")
    text, remarks = decode(file.path.read_bytes())
    notes += [f"{file.name}: {remark}" for remark in remarks]
    runs: list[list[dict[str, float]]] = []
    for line in text.splitlines():
        match = STEP_LINE.match(line) if len(line) <= LONGEST_LINE else None
        if match is None:
            continue
        epoch, done, whole, step = (int(part) for part in match.groups()[:4])
        values = {"global_step": float(step), "epoch": epoch - 1 + done / max(whole, 1)}
        for key, word in _VALUE.findall(match[5]):
            number = parse_number(word)
            if number is not None:
                values.setdefault(key, number[0])
        if not runs or (step <= runs[-1][0]["global_step"] and len(runs[-1]) > 0):
            runs.append([])
        runs[-1].append(values)
    if len(runs) > 1:
        notes.append(f"{file.name} holds the lines of {len(runs)} runs: the step begins again.")
    found: list[Rows] = []
    for run in runs:
        names = list(dict.fromkeys(name for values in run for name in values))
        columns = {name: np.array([values.get(name, np.nan) for values in run]) for name in names}
        blank = {name: np.array([name not in values for values in run]) for name in names}
        found.append(Rows(columns, blank))
    return found


def joined_printed(parts: Sequence[Rows]) -> list[Rows]:
    """Unite what a run printed into several files: a copy counts once, lines from a later step on continue the run."""
    runs: list[Rows] = []
    for part in parts:
        if any(_is_copy(part, run) for run in runs):
            continue
        if not runs or part.steps()[0] <= runs[-1].steps()[0]:
            runs.append(part)
            continue
        before = runs[-1]
        sizes = (len(before.steps()), len(part.steps()))
        names = dict.fromkeys((*before.columns, *part.columns))
        columns, blank = {}, {}
        for name in names:
            pieces = [
                (rows.columns.get(name, np.full(size, np.nan)), rows.blank.get(name, np.ones(size, bool)))
                for rows, size in zip((before, part), sizes, strict=True)
            ]
            columns[name], blank[name] = (np.concatenate(piece) for piece in zip(*pieces, strict=True))
        runs[-1] = Rows(columns, blank)
    return runs


def _is_copy(part: Rows, run: Rows) -> bool:
    return part.columns.keys() == run.columns.keys() and all(
        np.array_equal(values, run.columns[name], equal_nan=True) for name, values in part.columns.items()
    )
