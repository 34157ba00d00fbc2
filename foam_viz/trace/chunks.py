"""An Arrow table that grows by small batches for hours and stays fast to read."""

from __future__ import annotations

import pyarrow as pa

_LARGEST_MERGE = 8 * 2**20
"""Chunks stop merging at this many bytes: the copy would be felt as a pause, and 32-bit offsets must not overflow."""

_MOST_CHUNKS = 16
"""A table that arrives in more chunks is copied into one; fewer are taken as they are."""


class GrowingTable:
    """Batches kept as a few chunks: neighbours merge when they are of like size.

    As in a binary counter, a row is copied about log2(rows) times in all and the table has about log2(rows) chunks
    (more only by one for each few megabytes), whatever the number of appends.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self._chunks: list[pa.Table] = []
        self._whole: pa.Table | None = None

    @property
    def table(self) -> pa.Table:
        """All rows. Built once after each append; no data is copied."""
        if self._whole is None:
            self._whole = pa.concat_tables(self._chunks) if self._chunks else self.schema.empty_table()
        return self._whole

    @property
    def chunk_count(self) -> int:
        """Number of chunks now."""
        return len(self._chunks)

    def append(self, rows: pa.Table) -> None:
        """Add rows; columns that one side lacks become null there, a unit that was missing is filled in."""
        if not rows.schema.equals(self.schema, check_metadata=True):
            rows = self._widen(rows)
        self._whole = None
        if not len(rows):
            return
        self.rows += len(rows)
        self._chunks.append(rows if rows.column(0).num_chunks <= _MOST_CHUNKS else rows.combine_chunks())
        while len(self._chunks) > 1 and len(self._chunks[-2]) < 2 * len(self._chunks[-1]):
            if self._chunks[-2].nbytes + self._chunks[-1].nbytes > _LARGEST_MERGE:
                break
            last = self._chunks.pop()
            self._chunks[-1] = pa.concat_tables([self._chunks[-1], last]).combine_chunks()

    def _widen(self, rows: pa.Table) -> pa.Table:
        fields = {field.name: field for field in self.schema}
        for field in rows.schema:
            known = fields.get(field.name)
            if known is None or not known.metadata:
                fields[field.name] = field
            elif field.metadata and field.metadata != known.metadata:
                raise ValueError(f"column {field.name!r} has the unit {known.metadata}, and now {field.metadata}")
        schema = pa.schema(list(fields.values()))
        fitted = _fit(rows, schema)
        if not schema.equals(self.schema, check_metadata=True):
            self.schema, self._chunks = schema, [_fit(chunk, schema) for chunk in self._chunks]
        return fitted


def _fit(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    names = set(rows.column_names)
    arrays = [rows[field.name] if field.name in names else pa.nulls(len(rows), field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
