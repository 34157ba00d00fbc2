"""Columns of Arrow tables, from CSV and Parquet, as columns of numbers and of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.damage import of_parquet
from foam_viz.logs.core.reader import LogError, LogFile
from foam_viz.logs.intake.limits import MOST_CELLS
from foam_viz.logs.parsing.cells import BLANK, parse_column
from foam_viz.logs.parsing.table_model import Table


def unlike(names: Iterable[str], notes: list[str]) -> list[str]:
    """Make names differ: the second of a name gets a number."""
    seen: Counter[str] = Counter()
    unlike: list[str] = []
    taken = set()
    for position, given in enumerate(names):
        name = given or f"column {position + 1}"
        seen[name] += 1
        own = name
        while own in taken:
            own = f"{name} ({seen[name]})"
            seen[name] += own in taken
        if own != name:
            notes.append(f"Two columns are called {name!r}; one goes under {own!r}.")
        taken.add(own)
        unlike.append(own)
    return unlike


def counts_rows(column: pa.ChunkedArray) -> bool:
    """Say whether a column numbers the rows: integers from 0 or 1 on, each one more than the last."""
    if not pa.types.is_integer(column.type) or column.null_count:
        return False
    values = column.to_numpy()
    return len(values) > 1 and values[0] in (0, 1) and bool((np.diff(values) == 1).all())


def add_arrow_column(
    table: Table,
    name: str,
    column: pa.ChunkedArray,
    cells: list[str | None] | None = None,
    *,
    decimal_comma: bool = False,
) -> None:
    """Add a column to a table: numbers, dates and what can be read as numbers, else as text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_null(kind):
        table.series.append(Series(name, np.full(len(column), np.nan), np.ones(len(column), bool)))
    elif (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    ):
        table.series.append(_numbers(name, column))
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        seconds = column.cast(pa.timestamp("us", kind.tz if pa.types.is_timestamp(kind) else None), safe=False).cast(
            pa.int64()
        )
        numbers = _numbers(name, seconds)
        table.series.append(Series(name, numbers.values * 1e-6, numbers.missing, "date"))
    elif pa.types.is_time(kind) or pa.types.is_duration(kind):
        to_long = column.cast(pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us")).cast(pa.int64())
        numbers = _numbers(name, to_long)
        table.series.append(Series(name, numbers.values * 1e-6, numbers.missing, "s"))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        cells = column.to_pylist() if cells is None else cells
        parsed = parse_column(name, cells, decimal_comma=decimal_comma)
        if parsed is not None:
            table.series.append(parsed.series)
            table.notes += parsed.notes
        else:
            table.texts[name] = np.array(
                [None if cell is None or cell.strip() in BLANK else cell for cell in cells], object
            )
    else:
        table.notes.append(f"{name!r} was left out: it holds {kind}.")


def _numbers(name: str, column: pa.ChunkedArray) -> Series:
    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    missing = whole.is_null().to_numpy(zero_copy_only=False) if whole.null_count else None
    reals = whole if pa.types.is_float64(whole.type) else whole.cast(pa.float64(), safe=False)
    return Series(name, reals.to_numpy(zero_copy_only=False), missing)


def read_parquet(file: LogFile) -> Table:
    """Read a Parquet file; structures inside columns become columns of their own, with ``/`` between the names.

    Raises:
        LogError: It is damaged.
    """
    import pyarrow.parquet

    try:
        size = pyarrow.parquet.read_metadata(file.path)
        if size.num_rows * size.num_columns > MOST_CELLS:
            reason = (
                f"holds {size.num_rows:,} rows of {size.num_columns:,} columns; at most {MOST_CELLS:,} values are read"
            )
            raise file.problem("", reason, "give every tenth row, or fewer columns")
        whole = pyarrow.parquet.read_table(file.path)
        for _ in range(5):
            if not any(pa.types.is_struct(field.type) for field in whole.schema):
                break
            whole = _flattened(whole)
    except LogError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise of_parquet(file) from error
    table = Table([])
    for name, column in zip(unlike(whole.column_names, table.notes), whole.columns, strict=True):
        if name.startswith(("column ", "__index_level_")) and counts_rows(column):
            continue
        add_arrow_column(table, name, column)
    return table


def _flattened(whole: pa.Table) -> pa.Table:
    names: list[str] = []
    for field in whole.schema:
        inner = [f"{field.name}/{item.name}" for item in field.type] if pa.types.is_struct(field.type) else [field.name]
        names += inner
    return whole.flatten().rename_columns(names)


def parquet_names(file: LogFile) -> tuple[str, ...]:
    """Return the names of the columns of a Parquet file; none when it is damaged."""
    import pyarrow.parquet

    try:
        return tuple(pyarrow.parquet.read_schema(file.path).names)
    except (pa.ArrowException, OSError, ValueError):
        return ()
