"""The eigenvalues of the followed factor, and which of them damping switches off."""

from __future__ import annotations

from typing import Any

import numpy as np

from foam_viz.analysis.settings import settings_at
from foam_viz.analysis.snapshots import latest_snapshot, snapshot_moment, spectrum_extremes
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.panels.waiting import why_empty
from foam_viz.figures.scene import Scene

_BELOW = 1e-3
"""The axis ends at this fraction of the smallest damping: what lies deeper is switched off whatever its value."""


def draw(scene: Scene) -> Drawing:
    """Newest spectrum over the ghost of the one at the last decomposition, with the dampings across."""
    target = scene.followed
    snapshot = latest_snapshot(target[0].trace, target[1]) if target else None
    if target is None or snapshot is None or snapshot.eigenvalues is None:
        return Drawing(empty=why_empty(scene, "The spectrum of the followed factor"))
    lane, factor = target
    now, before = snapshot.eigenvalues, snapshot.basis_eigenvalues
    epsilon = snapshot.epsilon if snapshot.epsilon and np.isfinite(snapshot.epsilon) else None
    step, since = snapshot.step, snapshot.last_decomposition_step
    chosen = settings_at(lane.trace, snapshot.step)
    levels = {"epsilon": chosen.epsilon, "epsilon_t": epsilon, "epsilon_max": chosen.epsilon_max}
    span = _range(spectrum_extremes(lane.trace, factor), [level for level in levels.values() if level])
    floor = 10.0 ** span[0]
    data = []
    if before is not None:
        then = f"at step {since:,}, when decomposed" if since is not None else "at the last decomposition"
        data.append(_curve(before, floor, then, "ghost", _GHOST, "was"))
    data.append(_curve(now, floor, f"at step {step:,}", "eigenvalues", _NOW, "eigenvalue"))
    if epsilon:
        data.insert(0, _in_force(epsilon, len(now)))
    shapes, notes = _levels(levels, span, step)
    figure = {
        "data": data,
        "layout": encode.layout(
            f"spectrum {lane.position} {factor}",
            margin={"l": 60, "r": 40, "t": 8, "b": 40},
            xaxis=encode.axis("eigen-direction, largest first", range=[0.5, len(now) + 0.5], tickformat=","),
            yaxis=encode.log_axis("eigenvalue", range=span, tickformat="~e", nticks=6),
            hovermode="x",
            shapes=shapes,
            annotations=notes,
        ),
    }
    age = "just decomposed" if since == step else f"basis from step {since:,}" if since is not None else ""
    damped = _damped(now, epsilon) if epsilon else f"{len(now):,} directions"
    reading = "; ".join(filter(None, [age, damped]))  # the age first: a narrow card may cut the end
    return Drawing(
        figure=figure,
        reading=f"{lane.factor_name(factor)}: {reading}",
        moment=snapshot_moment(lane.trace, factor, snapshot),
    )


def _damped(eigenvalues: np.ndarray, epsilon: float) -> str:
    """How many directions the damping switches off, and how far the smallest eigenvalue lies from it."""
    off = int((eigenvalues < epsilon).sum())
    words = f"damped away: {off:,} of {len(eigenvalues):,} directions"
    if not off:
        words = "damping inactive: ε lies under every eigenvalue"
    ratio = float(f"{eigenvalues.min() / epsilon:.2g}")
    smallest = f"{ratio:,.0f}" if 1e3 <= ratio < 1e6 else theme.setting(ratio)
    return f"{words}; the smallest is {smallest} × ε"


_NOW = {"color": theme.LIGHT.ink, "width": 2}
_GHOST = {"color": theme.alpha(theme.LIGHT.soft_ink, 0.55), "width": 1.5, "dash": "dot"}


def _range(extremes: tuple[float, float] | None, levels: list[float]) -> list[float]:
    low, high = extremes or (1e-6, 1.0)
    if levels:
        low, high = max(low, min(levels) * _BELOW), max(high, max(levels))
        low = min(low, min(levels) * 0.3)
    return encode.log_range(low, max(high * 1.2, low * 10), per_decade=1)


def _curve(values: np.ndarray, floor: float, name: str, series: str, line: dict, word: str) -> dict[str, Any]:
    """Eigenvalues by rank. Those with no place on a logarithmic axis (zero, negative, NaN) end at its floor."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "meta": {"series": series},
        "x0": 1,
        "dx": 1,
        "y": encode.typed(np.where((values > 0) & np.isfinite(values), values, floor)),
        "line": {**line, "shape": "hvh"},
        "hovertemplate": f"direction %{{x}}: {word} %{{y:.3~g}}<extra></extra>",
    }


def _in_force(epsilon: float, count: int) -> dict[str, Any]:
    """The damping in force as a line with what it drowns shaded: a trace, because it moves with every check."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "damping in force",
        "meta": {"series": "damping"},
        "x": encode.typed(np.array([0.5, count + 0.5])),
        "y": encode.typed(np.array([epsilon, epsilon])),
        "line": {"color": theme.LIGHT.accent, "width": 1.8},
        "fill": "tozeroy",
        "fillcolor": theme.alpha(theme.LIGHT.accent, 0.1),
        "hoverinfo": "skip",
    }


_LEVELS = (
    ("epsilon", {"color": theme.LIGHT.soft_ink, "dash": "dot", "width": 1.2}, "ε₀, the damping after a decomposition"),
    (
        "epsilon_t",
        {"color": theme.LIGHT.accent, "dash": "solid", "width": 1.8},
        "εₜ, the damping in force at step {step:,}",
    ),
    ("epsilon_max", {"color": theme.VERMILION, "dash": "dash", "width": 1.2}, "ε<sub>max</sub>, the most allowed"),
)


def _levels(levels: dict[str, float | None], span: list[float], step: int) -> tuple[list[dict], list[dict]]:
    """Lines across the spectrum; names in the right margin, kept apart where the lines are close."""
    shown = [(value, name, line, words) for name, line, words in _LEVELS if (value := levels[name])]
    scale = 220.0 / (span[1] - span[0])
    pixels = [float(np.log10(value)) * scale for value, *_ in shown]
    shapes, notes = [], []
    for (value, name, line, words), pixel, wanted in zip(shown, pixels, encode.spread(pixels, 15.0), strict=True):
        if name != "epsilon_t":
            shapes.append({"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line})
        notes.append(
            encode.note(
                theme.SYMBOLS[name], 1, float(np.log10(value)), name="level", xref="paper", xanchor="left",
                xshift=5, yshift=round(wanted - pixel, 1), font={"size": 12, "color": line["color"]},
                hovertext=f"{words.format(step=step)}: {theme.setting(float(f'{value:.3g}'))}",
            )
        )  # fmt: skip
    return shapes, notes
