"""Counts of the table of checks over time, without counting a check twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foam_viz.trace import Trace, TraceView
from foam_viz.trace.counts import column as _column
from foam_viz.trace.counts import covered, factor_count, starts


@dataclass(frozen=True, eq=False)
class Cumulative:
    """A count of all factors that only grows.

    Attributes:
        step: (n,) float64, ascending, each once.
        count: (n,) float64, the count up to and including the step.
        single: True when every row was a single check, so that the count is exact between the steps too.
    """

    step: np.ndarray
    count: np.ndarray
    single: bool


@dataclass(frozen=True, eq=False)
class Intervals:
    """Checks and what came of them, summed over some factors, one row for each interval of steps.

    Attributes:
        start: (n,) float64, first step covered.
        step: (n,) float64, last step covered, ascending.
        checks: (n,) float64.
        decompositions: (n,) float64.
        steps: (n,) float64, how many steps the counts are of.
        factors: How many factors they are of; 0 where the log does not tell.
    """

    start: np.ndarray
    step: np.ndarray
    checks: np.ndarray
    decompositions: np.ndarray
    steps: np.ndarray
    factors: int

    @property
    def per_check(self) -> np.ndarray:
        """Decompositions per check, (n,), NaN without checks."""
        return np.divide(self.decompositions, self.checks, out=np.full(len(self.step), np.nan), where=self.checks > 0)

    @property
    def per_factor(self) -> np.ndarray:
        """Decompositions per factor and 100 steps, (n,), NaN where the number of factors is not known."""
        if not self.factors:
            return np.full(len(self.step), np.nan)
        return 100 * self.decompositions / (self.factors * self.steps)


def cumulative(trace: Trace | TraceView, column: str) -> Cumulative | None:
    """The running total of a count (``checks``, ``decompositions``, ``reuses``, ``cap_refreshes``) over all factors.

    Returns:
        None when no row counts it. Where rows cover intervals, the total is known at the ends of intervals only, and
        the step before the first interval begins is there with what was counted before, 0.
    """
    if not trace.has("checks", column):
        return None
    rows = covered(trace, column)
    step, counts = _column(trace, "step")[rows], _column(trace, column)[rows]
    start = starts(trace)[rows]
    most = np.where(np.isnan(_column(trace, "factor")[rows]), max(len(trace.manifest.factors), 1), 1)
    checks = _column(trace, "checks")[rows]
    single = bool(np.all(start == step) and not np.any(checks > most))
    at, owner = np.unique(step, return_inverse=True)
    total = np.cumsum(np.bincount(owner, counts))
    before = float(start.min()) - 1
    if not single and before < at[0]:
        at, total = np.concatenate([[before], at]), np.concatenate([[0.0], total])
    return Cumulative(at, total, single)


def side_factors(trace: Trace | TraceView, side: str) -> list[int]:
    """Indices of the left or right factors of matrices (blocks of order 2)."""
    return [index for index, info in enumerate(trace.manifest.factors) if info.side == side]


def intervals(trace: Trace | TraceView, factors: Sequence[int] | None, bins: int) -> Intervals | None:
    """Checks and decompositions of some factors, by the intervals logged or by bins of single checks.

    Intervals that the log counted over stay as they are: nothing is known inside them. Single checks are gathered in
    at most ``bins`` bins of steps.

    Args:
        trace: The run.
        factors: Indices; None for all together, without counting a check twice.
        bins: At most so many bins of single checks, 1 or more.

    Returns:
        None when no row of these factors has both counts.
    """
    if not (trace.has("checks", "checks") and trace.has("checks", "decompositions")):
        return None
    step, checks, done = (_column(trace, name) for name in ("step", "checks", "decompositions"))
    start = starts(trace)
    mine = covered(trace, "decompositions") if factors is None else np.isin(_column(trace, "factor"), list(factors))
    mine &= ~np.isnan(checks) & ~np.isnan(done)
    if not mine.any():
        return None
    step, start, checks, done = step[mine], start[mine], checks[mine], done[mine]
    single = bool(np.all(start == step))
    if single:
        width = max(1.0, float(step.max()) / bins)
        key = np.minimum(((step - 1) // width).astype(np.int64).clip(0), bins - 1)
    else:
        key = np.unique(np.stack([start, step]), axis=1, return_inverse=True)[1].reshape(-1)
    _, owner = np.unique(key, return_inverse=True)
    count = int(owner.max()) + 1
    first, last = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(first, owner, start)
    np.maximum.at(last, owner, step)
    order = np.argsort(last, kind="stable")
    first, last = first[order], last[order]
    if single:  # a check stands for the steps since the one before it
        logged = trace.values("steps", "step")
        begin = max(1.0, float(logged.min())) if len(logged) else 1.0
        first = np.minimum(np.append(begin, last[:-1] + 1), first)
    return Intervals(
        start=first,
        step=last,
        checks=np.bincount(owner, checks)[order],
        decompositions=np.bincount(owner, done)[order],
        steps=last - first + 1,
        factors=factor_count(trace) if factors is None else len(factors),
    )
