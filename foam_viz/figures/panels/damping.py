"""The damping of the followed factor over time, its refreshes, and under it the drift against its threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from foam_viz.analysis.checks import DECISION_ORDER, Checks, checks_of
from foam_viz.analysis.downsample import PIXELS, bin_width, bins_of, envelope_width, minmax
from foam_viz.analysis.extent import extent
from foam_viz.analysis.settings import Course, Settings, course, settings_at
from foam_viz.analysis.snapshots import true_errors
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.panels.waiting import why_empty
from foam_viz.figures.scene import Lane, Scene

_POINTS = 402
"""Checks that are drawn one by one; more become an envelope of at most 200 bins: the card is a third of the page."""

_LOW = 0.4
"""Of a row lower than this share of the plot only decades fit as ticks: Plotly would label 1, 2 and 5 of each."""

_TICKS = PIXELS
"""Ticks of one reason at most; closer ones could not be told apart."""

_ERRORS = 64
"""Markers of the true error at most."""

_MEASURES = {"h": "drift", "r": "residual"}

_MOST_COUNTS = 16
"""With more intervals their counts would run into each other; hovering tells them."""

_HELP = {
    "epsilon": "ε₀, the damping right after a decomposition",
    "epsilon_max": "ε<sub>max</sub>, the most damping allowed: beyond it the factor is decomposed again",
    "tau": "τ, the drift that is tolerated",
}


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
        data += _line_of(curve, curve.drift, axes[measure].name, "drift", measure, "linear")
    data += _ticks(rows)
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
    steps, shapes, notes = _thresholds(courses, chosen.measure, axes, spans, end[1])
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
        place = axes[quantity]
        title = "damping ε" if quantity == "ε" else f"{_MEASURES[quantity]} {quantity}"
        ticks = "~e" if quantity == "ε" or span[0] < -3 else "~g"
        low = place.domain[1] - place.domain[0] < _LOW
        layout[f"yaxis{place.name[1:]}"] = encode.log_axis(
            title, range=span, domain=place.domain, tickformat=ticks, nticks=3, uirevision=quantity,
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


class _Axis(NamedTuple):
    """Plotly's name of an axis and the part of the plot's height that is its own."""

    name: str
    domain: list[float]


def _axes(damped: bool, measures: Sequence[str]) -> dict[str, _Axis]:
    """The rows of the plot, from above: damping where any lane damps, ticks, and each measure that a lane goes by."""
    if len(measures) == 1:
        below, ticks, above = [[0.0, 0.4]], [0.41, 0.48], [0.5, 1.0]
    else:
        below, ticks, above = [[0.32, 0.53], [0.0, 0.22]], [0.55, 0.61], [0.63, 1.0]
    if not damped:
        ticks = [0.93, 1.0]
        below = [[0.0, 0.9]] if len(measures) == 1 else [[0.52, 0.9], [0.0, 0.4]]
    names = ("y2", "y4")
    axes = {measure: _Axis(names[place], below[place]) for place, measure in enumerate(measures)}
    return axes | {"ticks": _Axis("y3", ticks)} | ({"ε": _Axis("y", above)} if damped else {})


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


def _ticks(rows: Checks) -> list[dict[str, Any]]:
    """One tick a decomposition in the strip between the two rows, coloured by its reason; a bar an interval."""
    drawn = _counts(rows)
    for code, reason in enumerate(DECISION_ORDER):
        at = rows.step[rows.decision == code]
        if reason == "reuse" or len(at) == 0:
            continue
        first, count = bins_of(at, _TICKS)
        several = count.max() > 1
        drawn.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": theme.DECISION_WORDS[reason],
                "meta": {"series": "refresh", "reason": reason},
                "x": encode.integers(at[first]),
                "y": encode.typed(np.zeros(len(first)), "u1"),
                "yaxis": "y3",
                "marker": {
                    "symbol": "x-thin" if reason == "failure" else "line-ns",
                    "size": 9,
                    "line": {"color": theme.DECISIONS[reason], "width": 1.6},
                },
                "customdata": encode.integers(count) if several else None,
                "hovertemplate": f"{'%{customdata} times ' if several else ''}decomposed, "
                f"{theme.DECISION_WORDS[reason]}<extra></extra>",
            }
        )
    return drawn


def _counts(rows: Checks) -> list[dict[str, Any]]:
    """Intervals with decompositions: a bar as wide as the steps they cover, and how many of the checks it were."""
    some = np.flatnonzero((rows.decision < 0) & (rows.decompositions > 0))
    if len(some) == 0:
        return []
    # Neighbours that could not be told apart are one interval with the sum of their counts: none is left out.
    begins = np.arange(0, len(some), bin_width(len(some), _TICKS))
    ends = np.append(begins[1:], len(some)) - 1
    done, checks = (np.add.reduceat(counts[some], begins) for counts in (rows.decompositions, rows.checks))
    first, last = rows.start[some][begins], rows.step[some][ends]
    half = (last - first) / 2
    few = len(begins) <= _MOST_COUNTS
    return [
        {
            "type": "scatter",
            "mode": "markers+text" if few else "markers",
            "name": "decompositions",
            "meta": {"series": "counts"},
            "x": encode.typed(last - half, "f8"),
            "y": encode.typed(np.full(len(begins), -0.6)),
            "yaxis": "y3",
            "text": [f"{count:,}" for count in done] if few else [],
            "textposition": "top center",
            "textfont": {"size": 10, "color": theme.LIGHT.ink},
            "customdata": encode.integers(np.stack([done, checks], axis=1)),
            "error_x": {"type": "data", "array": encode.typed(half), "color": theme.LIGHT.ink, "thickness": 1.6},
            "marker": {"symbol": "line-ns", "size": 5, "line": {"color": theme.LIGHT.ink, "width": 1.4}},
            "hovertemplate": "%{customdata[0]} decompositions in %{customdata[1]} checks<extra></extra>",
        }
    ]


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


_THRESHOLDS = {
    "epsilon": {"color": theme.LIGHT.soft_ink, "dash": "dot", "width": 1.2},
    "epsilon_max": {"color": theme.VERMILION, "dash": "dash", "width": 1.2},
    "tau": {"color": theme.LIGHT.ink, "dash": "dash", "width": 1.2},
}


def _thresholds(
    courses: dict[str, Course], measure: str, axes: dict[str, _Axis], spans: dict[str, list[float]], end: float
) -> tuple[list, list, list]:
    """The lines ε₀, εₘₐₓ and τ as they were at each step, with their names in the right margin, and the tint above τ.

    Returns:
        Traces, of what was changed while the run trained; shapes; and annotations.
    """
    traces: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for name, line in _THRESHOLDS.items():
        quantity, over = measure if name == "tau" else "ε", courses[name]
        value = float(over.value[-1])
        if not value > 0 or quantity not in axes:
            continue
        axis = axes[quantity].name
        if over.changes:
            traces.append(_changing(name, over, axis, line, end))
        else:
            shapes.append(_line(value, axis, line))
        notes.append(
            encode.note(
                theme.SYMBOLS[name], 1, float(np.log10(value)), xref="paper", yref=axis, xanchor="left", xshift=5,
                font={"size": 12, "color": line["color"]}, hovertext=f"{_HELP[name]}: {theme.setting(value)}",
            )
        )  # fmt: skip
        if name == "tau":
            shapes += _tints(over, axis, 10.0 ** (spans[measure][1] + 6), end)
    return traces, shapes, notes


def _tints(tau: Course, axis: str, top: float, end: float) -> list[dict[str, Any]]:
    """What lies above τ, a rectangle for each value that it had; the whole width for one alone."""
    edges = [*tau.step.tolist(), end] if tau.changes else [0, 1]
    return [
        {
            "type": "rect",
            "xref": "x" if tau.changes else "paper",
            "yref": axis,
            "x0": begin,
            "x1": until,
            "y0": value,
            "y1": top,
            "fillcolor": theme.alpha(theme.VERMILION, 0.08),
            "line": {"width": 0},
            "layer": "below",
        }
        for begin, until, value in zip(edges[:-1], edges[1:], tau.value.tolist(), strict=True)
    ]


def _changing(name: str, over: Course, axis: str, line: dict[str, Any], end: float) -> dict[str, Any]:
    """A setting that was changed while the run trained, as a line with its steps."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": theme.SYMBOLS[name],
        "meta": {"series": name},
        "x": encode.typed(np.append(over.step, end), "f8"),
        "y": encode.typed(np.append(over.value, over.value[-1])),
        "yaxis": axis,
        "line": {**line, "shape": "hv"},
        "hovertemplate": f"{theme.SYMBOLS[name]} = %{{y:.3~g}}<extra></extra>",
    }


def _line(value: float, axis: str, line: dict[str, Any]) -> dict[str, Any]:
    return {"type": "line", "xref": "paper", "yref": axis, "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line}


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
