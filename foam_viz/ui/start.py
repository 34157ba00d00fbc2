"""The start page: what this is in one screen, with a recorded run playing, and the doors."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st

from foam_viz.engine.presets import PRESETS
from foam_viz.figures.catalogue import BY_ID
from foam_viz.figures.look import Look
from foam_viz.figures.scene import Lane, Scene
from foam_viz.figures.theme import number
from foam_viz.files import SAMPLE_RUNS
from foam_viz.trace import bundle
from foam_viz.trace.final import final_of
from foam_viz.trace.model import Trace
from foam_viz.ui.board import LaneChip, Panel, board
from foam_viz.ui.server import hub

_RECORDED = (("digits-autoencoder-foam.zip", "FOAM"), ("digits-autoencoder-shampoo-f200.zip", "Shampoo f = 200"))
_PANELS = ("loss", "factor-map", "damping", "spectrum", "overlap")
_FACTOR = 0
_TICK_SECONDS, _STEPS_A_TICK, _LAST_STEP = 0.5, 20, 600

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


@lru_cache(maxsize=1)
def _recorded() -> tuple[Trace, ...]:
    """The sample runs, read once a server."""
    return tuple(bundle.read(SAMPLE_RUNS / name) for name, _ in _RECORDED)


@lru_cache(maxsize=_LAST_STEP // _STEPS_A_TICK + 1)
def _recorded_until(step: int) -> tuple[tuple[Lane, ...], tuple[Panel, ...]]:
    """The lanes and panels at a step: the same for every visitor, so drawn once a server."""
    runs = zip(_recorded(), _RECORDED, strict=True)
    lanes = [Lane(trace, label, place) for place, (trace, (_, label)) in enumerate(runs)]
    scene = Scene(lanes, Look(factor=_FACTOR, at=step))
    return scene.lanes, tuple(Panel(BY_ID[name], BY_ID[name].draw(scene)) for name in _PANELS)


def _recording() -> None:
    """Plays the recorded runs once; nothing is trained for it."""
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    left.markdown(
        "**Recorded earlier, playing now:** an autoencoder of handwritten digits under FOAM, and under Shampoo with a "
        "basis renewed only every 200 steps."
    )

    def again() -> None:
        st.session_state["recording-step"] = 0

    right.button("Play again", icon=":material/replay:", on_click=again, key="play-again", width="stretch")
    playing = st.session_state.setdefault("recording-step", 0) < _LAST_STEP
    st.session_state["recording-everything"] = True

    @st.fragment(run_every=_TICK_SECONDS if playing else None, key="recording")
    def play() -> None:
        step = min(st.session_state["recording-step"] + _STEPS_A_TICK, _LAST_STEP)
        st.session_state["recording-step"] = step
        lanes, panels = _recorded_until(step)
        board(
            key="recording-board",
            panels=panels,
            lanes=[_chip(lane) for lane in lanes],
            status=[("Step", f"{step:,}", "Recorded on one CPU core."), ("", "recorded run", "Nothing trains here.")],
            everything=st.session_state.pop("recording-everything", False),
            focus=0,
        )
        if playing and step >= _LAST_STEP:
            st.rerun()

    play()


def _chip(lane: Lane) -> LaneChip:
    loss = final_of(lane.trace, "loss")
    cells = [
        ("Loss", number(loss.value), f"Training loss, {loss.words}."),
        ("Decompositions", f"{int(lane.trace.values('steps', 'decompositions')[-1]):,}", "Of all factors, so far."),
    ]
    return LaneChip(lane.position, lane.label, cells, "finished")
