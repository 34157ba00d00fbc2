"""Files of delimited text and Parquet as tables: dialect by content, blank and NaN kept apart, bad rows said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pyarrow as pa

from foam_viz.logs.core.reader import LogFile
from foam_viz.logs.parsing.arrow_columns import add_arrow_column, counts_rows, unlike
from foam_viz.logs.parsing.cells import BLANK, uses_decimal_comma
from foam_viz.logs.parsing.dialect import Dialect, Section, fields_of, find_dialect, logical_rows, sections
from foam_viz.logs.parsing.table_model import Table, stacked
from foam_viz.logs.parsing.text_lines import decode, were

_RULE = re.compile(r"^\s{0,8}\|(?:\s*:?-{2,}:?\s*\|)+[ \t\r]*$", re.MULTILINE)
_BARRED = re.compile(r"\s*\|.*\|\s*")


def read_delimited(file: LogFile) -> Table:
    """Read a file of delimited text.

    Raises:
        LogError: It is no table, or not one row fits its header.
    """
    data = file.path.read_bytes()
    plain = data.isascii() and b"\0" not in data
    text, notes = ("", []) if plain else decode(data)
    head = data[:262144].decode() if plain else text[:262144]
    if _RULE.search(head):
        text = _without_rules(text or data.decode())
        data, head = text.encode(errors="replace"), text[:262144]
    dialect = find_dialect(head)
    if dialect is None:
        raise file.problem("", "is no table with numbers in it", "a table needs a header and rows of equal length")
    if not plain:
        data = text.encode(errors="replace")
    if b"\r" in data and b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    parts = sections(data, dialect)
    tables = [_section(file, part, notes if not position else []) for position, part in enumerate(parts)]
    if len(tables) == 1:
        return tables[0]
    whole = stacked(tables)
    _say_headers(parts, whole.notes)
    return whole


def _without_rules(text: str) -> str:
    """Take the outer bars and the rules out of a table in Markdown; what was a rule is a blank line."""
    lines = ("" if _RULE.fullmatch(line) else line for line in text.splitlines())
    return "\n".join(line.strip()[1:-1] if _BARRED.fullmatch(line) else line for line in lines) + "\n"


def _section(file: LogFile, part: Section, notes: list[str]) -> Table:
    """Read the rows under one header."""
    table = Table([], {}, notes)
    data, dialect = part.data, part.dialect
    names = unlike(_fitted_names(file, dialect, table), table.notes)
    # Of numbers in a file with decimal commas Arrow would take the dots for decimal ones.
    comma = dialect.delimiter in ";\t|" and _decimal_comma(data, dialect)
    arrays = None if comma else _fast_columns(data, dialect, len(names), table.notes, part.line)
    if arrays is None:
        arrays = _slow_columns(data.decode(errors="replace"), dialect, len(names), table.notes, part.line)
    if not arrays or not len(arrays[0]):
        reason = f"no row has {len(names)} fields as the header has; most have {dialect.width}"
        raise file.problem("", reason, "add the missing names to the header, or remove what is too many")
    _add_columns(table, names, arrays, decimal_comma=dialect.delimiter in ";\t|")
    return table


def _say_headers(parts: Sequence[Section], notes: list[str]) -> None:
    """Say where a header stands again, and where it is another one."""
    known = parts[0].dialect.names
    for part in parts[1:3]:
        names = [name.strip() for name in part.dialect.names]
        where = f"line {part.line + 1:,}"
        before = {name.strip() for name in known}
        if names == [name.strip() for name in known]:
            notes.append(f"The header stands again in {where}, as after the log was opened anew.")
        else:
            new = ", ".join(repr(name) for name in names if name not in before)
            gone = ", ".join(repr(name) for name in before - set(names))
            said = "; ".join(filter(None, (f"new: {new}" if new else "", f"gone: {gone}" if gone else "")))
            notes.append(f"The header changes in {where}{f' ({said})' if said else ' (another order)'}.")
        known = part.dialect.names
    if len(parts) > 3:
        notes.append(f"Further headers stand in {len(parts) - 3:,} more lines.")


def _decimal_comma(data: bytes, dialect: Dialect) -> bool:
    lines = data[:65536].decode(errors="replace").splitlines()[dialect.skip + bool(dialect.names) :]
    rows = [fields_of(line, dialect.delimiter) for line in lines[:-1][:200] or lines]
    return any(
        uses_decimal_comma([row[position] for row in rows if position < len(row)]) for position in range(dialect.width)
    )


def _fitted_names(file: LogFile, dialect: Dialect, table: Table) -> list[str]:
    if not dialect.names:
        table.notes.append("The file has no header; columns are numbered.")
        return [f"column {position + 1}" for position in range(dialect.width)]
    names = [name.strip() for name in dialect.names]
    if len(names) == dialect.width - 1:
        table.notes.append("Rows have one field more than the header; the first was taken for the number of the row.")
        names = ["", *names]
    return names


def _fast_columns(
    data: bytes, dialect: Dialect, width: int, notes: list[str], before: int
) -> list[pa.ChunkedArray] | None:
    """Let Arrow parse the file; None when that cannot be relied on (odd quotes, blanks as delimiters)."""
    import pyarrow.csv

    quotes = data.count(b'"')
    if dialect.delimiter == " " or quotes % 2 or quotes and (b'""' in data or len(data) < 1 << 20):
        return None  # small or odd: the slow way, which tells line numbers and bears more
    skipped: list[str] = []

    def skip(row: object) -> str:
        skipped.append(row.text)  # type: ignore[attr-defined]
        return "skip"

    def parsed(kinds: Mapping[str, pa.DataType]) -> pa.Table:
        skipped.clear()
        return pyarrow.csv.read_csv(
            pa.BufferReader(data),
            read_options=pyarrow.csv.ReadOptions(
                skip_rows=dialect.skip + bool(dialect.names),
                column_names=[str(place) for place in range(width)],
                block_size=1 << 20,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char='"' if quotes else False,
                newlines_in_values=bool(quotes),
                invalid_row_handler=skip,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                null_values=sorted(BLANK), strings_can_be_null=True, column_types=kinds
            ),
        )

    try:
        table = parsed({})
        # Arrow takes 00:12 for twelve minutes past midnight; in a log it is twelve seconds.
        clocks = {field.name: pa.string() for field in table.schema if pa.types.is_time(field.type)}
        table = parsed(clocks) if clocks else table
    except (pa.ArrowException, ValueError):
        return None
    if len(skipped) > 0.2 * (len(table) + 1):
        return None
    if skipped and not data.endswith(b"\n") and any(data.endswith(row.encode()) for row in skipped):
        notes.append("The last line is cut off and was dropped.")
        skipped = [row for row in skipped if not data.endswith(row.encode())]
    if skipped:
        lines = [
            before + data[:place].count(b"\n") + 1 for row in skipped[:3] if (place := data.find(row.encode())) >= 0
        ]
        _say_ragged(len(skipped), lines, width, notes)
    return list(table.columns)


def _slow_columns(text: str, dialect: Dialect, width: int, notes: list[str], before: int) -> list[pa.ChunkedArray]:
    """Parse line by line; a quote that never closes costs its own line only."""
    lines = text.splitlines()[dialect.skip + bool(dialect.names) :]
    first_line = before + dialect.skip + bool(dialect.names) + 1
    rows: list[list[str]] = []
    bad: list[int] = []
    counter = 0
    for number, fields in logical_rows(lines, dialect.delimiter):
        if not fields or fields == [""] and width > 1:
            continue
        counter = number + first_line
        if len(fields) == width + 1 and fields[-1] == "":
            fields = fields[:-1]
        if len(fields) == width:
            rows.append(fields)
        else:
            bad.append(counter)
    if bad and bad[-1] == counter and not text.endswith("\n"):
        notes.append(f"The last line (line {bad.pop():,}) is cut off and was dropped.")
    if bad:
        _say_ragged(len(bad), bad[:3], width, notes)
    return [pa.chunked_array([pa.array(column, pa.string())]) for column in zip(*rows, strict=True)]


def _say_ragged(count: int, lines: Sequence[int], width: int, notes: list[str]) -> None:
    numbers = ", ".join(f"{line:,}" for line in lines) + (", …" if count > len(lines) else "")
    where = f" ({'line' if len(lines) == 1 else 'lines'} {numbers})"
    notes.append(f"{were(count, 'row')} dropped{where if lines else ''}: not {width} fields as in the header.")


def _add_columns(table: Table, names: Sequence[str], arrays: Sequence[pa.ChunkedArray], *, decimal_comma: bool) -> None:
    texts = {
        name: column.to_pylist() for name, column in zip(names, arrays, strict=True) if pa.types.is_string(column.type)
    }
    comma = False
    if decimal_comma:
        verdicts = [uses_decimal_comma([cell for cell in cells[:2000] if cell]) for cells in texts.values()]
        comma = True in verdicts
        if comma:
            table.notes.append("Numbers are written with a decimal comma.")
        elif None in verdicts:
            table.notes.append(
                "Commas within numbers were taken for thousands separators; every one has three digits behind it."
            )
    for name, column in zip(names, arrays, strict=True):
        if name.startswith("column ") and counts_rows(column):
            table.notes.append(f"The column without a name ({name}) only numbers the rows; it was left out.")
            continue
        add_arrow_column(table, name, column, texts.get(name), decimal_comma=comma)
