"""What rates and damping of left and right factors have in common: progress, and points that span an interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from foam_viz.analysis.axes import BY_ID, at_steps
from foam_viz.analysis.totals import side_factors
from foam_viz.figures import encode, theme
from foam_viz.figures.compare.marks import places, shade
from foam_viz.figures.look import Look
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Lane, Scene

ALL = "all"
_MOST_WORDS = 3


BINS = 24
"""Bins that single checks are gathered in; intervals of the log stay as they are."""


def sides(lane: Lane) -> list[tuple[str, list[int] | None]]:
    """Sides that can be told apart, with their factors; ``all`` and None where the log does not tell factors apart."""
    found = [(side, side_factors(lane.trace, side)) for side in ("left", "right")]
    known = np.isfinite(np.asarray(lane.trace.values("checks", "factor"), dtype=np.float64)).any()
    told: list[tuple[str, list[int] | None]] = [(side, factors) for side, factors in found if factors]
    return told if known and told else [(ALL, None)]


def points(
    lane: Lane,
    side: str,
    look: Look,
    start: np.ndarray,
    step: np.ndarray,
    y: np.ndarray,
    what: str,
    spread: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any] | None:
    """A point for each interval of steps at its middle, with a bar as wide as the interval.

    Left factors are filled, right ones open. Never a line: what happened between is not known.

    Args:
        lane: Whose.
        side: ``left``, ``right`` or ``all``.
        look: What the reader chose.
        start: (n,) first step of each interval.
        step: (n,) last step of each interval.
        y: (n,) values, NaN where there is none.
        what: Name of the value in hover texts.
        spread: (n,) smallest and largest value of each interval.

    Returns:
        None where the run has no such axis, or no value.
    """
    begin, end = at_steps(lane.trace, look.x, start), at_steps(lane.trace, look.x, step)
    if begin is None or end is None:
        return None
    begin = np.where(np.isfinite(begin), begin, end)
    keep = np.isfinite(end) & np.isfinite(y) & ((end > 0) | (not look.log_x))
    if not keep.any():
        return None
    begin, end, y = begin[keep], end[keep], y[keep]
    middle = np.sqrt(np.maximum(begin, end / 10) * end) if look.log_x else (begin + end) / 2
    style = theme.lane(lane.position)
    colour = shade(style.colour, 1.0, lane, look.highlight)
    name = f"{encode.escape(lane.label)}, {side if side != ALL else 'all factors'}"
    drawn = {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "meta": {"series": what, "lane": lane.position, "side": side},
        "x": places(middle),
        "y": encode.typed(y),
        "marker": {
            "symbol": style.symbol + ("-open" if side == "right" else ""),
            "size": 7,
            "color": colour,
            "line": {"width": 1.4, "color": colour},
        },
        "hovertemplate": f"{name}: {what} %{{y:.3~g}}<extra></extra>",
    }
    half = (end - begin) / 2
    if (half > 0).any():
        drawn["error_x"] = _bar(end - middle, middle - begin, colour)
    if spread is not None:
        low, high = (edge[keep] for edge in spread)
        drawn["error_y"] = _bar(high - y, y - low, theme.alpha(style.colour, 0.4))
    return drawn


def _bar(above: np.ndarray, below: np.ndarray, colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": encode.typed(above),
        "arrayminus": encode.typed(below),
        "color": colour,
        "thickness": 1.2,
        "width": 0,
    }


def drawing(
    name: str,
    scene: Scene,
    data: list[dict[str, Any]],
    y_axis: dict[str, Any],
    words: Sequence[str],
    without: Sequence[str],
) -> Drawing:
    """The figure and its reading.

    Args:
        name: Of the figure, under which a zoom is kept.
        scene: The runs, and what the reader chose.
        data: Traces of ``points``.
        y_axis: The vertical axis.
        words: What each run that is drawn says.
        without: Why each other run is not.
    """
    margin = {"l": 62, "r": 14, "t": 8, "b": 40}
    x_axis = {**_progress(scene), "showspikes": False}  # the cursor over all panels is ours
    meta = {"cursor": scene.look.x, "detail": False}
    layout = encode.layout(name, margin=margin, xaxis=x_axis, yaxis=y_axis, meta=meta)
    more = [f"and {len(words) - _MOST_WORDS} more"] if len(words) > _MOST_WORDS else []
    reading = "; ".join([*words[:_MOST_WORDS], *more, *without[:_MOST_WORDS]])
    ends = [int(steps.max()) for lane in scene.lanes if len(steps := lane.trace.values("checks", "step"))]
    moment = f"steps to {max(ends):,}" if ends else ""
    return Drawing(figure={"data": data, "layout": layout}, reading=reading, moment=moment)


def nothing(what: str, without: Sequence[str]) -> Drawing:
    """No figure: what it is for, and why the first runs have none."""
    return Drawing(empty=f"{what} {'; '.join(without[:_MOST_WORDS])}." if without else what)


def _progress(scene: Scene) -> dict[str, Any]:
    """The axis of progress, over all runs."""
    look = scene.look
    along, most, least = BY_ID[look.x], 0.0, np.inf
    for lane in scene.lanes:
        values = along.values(lane.trace).values
        ends = [values] if values is not None else []
        if look.x == "step":
            ends.append(np.asarray(lane.trace.values("checks", "step"), dtype=np.float64))
        for place in ends:
            good = place[np.isfinite(place) & (place > 0)]
            if len(good):
                most, least = max(most, float(good.max())), min(least, float(good.min()))
    if look.log_x:
        span = encode.log_range(min(least, most or 1.0), most or 1.0, per_decade=4)
        return encode.log_axis(along.title, range=span, uirevision=f"{look.x} log")
    ticks = "," if along.whole else ",~g"
    return encode.axis(along.title, range=[0.0, (most or 1.0) * 1.01], tickformat=ticks, uirevision=look.x)
