"""The layout of delimited text, found by what stands in it: delimiter, header, remarks before it."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from foam_viz.logs.parsing.cells import BLANK, parse_number

_SAMPLE_LINES = 60
_DELIMITERS = ",\t;|"
_MOST_HEADERS, _MOST_HITS, _NAMES_LOOKED_FOR, _LONGEST_HEADER = 1000, 20_000, 6, 100_000


@dataclass(frozen=True)
class Dialect:
    """How a file of delimited text is laid out.

    Attributes:
        delimiter: One character; a blank stands for any run of blanks.
        skip: Lines before the header (or before the first row, without one).
        names: Names in the header, as they stand there; empty when the file has none.
        width: Fields of most rows.
    """

    delimiter: str
    skip: int
    names: tuple[str, ...]
    width: int


@dataclass(frozen=True)
class Section:
    """Rows of a file under one header.

    Attributes:
        data: The bytes, header included.
        dialect: Their layout.
        line: Lines of the file before it.
    """

    data: bytes
    dialect: Dialect
    line: int


def sections(data: bytes, dialect: Dialect) -> list[Section]:
    """Cut a file where its header stands again, or another one that shares most of its names or begins alike.

    Loggers that are opened anew write their header again, and one of more columns when something new is logged.
    """
    if not dialect.names or dialect.delimiter == " ":
        return [Section(data, dialect, 0)]
    known = {name.strip().strip('"').lower() for name in dialect.names} - {""}
    cuts: dict[int, tuple[str, ...]] = {}
    for name in [name.strip() for name in dialect.names if name.strip()][:_NAMES_LOOKED_FOR]:
        for start, line in _lines_with(data, name.encode(errors="replace")):
            cells = fields_of(line.decode(errors="replace").rstrip("\r"), dialect.delimiter)
            fields = tuple(cell.strip().strip("#").strip() for cell in cells)
            if start and len(cuts) < _MOST_HEADERS and _is_header(fields, known):
                cuts[start] = fields
    first = min(cuts, default=0)
    if cuts and data[:first].count(b"\n") <= dialect.skip:
        del cuts[first]  # the header itself
    if not cuts:
        return [Section(data, dialect, 0)]
    result, start, current, lines = [], 0, dialect, 0
    for place, fields in [*sorted(cuts.items()), (len(data), ())]:
        piece = data[start:place]
        head = piece.split(b"\n", current.skip + 1)
        if len(head) > current.skip + 1 and head[-1].strip():
            result.append(Section(piece, current, lines))
        lines += piece.count(b"\n")
        start, current = place, Dialect(dialect.delimiter, 0, fields, len(fields))
    return result or [Section(data, dialect, 0)]


def _lines_with(data: bytes, name: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the beginnings and texts of lines behind the first one that hold a name; not more than can be headers."""
    place = data.find(name)
    for _ in range(_MOST_HITS):
        if place < 0:
            return
        start = data.rfind(b"\n", 0, place) + 1
        end = data.find(b"\n", place)
        end = len(data) if end < 0 else end
        if end - start < _LONGEST_HEADER:
            yield start, data[start:end]
        place = data.find(name, end)


def _is_header(fields: Sequence[str], known: set[str]) -> bool:
    named = [field for field in fields if field]
    if len(named) < 2 and len(known) > 1 or any(_is_number(field) for field in named):
        return False
    return sum(field.lower() in known for field in named) >= max(1, 0.5 * min(len(named), len(known)))


def find_dialect(text: str) -> Dialect | None:
    """Find the layout of delimited text by its first lines, or None when it is no table with numbers.

    Args:
        text: The beginning of a file, at least two lines of it.
    """
    return _find(tuple(text.splitlines()[: _SAMPLE_LINES * 2]))


@lru_cache(maxsize=256)  # several readers ask, and the one that takes the file asks again when it reads it
def _find(lines: tuple[str, ...]) -> Dialect | None:
    skip = 0
    while skip < len(lines) and (not lines[skip].strip() or re.fullmatch(r"sep=.", lines[skip].strip())):
        skip += 1
    best: tuple[float, Dialect] | None = None
    for delimiter in _DELIMITERS + " ":
        found = _try_delimiter(lines, skip, delimiter)
        if found is not None and (best is None or found[0] > best[0]):
            best = found
    return best[1] if best else _single_column(lines, skip)


def fields_of(line: str, delimiter: str) -> list[str]:
    """Split one line; quotes are honoured, a blank stands for any run of blanks."""
    if delimiter == " ":
        return line.split()
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return line.split(delimiter)


