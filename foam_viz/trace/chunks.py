"""An Arrow table that grows by small batches for hours and stays fast to read."""

from __future__ import annotations

import pyarrow as pa

_LARGEST_MERGE = 8 * 2**20
"""Chunks stop merging at this many bytes: the copy would be felt as a pause, and 32-bit offsets must not overflow."""

_MERGED = 8
"""So many neighbours of like size become one. More would copy less and make reading the table slower."""


class GrowingTable:
    """Batches kept as a few chunks: eight neighbours of the same merge level are merged into one.

    As in a counter to base eight, a row is copied about log8(appends) times in all and the table has about
    7 log8(appends) chunks (more only by one for each few megabytes).
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self._chunks: list[pa.Table] = []
        self._merges: list[int] = []
        self._whole: pa.Table | None = None

    @property
    def table(self) -> pa.Table:
        """All rows. Built once after each append; no data is copied."""
        if self._whole is None:
            self._whole = pa.concat_tables(self._chunks) if self._chunks else self.schema.empty_table()
        return self._whole

    def append(self, rows: pa.Table) -> None:
        """Add rows; columns that one side lacks become null there, a unit that was missing is filled in."""
        if not rows.schema.equals(self.schema, check_metadata=True):
            rows = self._widen(rows)
        self._whole = None
        if not len(rows):
            return
        self.rows += len(rows)
        self._chunks.append(rows if rows.column(0).num_chunks == 1 else rows.combine_chunks())
        self._merges.append(0)
        while len(set(last := self._merges[-_MERGED:])) == 1 and len(last) == _MERGED:
            merged = self._chunks[-_MERGED:]
            if sum(chunk.nbytes for chunk in merged) > _LARGEST_MERGE:
                break
            self._chunks[-_MERGED:] = [pa.concat_tables(merged).combine_chunks()]
            self._merges[-_MERGED:] = [last[0] + 1]

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
