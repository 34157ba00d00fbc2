"""Refresh rates of left and right factors against progress: which side's basis ages, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foam_viz.analysis.totals import intervals
from foam_viz.figures import encode, theme
from foam_viz.figures.compare_sides import ALL, RateView, drawing, nothing, points, sides
from foam_viz.figures.panel import Drawing, Lane


def draw(lanes: Sequence[Lane], view: RateView) -> Drawing:
    """Decompositions per check of each run and side, a point an interval.

    Single checks are gathered in bins of equal width; what a log counted over an interval is one point of that
    interval.
    """
    data: list[dict[str, Any]] = []
    words, without = [], []
    for lane in lanes:
        rates, counted = [], False
        for side, factors in sides(lane):
            counts = intervals(lane.trace, factors, view.bins)
            if counts is None:
                continue
            counted = True
            drawn = points(lane, side, view, counts.start, counts.step, counts.rate, "refresh rate")
            if drawn is None:
                continue
            data.append(drawn)
            checks, done = counts.checks.sum(), counts.decompositions.sum()
            apart = "" if side != ALL else " (left and right are not told apart)"
            if checks:
                rates.append(f"{side} {theme.percent(done / checks)}{apart}")
        if rates:
            words.append(f"{lane.label}: {', '.join(rates)}")
        elif counted:
            without.append(f"{lane.label} has no place on this axis")
        else:
            without.append(f"{lane.label} counts no checks")
    if not data:
        return nothing("Refresh rates appear here for runs that count checks and decompositions.", without)
    y_axis = encode.axis("decompositions per check", range=[-0.03, 1.03], tickformat=".0%")
    return drawing("refresh rates", lanes, view, data, y_axis, words, without)