def _try_delimiter(lines: Sequence[str], skip: int, delimiter: str) -> tuple[float, Dialect] | None:
    while skip < len(lines) and lines[skip].startswith("#") and _comment(lines, skip, delimiter):
        skip += 1
    # Of a very wide table a few rows tell as much.
    count = _SAMPLE_LINES if max(map(len, lines[skip : skip + 1]), default=0) < 4000 else 8
    rows = [fields for _, fields in logical_rows(lines[skip : skip + count], delimiter) if "".join(fields)]
    if len(rows) < 2:
        return None
    header = rows[0]
    if delimiter == " " and header[:1] == ["#"]:
        header = header[1:]
    elif header and header[0].startswith("#"):
        header = [header[0].lstrip("# "), *header[1:]]
    body = _under_one_header(header, rows[1:])
    if not body:
        return None
    width = Counter(len(row) for row in body).most_common(1)[0][0]
    if width < 2:
        return None
    regular = [row for row in body if len(row) == width]
    # In a header no cell is a number; a file whose first row holds numbers has none.
    headless = len(rows[0]) == width and any(_is_number(cell) for cell in rows[0]) and len(regular) >= 2
    if headless:
        regular = [rows[0], *regular]
    numeric = sum(_numeric_share([row[position] for row in regular]) for position in range(width))
    if not numeric or (headless or delimiter == " ") and numeric < width:
        return None
    names = () if headless else tuple(header)
    unfit = not headless and len(names) not in (width, width - 1) and not any(len(row) == len(names) for row in body)
    if unfit and (delimiter == " " or len(names) < 2):
        return None
    if names and sum(_is_number(name) for name in names) > len(names) / 2:
        return None
    score = numeric / width + 0.1 * (len(names) == width) + len(regular) / (len(body) + 1) + 0.02 * min(width, 20)
    return score, Dialect(delimiter, skip, names, width)


def _under_one_header(header: Sequence[str], body: Sequence[list[str]]) -> list[list[str]]:
    """Return the rows before a header stands again."""
    known = {name.strip().lower() for name in header} - {""}
    rows: list[list[str]] = []
    for row in body:
        if known and _is_header([cell.strip() for cell in row], known):
            if rows:
                break
            continue
        rows.append(row)
    return rows


def _comment(lines: Sequence[str], place: int, delimiter: str) -> bool:
    """Say whether a line that begins with # is a remark: the header's fields are as many as those of the rows."""
    following = [line for line in lines[place + 1 : place + 10] if line.strip()]
    if not following:
        return False
    if following[0].startswith("#"):
        return True
    count = len(fields_of(lines[place].lstrip("# "), delimiter))
    next_is_header = not any(_is_number(cell) for cell in fields_of(following[0], delimiter))
    return next_is_header or count != len(fields_of(following[0], delimiter))


def _single_column(lines: Sequence[str], skip: int) -> Dialect | None:
    rows = [line.strip() for line in lines[skip : skip + _SAMPLE_LINES] if line.strip()]
    if len(rows) >= 4 and re.fullmatch(r"[A-Za-z_][\w/ .-]{0,60}", rows[0]) and all(map(_is_number, rows[1:])):
        return Dialect("\t", skip, (rows[0],), 1)
    return None


def _is_number(cell: str) -> bool:
    cell = cell.strip()
    return cell not in BLANK and (parse_number(cell) is not None or parse_number(cell, decimal_comma=True) is not None)


def _numeric_share(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell.strip() not in BLANK]
    return not filled and len(cells) > 0 or sum(map(_is_number, filled)) > 0.7 * len(filled)


def logical_rows(lines: Sequence[str], delimiter: str) -> Iterable[tuple[int, list[str]]]:
    """Yield the place of the first line of each row and its fields; quoted fields may hold line breaks."""
    place = 0
    while place < len(lines):
        line, used = lines[place], 1
        if line.count('"') % 2:
            for more in range(1, 20):
                if place + more >= len(lines):
                    break
                if lines[place + more].count('"') % 2:
                    line, used = "\n".join(lines[place : place + more + 1]), more + 1
                    break
        yield place, _joined_fields(line, delimiter)
        place += used


def _joined_fields(line: str, delimiter: str) -> list[str]:
    if "\n" not in line or delimiter == " ":
        return fields_of(line, delimiter)
    try:
        return next(csv.reader(io.StringIO(line), delimiter=delimiter), [])
    except csv.Error:
        return []
