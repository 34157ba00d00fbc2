"""The start page: what this is in one screen, with recorded runs playing, and the doors."""

from __future__ import annotations

import streamlit as st

from foam_viz.engine.presets import PRESETS
from foam_viz.figures.catalogue import BY_ID
from foam_viz.figures.scene import Lane
from foam_viz.files import SAMPLE_RUNS
from foam_viz.trace import bundle
from foam_viz.ui.board import board
from foam_viz.ui.feed.recorded import RecordedSource
from foam_viz.ui.server import feed, hub

_RECORDED = (("digits-autoencoder-foam.zip", "FOAM"), ("digits-autoencoder-shampoo-f200.zip", "Shampoo f = 200"))
_PANELS = ("loss", "factor-map", "damping", "spectrum", "overlap")

_LEAD = """
Shampoo preconditions a gradient with inverse roots of two factors. Decomposing them is expensive, so everybody
reuses old ones: they go stale, and nobody sees it. **Here you can.** Small models train live and side by side under
the optimizers you choose, while you look inside their preconditioners.
"""


def start() -> None:
    """Draws the page, and wakes the training process while it is read."""
    hub()
    st.title("Watch a preconditioner go stale", anchor=False)
    st.markdown(_LEAD)
    with st.container(key="doors", horizontal=True):
        st.page_link("pages/live_lab.py", label="**Open the live lab**", icon=":material/science:")
        st.page_link(
            "pages/lessons.py",
            label="**Take a lesson**",
            icon=":material/school:",
            help="Twelve short experiments on staleness: predict, watch, and see why.",
        )
        st.page_link(
            "pages/threshold_lab.py",
            label="**Tune thresholds**",
            icon=":material/tune:",
            help="Try other thresholds on a recorded run: which refreshes there would have been, and the error left.",
        )
        st.page_link(
            "pages/run_logs.py",
            label="**Inspect run logs**",
            icon=":material/folder_open:",
            help="Drop files of any trainer, see what is inside, compare many.",
        )
    columns = st.columns(len(PRESETS), border=True)
    for column, preset in zip(columns, PRESETS.values(), strict=True):
        column.page_link("pages/live_lab.py", label=f"**{preset.label}**", query_params=_pairs(preset.query))
        column.caption(preset.why)
    _recording()
    st.caption(
        "The method at its heart is FOAM (Nam and Ahn, ICML 2026, arXiv 2606.02365); Shampoo is by Gupta, Koren and "
        "Singer (2018)."
    )


def _pairs(query: dict) -> list[tuple[str, str]]:
    return [(key, value) for key, values in query.items() for value in values]


def _recording() -> None:
    """Plays recorded runs; nothing is trained for it."""
    st.markdown(
        "**Recorded earlier:** an autoencoder of handwritten digits under FOAM, and under Shampoo with a basis renewed "
        "only every 200 steps. Stop it, drag the time, or click a factor."
    )
    board(key="recording-board", source=feed.sources.share("start", _source), look={"factor": 0}, plays=True)


def _source(identity: str) -> RecordedSource:
    """The sample runs, read once a server."""
    lanes = [Lane(bundle.read(SAMPLE_RUNS / name), label, place) for place, (name, label) in enumerate(_RECORDED)]
    return RecordedSource(identity, lanes, panels=[BY_ID[name] for name in _PANELS])
