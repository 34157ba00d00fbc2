"""One table of a trace with what reading it again and again needs, brought up to date by each append."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from foam_viz.trace.chunks import GrowingTable
from foam_viz.trace.schema import is_numeric, table_schema


@dataclass
class GrowingArray:
    """A numpy array with room to grow; views handed out earlier stay valid."""

    data: np.ndarray
    count: int = 0

    def extend(self, values: np.ndarray) -> None:
        """Add values at the end."""
        end = self.count + len(values)
        if end > len(self.data):
            larger = np.empty(max(end, 2 * len(self.data), 256), self.data.dtype)
            larger[: self.count] = self.data[: self.count]
            self.data = larger
        self.data[self.count : end] = values
        self.count = end

    def view(self) -> np.ndarray:
        """Return what is there now, read-only."""
        view = self.data[: self.count]
        view.flags.writeable = False
        return view


def _extend(known: GrowingArray, fresh: pa.ChunkedArray) -> None:
    """Add numbers; a column of whole numbers becomes real where the first null, a NaN, comes."""
    for chunk in fresh.chunks:
        values = chunk.to_numpy(zero_copy_only=False)
        if chunk.null_count and known.data.dtype == np.int64:
            known.data = known.data.astype(np.float64)
        known.extend(values)


@dataclass
class Store:
    """One table with what reading it again and again needs: converted columns and the row numbers of each factor."""

    name: str
    rows: GrowingTable = field(init=False)
    converted: dict[str, GrowingArray] = field(default_factory=dict)
    factors: dict[int | None, GrowingArray] = field(default_factory=dict)
    indexed: int = 0
    made: dict[str, GrowingArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = GrowingTable(table_schema(self.name).arrow())

    def append(self, rows: pa.Table) -> None:
        """Add rows that fit the schema; columns that somebody reads as numbers are converted at once."""
        before = self.rows.rows
        self.rows.append(rows)
        for name, known in self.converted.items():
            if (
                known.count == before
                and known.data.dtype != object
                and (index := rows.schema.get_field_index(name)) >= 0
            ):
                _extend(known, rows.column(index))

    def values(self, column: str) -> np.ndarray:
        """Return one column; see :meth:`foam_viz.trace.view.TraceView.values`."""
        index = self.rows.schema.get_field_index(column)
        if index < 0:
            raise KeyError(f"{self.name} has no column {column!r}; it has {', '.join(self.rows.schema.names)}")
        data_type = self.rows.schema.field(index).type
        whole = pa.types.is_integer(data_type)
        known = self.converted.get(column)
        if known is None:
            kind = np.int64 if whole else np.float64 if is_numeric(data_type) else object
            if kind is object and not (pa.types.is_string(data_type) or pa.types.is_dictionary(data_type)):
                raise TypeError(f"{self.name}.{column} holds {data_type}: read it from the table")
            known = self.converted[column] = GrowingArray(np.empty(0, kind))
        if known.count < self.rows.rows:
            fresh = self.rows.table.column(index).slice(known.count)
            if known.data.dtype == object:
                known.extend(np.array(fresh.to_pylist(), object))
            else:
                _extend(known, fresh)
        return known.view()

    def derived(self, key: str, convert: Callable[[pa.Table], np.ndarray]) -> np.ndarray:
        """Return what ``convert`` makes of the rows; see :meth:`foam_viz.trace.view.TraceView.derived`."""
        known = self.made.setdefault(key, GrowingArray(np.empty(0, np.int64)))
        if known.count < self.rows.rows:
            known.extend(convert(self.rows.table.slice(known.count)))
        return known.view()

    def factor_index(self, factor: int | None) -> np.ndarray:
        """Return the numbers of the rows of one factor, ascending; None is for rows of all factors together."""
        numbers = self.values("factor")
        if self.indexed < len(numbers):
            # Null is -1 here: no factor has that number.
            fresh = np.nan_to_num(numbers[self.indexed :], nan=-1).astype(np.int64)
            order = np.argsort(fresh, kind="stable")
            keys, starts = np.unique(fresh[order], return_index=True)
            for key, rows in zip(keys, np.split(order, starts[1:]), strict=True):
                name = None if key < 0 else int(key)
                self.factors.setdefault(name, GrowingArray(np.empty(0, np.int64))).extend(rows + self.indexed)
            self.indexed = len(numbers)
        known = self.factors.get(factor)
        return known.view() if known is not None else np.empty(0, np.int64)
