"""What curves can be drawn against: every horizontal axis of a comparison, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from foam_viz.analysis.configuration import planned_steps
from foam_viz.analysis.totals import cumulative
from foam_viz.trace import Trace, TraceView


@dataclass(frozen=True, eq=False)
class AxisValues:
    """The axis of one run.

    Attributes:
        values: (rows of steps,) float64, NaN where unknown; None when the run has no such axis.
        reason: Why there is none; empty when there is one.
        note: What a reader must know of the values; empty for nothing.
        interpolated: Rows whose value lies on a straight line between two recorded ones.
        monotone: False when the recorded values fall somewhere, as a clock that starts again after a resume does.
    """

    values: np.ndarray | None
    reason: str = ""
    note: str = ""
    interpolated: int = 0
    monotone: bool = True


@dataclass(frozen=True)
class Axis:
    """One horizontal axis.

    Attributes:
        id: Stable name, used in URLs.
        label: What it is, as an axis title without the unit.
        unit: Unit of the values, empty for pure numbers.
        help: One line for the reader.
        measure: What comparing along it needs: ``time`` needs like machines, ``step`` like batches and tasks.
        whole: True when the values are whole numbers.
        values: Computes it for a run.
    """

    id: str
    label: str
    unit: str
    help: str
    measure: Literal["step", "time"]
    whole: bool
    values: Callable[[Trace | TraceView], AxisValues]

    @property
    def title(self) -> str:
        """Label with the unit in brackets."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


def _steps(trace: Trace | TraceView) -> np.ndarray:
    return np.asarray(trace.values("steps", "step"), dtype=np.float64)


def _step(trace: Trace | TraceView) -> AxisValues:
    return AxisValues(_steps(trace)) if trace.rows("steps") else AxisValues(None, "no step was logged")


def _relative(trace: Trace | TraceView) -> AxisValues:
    step = _steps(trace)
    planned = planned_steps(trace)
    last = float(step.max()) if len(step) else 0.0
    end = float(planned) if planned and planned >= last else last
    if not end > 0:
        return AxisValues(None, "no step after 0 was logged")
    if planned and planned >= last:
        note = f"1 is the planned {planned:,} steps"
    elif planned:
        note = f"1 is the last step logged, {last:,.0f}: the run went on beyond the planned {planned:,}"
    else:
        note = f"1 is the last step logged, {last:,.0f}: the log does not tell how many were planned"
    return AxisValues(step / end, note=note)


def _recorded(column: str, what: str) -> Callable[[Trace | TraceView], AxisValues]:
    def values(trace: Trace | TraceView) -> AxisValues:
        if not trace.has("steps", column):
            return AxisValues(None, f"the log has no {what} (column {column})")
        return _filled(_steps(trace), np.asarray(trace.values("steps", column), dtype=np.float64), what)

    return values


def _filled(step: np.ndarray, recorded: np.ndarray, what: str) -> AxisValues:
    """Rows without a value take it from the straight line between their neighbours by step, never from beyond them."""
    known = np.flatnonzero(np.isfinite(recorded))
    if not len(known):
        return AxisValues(None, f"the log has no finite {what}")
    order = known[np.argsort(step[known], kind="stable")]
    monotone = bool(np.all(np.diff(recorded[order]) >= 0))
    filled = recorded.copy()
    filled[~np.isfinite(recorded)] = np.nan
    missing = np.flatnonzero(np.isnan(filled))
    inside = missing[(step[missing] >= step[order[0]]) & (step[missing] <= step[order[-1]])]
    if monotone:
        filled[inside] = np.interp(step[inside], step[order], recorded[order])
    notes = []
    if monotone and len(inside):
        notes.append(f"{what} of {len(inside):,} rows lies on straight lines between the rows that have it")
    outside = int(np.isnan(filled).sum())
    if outside:
        notes.append(f"{outside:,} rows have no {what} and are left out")
    if not monotone:
        notes.append(f"{what} falls somewhere: the count started again, so values before and after do not compare")
    return AxisValues(filled, "", "; ".join(notes), len(inside) if monotone else 0, monotone)


def _decompositions(trace: Trace | TraceView) -> AxisValues:
    what = "decompositions"
    if trace.has("steps", what):
        return _filled(_steps(trace), np.asarray(trace.values("steps", what), dtype=np.float64), what)
    known = cumulative(trace, what)
    if known is None:
        return AxisValues(None, "the log counts no decompositions")
    step = _steps(trace)
    if known.single:
        values = np.concatenate([[0.0], known.count])[np.searchsorted(known.step, step, side="right")]
        return AxisValues(values)
    inside = (step >= known.step[0]) & (step <= known.step[-1])
    values = np.where(inside, np.interp(step, known.step, known.count), np.nan)
    between = int((inside & ~np.isin(step, known.step)).sum())
    notes = ["decompositions are counted by interval of steps, and lie on straight lines within one"] if between else []
    if not inside.all():
        notes.append(f"{int((~inside).sum()):,} rows lie outside the intervals counted and are left out")
    return AxisValues(values, note="; ".join(notes), interpolated=between)


AXES: tuple[Axis, ...] = (
    Axis("step", "step", "", "Optimizer steps, as the log counts them.", "step", True, _step),
    Axis(
        "relative",
        "share of the run's steps",
        "",
        "Steps as a share of each run's own planned steps, or of its last step where the plan is unknown.",
        "step",
        False,
        _relative,
    ),
    Axis(
        "total_time",
        "total time",
        "s",
        "Wall clock since the start, evaluation and logging included.",
        "time",
        False,
        _recorded("total_seconds", "total time"),
    ),
    Axis(
        "fair_time",
        "training time",
        "s",
        "Seconds charged to training alone, without evaluation: the clock to compare optimizers by.",
        "time",
        False,
        _recorded("optimizer_seconds", "training time"),
    ),
    Axis("epochs", "epochs", "", "Passes over the training data.", "step", False, _recorded("epoch", "epoch")),
    Axis("tokens", "tokens", "", "Training tokens consumed.", "step", True, _recorded("tokens", "token count")),
    Axis(
        "decompositions",
        "decompositions spent",
        "",
        "Eigendecompositions of all factors together, so far.",
        "step",
        True,
        _decompositions,
    ),
)
"""In the order of a menu."""

BY_ID: dict[str, Axis] = {axis.id: axis for axis in AXES}


def at_steps(trace: Trace | TraceView, axis: str, steps: np.ndarray) -> np.ndarray | None:
    """Places on an axis of steps that need not be rows of the table of steps, such as those of checks.

    Args:
        trace: The run.
        axis: Id of the axis.
        steps: (n,) steps.

    Returns:
        (n,) float64 on straight lines between rows, NaN outside them; None where the run has no such axis.
    """
    wanted = np.asarray(steps, dtype=np.float64)
    if axis == "step":
        return wanted
    along = BY_ID[axis].values(trace)
    if along.values is None:
        return None
    if axis == "relative":  # a share of the steps is one before the first row too
        last = int(np.argmax(_steps(trace)))
        return wanted / _steps(trace)[last] * along.values[last]
    rows = np.flatnonzero(np.isfinite(along.values))
    logged = _steps(trace)[rows]
    order = np.argsort(logged, kind="stable")
    return np.interp(wanted, logged[order], along.values[rows][order], left=np.nan, right=np.nan)
