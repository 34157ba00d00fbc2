"""The damping of the followed factor over time, its refreshes, and under it the drift against its threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from foam_viz.analysis.checks import Checks, checks_of
from foam_viz.analysis.downsample import envelope_width, minmax
from foam_viz.analysis.extent import extent
from foam_viz.analysis.settings import Settings, course, settings_at
from foam_viz.analysis.snapshots import true_errors
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.panels.refresh_ticks import refresh_ticks
from foam_viz.figures.panels.threshold_lines import Axis, threshold_lines
from foam_viz.figures.panels.waiting import why_empty
from foam_viz.figures.scene import Lane, Scene

_POINTS = 402
"""Checks that are drawn one by one; more become an envelope of at most 200 bins: the card is a third of the page."""

_LOW = 0.4
"""Of a row lower than this share of the plot only decades fit as ticks: Plotly would label 1, 2 and 5 of each."""

_ERRORS = 64
"""Markers of the true error at most."""

_MEASURES = {"h": "drift", "r": "residual"}


@dataclass(frozen=True)
class _Curve:
    """The checks of one lane's factor.

    Attributes:
        lane: Whose.
        factor: Index of the factor in it.
        rows: Its checks of the factor followed.
        line: How its lines look.
        points: Vertices at most of one of its lines.
    """

    lane: Lane
    factor: int
    rows: Checks
    line: dict[str, Any]
    points: int

    @cached_property
    def settings(self) -> Settings:
        """Those in force at its newest check."""
        return settings_at(self.lane.trace, int(self.rows.step[-1]) if len(self.rows) else 0)

    @property
    def drift(self) -> np.ndarray:
        """The lane's own measure, (n,): h, or r where the residual decides."""
        return self.rows.residual if self.settings.residual else self.rows.proxy

    @property
    def diverged(self) -> int | None:
        """Step at which the lane diverged."""
        return self.lane.trace.manifest.diverged_step


