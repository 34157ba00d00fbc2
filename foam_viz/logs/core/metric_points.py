"""Metrics that were logged each for itself - step, value, time - put beside each other by their steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from foam_viz.logs.core.columns import LARGEST_STEP, Series

MOST_CELLS = 30_000_000
"""Rows times columns of one run. Metrics beyond it, those with the fewest values, are left out, aloud."""

STEP, TIME = "step", "timestamp"


@dataclass(frozen=True, eq=False)
class Points:
    """What one metric logged.

    Attributes:
        steps: (n,) float64.
        values: (n,) float64.
        times: (n,) seconds since 1970, NaN where unknown; None where the source has none.
    """

    steps: np.ndarray
    values: np.ndarray
    times: np.ndarray | None = None


def side_by_side(metrics: Mapping[str, Points], notes: list[str]) -> list[Series]:
    """Return the step, the time at which something was logged last for it, and a column for each metric.

    A metric without steps (all 0) is numbered in order. Of several values for one step the last one stays.

    Args:
        metrics: By name.
        notes: What was numbered, repeated or left out is added.
    """
    points = {_own(key): _numbered(key, one, notes) for key, one in metrics.items() if len(one.steps)}
    points = _fitting(points, notes)
    if not points:
        return []
    union, where = np.unique(np.concatenate([one.steps for one in points.values()]), return_inverse=True)
    clock = np.full(len(union), -np.inf)
    columns = []
    start = 0
    for key, one in points.items():
        rows = where[start : start + len(one.steps)]
        start += len(one.steps)
        if one.times is not None:
            np.fmax.at(clock, rows, one.times)
        column, missing = np.full(len(union), np.nan), np.ones(len(union), bool)
        column[rows], missing[rows] = one.values, False  # of repeated indices the last stays, as the last logged counts
        repeated = len(rows) - int((~missing).sum())
        if repeated:
            notes.append(f"{key!r}: of several values for one step the last one was kept, {repeated:,} times")
        columns.append(Series(key, column, missing if missing.any() else None))
    timed = np.isfinite(clock) & (clock > 0)
    result = [Series(STEP, union)]
    if timed.any():
        result.append(Series(TIME, clock, None if timed.all() else ~timed, "date"))
    return [*result, *columns]


def _own(key: str) -> str:
    """A metric of one of these names would collide with the columns of all."""
    return f"{key} (metric)" if key in (STEP, TIME) else key


def _numbered(key: str, one: Points, notes: list[str]) -> Points:
    if len(one.steps) > 1 and not one.steps.any():
        notes.append(f"{key!r} was logged without steps: its values are numbered in order")
        return Points(np.arange(len(one.steps), dtype=np.float64), one.values, one.times)
    good = np.isfinite(one.steps) & (one.steps >= 0) & (one.steps < LARGEST_STEP)
    if good.all():
        return one
    notes.append(f"{key!r}: {int((~good).sum()):,} values dropped, their step is no number from 0")
    return Points(one.steps[good], one.values[good], None if one.times is None else one.times[good])


def _fitting(points: Mapping[str, Points], notes: list[str]) -> dict[str, Points]:
    by_size = sorted(points, key=lambda name: -len(points[name].steps))
    steps, chosen = np.empty(0), set()
    for name in by_size:
        own = points[name].steps
        union = steps if len(own) <= len(steps) and np.isin(own, steps).all() else np.union1d(steps, own)
        if len(union) * (len(chosen) + 1) <= MOST_CELLS:
            steps = union
            chosen.add(name)
    left = [name for name in points if name not in chosen]
    if left:
        listed = ", ".join(map(repr, left[:5]))
        notes.append(f"{len(left):,} of {len(points):,} metrics were left out, being too many: {listed}.")
    return {name: one for name, one in points.items() if name in chosen}
