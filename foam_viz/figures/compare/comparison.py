"""Many runs in one plot: a metric against an axis, raw curves faint, seeds as mean and band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from foam_viz.analysis import levels
from foam_viz.analysis.axes import BY_ID
from foam_viz.analysis.extent import extent
from foam_viz.analysis.groups import band, group_runs
from foam_viz.analysis.series import Missing
from foam_viz.figures import encode, theme
from foam_viz.figures.compare import marks
from foam_viz.figures.compare.curves import Curve, curve
from foam_viz.figures.look import Look
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Lane, Reference, Scene
from foam_viz.trace.visible import shortened

_POINTS, _POINTS_ZOOMED = 2, 6
"""Points of a curve, as multiples of the look's: these panels are large and seldom drawn; a zoom asks for detail."""
_POINTS_IN_ALL = 80_000
"""Points of all curves together: what a browser redraws at once."""
_FEWEST = 60
_FIRST, _SPIKE = 0.1, 1.5
"""Of its first tenth a loss may be cut where it was more than so many times as high as later."""
_MOST_LABELS = 6
_MOST_MISSING = 3


def draw(scene: Scene, position: int = 0) -> Drawing:
    """Draw one of the metrics that are compared, of every run that has it.

    Runs of one configuration are one mean with its band where the look groups seeds; a group looks like its first run.

    Args:
        scene: The runs; their positions fix how they look.
        position: Which of the look's metrics; only the first has the target.
    """
    lanes, look = scene.lanes, scene.look
    if position >= len(look.metrics):
        return Drawing(empty="Another metric appears here once it is chosen.")
    metric = look.metrics[position]
    curves = [curve(lane.trace, metric, look.x, look.smooth) for lane in lanes]
    missing = [(lane, found.reason) for lane, found in zip(lanes, curves, strict=True) if isinstance(found, Missing)]
    there = {index: found for index, found in enumerate(curves) if not isinstance(found, Missing)}
    if not there:
        why = f": {missing[0][1]}" if missing else ""
        return Drawing(empty=f"The {metric} of each run appears here once one has it{why}.")
    groups = group_runs([lane.trace for lane in lanes]) if look.seeds else ()
    held = [Reference(metric, look.target, "target")] if position == 0 and look.target is not None else []
    held += [reference for reference in scene.references if reference.metric == metric]
    wanted = look.max_points * (_POINTS_ZOOMED if look.window else _POINTS)
    limit = max(_FEWEST, min(wanted, _POINTS_IN_ALL // (len(there) * (2 if look.raw else 1))))
    x_axis, y_axis, cut = _axes(list(there.values()), metric, look, held)
    top = 10.0 ** y_axis["range"][1] if look.log_y else y_axis["range"][1]
    data: list[tuple[int, dict[str, Any]]] = []
    grouped: set[int] = set()
    notes: list[str] = []
    for group in groups:
        present = [index for index in group.members if index in there]
        if len(present) < 2:
            continue
        grouped |= set(present)
        first = lanes[present[0]]
        lane = Lane(first.trace, shortened(group.label), first.position)
        whole = band([_usable(there[index], look) for index in present], limit)
        notes.append(f"{lane.label}: {whole.note}")
        data += _ranked(marks.band(lane, whole, look.highlight, look.log_y), lane, look)
    for index, found in there.items():
        lane = lanes[index]
        if index not in grouped:
            data += _ranked(_lines(lane, found, look, limit), lane, look)
        elif look.raw:
            data += _ranked([_raw(lane, found, look, limit)], lane, look)
        data += _ranked(marks.breaks(lane, found, look.highlight, top), lane, look)
    data.sort(key=lambda pair: pair[0])
    shapes, annotations = marks.reference_lines(held, look.log_y)
    few = len(lanes) <= _MOST_LABELS
    figure = {
        "data": [trace for _, trace in data],
        "layout": encode.layout(
            "compare",
            margin={"l": 62, "r": 44 if held else 14, "t": 8, "b": 40},
            xaxis=x_axis,
            yaxis=y_axis,
            hovermode="x unified" if few and look.x == "step" else "closest",
            shapes=shapes,
            annotations=annotations,
            meta={"cursor": look.x, "detail": True},
        ),
    }
    ends = [int(found.raw.step[-1]) for found in there.values() if len(found.raw.step)]
    moment = f"steps to {max(ends):,}" if ends else ""
    return Drawing(figure=figure, reading=_reading(lanes, there, missing, notes, look, top, cut), moment=moment)


def _ranked(traces: list[dict[str, Any]], lane: Lane, look: Look) -> list[tuple[int, dict[str, Any]]]:
    """With their place in the order of painting: bands, raw curves, curves, marks; what is brought forward is last."""
    order = {"band": 0, "raw": 1, "curve": 2, "mean": 2, "gap": 3, "diverged": 3}
    ahead = 4 if look.highlight == lane.position else 0
    return [(order[trace["meta"]["series"]] + ahead, trace) for trace in traces]


def _usable(found: Curve, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """The smoothed curve where it has a place on the axes, x ascending, as means and bands need it."""
    x, y = found.raw.x, found.smooth
    if not found.sorted:
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    keep = (x > 0) if look.log_x else np.ones(len(x), bool)
    if look.log_y:
        y = np.where(y > 0, y, np.nan)
    return x[keep], y[keep]


def _lines(lane: Lane, found: Curve, look: Look, limit: int) -> list[dict[str, Any]]:
    strong = marks.curve(lane, *_sampled(found, found.smooth, look, limit), look.highlight)
    smoothed = look.smoothing != "none" and look.scale > 0
    return [_raw(lane, found, look, limit), strong] if look.raw and smoothed else [strong]


def _raw(lane: Lane, found: Curve, look: Look, limit: int) -> dict[str, Any]:
    return marks.raw(lane, *_sampled(found, found.raw.y, look, limit), look.highlight)


def _sampled(found: Curve, y: np.ndarray, look: Look, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Points to draw of a curve in the window; what cannot be drawn is NaN, where the line breaks."""
    low, high = _window(look) or (None, None)
    x = found.raw.x
    if not found.sorted:  # a clock that starts again: cut by row, so the window cannot be searched
        low = high = None
    rows = levels.sample(x, y, limit, low, high)
    x, y = x[rows], y[rows]
    drawable = np.isfinite(y)
    if look.log_y:
        drawable &= y > 0
    if look.log_x:
        drawable &= x > 0
    return x, np.where(drawable, y, np.nan)


def _window(look: Look) -> tuple[float, float] | None:
    """The part of the axis to draw: what is zoomed into and as much again on either side, so that it can be moved."""
    if look.window is None:
        return None
    low, high = look.window
    if look.log_x and low > 0:
        return low * low / high, high * high / low
    return low - (high - low), high + (high - low)


def _axes(
    curves: list[Curve], metric: str, look: Look, held: Sequence[Reference]
) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """Both axes, and whether the vertical one leaves out what a loss was in its first tenth."""
    along = BY_ID[look.x]
    most = max(float(found.raw.x.max()) for found in curves)
    if look.log_x:
        positive = [float(x.min()) for found in curves if len(x := found.raw.x[found.raw.x > 0])]
        span = encode.log_range(min(positive, default=0.1), max(most, 1e-3), per_decade=4)
        x_axis = encode.log_axis(along.title, range=span)
    else:
        end = 1.0 if look.x == "relative" else max(most, 1e-9)
        x_axis = encode.axis(along.title, range=[0.0, end * 1.01], tickformat=",~g" if not along.whole else ",")
    low, high = np.inf, -np.inf
    for found in curves:
        values = found.raw.y if look.raw else found.smooth
        seen = extent(values, log=look.log_y, diverged=found.raw.diverged_step is not None, falls="loss" in metric)
        if seen is not None:
            low, high = min(low, seen[0]), max(high, seen[1])
    later = None if look.whole or "loss" not in metric else _later(curves, look)
    cut = False
    if later is not None and low < later < high / _SPIKE:
        high, cut = later, True
    for line in held:
        if line.value > 0 or not look.log_y:
            low, high = min(low, line.value), max(high, line.value)
    unit = curves[0].raw.unit
    title = encode.escape(f"{metric} ({unit})" if unit else metric)
    if look.log_y:
        known = np.isfinite([low, high]).all() and low > 0
        fine = 20 if known and high < 10 * low else 4  # within a decade a quarter of one would leave a third empty
        span = encode.log_range(low, high, per_decade=fine) if known else [-1.0, 1.0]
        y_axis = encode.log_axis(title, range=span)
    else:
        low, high = (low, high) if np.isfinite([low, high]).all() else (0.0, 1.0)
        room = 0.04 * (high - low) or max(abs(high), 1e-9) * 0.05
        y_axis = encode.axis(title, range=[low - room, high + room], tickformat="~g")
    x_axis["showspikes"] = False  # the cursor over all panels is ours
    x_axis["uirevision"] = f"{look.x} {look.log_x}"
    y_axis["uirevision"] = f"{metric} {look.log_y}"
    return x_axis, y_axis, cut


def _later(curves: list[Curve], look: Look) -> float | None:
    """The highest value of the curves after the first tenth of the axis; None where there is none."""
    ends = []
    for found in curves:
        values = found.raw.y if look.raw else found.smooth
        first, last = float(found.raw.x.min()), float(found.raw.x.max())
        late = (found.raw.x > first + _FIRST * (last - first)) | (found.raw.x == last)  # all of a run of one row
        seen = extent(
            values[late],
            log=look.log_y,
            diverged=found.raw.diverged_step is not None,
        )
        ends += [seen[1]] if seen else []
    return max(ends, default=None)


def _reading(
    lanes: Sequence[Lane],
    there: dict[int, Curve],
    missing: list[tuple[Lane, str]],
    notes: list[str],
    look: Look,
    top: float,
    cut: bool,
) -> str:
    runs = f"{len(there)} run{'s' if len(there) != 1 else ''}"
    smoothing = look.smooth
    if smoothing.kind != "none" and smoothing.scale > 0:
        how = "exponential mean" if smoothing.kind == "ema" else "centred window"
        runs += f", {how} of {theme.setting(smoothing.scale)} steps"
    parts = [runs]
    if cut:
        parts.append("what was higher in the first tenth is cut, Whole range shows it")
    ends = [(lanes[i].label, found.raw.diverged_step) for i, found in there.items()]
    gone = [f"{label} diverged at step {step:,}" for label, step in ends if step is not None]
    parts += _some(gone)
    parts += notes[:_MOST_MISSING]
    highest = {
        i: float(np.max(found.raw.y if look.raw else found.smooth, where=found.raw.finite, initial=-np.inf))
        for i, found in there.items()
        if found.raw.diverged_step is None
    }
    parts += (
        []
        if cut
        else _some(
            [
                f"{lanes[i].label} above the plot, up to {theme.number(value)}"
                for i, value in highest.items()
                if value > top + 1e-6 * abs(top)
            ]
        )
    )
    hidden = sum(int((found.raw.y <= 0).sum()) for found in there.values()) if look.log_y else 0
    if hidden:
        parts.append(f"{hidden:,} values at or below 0 have no place on a logarithmic axis")
    if look.x == "relative":
        parts += _some([f"{lanes[i].label}: {found.raw.notes[0]}" for i, found in there.items() if found.raw.notes])
    without: dict[str, list[str]] = {}
    for lane, reason in missing:
        without.setdefault(reason, []).append(lane.label)
    parts += [f"{_whose(labels)} left out: {reason}" for reason, labels in without.items()]
    return "; ".join(parts)


def _whose(labels: list[str]) -> str:
    return " and ".join(labels) if len(labels) <= 2 else f"{len(labels):,} runs"


def _some(words: list[str]) -> list[str]:
    more = [f"and {len(words) - _MOST_MISSING} more"] if len(words) > _MOST_MISSING else []
    return words[:_MOST_MISSING] + more
