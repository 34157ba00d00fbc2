"""A map over tau and eps_max: what each pair would have cost or left."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from foam_viz.analysis.replay import Summary
from foam_viz.analysis.replay_setting import Setting
from foam_viz.analysis.study import Study
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Scene

COLORS = {
    "decompositions": "decompositions",
    "error_left": "error left",
    "directions_damped": "directions damped",
}
"""Columns of a summary that can colour the map, in words."""


def told(setting: Setting) -> str:
    """A setting as a click tells it."""
    return json.dumps(setting.to_json(), sort_keys=True)


def draw(scene: Scene, study: Study) -> Drawing:
    """A cell a setting, with its number; arrows at the edges point at the chosen setting."""
    if not study.points:
        return Drawing(empty="Settings of τ and εₘₐₓ appear here once the run is prepared.")
    rows, columns = len(study.caps), len(study.taus)
    values = np.array([getattr(point, study.color) for point in study.points], float).reshape(rows, columns)
    good = values[np.isfinite(values)]
    low, high = (float(good.min()), float(good.max())) if len(good) else (0.0, 1.0)
    word = COLORS[study.color]
    figure = {
        "data": [
            {
                "type": "heatmap",
                "meta": {"series": "map", "down": [theme.setting(cap) for cap in study.caps]},
                "z": encode.typed(values, "f8"),
                "x": list(range(columns)),
                "y": list(range(rows)),
                "zmin": low,
                "zmax": high if high > low else low + 1,
                "colorscale": theme.MAGNITUDE,
                "showscale": False,
                "text": [[theme.number(_whole(value, study.color)) for value in row] for row in values],
                "texttemplate": "%{text}",
                "textfont": {"size": 12, "color": theme.LIGHT.ink},
                "customdata": [[told(point.setting) for point in study.points[r * columns : (r + 1) * columns]]
                               for r in range(rows)],
                "hovertext": [[_words(point) for point in study.points[r * columns : (r + 1) * columns]]
                              for r in range(rows)],
                "hovertemplate": "%{hovertext}<extra></extra>",
            },
            *_chosen(study),
        ],
        "layout": encode.layout(
            f"threshold map {study.color}",
            margin={"l": 72, "r": 14, "t": 10, "b": 44},
            xaxis=encode.axis("tolerance τ", showgrid=False, fixedrange=True, ticks="", range=[-0.5, columns - 0.5],
                              tickvals=list(range(columns)), ticktext=[theme.setting(tau) for tau in study.taus]),
            yaxis=encode.axis("ε<sub>max</sub> (gradient²)", showgrid=False, fixedrange=True, ticks="",
                              range=[-0.5, rows - 0.5], tickvals=list(range(rows)),
                              ticktext=[theme.number(float(f"{cap:.2g}")) for cap in study.caps]),
            shapes=[encode.cell_borders(rows, columns, 2)],
            meta={"pick": True},
        ),
    }  # fmt: skip
    least = study.points[int(np.nanargmin(values))] if len(good) else study.points[0]
    reading = (
        f"{word[:1].upper()}{word[1:]}: {theme.number(_whole(low, study.color))} to "
        f"{theme.number(_whole(high, study.color))}, least at {_where(least)}. Click a cell to take its setting"
    )
    return Drawing(figure=figure, reading=reading, moment="open loop, means over the run")


def _whole(value: float, color: str) -> float | int | None:
    if not math.isfinite(value):
        return None
    return round(value) if color == "decompositions" else float(value)


def _where(point: Summary) -> str:
    values = point.setting.values
    return f"τ = {theme.setting(values['tau'])}, εₘₐₓ = {theme.number(values['epsilon_max'])}"


def _words(point: Summary) -> str:
    return (
        f"τ = {theme.setting(point.setting.values['tau'])}, ε<sub>max</sub> = "
        f"{theme.number(point.setting.values['epsilon_max'])}<br>{point.decompositions:,} decompositions of "
        f"{point.checks:,} checks, {point.cap_refreshes:,} by the cap<br>error left {theme.number(point.error_left)}: "
        f"staleness {theme.number(point.staleness_error)}, damping {theme.number(point.damping_error)}<br>"
        f"{theme.number(point.directions_damped)} directions damped a factor"
    )


def _chosen(study: Study) -> list[dict[str, Any]]:
    """Arrows at the edges that point at the chosen setting; nothing where it is none of FOAM's."""
    values = study.setting.values if study.setting else {}
    if "tau" not in values or "epsilon_max" not in values:
        return []
    across = _place(values["tau"], study.taus)
    down = _place(math.log(values["epsilon_max"]), [math.log(cap) for cap in study.caps])
    right, top = len(study.taus) - 0.5, len(study.caps) - 0.5
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "chosen",
            "meta": {"series": "chosen"},
            "x": [-0.5, right, across, across],
            "y": [down, down, -0.5, top],
            "cliponaxis": False,
            "marker": {
                "symbol": ["triangle-right", "triangle-left", "triangle-up", "triangle-down"],
                "size": 13,
                "color": theme.LIGHT.accent,
            },
            "hoverinfo": "skip",
        }
    ]


def _place(value: float, among: Any) -> float:
    """Where a value lies among rising ones, in cells; at most half a cell outside."""
    if len(among) < 2 or among[0] == among[-1]:
        return 0.0
    low, high = among[0], among[-1]
    inside = float(np.interp(value, among, np.arange(len(among))))
    beyond = (value > high) - (value < low)
    return inside + 0.42 * beyond
