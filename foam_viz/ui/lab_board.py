"""The panels of the live lab: a fragment that ticks only while something runs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import streamlit as st

from foam_viz.engine.config import Experiment
from foam_viz.engine.lab_run import LabRun
from foam_viz.figures import columns
from foam_viz.figures.catalogue import PANELS, panels_for
from foam_viz.figures.panel import Lane, View, without_place
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.tasks import catalogue as tasks
from foam_viz.trace import FactorInfo, Manifest, Trace, TraceView
from foam_viz.trace.counts import refreshes
from foam_viz.trace.final import FINAL_STEPS, final_of
from foam_viz.trace.numbers import number
from foam_viz.ui.board import LaneChip, Panel, board
from foam_viz.ui.isolation import drawing
from foam_viz.ui.lab_controls import follow, followed
from foam_viz.ui.lab_state import LabState
from foam_viz.ui.server import hub, session_id

TICK_SECONDS, WATCH_SECONDS = 0.25, 1.0
# Points of a drawn curve, by the number of lanes: what a browser without a GPU can move four times a second.
_POINTS = {1: 400, 2: 260, 3: 200, 4: 160}
_HELP = {
    "Loss": f"Training loss, mean over the last {FINAL_STEPS} steps.",
    "Held out": "Loss on examples never trained on, measured every 100 steps; the step is that of the measurement.",
    "Decompositions": "Eigendecompositions so far, over all factors.",
    "Per factor, 100 steps": "Decompositions per factor and 100 steps: 10 where each is decomposed every 10 steps.",
    "Optimizer": "CPU seconds of the optimizer alone (device seconds on a GPU); recording is not in them.",
}


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


def outline(state: LabState, run: LabRun | None) -> Outline:
    """The outline now. The page must take it before it draws anything: an engine may answer in the middle of it."""
    chosen = (state.lane, state.factor, state.may_control(run))
    if run is None:
        return Outline(*chosen)
    return Outline(
        *chosen,
        _phase(run),
        run.pending,
        run.notice,
        run.header.get("autosave_problem", ""),
        run.header.get("autosave_notice", ""),
    )


def panels(state: LabState, run: LabRun | None, shown: Outline, loss_axis: str, loss_log: bool) -> None:
    """Draws the panels, again and again while the run trains.

    Args:
        state: What the reader chose.
        run: The run on the page.
        shown: The outline from before the controls were drawn: where it is no longer so, the page is drawn again.
        loss_axis: What the loss is drawn against.
        loss_log: Whether on a logarithmic axis.
    """
    active = shown.pending or shown.phase in ("starting", "training")
    # Whoever only watches cannot know when the run is started elsewhere, and looks now and then.
    pace = TICK_SECONDS if active else None if shown.mine else WATCH_SECONDS
    st.session_state["board-everything"] = True

    @st.fragment(run_every=pace, key="panels")
    def live() -> None:
        everything = st.session_state.pop("board-everything", False)
        points = _POINTS[len(state.experiment.lanes) if run is None else len(run.experiment.lanes)]
        draw(state, run, View(followed(state, run), state.lane, loss_axis, loss_log, points), everything)
        if outline(state, run) != shown:
            st.rerun()  # the run, or a click on a panel, changed what the controls around the panels show

    live()


def _phase(run: LabRun) -> str:
    """What the run does, in a word."""
    if run.starting:
        return "starting"
    return "training" if run.running else "ended" if run.ended else "paused"


def draw(state: LabState, run: LabRun | None, view: View, everything: bool) -> None:
    """One update of the board."""
    experiment = state.experiment if run is None else run.experiment
    lanes: list[Lane] = []
    if run is None:
        chips = [LaneChip(place, label, _cells(None), "waiting") for place, label in enumerate(experiment.labels())]
        status = [("Step", "0", "No run yet: press Start.")]
        session = None
    else:
        labels = experiment.labels()
        with run.lock:  # only while the lanes and the state are taken: the run goes on while they are drawn
            lanes = [Lane(trace, labels[place], place) for place, trace in enumerate(run.traces)]
            states, status = run.header.get("lanes", ()), _status(run)
        now = max((columns.last_step(lane) for lane in lanes), default=0)
        chips = [
            LaneChip(
                lane.position,
                lane.label,
                _cells(lane.trace, now),
                states[lane.position]["status"] if lane.position < len(states) else "waiting",
            )
            for lane in lanes
        ]
        session = {"view_id": run.view_id, "control_key": state.control_key}

    shown = lanes or awaited(experiment)
    specs = panels_for(shown)

    def on_hidden(hidden: bool) -> None:
        if run is not None:
            hub().show(run.view_id, session=session_id(), hidden=hidden)

    def on_control(view_id: str, control_key: str) -> None:
        state.take_control(view_id, control_key)

    board(
        key="board",
        panels=[Panel(spec, drawing(spec, lanes, view)) for spec in specs],
        lanes=chips,
        status=status,
        session=session,
        everything=everything,
        on_follow=lambda factor, lane: follow(state, factor, lane),
        on_control=on_control,
        on_hidden=on_hidden,
        focus=view.lane if lanes else None,
    )
    if words := without_place(PANELS, shown):
        st.caption(words)


def awaited(experiment: Experiment) -> tuple[Lane, ...]:
    """Lanes that stand for those of an experiment until its run answers: what they will have has its place already."""
    picture = tasks.find(experiment.task).picture or ""
    factor = FactorInfo(id="", parameter="", block=0, dim=0, order=1, size=1)
    return tuple(
        Lane(
            Trace.empty(
                Manifest(
                    run_id="awaited", name=lane.label(), format="foam_viz", status="paused", picture=picture,
                    factors=(factor,) if OPTIMIZERS[lane.optimizer].has_factors else (),
                )
            ),
            lane.label(),
            place,
        )
        for place, lane in enumerate(experiment.lanes)
    )  # fmt: skip


def _status(run: LabRun) -> list[tuple[str, str, str]]:
    shared = any(trace.manifest.shared_machine for trace in run.traces)
    rate = f"{run.steps_per_second:,.0f}" if run.running else "–"
    return [
        ("Step", f"{run.step:,}", "Steps that every lane has made."),
        ("Steps/s", rate, "Lockstep steps a second over the last two seconds, recording included."),
        ("State", _phase(run), "What the run does now."),
        (
            "Device",
            str(run.header.get("device", "…")).upper() + (" · shared machine" if shared else ""),
            "Where it trains. Shared: other runs trained at the same time, so seconds do not compare.",
        ),
    ]


def _cells(trace: TraceView | None, now: int = 0) -> list[tuple[str, str, str]]:
    """The chip of a lane. What belongs to an earlier step than ``now``, the newest of all lanes, says to which."""
    values = {label: ("–", words) for label, words in _HELP.items()}
    if trace is not None and trace.rows("steps"):
        step = trace.values("steps", "step")
        last = int(step[-1])

        def tell(label: str, text: str, at: int = last, more: str = "") -> None:
            place = f" · step\u00a0{at:,}" if at < now else ""
            values[label] = f"{text}{place}", f"{_HELP[label]} {more or f'Up to step {at:,}'}."

        loss = final_of(trace, "loss")
        tell("Loss", number(loss.value), int(loss.last) if loss.count else last, loss.words.capitalize())
        held_out = trace.values("steps", "held_out_loss")
        rows = np.flatnonzero(~np.isnan(held_out))
        if len(rows):
            at = int(step[rows[-1]])
            tell("Held out", number(float(held_out[rows[-1]])), at, f"Step {at:,}")
        tell("Optimizer", number(float(trace.values("steps", "optimizer_seconds")[-1]), "s"))
        if trace.manifest.factors and (counted := refreshes(trace)):
            tell("Decompositions", number(counted.decompositions))
            tell(
                "Per factor, 100 steps",
                number(counted.per_factor),
                more=f"Up to step {counted.last:,}: {counted.words}",
            )
    return [(label, text, words) for label, (text, words) in values.items()]
