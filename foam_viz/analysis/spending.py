"""Where the time of steps went: by the phases that were timed, else by what steps of each kind took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from foam_viz.analysis.grown import grown
from foam_viz.trace import TraceView
from foam_viz.trace.final import rows_in_order

_LONGEST = 10_000_000
"""Checks of later steps than this are not counted by step."""
_FEWEST = 5
"""Steps of a kind whose median tells what such a step costs."""

TIMED = ("gradient", "statistics", "check", "decomposition", "update")
"""The phases of a step whose seconds a run made here records, in their order; the gradient is not the optimizer's."""


@dataclass(frozen=True)
class Spending:
    """Seconds of a run, by what they were spent on.

    A run that timed its phases has the seconds of each. Of others the seconds of a step are known as a whole: what
    every step costs is the median of the steps without a check; what a check adds is the median of those that only
    checked, less that; the rest of all seconds are decompositions and the roots made of them.

    Attributes:
        first, last: Steps that the seconds are of.
        parts: Seconds by phase, of :data:`TIMED`; or of ``every step``, ``check`` and ``decomposition`` where they are
            estimated; or of ``every step`` alone where they cannot be told apart.
        count: Decompositions in these steps, of single factors.
        checked: Checks in these steps, of single factors.
    """

    first: int
    last: int
    parts: Mapping[str, float]
    count: int
    checked: int

    @property
    def total(self) -> float:
        """All seconds of the optimizer: without the gradient's."""
        return float(sum(seconds for part, seconds in self.parts.items() if part != "gradient"))

    @property
    def timed(self) -> bool:
        """Whether the phases were timed, and not estimated."""
        return "update" in self.parts

    @property
    def decompositions(self) -> float | None:
        """Seconds of decompositions; None where they cannot be told apart."""
        return self.parts.get("decomposition")

    @property
    def each(self) -> float | None:
        """Seconds of one decomposition on average; None where that cannot be told."""
        return self.decompositions / self.count if self.decompositions is not None and self.count else None

    @property
    def all_decomposed(self) -> float | None:
        """Seconds had every check decomposed, at the cost of those that did; None where that cannot be told."""
        if self.each is None or self.checked <= self.count:
            return None
        return sum(self.parts.values()) + self.each * (self.checked - self.count)


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
    phases = _timed(trace, rows, started=len(step) > len(rows))
    took, each = np.diff(seconds), np.diff(step)
    first, last, total = int(step[0]) + 1, int(step[-1]), float(seconds[-1] - seconds[0])
    whole = phases or {"every step": total}
    if last > _LONGEST:
        return Spending(first, last, whole, 0, 0)
    checks, done, single = _checks(trace)
    checks, done = (_between(counts, first, last) for counts in (checks, done))
    told = Spending(first, last, whole, int(done.sum()), int(checks.sum()))
    if phases or not (each == 1).all() or not single or not trace.manifest.factors:
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
    estimated = {"every step": total - checking - rest, "check": checking, "decomposition": rest}
    return Spending(first, last, estimated, told.count, told.checked)


def _timed(trace: TraceView, rows: np.ndarray, *, started: bool) -> dict[str, float]:
    """Seconds of each phase that was timed, over these rows; empty where they were not timed.

    Args:
        trace: The run.
        rows: Rows of steps, in order of step.
        started: Whether the first row is the run's first step, before which nothing was spent.
    """
    found = {}
    for phase in TIMED:
        if trace.has("steps", f"{phase}_seconds"):
            seconds = trace.values("steps", f"{phase}_seconds")[rows].astype(np.float64)
            if not np.isfinite(seconds).all():
                return {}
            found[phase] = float(seconds[-1] - (0.0 if started else seconds[0]))
    return found if "update" in found else {}


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
