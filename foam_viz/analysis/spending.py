"""Where the optimizer's time went: what every step costs, what checks add, what decompositions add."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foam_viz.analysis.grown import grown
from foam_viz.trace import TraceView
from foam_viz.trace.final import rows_in_order

_LONGEST = 10_000_000
"""Checks of later steps than this are not counted by step."""
_FEWEST = 5
"""Steps of a kind whose median tells what such a step costs."""


@dataclass(frozen=True)
class Spending:
    """Optimizer seconds of a run, by what they were spent on.

    The seconds of a step are known as a whole. What every step costs is the median of the steps without a check; what a
    check adds is the median of those that only checked, less that; the rest of all seconds are decompositions and the
    roots made of them.

    Attributes:
        first, last: Steps that the seconds are of.
        every_step: Statistics and update of all steps, s; of a run that cannot be told apart, everything.
        checks: What checking added, s; NaN where it cannot be told.
        decompositions: What decomposing added, s; NaN where it cannot be told.
        count: Decompositions in these steps, of single factors.
        checked: Checks in these steps, of single factors.
    """

    first: int
    last: int
    every_step: float
    checks: float
    decompositions: float
    count: int
    checked: int

    @property
    def total(self) -> float:
        """All seconds of the optimizer."""
        return float(np.nansum([self.every_step, self.checks, self.decompositions]))

    @property
    def split(self) -> bool:
        """Whether the parts can be told apart."""
        return bool(np.isfinite(self.decompositions))

    @property
    def all_decomposed(self) -> float | None:
        """Seconds had every check decomposed, at the cost of those that did; None where that cannot be told."""
        if not self.split or not self.count or self.checked <= self.count:
            return None
        return self.total + self.decompositions * (self.checked - self.count) / self.count


def spending(trace: TraceView) -> Spending | None:
    """How the seconds of a run were spent; None where it tells no seconds."""
    if not trace.has("steps", "optimizer_seconds"):
        return None
    rows = rows_in_order(trace, "optimizer_seconds")
    step = trace.values("steps", "step")[rows]
    seconds = trace.values("steps", "optimizer_seconds")[rows].astype(np.float64)
    if len(step) and step[0] == 1:  # what the first step took is known: nothing was before it
        step, seconds = np.append(0, step), np.append(0.0, seconds)
    if len(step) < 2 or not np.isfinite(seconds).all():
        return None
    took, each = np.diff(seconds), np.diff(step)
    first, last, total = int(step[0]) + 1, int(step[-1]), float(seconds[-1] - seconds[0])
    if last > _LONGEST:
        return Spending(first, last, total, np.nan, np.nan, 0, 0)
    checks, done, single = _checks(trace)
    checks, done = (_between(counts, first, last) for counts in (checks, done))
    told = Spending(first, last, total, np.nan, np.nan, int(done.sum()), int(checks.sum()))
    if not (each == 1).all() or not single or not trace.manifest.factors:
        return told
    some, decomposed = checks > 0, done > 0
    plain, only = took[~some], took[some & ~decomposed]
    if len(plain) < _FEWEST:
        return told
    usual = float(np.median(plain))
    every_step = float(plain.sum()) + usual * int(some.sum())
    extra = max(float(np.median(only)) - usual, 0.0) if len(only) >= _FEWEST else 0.0
    checking = float(np.maximum(only - usual, 0.0).sum()) + extra * int(decomposed.sum())
    rest = max(total - every_step - checking, 0.0)
    return Spending(first, last, total - checking - rest, checking, rest, told.count, told.checked)


def _between(counts: np.ndarray, first: int, last: int) -> np.ndarray:
    """The counts of steps first to last; 0 where nothing was counted."""
    part = counts[first : last + 1]
    return np.append(part, np.zeros(last + 1 - first - len(part)))


_Counts = tuple[np.ndarray, np.ndarray, bool]


def _checks(trace: TraceView) -> _Counts:
    """Checks and decompositions of single factors at each step from 0 on, and whether each row was a single check."""

    def build(seen: int, known: _Counts | None) -> _Counts:
        step = trace.values("checks", "step")[seen:].astype(np.int64)
        checks, done = (
            np.nan_to_num(trace.values("checks", name)[seen:].astype(np.float64))
            for name in ("checks", "decompositions")
        )
        mine = (trace.values("checks", "factor")[seen:] >= 0) & (step <= _LONGEST)
        before = (np.empty(0), np.empty(0), True) if known is None else known
        size = max(int(step[mine].max(initial=-1)) + 1, len(before[0]))
        checked, decomposed = (
            np.bincount(step[mine], counts[mine], size) + np.append(old, np.zeros(size - len(old)))
            for counts, old in ((checks, before[0]), (done, before[1]))
        )
        return checked, decomposed, before[2] and bool(np.all(checks[mine] <= 1))

    return grown(trace, "checks", "checks a step", build)


def matrix_bytes(trace: TraceView, width: int) -> int:
    """Bytes of one matrix for every factor: each of the factor, its basis and its inverse root takes as many.

    Args:
        trace: The run.
        width: Bytes of a number.
    """
    return sum(info.size**2 for info in trace.manifest.factors) * width
