"""One metric of one run against one axis: what a comparison draws, averages and searches."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from foam_viz.analysis.axes import BY_ID
from foam_viz.analysis.spending import TIMED
from foam_viz.trace import Trace, TraceView
from foam_viz.trace.final import rows_in_order
from foam_viz.trace.schema import is_numeric

NOT_METRICS = frozenset(
    {"step", "epoch", "tokens", "optimizer_seconds", "total_seconds", *(f"{phase}_seconds" for phase in TIMED)}
)
"""Columns of steps that say where a row is, not how the run does."""


@dataclass(frozen=True, eq=False)
class Series:
    """A metric along an axis, in order of step.

    Attributes:
        metric: Column of steps.
        axis: Id of the axis.
        step: (n,) float64, strictly ascending.
        x: (n,) float64, finite.
        y: (n,) float64; NaN and infinity are values the run really had, and gaps in its curve.
        unit: Unit of ``y``.
        whole: True when the metric is a count, a whole number by its type.
        diverged_step: Step at which the run diverged, None when it did not.
        notes: What a reader must know: rows replaced, rows without a place on the axis, what was interpolated.
        monotone: False when ``x`` falls somewhere.
    """

    metric: str
    axis: str
    step: np.ndarray
    x: np.ndarray
    y: np.ndarray
    unit: str = ""
    whole: bool = False
    diverged_step: int | None = None
    notes: tuple[str, ...] = ()
    monotone: bool = True

    def __len__(self) -> int:
        return len(self.step)

    @property
    def finite(self) -> np.ndarray:
        """Mask of the finite values, (n,)."""
        return np.isfinite(self.y)

    def with_values(self, y: np.ndarray) -> Series:
        """The same places with other values, such as smoothed ones."""
        return replace(self, y=y)


@dataclass(frozen=True)
class Missing:
    """Why there is no such series."""

    reason: str


def metrics(trace: Trace | TraceView) -> list[str]:
    """Columns of steps that can be compared and hold at least one value, in the order of the table."""
    names = [field.name for field in trace.steps.schema if is_numeric(field.type)]
    return [name for name in names if name not in NOT_METRICS and trace.has("steps", name)]


def recorded(trace: Trace | TraceView, column: str, table: str = "steps") -> np.ndarray:
    """Row numbers at which a column has a value, NaN and infinity included: null alone is no value."""
    return np.flatnonzero(trace.table(table)[column].is_valid().to_numpy())


def series(trace: Trace | TraceView, metric: str, axis: str = "step") -> Series | Missing:
    """A metric of a run against an axis.

    Rows without the metric (null) are left out. Of several rows with one step the last counts, as it does where a run
    was resumed. Rows that the axis has no value for are left out and counted in the notes.

    Args:
        trace: The run.
        metric: A numeric column of steps.
        axis: Id of one of :data:`foam_viz.analysis.axes.AXES`.

    Raises:
        KeyError: There is no such axis.
    """
    trace = trace.view()  # of one moment: a live run grows meanwhile
    if not trace.has("steps", metric):
        return Missing(f"the log has no {metric}")
    along = BY_ID[axis].values(trace)
    if along.values is None:
        return Missing(along.reason)
    at = np.asarray(trace.values("steps", "step"), dtype=np.float64)
    every, rows = recorded(trace, metric), rows_in_order(trace, metric)
    step = at[rows]
    notes = [along.note] if along.note else []
    if len(rows) < len(every):
        notes.append(f"{len(every) - len(rows):,} rows repeat a step; the last of each counts")
    falls = int((np.diff(at[every]) < 0).sum())
    if falls:
        notes.append(f"steps fall back {falls:,} times; rows were put in order of step")
    x = along.values[rows]
    known = np.isfinite(x)
    if not known.any():
        return Missing(f"no row has both {metric} and {BY_ID[axis].label}")
    if not known.all():
        rows, step, x = rows[known], step[known], x[known]
    y = np.asarray(trace.values("steps", metric), dtype=np.float64)[rows]
    return Series(
        metric=metric,
        axis=axis,
        step=step,
        x=x,
        y=y,
        unit=trace.unit(metric),
        whole=pa.types.is_integer(trace.steps.schema.field(metric).type),
        diverged_step=divergence_step(trace),
        notes=tuple(notes),
        monotone=along.monotone,
    )


def divergence_step(trace: Trace | TraceView) -> int | None:
    """Step at which the run diverged, None when it did not.

    The manifest's word counts first. Else it is the first step after which the training loss was never finite again;
    a run that only says that it diverged did so at its last step.
    """
    manifest = trace.manifest
    if manifest.diverged_step is not None:
        return manifest.diverged_step
    step = trace.values("steps", "step")
    if trace.has("steps", "loss"):
        if math.isfinite(trace.values("steps", "loss")[-1]) and step[-1] == step.max():
            return int(step.max()) if manifest.status == "diverged" else None
        rows = recorded(trace, "loss")
        rows = rows[np.argsort(step[rows], kind="stable")]
        good = np.flatnonzero(np.isfinite(trace.values("steps", "loss")[rows]))
        first_bad = int(good[-1]) + 1 if len(good) else 0
        if first_bad < len(rows):
            return int(step[rows[first_bad]])
    return int(step.max()) if manifest.status == "diverged" and len(step) else None
