"""The panels of the live lab: a fragment that ticks only while something runs."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from foam_viz.engine.lab_run import LabRun
from foam_viz.figures.catalogue import PANELS, panels_for
from foam_viz.figures.look import Look
from foam_viz.figures.panel import without_place
from foam_viz.figures.scene import Lane, Scene
from foam_viz.ui import lab_head
from foam_viz.ui.board import Panel, board
from foam_viz.ui.isolation import drawing
from foam_viz.ui.lab_controls import follow, followed
from foam_viz.ui.server import hub, session_id
from foam_viz.ui.session.lab import Lab

TICK_SECONDS, WATCH_SECONDS = 0.25, 1.0
# Points of a drawn curve, by the number of lanes: what a browser without a GPU can move four times a second.
_POINTS = {1: 400, 2: 260, 3: 200, 4: 160}


class Outline(NamedTuple):
    """What the page around the panels shows of a run, besides what the panels are redrawn with.

    Attributes:
        lane, factor: What is followed.
        mine: Whether this session steers.
        phase: What the run does; empty without a run.
        pending: Whether a command waits for the engine.
        notice, problem, saving: What the page must say: of the run, while nothing is saved, and else of saving.
    """

    lane: int
    factor: int | None
    mine: bool
    phase: str = ""
    pending: bool = False
    notice: str = ""
    problem: str = ""
    saving: str = ""


def outline(state: Lab, run: LabRun | None) -> Outline:
    """The outline now. The page must take it before it draws anything: an engine may answer in the middle of it."""
    chosen = (state.lane, state.factor, state.may_control(run))
    if run is None:
        return Outline(*chosen)
    return Outline(
        *chosen,
        lab_head.phase(run),
        run.pending,
        f"{run.notice} {run.place}" if run.queued else run.notice,
        run.header.get("autosave_problem", ""),
        run.header.get("autosave_notice", ""),
    )


def panels(state: Lab, run: LabRun | None, shown: Outline, loss_axis: str, loss_log: bool) -> None:
    """Draws the panels, again and again while the run trains.

    Args:
        state: What the reader chose.
        run: The run on the page.
        shown: The outline from before the controls were drawn: where it is no longer so, the page is drawn again.
        loss_axis: What the loss is drawn against.
        loss_log: Whether on a logarithmic axis.
    """
    active = shown.pending or shown.phase in ("waiting", "starting", "training")
    # Whoever only watches cannot know when the run is started elsewhere, and looks now and then.
    pace = TICK_SECONDS if active else None if shown.mine else WATCH_SECONDS
    st.session_state["board-everything"] = True

    @st.fragment(run_every=pace, key="panels")
    def live() -> None:
        everything = st.session_state.pop("board-everything", False)
        points = _POINTS[len(state.experiment.lanes) if run is None else len(run.experiment.lanes)]
        draw(state, run, Look(followed(state, run), state.lane, loss_axis, loss_log, points), everything)
        if outline(state, run) != shown:
            st.rerun()  # the run, or a click on a panel, changed what the controls around the panels show

    live()


def draw(state: Lab, run: LabRun | None, look: Look, everything: bool) -> None:
    """One update of the board."""
    experiment = state.experiment if run is None else run.experiment
    lanes: list[Lane] = []
    if run is None:
        chips, status = lab_head.waiting(experiment)
        session = None
    else:
        labels = experiment.labels()
        with run.lock:  # only while the lanes and the state are taken: the run goes on while they are drawn
            lanes = [Lane(trace, labels[place], place) for place, trace in enumerate(run.traces)]
            states, status = run.header.get("lanes", ()), lab_head.status(run)
        chips = lab_head.chips(lanes, states)
        session = {"view_id": run.view_id, "control_key": state.control_key}

    shown = lanes or lab_head.awaited(experiment)
    specs = panels_for(shown)

    def on_hidden(hidden: bool) -> None:
        if run is not None:
            hub().show(run.view_id, session=session_id(), hidden=hidden)

    def on_control(view_id: str, control_key: str) -> None:
        state.take_control(view_id, control_key)

    board(
        key="board",
        panels=[Panel(spec, drawing(spec, Scene(lanes, look))) for spec in specs],
        lanes=chips,
        status=status,
        session=session,
        everything=everything,
        on_follow=lambda factor, lane: follow(state, factor, lane),
        on_control=on_control,
        on_hidden=on_hidden,
        focus=look.lane if lanes else None,
    )
    if words := without_place(PANELS, shown):
        st.caption(words)
