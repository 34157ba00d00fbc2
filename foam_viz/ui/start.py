"""The start page: what this is in one screen."""

from __future__ import annotations

import streamlit as st

from foam_viz.engine.presets import PRESETS
from foam_viz.ui.server import hub

_LEAD = """
Shampoo preconditions a gradient with inverse roots of two factors. Decomposing them is expensive, so everybody
reuses old ones: they go stale, and nobody sees it. Here you can. Small models train live, side by side, under the
optimizers you choose, while you look inside their preconditioners.
"""
_SIGHTS = (
    ("Spectrum", "Eigenvalues of a factor on a log axis, and which directions the damping switches off."),
    ("Eigenbasis drift", "How far the stale basis has turned from the one a fresh decomposition would give."),
    ("Damping and checks", "The proxy h against its threshold, the damping it drives, every refresh and its reason."),
)


def start() -> None:
    """Draws the page, and wakes the training process while it is read."""
    hub()
    st.title("Watch a preconditioner go stale", anchor=False)
    st.markdown(_LEAD)
    st.page_link("pages/live_lab.py", label="Open the live lab", icon=":material/science:")
    for column, (title, text) in zip(st.columns(len(_SIGHTS), border=True), _SIGHTS, strict=True):
        column.markdown(f"**{title}**")
        column.caption(text)
    st.subheader("Begin with a question", anchor=False)
    columns = st.columns(len(PRESETS), border=True)
    for column, preset in zip(columns, PRESETS.values(), strict=True):
        column.page_link("pages/live_lab.py", label=f"**{preset.label}**", query_params=_pairs(preset.query))
        column.caption(preset.why)
    st.caption(
        "The method at its heart is FOAM (Nam and Ahn, ICML 2026, arXiv 2606.02365); Shampoo is by Gupta, Koren and "
        "Singer (2018)."
    )


def _pairs(query: dict) -> list[tuple[str, str]]:
    return [(key, value) for key, values in query.items() for value in values]
