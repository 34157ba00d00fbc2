"""Reads a table of numbers from a text file: no types are guessed, and nothing but numbers is read. No torch."""

from __future__ import annotations

import csv
import io
import math
import re

import numpy as np

from foam_viz.optim.fields import FieldError
from foam_viz.tasks.files import read_text

MAXIMUM_COLUMNS = 1024
MINIMUM_ROWS = 20
_DELIMITERS = ",;\t"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

_OTHER = re.compile(r"[^0-9eE+\-., \t;\r\n]")
"""What no number has, nor what separates numbers."""


def read_table(field: str, path: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and numbers of a table.

    The first line names the columns, unless it holds only numbers: then they are called ``column 1`` and so on. Cells
    are separated by comma, semicolon or tab, whichever is most frequent in the first line. Blank lines are skipped.

    Args:
        field: The setting that is blamed.
        path: A file in UTF-8.

    Returns:
        The names, and the values as (rows, columns), float64, all finite.

    Raises:
        FieldError: What is wrong, on which line, in which column, and what would help.
    """
    text = read_text(field, path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    if (found := _plain_numbers(text, first, delimiter)) is not None:
        return found
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        longest = "field larger than" in str(error)
        what = f"a cell has more than {csv.field_size_limit():,} characters" if longest else error
        remedy = "Save one row a line, cells separated by commas" if longest else "Remove the stray quote"
        words = f"a table that can be split into cells; line {reader.line_num}: {what}. {remedy}"
        raise FieldError(field, path, words) from None
    if not lines:
        raise FieldError(field, path, "a table with a line of column names and lines of numbers; this file is empty")
    names = lines[0][1]
    if not 2 <= len(names) <= MAXIMUM_COLUMNS:
        words = f"a table of 2 to {MAXIMUM_COLUMNS} columns; {len(names)} found in the first line"
        raise FieldError(field, path, f"{words}: separate cells by comma, semicolon or tab")
    if all(_NUMBER.fullmatch(cell) for cell in names):
        names = [f"column {number}" for number in range(1, len(names) + 1)]
    else:
        lines = lines[1:]
        _require_names(field, path, names)
    if len(lines) < MINIMUM_ROWS:
        words = f"a table of at least {MINIMUM_ROWS} rows, for there must be some to hold out; {len(lines)} found"
        raise FieldError(field, path, f"{words}: add rows")
    values = np.empty((len(lines), len(names)))
    for row, (number, cells) in enumerate(lines):
        if len(cells) != len(names):
            words = f"a table whose lines have equally many cells; line {number} has {len(cells)}, not {len(names)}"
            raise FieldError(field, path, f"{words}: complete it or remove it")
        for column, cell in enumerate(cells):
            value = float(cell) if _NUMBER.fullmatch(cell) else math.nan
            if not math.isfinite(value):
                raise FieldError(field, path, _no_number(number, names[column], cell, delimiter))
            values[row, column] = value
    return tuple(names), values


def _plain_numbers(text: str, first: str, delimiter: str) -> tuple[tuple[str, ...], np.ndarray] | None:
    """The table where nothing but numbers stands below its names, read at once; None where its cells need a look."""
    try:
        names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    except csv.Error:
        return None
    begin = text.index(first)
    named = not all(_NUMBER.fullmatch(name) for name in names)
    body = text[begin + len(first) :] if named else text[begin:]
    distinct = len({name for name in names if name}) == len(names)
    if not (distinct or not named) or not 2 <= len(names) <= MAXIMUM_COLUMNS or _OTHER.search(body):
        return None
    try:
        values = np.loadtxt(io.StringIO(body), delimiter=delimiter, comments=None, ndmin=2)
    except ValueError:
        return None
    if values.shape[1] != len(names) or len(values) < MINIMUM_ROWS or not np.isfinite(values).all():
        return None
    return tuple(names if named else (f"column {number}" for number in range(1, len(names) + 1))), values


def _require_names(field: str, path: str, names: list[str]) -> None:
    for position, name in enumerate(names):
        if not name:
            words = f"a table whose columns all have names; column {position + 1} has none: name it in the first line"
            raise FieldError(field, path, words)
        if name in names[:position]:
            words = f"a table whose columns have different names; {name!r} occurs twice: rename one"
            raise FieldError(field, path, words)


def _no_number(line: int, column: str, cell: str, delimiter: str) -> str:
    shown = repr(cell if len(cell) <= 40 else cell[:37] + "...") if cell else "nothing"
    if not cell:
        remedy = "fill it in, or remove the row or the column"
    elif delimiter != "," and _NUMBER.fullmatch(cell.replace(",", ".", 1)):
        remedy = "write the decimal mark as a point"
    else:
        remedy = "replace it by a finite number, or remove the row or the column"
    return f"a table of numbers; line {line}, column {column!r} holds {shown}: {remedy}"
