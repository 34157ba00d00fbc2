"""The settings ε₀, εₘₐₓ and τ as lines across a plot, as they were at each step."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from foam_viz.analysis.settings import Course
from foam_viz.figures import encode, theme

_HELP = {
    "epsilon": "ε₀, the damping right after a decomposition",
    "epsilon_max": "ε<sub>max</sub>, the most damping allowed: beyond it the factor is decomposed again",
    "tau": "τ, the drift that is tolerated",
}
_THRESHOLDS = {
    "epsilon": {"color": theme.LIGHT.soft_ink, "dash": "dot", "width": 1.2},
    "epsilon_max": {"color": theme.VERMILION, "dash": "dash", "width": 1.2},
    "tau": {"color": theme.LIGHT.ink, "dash": "dash", "width": 1.2},
}
_PLOT_HEIGHT = 250.0
"""About the height of all rows of the plot in pixels: only used to keep names apart."""
_NAME_GAP = 14.0


class Axis(NamedTuple):
    """Plotly's name of an axis and the part of the plot's height that is its own."""

    name: str
    domain: list[float]


def threshold_lines(
    courses: dict[str, Course], measure: str, axes: dict[str, Axis], spans: dict[str, list[float]], end: float
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
    if "ε" in axes:
        _apart([note for note in notes if note["yref"] == axes["ε"].name], axes["ε"], spans["ε"])
    return traces, shapes, notes


def _apart(notes: list[dict[str, Any]], axis: Axis, span: list[float]) -> None:
    """Shift the names of lines that are close, so that each can be read."""
    scale = _PLOT_HEIGHT * (axis.domain[1] - axis.domain[0]) / (span[1] - span[0])
    pixels = [note["y"] * scale for note in notes]
    for note, pixel, wanted in zip(notes, pixels, encode.spread(pixels, _NAME_GAP), strict=True):
        note["yshift"] = round(wanted - pixel, 1)


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
