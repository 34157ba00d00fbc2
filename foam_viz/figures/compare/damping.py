"""Damping of left and right factors against progress."""

from __future__ import annotations

from typing import Any

import numpy as np

from foam_viz.analysis.checks import Checks, checks
from foam_viz.analysis.extent import extent
from foam_viz.analysis.series import divergence_step
from foam_viz.figures import encode, theme
from foam_viz.figures.compare.sides import ALL, BINS, drawing, nothing, points, sides
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Scene


def draw(scene: Scene) -> Drawing:
    """Median damping of the factors of each side, with the range over factors, a point an interval.

    Where the log counts intervals, damping is what it was at the end of each.
    """
    data: list[dict[str, Any]] = []
    words, without = [], []
    ends: list[float] = []
    for lane in scene.lanes:
        rows = checks(lane.trace)
        known = rows.where(np.isfinite(rows.epsilon) & (rows.epsilon > 0))
        found, diverged = [], divergence_step(lane.trace)
        for side, factors in sides(lane):
            mine = known if factors is None else known.where(np.isin(known.factor, factors))
            if not len(mine):
                continue
            start, step, middle, least, most = _binned(mine, BINS)
            drawn = points(lane, side, scene.look, start, step, middle, "median damping", (least, most))
            if drawn is None:
                continue
            data.append(drawn)
            spread = np.concatenate([least, most])
            ends += (spread.min(), spread.max()) if diverged is None else extent(spread, log=True) or ()
            apart = "" if side != ALL else " (left and right are not told apart)"
            found.append(f"{side} {theme.number(float(middle[-1]))}{apart}")
        if found:
            gone = f", diverged at step {diverged:,}" if diverged is not None else ""
            words.append(f"{lane.label} at the end: {', '.join(found)}{gone}")
        else:
            lacks = "has no place on this axis" if len(known) else "recorded no damping"
            without.append(f"{lane.label} {lacks}")
    if not data:
        return nothing("Damping appears here for runs that record the ε of their factors.", without)
    scale = encode.log_range(min(ends) * 0.8, max(ends) * 1.25)
    y_axis = encode.log_axis("damping ε (gradient²)", range=scale, tickformat="~e")
    return drawing("compare damping", scene, data, y_axis, words, without)


def _binned(rows: Checks, bins: int) -> tuple[np.ndarray, ...]:
    """First and last step, median, smallest and largest damping of each bin of steps; five arrays (m,)."""
    if (rows.start != rows.step).any():
        key = rows.step  # values at the ends of intervals, which factors share
    else:
        width = max(1.0, float(rows.step.max()) / bins)
        key = np.minimum((np.maximum(rows.step - 1, 0) // width).astype(np.int64), bins - 1)
    order = np.argsort(key, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(key[order])) + 1)
    whole = (rows.start == rows.step).all()
    first = [rows.step[part].min() for part in parts] if whole else [rows.step[part].max() for part in parts]
    values = [rows.epsilon[part] for part in parts]
    return (
        np.array(first, dtype=np.float64),
        np.array([rows.step[part].max() for part in parts], dtype=np.float64),
        np.array([np.median(value) for value in values]),
        np.array([value.min() for value in values]),
        np.array([value.max() for value in values]),
    )
