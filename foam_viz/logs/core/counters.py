"""Counters that only grow, turned into what happened between the rows that hold them.

One mechanism for every log whose counters run through the whole training. A resumed run goes on from the counters of
its checkpoint, so rows that it logs again replace those logged first; a counter that falls although the step grows was
started anew, and counts from zero in that row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Intervals:
    """What counters say of the steps between rows.

    Attributes:
        rows: (k,) rows that count, by rising step; of several with one step the last.
        start: (k,) first step of each interval; the one behind the step of the row before.
        step: (k,) last step of each interval.
        counts: For each counter (k,) float64, its growth in the interval; NaN where it was not logged.
        restarts: (r,) steps at which a counter was below its value before.
        repeated: Rows that a later one replaced.
    """

    rows: np.ndarray
    start: np.ndarray
    step: np.ndarray
    counts: dict[str, np.ndarray]
    restarts: np.ndarray
    repeated: int


def intervals(steps: np.ndarray, counters: Mapping[str, np.ndarray]) -> Intervals:
    """Take differences.

    Args:
        steps: (n,) int64, from 1, in order of logging.
        counters: For each counter (n,) float64, cumulative; NaN where it was not logged.
    """
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    rows = order[np.append(ordered[1:] != ordered[:-1], True)] if len(steps) else order
    step = steps[rows]
    start = np.concatenate([[min(1, int(step[0]))], step[:-1] + 1]) if len(step) else step
    fallen = np.zeros(len(rows), bool)
    counts = {}
    for name, values in counters.items():
        counts[name], falls = _growth(values[rows])
        fallen |= falls
    return Intervals(rows, start.astype(np.int64), step, counts, step[fallen], len(steps) - len(rows))


def _growth(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Growth since the last value that was logged, from 0 at first and where the counter fell; and where it fell."""
    growth, fallen = np.full(len(values), np.nan), np.zeros(len(values), bool)
    known = np.flatnonzero(np.isfinite(values))
    before = np.concatenate([[0.0], values[known][:-1]]) if len(known) else np.empty(0)
    falls = values[known] < before
    growth[known] = np.where(falls, values[known], values[known] - before)
    fallen[known] = falls
    return growth, fallen
