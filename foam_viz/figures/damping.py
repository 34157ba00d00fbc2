"""The damping of the followed factor over time, its refreshes, and under it the drift against its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from foam_viz.analysis.downsample import bin_width, minmax, strided
from foam_viz.figures import columns, encode, theme
from foam_viz.figures.columns import DECISION_ORDER, Checks, Settings
from foam_viz.figures.panel import Drawing, Lane, View

_TICKS = 200
"""Ticks of one reason at most; closer ones could not be told apart."""

_MOST_COUNTS = 16
"""With more intervals their counts would run into each other; hovering tells them."""

_HELP = {
    "epsilon": "ε₀, the damping right after a decomposition",
    "epsilon_max": "ε<sub>max</sub>, the most damping allowed: beyond it the factor is decomposed again",
    "tau": "τ, the drift that is tolerated",
}


def draw(lanes: Sequence[Lane], view: View) -> Drawing:
    """Damping above, refreshes as ticks between, drift below; one time axis."""
    target = columns.followed(lanes, view)
    rows = columns.checks_of(*target) if target else None
    if target is None or rows is None or len(rows) == 0:
        return Drawing(empty=columns.why_empty(lanes, view, "The damping of the followed factor"))
    lane, factor = target
    chosen = columns.settings(lane)
    data: list[dict[str, Any]] = []
    epsilons, drifts = [rows.epsilon, rows.epsilon_before], []
    furthest = columns.last_step(lane)
    for other in lanes:
        index = columns.same_factor(lane, other, factor) if other is not lane else None
        if index is None:
            continue
        theirs, style = columns.checks_of(other, index), theme.lane(other.position)
        line = {"color": style.colour, "width": 1, "dash": style.dash}
        data += _lines(other, theirs, columns.settings(other), line, view.max_points // 2)
        epsilons.append(theirs.epsilon)
        drifts.append(_drift(theirs, columns.settings(other)))
        furthest = max(furthest, columns.last_step(other))
    line = {"color": theme.LIGHT.accent, "width": 2}
    data += _lines(lane, rows, chosen, line, view.max_points // 2)
    data += _ticks(rows)
    drifts.append(_drift(rows, chosen))
    errors = _errors(lane, factor)
    if errors is not None:
        data.append(_error_markers(*errors))
        drifts.append(errors[1])
    epsilon_span = _span(epsilons, [chosen.epsilon, chosen.epsilon_max], fallback=1e-9)
    drift_span = _span(drifts, [chosen.tau], fallback=0.1)
    shapes, notes = _thresholds(chosen, epsilon_span, drift_span)
    what = "residual r" if chosen.residual else "drift h"
    figure = {
        "data": data,
        "layout": encode.layout(
            "damping",
            margin={"l": 60, "r": 40, "t": 8, "b": 40},
            xaxis=encode.axis(
                "step", range=encode.time_range(furthest, 0.02), anchor="y2", tickformat=",", hoverformat=","
            ),
            yaxis=encode.log_axis("damping ε", range=epsilon_span, domain=[0.5, 1], tickformat="~e", nticks=3),
            yaxis2=encode.log_axis(
                what, range=drift_span, domain=[0, 0.4], nticks=3, tickformat="~e" if drift_span[0] < -3 else "~g"
            ),
            yaxis3={"domain": [0.41, 0.48], "range": [-1, 1], "visible": False, "fixedrange": True},
            hovermode="x",
            shapes=shapes,
            annotations=notes,
        ),
    }
    return Drawing(figure=figure, reading=_reading(lane, factor, rows, chosen))


def _drift(rows: Checks, settings: Settings) -> np.ndarray:
    return rows.residual if settings.residual else rows.proxy


def _span(series: list[np.ndarray], lines: list[float | None], fallback: float) -> list[float]:
    """Half-decade range that holds everything positive drawn, and some air."""
    values = np.concatenate([*series, [line for line in lines if line]])
    values = values[np.isfinite(values) & (values > 0)]
    if len(values) == 0:
        values = np.array([fallback])
    return encode.log_range(float(values.min()) * 0.8, float(values.max()) * 1.25)


def _lines(lane: Lane, rows: Checks, settings: Settings, line: dict, max_points: int) -> list[dict[str, Any]]:
    """Damping as a step line, drift as a line; both without the checks at which they were not recorded.

    Where rows count intervals, values are known at their ends only: points, as a line would tell of the time between.
    """
    drift, name = _drift(rows, settings), encode.escape(lane.label)
    drawn = []
    for values, axis, shape, what in (
        (rows.epsilon, "y", "hv", "ε"),
        (drift, "y2", "linear", settings.measure),
    ):
        known = np.flatnonzero(np.isfinite(values) & (values > 0))
        if len(known) == 0:
            continue
        picked = known[minmax(np.log10(values[known]), max_points)]
        sparse = {"mode": "markers", "marker": {"size": 6, "color": line["color"]}} if rows.counted else {}
        drawn.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "meta": {"series": "epsilon" if what == "ε" else "drift", "lane": lane.position},
                "x": encode.integers(rows.step[picked]),
                "y": encode.typed(values[picked]),
                "yaxis": axis,
                "line": {**line, "shape": shape},
                "hovertemplate": f"{name}: {what} = %{{y:.3~g}}<extra></extra>",
                **sparse,
            }
        )
    return drawn


def _ticks(rows: Checks) -> list[dict[str, Any]]:
    """One tick a decomposition in the strip between the two rows, coloured by its reason; a bar an interval."""
    drawn = _counts(rows)
    for code, reason in enumerate(DECISION_ORDER):
        at = rows.step[rows.decision == code]
        if reason == "reuse" or len(at) == 0:
            continue
        width = bin_width(int(rows.step[-1]) + 1, 4 * _TICKS)
        _, first = np.unique(at // width, return_index=True)
        at = at[first]
        drawn.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": theme.DECISION_WORDS[reason],
                "meta": {"series": "refresh", "reason": reason},
                "x": encode.integers(at),
                "y": encode.typed(np.zeros(len(at)), "u1"),
                "yaxis": "y3",
                "marker": {
                    "symbol": "x-thin" if reason == "failure" else "line-ns",
                    "size": 9,
                    "line": {"color": theme.DECISIONS[reason], "width": 1.6},
                },
                "hovertemplate": f"decomposed, {theme.DECISION_WORDS[reason]}<extra></extra>",
            }
        )
    return drawn


def _counts(rows: Checks) -> list[dict[str, Any]]:
    """Intervals with decompositions: a bar as wide as the steps they cover, and how many of the checks it were."""
    some = np.flatnonzero((rows.decision < 0) & (rows.decompositions > 0))
    some = some[strided(len(some), _TICKS)]
    if len(some) == 0:
        return []
    half = (rows.step[some] - rows.start[some]) / 2
    few = len(some) <= _MOST_COUNTS
    return [
        {
            "type": "scatter",
            "mode": "markers+text" if few else "markers",
            "name": "decompositions",
            "meta": {"series": "counts"},
            "x": encode.typed(rows.step[some] - half, "f8"),
            "y": encode.typed(np.full(len(some), -0.6)),
            "yaxis": "y3",
            "text": [f"{count:,}" for count in rows.decompositions[some]] if few else [],
            "textposition": "top center",
            "textfont": {"size": 10, "color": theme.LIGHT.ink},
            "customdata": encode.integers(np.stack([rows.decompositions[some], rows.checks[some]], axis=1)),
            "error_x": {"type": "data", "array": encode.typed(half), "color": theme.LIGHT.ink, "thickness": 1.6},
            "marker": {"symbol": "line-ns", "size": 5, "line": {"color": theme.LIGHT.ink, "width": 1.4}},
            "hovertemplate": "%{customdata[0]} decompositions in %{customdata[1]} checks<extra></extra>",
        }
    ]


def _errors(lane: Lane, factor: int) -> tuple[np.ndarray, np.ndarray] | None:
    step, error = columns.true_errors(lane, factor)
    known = np.flatnonzero(error > 0)
    known = known[strided(len(known), 40)]
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


def _thresholds(settings: Settings, epsilon_span: list[float], drift_span: list[float]) -> tuple[list, list]:
    """The lines ε₀, ε_max and τ with their names in the right margin, and the tint above τ."""
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for value, name, axis, line in (
        (settings.epsilon, "epsilon", "y", {"color": theme.LIGHT.soft_ink, "dash": "dot", "width": 1.2}),
        (settings.epsilon_max, "epsilon_max", "y", {"color": theme.VERMILION, "dash": "dash", "width": 1.2}),
        (settings.tau, "tau", "y2", {"color": theme.LIGHT.ink, "dash": "dash", "width": 1.2}),
    ):
        if not value:
            continue
        shapes.append(_line(value, axis, line))
        height = float(np.log10(value))
        notes.append(
            encode.note(
                theme.SYMBOLS[name], 1, height, xref="paper", yref=axis, xanchor="left", xshift=5,
                font={"size": 12, "color": line["color"]}, hovertext=f"{_HELP[name]}: {theme.setting(value)}",
            )
        )  # fmt: skip
    if settings.tau:
        shapes.append(
            {
                "type": "rect",
                "xref": "paper",
                "yref": "y2",
                "x0": 0,
                "x1": 1,
                "y0": settings.tau,
                "y1": 10.0 ** (drift_span[1] + 6),
                "fillcolor": theme.alpha(theme.VERMILION, 0.08),
                "line": {"width": 0},
                "layer": "below",
            }
        )
    return shapes, notes


def _line(value: float, axis: str, line: dict[str, Any]) -> dict[str, Any]:
    return {"type": "line", "xref": "paper", "yref": axis, "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line}


def _reading(lane: Lane, factor: int, rows: Checks, settings: Settings) -> str:
    parts = []
    known = np.flatnonzero(np.isfinite(rows.epsilon))
    if len(known):
        epsilon = float(rows.epsilon[known[-1]])
        over = f", {theme.number(epsilon / settings.epsilon)} × ε₀" if settings.epsilon else ""
        parts.append(f"ε = {theme.number(epsilon)}{over}")
    drift = _drift(rows, settings)
    known = np.flatnonzero(np.isfinite(drift))
    if len(known):
        value, symbol = float(drift[known[-1]]), settings.measure
        against = ""
        if settings.tau:
            against = f" {'>' if value > settings.tau else '≤'} τ = {theme.setting(settings.tau)}"
        parts.append(f"{symbol} = {theme.number(value)}{against}")
    return f"{columns.factor_name(lane, factor)}: {'; '.join(parts) or 'no damping recorded'}"
