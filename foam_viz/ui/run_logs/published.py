"""The numbers that papers report, as a table with their sources: never as lines on somebody's curve."""

from __future__ import annotations

import streamlit as st

from foam_viz.analysis.published import PUBLISHED, QUALITY_WORDS


def published() -> None:
    """The table, folded away until somebody asks."""
    with st.expander("Published numbers, with their sources", icon=":material/menu_book:", key="published"):
        st.caption("Other tasks and other machines: to read beside your curves, not on them.")
        st.table(
            [
                {
                    "Method": entry.method,
                    "Task": entry.task,
                    "Reported": entry.result,
                    "Source": entry.source,
                    "Quality": f"{entry.quality}: {QUALITY_WORDS[entry.quality]}",
                    "Remark": entry.remark,
                }
                for entry in PUBLISHED
            ],
            border="horizontal",
            hide_index=True,
        )
