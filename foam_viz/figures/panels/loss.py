"""Loss against step, optimizer seconds or decompositions spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foam_viz.analysis.downsample import minmax, smoothing_width
from foam_viz.analysis.extent import extent
from foam_viz.analysis.grown import grown
from foam_viz.analysis.series import divergence_step
from foam_viz.analysis.smoothing import centred_mean
from foam_viz.figures import encode, theme
from foam_viz.figures.look import Look
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import TraceView
from foam_viz.trace.final import Final, final_of, rows_in_order
from foam_viz.trace.visible import told_apart

TITLES = {
    "step": "step",
    "optimizer_seconds": "optimizer time (s)",
    "decompositions": "decompositions spent",
}
_PLOT_HEIGHT = 240.0
"""About the height of the plot in pixels: only used to keep end labels apart."""
_LABEL_GAP = 15.0
_HALF_LABEL = 7.0
"""Pixels from the middle of a label to the axis, at least."""
_LONGEST_LABEL = 16
_LETTER, _NARROWEST = 6.6, 520.0
"""Pixels of a letter of a label, and of the narrowest plot that has labels beside its curves."""
_FEW = 40
"""Values that are drawn as points too."""
_MARKERS = 64
"""Markers of the held-out loss at most."""


@dataclass(frozen=True, eq=False)
class _Curve:
    """The losses of one lane that have a place on the axes.

    Attributes:
        lane: Whose.
        x, loss, smooth: (n,) training losses, where they go, and their centred mean; empty without any.
        held: Places and values of the held-out loss, (m,) each.
        last: The last value of what is drawn.
        diverged: Step at which the run diverged; None when it did not.
    """

    lane: Lane
    x: np.ndarray
    loss: np.ndarray
    smooth: np.ndarray
    held: tuple[np.ndarray, np.ndarray]
    last: Final
    diverged: int | None

    @property
    def end(self) -> tuple[float, float]:
        """Where the curve ends: its mean, or the last held-out loss."""
        x, y = (self.x, self.smooth) if len(self.x) else self.held
        return float(x[-1]), float(y[-1])


def draw(scene: Scene) -> Drawing:
    """Raw loss thin, its centred mean on top, held-out loss as markers; a cross where a run diverged."""
    lanes, look = scene.lanes, scene.look
    log = look.loss_log
    past = {lane.position: scene.drawn_before(lane, lanes[:position]) for position, lane in enumerate(lanes)}
    curves = [curve for lane in lanes if (curve := _curve(lane, look, past[lane.position])) is not None]
    if not curves:
        missing = TITLES[look.loss_axis]
        wait = any(lane.trace.has("steps", "loss") for lane in lanes)
        return Drawing(
            empty=f"No run here has recorded {missing}; choose another horizontal axis."
            if wait
            else "The loss of each run appears here from its first step on."
        )
    all_of = curves
    if scene.is_past:
        all_of = [curve for lane in lanes if (curve := _curve(lane.newest, look, 0)) is not None]
    ends = [
        extent(np.concatenate([curve.loss, curve.held[1]]), log=log, diverged=curve.diverged is not None, falls=True)
        for curve in all_of
    ]
    low, high = min(end[0] for end in ends if end), max(end[1] for end in ends if end)
    furthest = max(curve.end[0] for curve in all_of)
    floors = {lane.trace.manifest.loss_floor for lane in lanes} - {None}
    floor = floors.pop() if len(floors) == 1 else None
    if floor and floor > 0:
        low = min(low, floor)
    labelled = len(lanes) > 1
    span = encode.log_range(low, high, per_decade=4) if log else [min(0.0, low), encode.nice_ceiling(max(high, 1e-12))]
    y_axis = (encode.log_axis if log else encode.axis)("loss", range=span, uirevision="log" if log else "linear")
    x_axis = horizontal(look, furthest, _room([curve.lane.label for curve in curves]) if labelled else 0.02)
    top = (10.0 ** span[1] if log else span[1]) * (1 + 1e-6)
    data = _bands(scene)
    words = "; shaded: other seeds" if data else ""
    for curve in curves:
        if len(curve.x):
            data += _lines(curve, look)
        if len(curve.held[0]):
            data.append(_markers(curve.lane, *curve.held, look))
        if curve.diverged is not None:
            data.append(_divergence(curve, top, look))
        elif (curve.loss > top).any():
            data.append(_beyond(curve, top, look))
    figure = {
        "data": data,
        "layout": encode.layout(
            "loss",
            xaxis=x_axis,
            yaxis=y_axis,
            hovermode="x unified" if look.loss_axis == "step" else "closest",
            annotations=[*(_labels(curves, span, log) if labelled else []), *_floor_name(floor, log)],
            shapes=_floor_line(floor),
        ),
    }
    lasts = [curve.last.last for curve in curves if curve.last.count]
    reading = _reading(curves, top) + words
    return Drawing(figure=figure, reading=reading, moment=f"steps to {max(lasts):,.0f}" if lasts else "")


def _bands(scene: Scene) -> list[dict[str, Any]]:
    """What other seeds of the lanes spanned, behind the curves: a line along each edge, filled between."""
    if scene.look.loss_axis != "step":
        return []
    data: list[dict[str, Any]] = []
    for band in scene.bands:
        colour = theme.lane(band.lane).colour
        for edge, more in ((band.high, {}), (band.low, {"fill": "tonexty", "fillcolor": theme.alpha(colour, 0.2)})):
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": "other seeds",
                    "meta": {"series": "band", "lane": band.lane},
                    "x": encode.integers(np.asarray(band.step)),
                    "y": encode.typed(np.asarray(edge, dtype=np.float64)),
                    "line": {"color": theme.alpha(colour, 0.35), "width": 0.5},
                    "hoverinfo": "skip",
                    **more,
                }
            )
    return data


def _curve(lane: Lane, look: Look, shared: int) -> _Curve | None:
    """The curve of a lane after a step; None without a value that has a place on the axes."""
    step, x, loss = placed(lane, "loss", look)
    held_step, held_x, held = placed(lane, "held_out_loss", look)
    if not len(x) and not len(held_x):
        return None
    begin = max(int(np.searchsorted(step, shared, side="right")) - 1, 0) if shared else 0
    held_x, held = held_x[held_step > shared], held[held_step > shared]
    shown = minmax(held, _MARKERS)
    key = ("mean", look.loss_axis, look.loss_log)
    mean = grown(lane.trace, "steps", key, lambda _, known: _mean(step, loss, known))
    return _Curve(
        lane=lane,
        x=x[begin:],
        loss=loss[begin:],
        smooth=mean.values[begin:],
        held=(held_x[shown], held[shown]),
        last=final_of(lane.trace, "loss" if len(x) else "held_out_loss"),
        diverged=divergence_step(lane.trace),
    )


@dataclass(frozen=True, eq=False)
class _Mean:
    """The centred mean of a curve, over a window of so many steps; arrays of (n,)."""

    step: np.ndarray
    loss: np.ndarray
    values: np.ndarray
    width: float


def _mean(step: np.ndarray, loss: np.ndarray, known: _Mean | None) -> _Mean:
    """The centred mean of a curve; of one that grew, only what its new end can change is computed again."""
    width = smoothing_width(step)
    kept = 0
    if known is not None and known.width == width and 0 < len(known.step) <= len(step):
        count = len(known.step)
        if np.array_equal(known.step, step[:count]) and np.array_equal(known.loss, loss[:count]):
            kept = int(np.searchsorted(step, known.step[-1] - width))
    if known is None or kept == 0:
        return _Mean(step, loss, centred_mean(step, loss, width), width)
    begin = int(np.searchsorted(step, step[kept] - width))
    tail = centred_mean(step[begin:], loss[begin:], width)[kept - begin :]
    return _Mean(step, loss, np.concatenate([known.values[:kept], tail]), width)


Placed = tuple[np.ndarray, np.ndarray, np.ndarray]


def placed(lane: Lane, name: str, look: Look) -> Placed:
    """Steps, places and values of a column that have a place on the axes, in order of step; (n,) each."""
    trace, axis, log = lane.trace, look.loss_axis, look.loss_log
    if not (trace.has("steps", name) and trace.has("steps", axis)):
        return np.empty(0), np.empty(0), np.empty(0)

    def build(seen: int, known: Placed | None) -> Placed:
        if known is not None and len(known[0]):
            fresh = _fitting(trace, np.arange(seen, trace.rows("steps")), name, axis, log)
            added = trace.values("steps", "step")[seen:]
            if np.all(added[1:] > added[:-1]) and (not len(added) or added[0] > known[0][-1]):
                step, x, values = (np.concatenate(pair) for pair in zip(known, fresh, strict=True))
                return step, x, values
        return _fitting(trace, rows_in_order(trace, name), name, axis, log)

    return grown(trace, "steps", ("placed", name, axis, log), build)


def _fitting(trace: TraceView, rows: np.ndarray, name: str, axis: str, log: bool) -> Placed:
    values, x = (trace.values("steps", column)[rows].astype(np.float64) for column in (name, axis))
    keep = np.isfinite(values) & np.isfinite(x) & ((values > 0) | (not log))
    return trace.values("steps", "step")[rows[keep]], x[keep], values[keep]


def horizontal(look: Look, furthest: float, room: float, **more: Any) -> dict[str, Any]:
    """The horizontal axis that the reader chose, to its end and some room for labels."""
    seconds = look.loss_axis == "optimizer_seconds"
    return encode.axis(
        TITLES[look.loss_axis],
        range=encode.time_range(furthest, room),
        uirevision=look.loss_axis,
        tickformat=",~g" if seconds else ",",
        hoverformat=",.3~f" if seconds else ",",
        **more,
    )


def where(x: np.ndarray, look: Look) -> dict[str, str]:
    """Places on the horizontal axis as a typed array."""
    return encode.typed(x) if look.loss_axis == "optimizer_seconds" else encode.integers(x)


def _lines(curve: _Curve, look: Look) -> list[dict[str, Any]]:
    lane, x, loss, smooth = curve.lane, curve.x, curve.loss, curve.smooth
    style = theme.lane(lane.position)
    raw, line = minmax(loss, look.max_points), minmax(smooth, look.max_points // 2)
    return [
        {
            "type": "scatter",
            # Few values are points: their line would tell of steps that nobody logged.
            "mode": "lines" if len(loss) > _FEW else "lines+markers",
            "name": encode.escape(lane.label),
            "meta": {"series": "raw", "lane": lane.position},
            "x": where(x[raw], look),
            "y": encode.typed(loss[raw]),
            "line": {"color": theme.alpha(style.colour, 0.45), "width": 1},
            "marker": {"symbol": style.symbol, "size": 4, "color": style.colour},
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": encode.escape(lane.label),
            "meta": {"series": "mean", "lane": lane.position},
            "x": where(x[line], look),
            "y": encode.typed(smooth[line]),
            "line": {"color": style.colour, "width": 2, "dash": style.dash},
            "hovertemplate": "%{y:.3g}",
        },
    ]


def _markers(lane: Lane, x: np.ndarray, loss: np.ndarray, look: Look) -> dict[str, Any]:
    style = theme.lane(lane.position)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{encode.escape(lane.label)}, held out",
        "meta": {"series": "held-out", "lane": lane.position},
        "x": where(x, look),
        "y": encode.typed(loss),
        "marker": {"symbol": f"{style.symbol}-open", "size": 6, "color": style.colour, "line": {"width": 1.3}},
        "hovertemplate": "%{y:.3g}",
    }


def _divergence(curve: _Curve, top: float, look: Look) -> dict[str, Any]:
    """A cross at the last loss before a divergence; at the upper edge where that left the plot."""
    style = theme.lane(curve.lane.position)
    x, y = curve.x[-1:], curve.loss[-1:]
    if not len(x):
        x, y = (values[-1:] for values in curve.held)
    words = f"{encode.escape(curve.lane.label)}: diverged at step {curve.diverged:,}"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": words,
        "meta": {"series": "diverged", "lane": curve.lane.position},
        "x": where(x, look),
        "y": encode.typed(np.minimum(y, top)),
        "marker": {"symbol": "x", "size": 10, "color": style.colour},
        "hovertemplate": f"{words}, last loss {theme.number(float(y[0]))}<extra></extra>",
        "cliponaxis": False,
    }


def _beyond(curve: _Curve, top: float, look: Look) -> dict[str, Any]:
    """An arrow at the upper edge where a loss that explodes leaves the plot."""
    style = theme.lane(curve.lane.position)
    at = np.flatnonzero(curve.loss > top)[:1]
    words = f"{encode.escape(curve.lane.label)}: leaves the plot here"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": words,
        "meta": {"series": "beyond", "lane": curve.lane.position},
        "x": where(curve.x[at], look),
        "y": encode.typed(np.full(1, top)),
        "marker": {"symbol": "arrow-up", "size": 12, "color": style.colour},
        "hovertemplate": f"{words}, highest {theme.number(float(curve.loss.max()))}<extra></extra>",
        "cliponaxis": False,
    }


def _room(labels: Sequence[str]) -> float:
    """What the longest label takes beside its curve, as a share of the width of the curve."""
    pixels = _LETTER * min(max(map(len, labels)), _LONGEST_LABEL)
    return max(pixels / (_NARROWEST - pixels), 0.16)


def _labels(curves: Sequence[_Curve], span: list[float], log: bool) -> list[dict[str, Any]]:
    """The names of the lanes at the ends of their curves, kept apart."""
    ends = [(curve.lane, *curve.end) for curve in curves]
    heights = [float(np.clip(np.log10(y) if log else y, span[0], span[1])) for _, _, y in ends]
    scale = _PLOT_HEIGHT / (span[1] - span[0])
    pixels = [(h - span[0]) * scale for h in heights]
    places = encode.spread(pixels, _LABEL_GAP, _HALF_LABEL, _PLOT_HEIGHT)
    names = told_apart([lane.label for lane, _, _ in ends], _LONGEST_LABEL)
    return [
        encode.note(
            encode.escape(name),
            x,
            height,
            name="end label",
            xanchor="left",
            xshift=6,
            yshift=round(wanted - pixel, 1),
            font={"size": 12, "color": theme.lane(lane.position).colour},
        )
        for (lane, x, _), name, height, pixel, wanted in zip(ends, names, heights, pixels, places, strict=True)
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


def _reading(curves: Sequence[_Curve], top: float) -> str:
    best = min(curves, key=lambda curve: curve.last.value if np.isfinite(curve.last.value) else np.inf)
    name = f"{best.lane.label} lowest: " if len(curves) > 1 else ""
    what = "" if len(best.x) else "held out, "
    found = f"{name}{theme.number(best.last.value)}, {what}{best.last.words}"
    gone = [f"{c.lane.label} diverged at step {c.diverged:,}" for c in curves if c.diverged is not None]
    above = [
        f"{c.lane.label} above the plot, up to {theme.number(float(c.loss.max()))}"
        for c in curves
        if c.diverged is None and (c.loss > top).any()
    ]
    return "; ".join([found, *gone, *above])
