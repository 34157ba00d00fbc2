"""No loss was found in a log: say so, and let the reader choose which of its columns it is."""

from __future__ import annotations

import streamlit as st

from foam_viz.analysis.series import metrics
from foam_viz.logs.core.reader import ColumnRule
from foam_viz.trace import Trace
from foam_viz.ui.session.logs import Logs, Run
from foam_viz.ui.text import plain


def candidates(trace: Trace) -> dict[str, str]:
    """The columns of the log that could be its loss, by name, with the column that each became.

    Empty where a loss was found, or where the log has no columns to choose from.
    """
    if trace.has("steps", "loss") or trace.has("steps", "held_out_loss"):
        return {}
    there = set(metrics(trace))
    columns = {str(each.get("source", "")): str(each.get("target") or "") for each in trace.manifest.source_columns}
    return {source: target for source, target in columns.items() if source and target in there}


def loss_choice(state: Logs, run: Run, key: str) -> None:
    """Offer the choice where it is needed.

    Args:
        state: What is open.
        run: The run whose loss may be missing.
        key: Of the widget.
    """
    found = candidates(run.trace) if run.source is not None else {}
    if not found:
        return

    def chosen() -> None:
        source = st.session_state[key]
        if source in found:
            rules = state.open.corrections.of(run.trace)
            state.open.correct(run.trace, {**rules, source: ColumnRule(target="loss")})

    with st.container(horizontal=True, vertical_alignment="center", key=f"{key}-row"):
        st.markdown(":orange[●] **No loss found: choose it.**", width="content")
        st.selectbox(
            "Column that is the loss",
            list(found),
            index=None,
            key=key,
            on_change=chosen,
            format_func=lambda source: plain(source, 80),
            placeholder="a column of the log",
            label_visibility="collapsed",
            width=260,
            help="It holds for every log with these columns that you open in this browser. Columns can be corrected "
            "further under Runs.",
        )