def draw(scene: Scene) -> Drawing:
    """Damping above, refreshes as ticks between, drift below; one time axis. Each measure has an axis of its own."""
    target = scene.followed
    rows = checks_of(target[0].trace, target[1]) if target else None
    if target is None or rows is None or len(rows) == 0:
        return Drawing(empty=why_empty(scene, "The damping of the followed factor"))
    lane, factor = target
    curves, drawn = [], [lane]
    for other in scene.lanes:
        index = other.like(lane, factor) if other is not lane else None
        if index is not None:
            style = theme.lane(other.position)
            line = {"color": style.colour, "width": 1, "dash": style.dash}
            own = checks_of(other.trace, index)
            if shared := scene.drawn_before(other, drawn):
                own = own.where(own.step >= shared)
            curves.append(_Curve(other, index, own, line, _POINTS))
            drawn.append(other)
    main = _Curve(lane, factor, rows, {"color": theme.LIGHT.accent, "width": 2}, _POINTS)
    curves.append(main)
    chosen = main.settings
    courses = {name: course(lane.trace, name) for name in ("epsilon", "epsilon_max", "tau")}
    errors = _errors(lane, factor)
    damped = any(_positive(curve.rows.epsilon).any() for curve in curves)
    measures = [chosen.measure]
    measures += sorted({curve.settings.measure for curve in curves if _positive(curve.drift).any()} - {chosen.measure})
    axes = _axes(damped, measures)
    data: list[dict[str, Any]] = []
    for curve in curves:
        if damped:
            data += _line_of(curve, curve.rows.epsilon, axes["ε"].name, "epsilon", "ε", "hv")
        measure = curve.settings.measure
        if measure in axes:  # a lane that has measured nothing yet has no axis of its own
            data += _line_of(curve, curve.drift, axes[measure].name, "drift", measure, "linear")
    data += refresh_ticks(rows)
    data += [_divergence(curve) for curve in curves if curve.diverged is not None]
    if errors is not None:
        data.append(_error_markers(*errors))
    damping = [*courses["epsilon"].value, *courses["epsilon_max"].value]
    all_of, all_errors = curves, errors
    if scene.is_past:
        all_of = [_newest(curve) for curve in curves]
        all_errors = _errors(lane.newest, factor)
    spans = {"ε": _span([curve.rows.epsilon for curve in all_of], damping, fallback=1e-9)}
    for measure in measures:
        series = [curve.drift for curve in all_of if curve.settings.measure == measure]
        if measure == chosen.measure and all_errors is not None:
            series.append(all_errors[1])
        spans[measure] = _span(series, courses["tau"].value if measure == chosen.measure else [], fallback=0.1)
    furthest = max(curve.lane.trace.last_step for curve in all_of)
    end = encode.time_range(furthest, 0.02)
    steps, shapes, notes = threshold_lines(courses, chosen.measure, axes, spans, end[1])
    data += steps
    lowest = axes[measures[-1]].name
    layout = encode.layout(
        "damping",
        margin={"l": 60, "r": 40, "t": 8, "b": 40},
        xaxis=encode.axis("step", range=end, anchor=lowest, tickformat=",", hoverformat=","),
        yaxis3={"domain": axes["ticks"].domain, "range": [-1, 1], "visible": False, "fixedrange": True},
        hovermode="x",
        shapes=shapes,
        annotations=notes,
    )
    for quantity, span in spans.items():
        if quantity not in axes:
            continue
        axis = axes[quantity]
        title = "damping ε" if quantity == "ε" else f"{_MEASURES[quantity]} {quantity}"
        ticks = "~e" if quantity == "ε" or span[0] < -3 else "~g"
        low = axis.domain[1] - axis.domain[0] < _LOW
        layout[f"yaxis{axis.name[1:]}"] = encode.log_axis(
            title, range=span, domain=axis.domain, tickformat=ticks, nticks=3, uirevision=quantity,
            **({"dtick": math.ceil((span[1] - span[0]) / 3)} if low and span[1] - span[0] > 1 else {}),
        )  # fmt: skip
    title = "" if damped else "Basis drift"
    return Drawing(
        figure={"data": data, "layout": layout},
        reading=_reading(main, factor, curves),
        title=title,
        moment=_moment(rows),
    )


def _newest(curve: _Curve) -> _Curve:
    """The curve up to the newest step: of that the axes are, whatever moment is looked at."""
    lane = curve.lane.newest
    return replace(curve, lane=lane, rows=checks_of(lane.trace, curve.factor))


def _axes(damped: bool, measures: Sequence[str]) -> dict[str, Axis]:
    """The rows of the plot, from above: damping where any lane damps, ticks, and each measure that a lane goes by."""
    if len(measures) == 1:
        below, ticks, above = [[0.0, 0.4]], [0.41, 0.48], [0.5, 1.0]
    else:
        below, ticks, above = [[0.32, 0.53], [0.0, 0.22]], [0.55, 0.61], [0.63, 1.0]
    if not damped:
        ticks = [0.93, 1.0]
        below = [[0.0, 0.9]] if len(measures) == 1 else [[0.52, 0.9], [0.0, 0.4]]
    names = ("y2", "y4")
    axes = {measure: Axis(names[position], below[position]) for position, measure in enumerate(measures)}
    return axes | {"ticks": Axis("y3", ticks)} | ({"ε": Axis("y", above)} if damped else {})


def _positive(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values) & (values > 0)


def _span(series: Sequence[np.ndarray], lines: Sequence[float] | np.ndarray, fallback: float) -> list[float]:
    """Half-decade range that holds what is drawn, but for what a run did on its way to infinity, and some air."""
    ends = [end for values in series for end in extent(values, log=True) or ()] + [line for line in lines if line > 0]
    ends = ends or [fallback]
    return encode.log_range(min(ends) * 0.8, max(ends) * 1.25)


