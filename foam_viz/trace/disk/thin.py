"""Fewer rows that still tell the truth: what is left of the old part of a run that fills the disk.

Losses and snapshots lose rows, nothing is averaged. Checks are added up: several of a factor become one row that counts
them, as in logs that count, so totals stay exact. Events stay.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_COUNTED = ("checks", "decompositions", "reuses", "cap_refreshes")
_SMALLEST = 64
"""Fewer rows than this are not worth thinning."""


def thinned(table: str, rows: pa.Table) -> pa.Table:
    """Return about half of the rows of a table, in order; a table of few rows, and one of events, as it is.

    The first and the last row of steps and snapshots stay, the last of each array of a picture, and the steps with a
    held-out loss.

    Args:
        table: Name of the table.
        rows: Rows of one run, in the order of recording.
    """
    if len(rows) < _SMALLEST or table == "events":
        return rows
    if table == "checks":
        return _paired(rows)
    if table == "pictures":
        # A picture is made of the latest array of each name, so of two rows the later one stays.
        return rows.filter(pa.array((_ranks(rows["array"]) % 2 == 1) | _last_of(rows["array"])))
    if table == "steps":
        keep = np.arange(len(rows)) % 2 == 0
        keep |= rows["held_out_loss"].is_valid().to_numpy()
    else:
        keep = _ranks(rows["factor"]) % 2 == 0
    keep[0] = keep[-1] = True
    return rows.filter(pa.array(keep))


def _paired(rows: pa.Table) -> pa.Table:
    """Two neighbouring checks of a factor as one row, in the place of the later one."""
    rank = _ranks(rows["factor"])
    order = np.lexsort((rank, _codes(rows["factor"])))  # each factor's rows together, in their order
    first = order[:-1][(rank[order[:-1]] % 2 == 0) & (rank[order[1:]] == rank[order[:-1]] + 1)]
    second = np.empty(len(rows), np.int64)
    second[order[:-1]] = order[1:]
    later = second[first]
    columns = {name: rows[name].combine_chunks() for name in rows.column_names}
    merged = {}
    for name, values in columns.items():
        if name in _COUNTED:
            both = [values.take(pa.array(first)), values.take(pa.array(later))]
            merged[name] = _with(values, later, pc.call_function("add", both))
        elif name == "interval_start":
            starts = pc.call_function("coalesce", [values, columns["step"]])
            merged[name] = _with(values, later, starts.take(pa.array(first)))
        elif name == "decision":
            gone = np.zeros(len(rows), bool)
            gone[later] = True
            merged[name] = pc.call_function("if_else", [pa.array(gone), pa.scalar(None, values.type), values])
        else:
            merged[name] = values
    keep = np.ones(len(rows), bool)
    keep[first] = False
    return pa.table([merged[name] for name in rows.column_names], schema=rows.schema).filter(pa.array(keep))


def _with(values: pa.Array, places: np.ndarray, new: pa.Array) -> pa.Array:
    """The array with other values in some places."""
    index = np.arange(len(values))
    index[places] = len(values) + np.arange(len(places))
    return pa.concat_arrays([values, new.cast(values.type)]).take(pa.array(index))


def _codes(keys: pa.ChunkedArray) -> np.ndarray:
    """Whole numbers that are equal where the keys are; null is a key of its own."""
    encoded = keys.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)


def _ranks(keys: pa.ChunkedArray) -> np.ndarray:
    """How many rows with the same key come before each row."""
    codes = _codes(keys)
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[starts, len(codes)])
    ranks = np.empty(len(codes), np.int64)
    ranks[order] = np.arange(len(codes)) - np.repeat(starts, lengths)
    return ranks


def _last_of(keys: pa.ChunkedArray) -> np.ndarray:
    """Whether a row is the last with its key."""
    codes = _codes(keys)
    last = np.zeros(len(codes), bool)
    last[len(codes) - 1 - np.unique(codes[::-1], return_index=True)[1]] = True
    return last
