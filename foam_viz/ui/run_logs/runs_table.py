"""A table of which each row is a whole run: shown as the table that it is."""

from __future__ import annotations

import streamlit as st

from foam_viz.logs.formats.run_tables import table_of
from foam_viz.ui.session.logs import Run
from foam_viz.ui.text import plain

_MOST_ROWS, _LONG_TABLE = 14, 520


def holds_runs(run: Run) -> bool:
    """Say whether an entry is a table of runs, which has no steps to draw."""
    return table_of(run.trace.manifest) is not None


def runs_table(run: Run) -> None:
    """The table; a click on a column's head sorts it."""
    rows = table_of(run.trace.manifest) or []
    names = list(rows[0]) if rows else []
    st.markdown(
        f"**Table of runs** :gray[{len(rows):,} runs, one row each: settings and end values. The file holds no curves. "
        "Click a column's head to sort.]"
    )
    st.dataframe(
        [{name: row.get(name) for name in names} for row in rows],
        hide_index=True,
        height="auto" if len(rows) <= _MOST_ROWS else _LONG_TABLE,
        placeholder="–",
        alt=f"Runs in {plain(run.label, 60)}, one row each",
    )
