"""Rows of a table as tests read them."""

from __future__ import annotations

import pyarrow as pa

from foam_viz.trace import Trace, TraceView


def factor_rows(trace: Trace | TraceView, table: str, factor: int | None) -> pa.Table:
    """The rows of one factor, in the order recorded; None for those of all factors together."""
    return trace.table(table).take(pa.array(trace.factor_numbers(table, factor), pa.int64())).combine_chunks()
