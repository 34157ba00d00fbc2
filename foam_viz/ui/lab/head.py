"""What stands over the panels of a lab run: its status, and a row for each lane. Pure functions of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from foam_viz.engine.server.lab_run import LabRun
from foam_viz.experiment.config import Experiment
from foam_viz.figures.scene import Lane
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.tasks import catalogue as tasks
from foam_viz.trace import FactorInfo, Manifest, Trace, TraceView
from foam_viz.trace.counts import refreshes
from foam_viz.trace.final import FINAL_STEPS, final_of
from foam_viz.trace.numbers import number
from foam_viz.ui.board.board import LaneChip

_HELP = {
    "Loss": f"Training loss, mean over the last {FINAL_STEPS} steps.",
    "Held out": "Loss on examples never trained on, measured every 100 steps; the step is that of the measurement.",
    "Decompositions": "Eigendecompositions so far, over all factors.",
    "Per factor, 100 steps": "Decompositions per factor and 100 steps: 10 where each is decomposed every 10 steps.",
    "Optimizer": "CPU seconds of the optimizer alone (device seconds on a GPU); recording is not in them.",
}


def phase(run: LabRun) -> str:
    """What the run does, in a word."""
    if run.queued:
        return "waiting"
    if run.starting:
        return "starting"
    if run.header.get("catching_up"):
        return "catching up"
    return "training" if run.running else "ended" if run.ended else "paused"


def outline(run: LabRun | None) -> str:
    """Stands for all that the page around the panels shows of a run: it changes when that does.

    What every page shows stands before a dot, and after it what only a page that steers does. Called under the run's
    lock, or where a moment's difference does no harm.
    """
    if run is None:
        return ""
    told = [
        [run.notice, run.advice],
        [run.ahead, run.successor],
        run.header.get("autosave_problem", ""),
        run.header.get("autosave_notice", ""),
        run.experiment.to_json(),
        [run.step > 0, run.header.get("inside"), bool(run.header.get("catching_up"))],
        [len(trace.manifest.factors) for trace in run.traces],
    ]
    return f"{blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()}.{phase(run)}"


def status(run: LabRun) -> list[tuple[str, str, str]]:
    """The line above the table, ``(label, text, help)`` each."""
    shared = any(trace.manifest.shared_machine for trace in run.traces)
    catching = run.header.get("catching_up")
    state = f"lane {catching['lane']} at step {catching['step']:,} of {catching['until']:,}" if catching else phase(run)
    rate = f"{run.steps_per_second:,.0f}" if run.running else "–"
    return [
        ("Step", f"{run.step:,}", "Steps that every lane has made."),
        ("Steps/s", rate, "Lockstep steps a second over the last two seconds, recording included."),
        ("State", state, "What the run does now. A fork of an earlier step catches up while the others wait."),
        (
            "Device",
            str(run.header.get("device", "…")).upper() + (", shared" if shared else ""),
            "Where it trains. Shared: other runs trained at the same time, so seconds do not compare.",
        ),
    ]


def chips(lanes: Sequence[Lane], states: Sequence[Mapping[str, Any]]) -> list[LaneChip]:
    """A row for each lane.

    Args:
        lanes: Of one moment.
        states: What the engine says of each, with its ``status``; may lack the last ones.
    """
    now = max((lane.trace.last_step for lane in lanes), default=0)
    return [
        LaneChip(
            lane.position,
            lane.label,
            cells(lane.trace, now),
            states[lane.position]["status"] if lane.position < len(states) else "waiting",
        )
        for lane in lanes
    ]


def waiting(experiment: Experiment) -> tuple[list[LaneChip], list[tuple[str, str, str]]]:
    """The rows and the status of an experiment without a run."""
    rows = [LaneChip(place, label, cells(None), "waiting") for place, label in enumerate(experiment.labels())]
    return rows, [("Step", "0", "No run yet: press Start.")]


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


def cells(trace: TraceView | None, now: int = 0) -> list[tuple[str, str, str]]:
    """The cells of a lane. What belongs to an earlier step than ``now``, the newest of all lanes, says to which."""
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
