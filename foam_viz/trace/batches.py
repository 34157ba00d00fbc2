"""Rows into the types of the schema: building record batches, and fitting tables that come from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from foam_viz.trace.schema import DECISION_TYPE, DECISIONS, Column, is_numeric, make_field, table_schema, unit_of

_REAL = pa.float64()


class SchemaError(ValueError):
    """Data that does not fit a table; the message names the table, the column and what was expected."""


def record_batch(table: str, columns: Mapping[str, object], units: Mapping[str, str] | None = None) -> pa.RecordBatch:
    """Build a batch of a table from columns; columns that are left out become null.

    Args:
        table: ``steps``, ``checks``, ``snapshots`` or ``events``.
        columns: Sequences, numpy arrays or Arrow arrays, all of one length. None is null; NaN stays NaN. List columns
            take one array for each row or a 2-D array; ``overlap`` takes bytes or unsigned 8-bit arrays. Steps take any
            further numeric column, kept as float64.
        units: Units of the further columns of steps.

    Returns:
        A batch with every column of the schema, in its order, further columns behind.

    Raises:
        KeyError: There is no such table.
        SchemaError: A column is unknown, has the wrong type or length, or lacks a required value.
    """
    schema, units = table_schema(table), units or {}
    arrays: dict[str, pa.Array] = {}
    extras: list[tuple[str, str]] = []
    for name, values in columns.items():
        column = schema.find(name)
        if column is not None:
            arrays[name] = _array(table, column, values)
        elif schema.open:
            arrays[name] = _array(table, Column(name, _REAL, ""), values)
            extras.append((name, units.get(name, "")))
        else:
            names = ", ".join(column.name for column in schema.columns)
            raise SchemaError(f"{table}: unknown column {name!r}; it has {names}")
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise SchemaError(f"{table}: columns of different lengths: {lengths}")
    rows = next(iter(lengths.values()), 0)
    full = _with_extras(table, tuple(extras))
    batch = pa.RecordBatch.from_arrays(
        [arrays[field.name] if field.name in arrays else pa.nulls(rows, field.type) for field in full], schema=full
    )
    _require(table, batch)
    return batch


@lru_cache(maxsize=256)
def _with_extras(table: str, extras: tuple[tuple[str, str], ...]) -> pa.Schema:
    """The schema of a table with further columns, name and unit each: a live run asks for the same one every time."""
    return pa.schema([*table_schema(table).arrow(), *(make_field(name, _REAL, unit) for name, unit in extras)])


def conform(table: str, data: pa.RecordBatch | pa.Table) -> pa.Table:
    """Fit rows written by this or a later version to the schema.

    Missing columns become null, known ones are cast, further columns are kept (in steps as float64, and there only
    numeric ones), decisions keep the codes of :data:`~foam_viz.trace.schema.DECISIONS`.

    Raises:
        SchemaError: A column cannot be cast without loss, or a required value is missing.
    """
    schema = table_schema(table)
    rows = data if isinstance(data, pa.Table) else pa.Table.from_batches([data])
    if rows.schema.equals(schema.arrow(), check_metadata=True) and _known_decisions(rows):
        _require(table, rows)  # written by this version: nothing to fit, and live runs come here many times a second
        return rows
    if len(set(rows.column_names)) != len(rows.column_names):
        raise SchemaError(f"{table}: two columns have one name: {rows.column_names}")
    fields: list[pa.Field] = []
    arrays: list[pa.ChunkedArray | pa.Array] = []
    for column in schema.columns:
        fields.append(column.field())
        present = column.name in rows.column_names
        arrays.append(_cast(table, column, rows[column.name]) if present else pa.nulls(len(rows), column.type))
    for field in rows.schema:
        if schema.find(field.name) is not None:
            continue
        if not schema.open:
            fields.append(field)
            arrays.append(rows[field.name])
        elif is_numeric(field.type):
            fields.append(make_field(field.name, pa.float64(), unit_of(field)))
            arrays.append(rows[field.name].cast(pa.float64(), safe=False))
        else:
            raise SchemaError(f"{table}.{field.name}: further columns must be numeric, not {field.type}")
    fitted = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    _require(table, fitted)
    return fitted


def _array(table: str, column: Column, values: Any) -> pa.Array:
    try:
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if column.type == DECISION_TYPE and not isinstance(values, pa.Array):
            return _encode([None if value is None else str(value) for value in values])
        if pa.types.is_list(column.type):
            return _lists(values, column.type)
        if pa.types.is_binary(column.type) and not isinstance(values, pa.Array):
            return pa.array([_pixels(value) for value in values], column.type)
        if column.type == _REAL and type(values) is list:
            return pa.array(values, _REAL)
        # Inferred first and cast after: given a type, pyarrow truncates 3.5 to an integer without a word.
        array = values if isinstance(values, pa.Array) else pa.array(values)
        return array if array.type == column.type else array.cast(column.type)
    except (pa.ArrowException, TypeError, ValueError, KeyError) as error:
        raise SchemaError(f"{table}.{column.name}: must be {column.type}: {error}") from error


def _encode(decisions: list[str | None]) -> pa.DictionaryArray:
    codes = {word: code for code, word in enumerate(DECISIONS)}
    unknown = sorted({word for word in decisions if word is not None} - codes.keys())
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(DECISIONS)}")
    indices = pa.array([None if word is None else codes[word] for word in decisions], pa.int8())
    return pa.DictionaryArray.from_arrays(indices, pa.array(DECISIONS))


def _lists(values: Any, data_type: pa.ListType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values.cast(data_type)
    if isinstance(values, np.ndarray) and values.ndim == 2:
        rows, width = values.shape
        offsets = np.arange(rows + 1, dtype=np.int32) * width
        return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)).cast(data_type.value_type, safe=False))
    # numpy narrows doubles to float32 by rounding, where Arrow's safe cast would refuse.
    return pa.array([None if row is None else np.asarray(row, np.float32) for row in values], data_type)


def _pixels(value: object) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    array = np.asarray(value)
    if array.dtype != np.uint8:
        raise TypeError(f"bytes or an array of uint8, not {array.dtype}")
    return array.tobytes()


def _cast(table: str, column: Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
    if values.type == column.type and column.type != DECISION_TYPE:
        return values
    try:
        if column.type != DECISION_TYPE:
            return values.cast(column.type)
        if values.type == DECISION_TYPE and _known_codes(values):
            return values
        words = values.cast(pa.string()).to_pylist()
    except (pa.ArrowException, TypeError) as error:
        raise SchemaError(f"{table}.{column.name}: must be {column.type}, not {values.type}: {error}") from error
    # A later version may know further decisions; they are kept, with codes behind the known ones.
    later = sorted({word for word in words if word is not None} - set(DECISIONS))
    vocabulary = [*DECISIONS, *later]
    codes = {word: code for code, word in enumerate(vocabulary)}
    indices = pa.array([None if word is None else codes[word] for word in words], pa.int8())
    return pa.chunked_array([pa.DictionaryArray.from_arrays(indices, pa.array(vocabulary))])


def _known_codes(decisions: pa.ChunkedArray) -> bool:
    return all(chunk.dictionary.to_pylist() == list(DECISIONS) for chunk in decisions.chunks)


def _known_decisions(rows: pa.Table) -> bool:
    return "decision" not in rows.column_names or _known_codes(rows["decision"])


def _require(table: str, rows: pa.RecordBatch | pa.Table) -> None:
    for column in table_schema(table).columns:
        if column.required and rows.column(column.name).null_count:
            raise SchemaError(f"{table}.{column.name}: a row has no value, and every row needs one")
