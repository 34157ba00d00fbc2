"""The one definition of a run's last value, for readings, tables, exports and the command line alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from foam_viz.trace.model import Trace, TraceView

FINAL_STEPS = 20
"""A last value is the mean over so many last steps."""


@dataclass(frozen=True)
class Final:
    """The mean of the values that a curve has in its last steps.

    Attributes:
        value: NaN without values; not finite where one of them is not.
        first, last: Steps of the first and the last value averaged; NaN without values.
        count: Values averaged.
        bad: Those of them that are not finite.
    """

    value: float = math.nan
    first: float = math.nan
    last: float = math.nan
    count: int = 0
    bad: int = 0

    @property
    def words(self) -> str:
        """What the value is and of which steps: "mean of steps 581 to 600"."""
        if not self.count:
            return "no value"
        if self.count == 1:
            return f"at step {self.last:,.0f}"
        which = f"steps {self.first:,.0f} to {self.last:,.0f}"
        every = self.count == self.last - self.first + 1
        mean = f"mean of {which}" if every else f"mean of {self.count} values, {which}"
        return f"{mean}; {self.bad} of them not finite" if self.bad else mean


def final(step: np.ndarray, values: np.ndarray) -> Final:
    """Average the values of the last :data:`FINAL_STEPS` steps.

    Counted in steps and not in values: a loss logged at every step is averaged over its noise, while of a loss measured
    now and then the last value counts alone, and not with those of the run's youth.

    Args:
        step: (n,) strictly ascending.
        values: (n,).
    """
    if not len(step):
        return Final()
    begin = int(np.searchsorted(step, step[-1] - FINAL_STEPS, side="right"))
    steps, chosen = step[begin:], np.asarray(values[begin:], dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = float(np.mean(chosen))
    return Final(mean, float(steps[0]), float(steps[-1]), len(chosen), int((~np.isfinite(chosen)).sum()))


def final_of(trace: Trace | TraceView, column: str) -> Final:
    """The last value of a column of steps.

    Args:
        trace: The run.
        column: A numeric column of its steps.
    """
    if not trace.has("steps", column):
        return Final()
    rows = rows_in_order(trace, column)
    return final(trace.values("steps", "step")[rows], trace.values("steps", column)[rows])


def rows_in_order(trace: Trace | TraceView, column: str) -> np.ndarray:
    """Rows of steps at which a column has a value, in order of step; of rows with one step the last written.

    NaN and infinity are values; null alone is none.
    """
    values = trace.steps[column]
    step = trace.values("steps", "step")
    if values.null_count:
        rows = np.flatnonzero(values.is_valid().to_numpy())
        step = step[rows]
    else:
        rows = np.arange(len(step))
    if len(step) < 2 or bool(np.all(step[1:] > step[:-1])):
        return rows
    order = np.argsort(step, kind="stable")
    return rows[order[np.append(step[order][1:] != step[order][:-1], True)]]
