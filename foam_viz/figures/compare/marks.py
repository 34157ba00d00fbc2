"""The traces that comparisons are drawn of: lines, bands, marks where a run broke, the line at a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from foam_viz.analysis.groups import Band
from foam_viz.figures import encode, theme
from foam_viz.figures.compare.curves import Curve
from foam_viz.figures.scene import Lane, Reference

_BACK = 0.22
"""Opacity of what is not brought forward."""
_MOST_MARKS = 60


def places(x: np.ndarray) -> dict[str, str]:
    """Places on an axis as a typed array: small whole numbers exactly, others in double precision."""
    if len(x) and np.all(x == np.floor(x)) and x.min() >= 0:
        return encode.integers(x)
    return encode.typed(x, "f8")


def shade(colour: str, opacity: float, lane: Lane, highlight: int | None) -> str:
    """A lane's colour, fainter when another lane is brought forward."""
    behind = highlight is not None and highlight != lane.position
    strength = opacity * _BACK if behind else opacity
    return colour if strength >= 1 else theme.alpha(colour, strength)


def _line(lane: Lane, kind: str, x: np.ndarray, y: np.ndarray, line: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": encode.escape(lane.label),
        "meta": {"series": kind, "lane": lane.position},
        "x": places(x),
        "y": encode.typed(y),
        "line": line,
        "connectgaps": False,
        **more,
    }


def curve(lane: Lane, x: np.ndarray, y: np.ndarray, highlight: int | None) -> dict[str, Any]:
    """The strong curve of a run; a lone point is a marker, since a line of one point is invisible."""
    style = theme.lane(lane.position)
    width = 3 if highlight == lane.position else 2
    line = {"color": shade(style.colour, 1.0, lane, highlight), "width": width, "dash": style.dash}
    drawn = _line(lane, "curve", x, y, line, hovertemplate="%{y:.3g}")
    good = np.isfinite(y)
    alone = good & ~np.append(good[1:], False) & ~np.insert(good[:-1], 0, False)
    if alone.any() or len(y) <= 40:
        drawn["mode"] = "lines+markers"
        drawn["marker"] = {"symbol": style.symbol, "size": 5, "color": line["color"]}
    return drawn


def raw(lane: Lane, x: np.ndarray, y: np.ndarray, highlight: int | None) -> dict[str, Any]:
    """The raw curve behind the smoothed one."""
    colour = shade(theme.lane(lane.position).colour, 0.25, lane, highlight)
    return _line(lane, "raw", x, y, {"color": colour, "width": 1}, hoverinfo="skip")


def band(lane: Lane, whole: Band, highlight: int | None, log: bool) -> list[dict[str, Any]]:
    """Mean of some runs over their band, a closed outline for each stretch; ``log`` keeps it above 0."""
    style = theme.lane(lane.position)
    low = np.where(whole.low > 0, whole.low, np.abs(whole.mean) * 1e-3) if log else whole.low
    good = np.isfinite(whole.mean)
    drawn = []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2).tolist():
        x = np.concatenate([whole.x[start:stop], whole.x[start:stop][::-1]])
        y = np.concatenate([whole.high[start:stop], low[start:stop][::-1]])
        fill = shade(style.colour, 0.18, lane, highlight)
        outline = _line(lane, "band", x, y, {"color": fill, "width": 0}, hoverinfo="skip")
        drawn.append({**outline, "fill": "toself", "fillcolor": fill})
    line = {"color": shade(style.colour, 1.0, lane, highlight), "width": 2.4, "dash": style.dash}
    mean = _line(lane, "mean", whole.x, whole.mean, line)
    mean["name"] = f"{mean['name']}, mean of {whole.runs}"
    mean["customdata"] = encode.integers(whole.count)
    mean["hovertemplate"] = "%{y:.3g}, mean of %{customdata}"
    return [*drawn, mean]


def breaks(lane: Lane, found: Curve, highlight: int | None, top: float) -> list[dict[str, Any]]:
    """A cross at the last finite value before a divergence, and a thin one before each other gap.

    What left the plot on its way, past ``top``, has its cross at the upper edge.
    """
    series = found.raw
    finite = series.finite
    before = np.flatnonzero(finite[:-1] & ~finite[1:])
    drawn = []
    fatal = None
    if series.diverged_step is not None:
        good = np.flatnonzero(finite & (series.step < series.diverged_step))
        fatal = int(good[-1]) if len(good) else None
    if fatal is not None:
        words = f"diverged at step {series.diverged_step:,}"
        drawn.append(_cross(lane, "diverged", found, np.array([fatal]), "x", 11, words, highlight, top))
        before = before[before != fatal]
    if len(before):
        drawn.append(_cross(lane, "gap", found, before[:_MOST_MARKS], "x-thin", 8, "then not finite", highlight, top))
    return drawn


def _cross(
    lane: Lane,
    kind: str,
    found: Curve,
    rows: np.ndarray,
    symbol: str,
    size: int,
    words: str,
    highlight: int | None,
    top: float,
) -> dict[str, Any]:
    colour = shade(theme.lane(lane.position).colour, 1.0, lane, highlight)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{encode.escape(lane.label)}: {words}",
        "meta": {"series": kind, "lane": lane.position},
        "x": places(found.raw.x[rows]),
        "y": encode.typed(np.minimum(found.smooth[rows], top)),
        "customdata": [theme.number(float(value)) for value in found.smooth[rows]],
        "marker": {"symbol": symbol, "size": size, "color": colour, "line": {"color": colour, "width": 1.6}},
        "hovertemplate": f"{encode.escape(lane.label)}: {words}, last %{{customdata}}<extra></extra>",
    }


def reference_lines(held: Sequence[Reference], log: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A dashed line across the plot at each reference that has a place on the axis, named at the right."""
    shapes, notes = [], []
    for reference in held:
        value = reference.value
        if not np.isfinite(value) or (log and value <= 0):
            continue
        line = {"color": theme.LIGHT.ink, "dash": "dash", "width": 1.2}
        shapes.append({"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line})
        notes.append(
            encode.note(
                theme.setting(value), 1, float(np.log10(value)) if log else value, name="reference", xref="paper",
                xanchor="left", xshift=4, font={"size": 12, "color": theme.LIGHT.ink},
                hovertext=encode.escape(reference.words),
            )
        )  # fmt: skip
    return shapes, notes
