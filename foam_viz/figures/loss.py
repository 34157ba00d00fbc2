"""Loss against step, optimizer seconds or decompositions spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from foam_viz.analysis.downsample import minmax, smoothing_window, strided, trailing_mean
from foam_viz.figures import encode, theme
from foam_viz.figures.columns import column
from foam_viz.figures.panel import Drawing, Lane, View

TITLES = {
    "step": "step",
    "optimizer_seconds": "optimizer time (s)",
    "decompositions": "decompositions spent",
}
_PLOT_HEIGHT = 240.0
"""About the height of the plot in pixels: only used to keep end labels apart."""
_LABEL_GAP = 15.0
_LONGEST_LABEL = 20
_FEW = 40
"""Values that are drawn as points too."""


def draw(lanes: Sequence[Lane], view: View) -> Drawing:
    """Raw loss faint, its trailing mean on top, held-out loss as markers."""
    log = view.loss_log
    series = [(lane, *points) for lane in lanes if (points := _points(lane, view)) is not None]
    trained = {id(lane) for lane, _, _ in series}
    held_only = [
        (lane, *held) for lane in lanes if id(lane) not in trained and (held := _held_out(lane, view)) is not None
    ]
    if not series and not held_only:
        missing = TITLES[view.loss_x]
        wait = any(column(lane.trace, "steps", "loss") is not None for lane in lanes)
        return Drawing(
            empty=f"No run here has recorded {missing}; choose another horizontal axis."
            if wait
            else "The loss of each run appears here from its first step on."
        )
    data: list[dict[str, Any]] = []
    ends: list[tuple[Lane, float, float]] = []
    low, high, furthest = np.inf, -np.inf, 0.0
    for lane, x, loss in series:
        smooth = trailing_mean(loss, smoothing_window(len(loss)))
        data += _curves(lane, x, loss, smooth, view)
        held = _held_out(lane, view)
        if held is not None:
            data.append(_markers(lane, *held, view))
        seen = np.concatenate([loss, held[1]]) if held is not None else loss
        low, high = min(low, float(seen.min())), max(high, float(seen.max()))
        furthest = max(furthest, float(x[-1]))
        ends.append((lane, float(x[-1]), float(smooth[-1])))
    for lane, x, loss in held_only:
        data.append(_markers(lane, x, loss, view))
        low, high = min(low, float(loss.min())), max(high, float(loss.max()))
        furthest = max(furthest, float(x[-1]))
        ends.append((lane, float(x[-1]), float(loss[-1])))
    floors = {lane.trace.manifest.loss_floor for lane in lanes} - {None}
    floor = floors.pop() if len(floors) == 1 else None
    if floor and floor > 0:
        low = min(low, floor)
    labelled = len(lanes) > 1 and all(len(lane.label) <= _LONGEST_LABEL for lane in lanes)
    span = encode.log_range(low, high, per_decade=4) if log else [min(0.0, low), encode.nice_ceiling(max(high, 1e-12))]
    y_axis = (encode.log_axis if log else encode.axis)("loss", range=span, uirevision="log" if log else "linear")
    x_axis = encode.axis(
        TITLES[view.loss_x],
        range=encode.time_range(furthest, 0.16 if labelled else 0.02),
        uirevision=view.loss_x,
        tickformat=",~g" if view.loss_x == "optimizer_seconds" else ",",
        hoverformat=",.3~f" if view.loss_x == "optimizer_seconds" else ",",
    )
    figure = {
        "data": data,
        "layout": encode.layout(
            "loss",
            xaxis=x_axis,
            yaxis=y_axis,
            hovermode="x unified" if view.loss_x == "step" else "closest",
            annotations=[*(_labels(ends, span, log) if labelled else []), *_floor_name(floor, log)],
            shapes=_floor_line(floor),
        ),
    }
    return Drawing(figure=figure, reading=_reading(lanes, ends, series))


def _points(lane: Lane, view: View) -> tuple[np.ndarray, np.ndarray] | None:
    """Finite losses (positive ones on a logarithmic axis) and where they go."""
    loss, x = column(lane.trace, "steps", "loss"), column(lane.trace, "steps", view.loss_x)
    if loss is None or x is None:
        return None
    keep = np.isfinite(loss) & np.isfinite(x)
    if view.loss_log:
        keep &= loss > 0
    if not keep.all():
        loss, x = loss[keep], x[keep]
    return (x, loss) if len(loss) else None


def _held_out(lane: Lane, view: View) -> tuple[np.ndarray, np.ndarray] | None:
    loss, x = column(lane.trace, "steps", "held_out_loss"), column(lane.trace, "steps", view.loss_x)
    if loss is None or x is None:
        return None
    rows = np.flatnonzero(np.isfinite(loss) & np.isfinite(x) & ((loss > 0) | (not view.loss_log)))
    if len(rows) == 0:
        return None
    rows = rows[strided(len(rows), 24)]
    return x[rows], loss[rows]


def _where(x: np.ndarray, view: View) -> dict[str, str]:
    return encode.typed(x) if view.loss_x == "optimizer_seconds" else encode.integers(x)


def _curves(lane: Lane, x: np.ndarray, loss: np.ndarray, smooth: np.ndarray, view: View) -> list[dict[str, Any]]:
    style = theme.lane(lane.position)
    raw, line = minmax(loss, view.max_points), strided(len(loss), view.max_points // 2)
    return [
        {
            "type": "scatter",
            # Few values are points: their line would tell of steps that nobody logged.
            "mode": "lines" if len(loss) > _FEW else "lines+markers",
            "name": encode.escape(lane.label),
            "meta": {"series": "raw", "lane": lane.position},
            "x": _where(x[raw], view),
            "y": encode.typed(loss[raw]),
            "line": {"color": theme.alpha(style.colour, 0.28), "width": 1},
            "marker": {"symbol": style.symbol, "size": 4, "color": style.colour},
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": encode.escape(lane.label),
            "meta": {"series": "mean", "lane": lane.position},
            "x": _where(x[line], view),
            "y": encode.typed(smooth[line]),
            "line": {"color": style.colour, "width": 2, "dash": style.dash},
            "hovertemplate": "%{y:.3g}",
        },
    ]


def _markers(lane: Lane, x: np.ndarray, loss: np.ndarray, view: View) -> dict[str, Any]:
    style = theme.lane(lane.position)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{encode.escape(lane.label)}, held out",
        "meta": {"series": "held-out", "lane": lane.position},
        "x": _where(x, view),
        "y": encode.typed(loss),
        "marker": {"symbol": f"{style.symbol}-open", "size": 6, "color": style.colour, "line": {"width": 1.3}},
        "hovertemplate": "%{y:.3g}",
    }


def _labels(ends: list[tuple[Lane, float, float]], span: list[float], log: bool) -> list[dict[str, Any]]:
    """The names of the lanes at the ends of their curves, kept apart."""
    heights = [np.log10(y) if log else y for _, _, y in ends]
    scale = _PLOT_HEIGHT / (span[1] - span[0])
    pixels = [(h - span[0]) * scale for h in heights]
    return [
        encode.note(
            encode.escape(lane.label),
            x,
            float(height),
            name="end label",
            xanchor="left",
            xshift=6,
            yshift=round(wanted - pixel, 1),
            font={"size": 12, "color": theme.lane(lane.position).colour},
        )
        for (lane, x, _), height, pixel, wanted in zip(
            ends, heights, pixels, encode.spread(pixels, _LABEL_GAP), strict=True
        )
    ]


def _floor_line(floor: float | None) -> list[dict[str, Any]]:
    line = {"color": theme.LIGHT.soft_ink, "dash": "dot", "width": 1.2}
    where = {"xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": floor, "y1": floor}
    return [{"type": "line", **where, "line": line, "layer": "below"}] if floor else []


def _floor_name(floor: float | None, log: bool) -> list[dict[str, Any]]:
    if not floor:
        return []
    words = f"least possible on average, {theme.number(floor)}"
    height = float(np.log10(floor)) if log else floor
    soft = {"size": 11, "color": theme.LIGHT.soft_ink}
    return [encode.note(words, 0, height, xref="paper", xanchor="left", xshift=6, yanchor="bottom", font=soft)]


def _every_step(lane: Lane, count: int) -> bool:
    """Whether about each step of a run has a loss; the last few may be of a divergence."""
    step = lane.trace.values("steps", "step")
    return count >= 0.9 * (step[-1] - step[0])


def _reading(lanes: Sequence[Lane], ends: list[tuple[Lane, float, float]], series: list) -> str:
    window = smoothing_window(max((len(loss) for _, _, loss in series), default=0))
    diverged = [
        f"{lane.label} diverged at step {lane.trace.manifest.diverged_step:,}"
        for lane in lanes
        if lane.trace.manifest.diverged_step is not None
    ]
    every_step = all(_every_step(lane, len(loss)) for lane, _, loss in series)
    what = f"mean of the last {window} {'steps' if every_step else 'values logged'}"
    lane, _, value = min(ends, key=lambda end: end[2])
    name = f"{lane.label} lowest: " if len(ends) > 1 else ""
    return "; ".join([f"{name}{theme.number(value)}, {what if series else 'the last held-out loss'}", *diverged])