def _line_of(
    curve: _Curve, values: np.ndarray, axis: str, series: str, symbol: str, shape: str
) -> list[dict[str, Any]]:
    """One line without the checks at which nothing was recorded; nothing where no check has a value.

    Where rows count intervals, values are known at their ends only: points, as a line would tell of the time between.
    """
    known = np.flatnonzero(_positive(values))
    if len(known) == 0:
        return []
    picked = known[minmax(values[known], curve.points)]
    width = envelope_width(len(known), curve.points)
    which = f", lowest or highest of {width} checks" if width > 1 else ""
    name = encode.escape(curve.lane.label)
    sparse = {"mode": "markers", "marker": {"size": 6, "color": curve.line["color"]}} if curve.rows.counted else {}
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "meta": {"series": series, "lane": curve.lane.position, "measure": symbol},
            "x": encode.integers(curve.rows.step[picked]),
            "y": encode.typed(values[picked]),
            "yaxis": axis,
            "line": {**curve.line, "shape": shape},
            "hovertemplate": f"{name}: {symbol} = %{{y:.3~g}}{which}<extra></extra>",
            **sparse,
        }
    ]


def _divergence(curve: _Curve) -> dict[str, Any]:
    """A cross between the rows at the step at which a lane diverged."""
    colour = theme.lane(curve.lane.position).colour
    words = f"{encode.escape(curve.lane.label)}: diverged at step {curve.diverged:,}"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": words,
        "meta": {"series": "diverged", "lane": curve.lane.position},
        "x": encode.integers(np.array([curve.diverged])),
        "y": encode.typed(np.zeros(1)),
        "yaxis": "y3",
        "marker": {"symbol": "x", "size": 10, "color": colour},
        "hovertemplate": f"{words}<extra></extra>",
    }


def _errors(lane: Lane, factor: int) -> tuple[np.ndarray, np.ndarray] | None:
    step, error = true_errors(lane.trace, factor)
    known = np.flatnonzero(error > 0)
    known = known[minmax(error[known], _ERRORS)]
    return (step[known], error[known]) if len(known) else None


def _error_markers(step: np.ndarray, error: np.ndarray) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "true error",
        "meta": {"series": "true error"},
        "x": encode.integers(step),
        "y": encode.typed(error),
        "yaxis": "y2",
        "marker": {"symbol": "circle-open", "size": 5, "color": theme.LIGHT.ink, "line": {"width": 1}},
        "hovertemplate": "true error = %{y:.3~g}<extra></extra>",
    }


def _reading(curve: _Curve, factor: int, curves: Sequence[_Curve]) -> str:
    """What the newest check found and did: the measure with the damping in force then, and the damping after it."""
    rows, settings, parts = curve.rows, curve.settings, []
    at = len(rows) - 1
    drift, before, after = float(curve.drift[at]), float(rows.epsilon_before[at]), float(rows.epsilon[at])
    moved = bool(np.isfinite(before)) and before != after
    if np.isfinite(drift):
        words = f"{settings.measure} = {theme.number(drift)}"
        if settings.tau:
            words += f" {'>' if drift > settings.tau else '≤'} τ = {theme.setting(settings.tau)}"
        parts.append(f"{words} with ε = {theme.number(before)}" if moved else words)
    if np.isfinite(after):
        over = f", {theme.number(after / settings.epsilon)} × ε₀" if settings.epsilon else ""
        then = "then " if np.isfinite(drift) and moved else ""
        parts.append(f"{then}ε = {theme.number(after)}{over}")
    parts += [
        f"{other.lane.label} diverged at step {other.diverged:,}" for other in curves if other.diverged is not None
    ]
    return f"{curve.lane.factor_name(factor)}: {'; '.join(parts) or 'no damping recorded'}"


def _moment(rows: Checks) -> str:
    step = int(rows.step[-1])
    return f"end of steps {int(rows.start[-1]):,} to {step:,}" if rows.start[-1] != step else f"check of step {step:,}"
