"""Refresh rates of left and right factors against progress: which side's basis ages, and when."""

from __future__ import annotations

from typing import Any

import numpy as np

from foam_viz.analysis.totals import intervals
from foam_viz.figures import encode, theme
from foam_viz.figures.compare.sides import ALL, BINS, drawing, nothing, points, sides
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Scene
from foam_viz.trace.counts import PER_FACTOR, refreshes


def draw(scene: Scene) -> Drawing:
    """Decompositions per factor and 100 steps of each run and side, a point an interval.

    Single checks are gathered in bins of about equal width; what a log counted over an interval is one point of that
    interval.
    """
    data: list[dict[str, Any]] = []
    words, without, highest = [], [], 0.0
    for lane in scene.lanes:
        rates, last, why = [], 0, "counts no checks"
        for side, factors in sides(lane):
            counts = intervals(lane.trace, factors, BINS)
            found = refreshes(lane.trace, factors)
            if counts is None or found is None:
                continue
            if found.per_factor is None:
                why = f"does not tell how many factors its {theme.number(found.decompositions)} decompositions are of"
                continue
            why = "has no place on this axis"
            drawn = points(lane, side, scene.look, counts.start, counts.step, counts.per_factor, PER_FACTOR)
            if drawn is None:
                continue
            data.append(drawn)
            last = found.last
            highest = max(highest, float(np.nanmax(counts.per_factor)))
            share = f" ({theme.percent(found.per_check)} of its checks)" if found.per_check is not None else ""
            apart = "" if side != ALL else ", left and right not told apart"
            rates.append(f"{side} {theme.number(found.per_factor)}{share}{apart}")
        if rates:
            words.append(f"{lane.label}: {', '.join(rates)} up to step {last:,}")
        else:
            without.append(f"{lane.label} {why}")
    if not data:
        return nothing("Refresh rates appear here for runs that count checks and decompositions.", without)
    top = encode.nice_ceiling(max(highest, 1e-9))
    y_axis = encode.axis(PER_FACTOR, range=[-0.03 * top, 1.03 * top], tickformat="~g")
    return drawing("refresh rates", scene, data, y_axis, words, without)
