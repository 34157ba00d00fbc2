"""What the checks of a run add up to, without counting a check twice, and how often its factors were decomposed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foam_viz.trace.model import Trace
from foam_viz.trace.numbers import number, percent
from foam_viz.trace.view import TraceView

PER_FACTOR = "decompositions per factor and 100 steps"
"""What a run pays, whatever its period of checks: 10 for a factor that is decomposed at every tenth step."""

PER_CHECK = "decompositions per check"
"""How often a policy decides to decompose: 1 for one that always does, however seldom it checks."""


def column(trace: Trace | TraceView, name: str) -> np.ndarray:
    """A numeric column of checks as float64, NaN for null."""
    return np.asarray(trace.values("checks", name), dtype=np.float64)


def starts(trace: Trace | TraceView) -> np.ndarray:
    """First step that each row of checks covers, (n,) float64; the step itself for a single check."""
    step, start = column(trace, "step"), column(trace, "interval_start")
    return np.where(np.isnan(start), step, start)


def covered(trace: Trace | TraceView, name: str) -> np.ndarray:
    """Mask of the rows to add up for a total of a count: rows of all factors together, and single factors elsewhere.

    A row without a factor stands for all of them, so rows of single factors that end inside its steps are left out.
    """
    counts = column(trace, name)
    together = np.isnan(column(trace, "factor")) & ~np.isnan(counts)
    if not together.any():
        return ~np.isnan(counts)
    step, start = column(trace, "step"), starts(trace)
    order = np.argsort(step[together], kind="stable")
    ends, begins = step[together][order], start[together][order]
    after = np.searchsorted(ends, step)
    inside = np.zeros(len(step), bool)
    some = after < len(ends)
    inside[some] = begins[after[some]] <= step[some]
    return ~np.isnan(counts) & (together | ~inside)


def total(trace: Trace | TraceView, name: str) -> int | None:
    """The sum of a count (``checks``, ``decompositions``, ...) over all factors; None when no row has it."""
    if not trace.has("checks", name):
        return None
    return int(column(trace, name)[covered(trace, name)].sum())


def factor_count(trace: Trace | TraceView) -> int:
    """How many factors a run has: those it names, or the ``factor_count`` that its log tells; 0 where neither is."""
    told = trace.manifest.extra.get("factor_count")
    return len(trace.manifest.factors) or (told if isinstance(told, int) and told > 0 else 0)


@dataclass(frozen=True)
class Refreshes:
    """How often some factors were decomposed.

    Attributes:
        decompositions: In all.
        checks: Checks that they came of; None where the log does not count checks.
        factors: Factors that they are of; 0 where the log does not tell how many there are.
        first, last: Steps that are counted, both included.
    """

    decompositions: int
    checks: int | None
    factors: int
    first: int
    last: int

    @property
    def per_factor(self) -> float | None:
        """Decompositions per factor and 100 steps; None where the number of factors is not known."""
        steps = self.last - self.first + 1
        return 100 * self.decompositions / (self.factors * steps) if self.factors and steps > 0 else None

    @property
    def per_check(self) -> float | None:
        """Decompositions per check, 0 to 1; None without checks."""
        return self.decompositions / self.checks if self.checks else None

    @property
    def words(self) -> str:
        """All of it, as text: "62 decompositions in 620 checks (10 %), 1.00 per factor and 100 steps"."""
        plural = "" if self.decompositions == 1 else "s"
        words = f"{number(self.decompositions)} decomposition{plural}"
        if self.checks is not None:
            words += f" in {number(self.checks)} check{'' if self.checks == 1 else 's'}"
        if self.per_check is not None:
            words += f" ({percent(self.per_check)})"
        return words if self.per_factor is None else f"{words}, {number(self.per_factor)} per factor and 100 steps"


def refreshes(trace: Trace | TraceView, factors: Sequence[int] | None = None) -> Refreshes | None:
    """Count the decompositions of some factors from the first step of a run to its last.

    Args:
        trace: The run.
        factors: Indices into the manifest's factors; None for all of them together.

    Returns:
        None where the run does not count decompositions, and where it has no such factor.
    """
    if factors is not None and not len(factors):
        return None
    counted = trace.has("checks", "decompositions")
    if not counted and (factors is not None or not trace.has("steps", "decompositions")):
        return None
    steps = trace.values("steps", "step")
    first = [int(steps.min())] if len(steps) else []
    last = [int(steps.max())] if len(steps) else []
    if not counted:  # a running total, which begins with the run
        done = trace.values("steps", "decompositions").astype(np.float64)
        return Refreshes(int(np.nanmax(done)), None, factor_count(trace), 1, last[0])
    mine = covered(trace, "decompositions") if factors is None else np.isin(column(trace, "factor"), list(factors))
    done, checks = column(trace, "decompositions"), column(trace, "checks")
    mine &= ~np.isnan(done)
    if not mine.any():
        return None
    first.append(int(starts(trace)[mine].min()))
    last.append(int(column(trace, "step")[mine].max()))
    known = mine & ~np.isnan(checks)
    return Refreshes(
        decompositions=int(done[mine].sum()),
        checks=int(checks[known].sum()) if known.any() and bool((known == mine).all()) else None,
        factors=factor_count(trace) if factors is None else len(factors),
        first=max(min(first), 1),
        last=max(last),
    )
