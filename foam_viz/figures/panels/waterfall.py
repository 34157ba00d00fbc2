"""The spectrum of the followed factor over time, and how many of its directions each damping leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from foam_viz.analysis.downsample import bin_width, strided
from foam_viz.analysis.settings import course
from foam_viz.analysis.snapshots_over_time import Spectra, spectra_of
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.panels.waiting import why_empty
from foam_viz.figures.scene import Lane, Scene

_COLUMNS = 128
"""Snapshots drawn at most; each is one that was taken."""
_ROWS = 64
"""Directions drawn at most; each is one of the factor's."""
_SHADES = 16
"""Shades of a decade: values are sent in such steps, which pack well; the eye tells fewer apart."""
_DEEPEST = 12
"""Decades shown at most below the largest eigenvalue."""


def draw(scene: Scene) -> Drawing:
    """A column a snapshot, a row a direction, colour the eigenvalue; lines where each damping cuts."""
    target = scene.followed
    spectra = spectra_of(target[0].trace, target[1]) if target else None
    if target is None or spectra is None:
        return Drawing(empty=why_empty(scene, "The spectrum of the followed factor over time"))
    lane, factor = target
    count, size = spectra.eigenvalues.shape
    across = strided(count, _COLUMNS)
    apart = bin_width(size, _ROWS)
    down = np.arange(0, size, apart)
    furthest = lane.newest.trace.last_step
    shown = spectra.eigenvalues[np.ix_(across, down)].T
    positive = (shown > 0) & np.isfinite(shown)
    values = np.log10(np.where(positive, shown, np.nan))
    high = float(np.nanmax(values)) if positive.any() else 0.0
    low = max(float(np.nanmin(values)) if positive.any() else -1.0, high - _DEEPEST)
    span = [np.floor(low), max(np.ceil(high), np.floor(low) + 1)]
    steps = spectra.step[across]
    data: list[dict[str, Any]] = [
        {
            "type": "heatmap",
            "name": "eigenvalue, as a power of ten",
            "meta": {"series": "spectra"},
            "x": encode.typed(_edges(steps, furthest), "f8"),
            "y0": (apart + 1) / 2,
            "dy": apart,
            "z": encode.typed(np.rint(np.maximum(values, span[0]) * _SHADES) / _SHADES),
            "zmin": span[0],
            "zmax": span[1],
            "colorscale": theme.SEQUENTIAL,
            "hoverongaps": False,
            "hovertemplate": "about direction %{y:,.0f} and step %{x:,.0f}<br>"
            "eigenvalue about 10^%{z:.1f}<extra></extra>",
            "colorbar": encode.color_bar([span[0], span[1]], [_power(span[0]), _power(span[1])]),
        }
    ]
    words = []
    for name, line in _LINES.items():
        above = _above(lane, spectra, name)
        if above is None:
            continue
        data += _line(name, line, spectra.step[across], above[across], furthest)
        if np.isfinite(above[-1]):
            words.append(f"{_PLAIN[name]} leaves {int(above[-1]):,}")
    figure = {
        "data": data,
        "layout": encode.layout(
            f"waterfall {lane.position} {factor}",
            margin={"l": 60, "r": 14, "t": 32, "b": 40},
            xaxis=encode.axis("step", range=encode.time_range(furthest, 0.02), tickformat=",", showgrid=False),
            yaxis=encode.axis(
                "eigen-direction, largest first", range=[size + 0.5, 0.5], tickformat=",", showgrid=False
            ),
        ),
    }
    first, last = int(spectra.step[0]), int(spectra.step[-1])
    every = f", {len(across):,} of {count:,} drawn" if len(across) < count else ""
    told = f"of {size:,} directions {', '.join(words)}" if words else f"{size:,} directions, no damping recorded"
    reading = f"{lane.factor_name(factor)}: {told}"
    return Drawing(figure=figure, reading=reading, moment=f"snapshots of steps {first:,} to {last:,}{every}")


_LINES = {
    "epsilon": {"color": theme.LIGHT.soft_ink, "dash": "dot"},
    "epsilon_t": {"color": theme.LIGHT.accent, "dash": "solid"},
    "epsilon_max": {"color": theme.VERMILION, "dash": "dash"},
}
_PLAIN = {"epsilon": "ε₀", "epsilon_t": "εₜ", "epsilon_max": "εₘₐₓ"}


def _above(lane: Lane, spectra: Spectra, name: str) -> np.ndarray | None:
    """How many directions lie above a damping at each snapshot, (m,); None where the optimizer has no such damping."""
    level = spectra.epsilon if name == "epsilon_t" else course(lane.trace, name).at(spectra.step)
    if not (np.isfinite(level) & (level > 0)).any():
        return None
    return np.where(np.isfinite(level), (spectra.eigenvalues > level[:, None]).sum(axis=1), np.nan)


def _line(name: str, line: dict[str, Any], steps: np.ndarray, above: np.ndarray, furthest: float) -> list[dict]:
    """A damping as the edge between the directions above and below it, on a halo that sets it off from the map."""
    edges = _edges(steps, furthest)
    known = np.flatnonzero(np.isfinite(above))
    # Each value holds over its column: of the line's corners none lies inside one.
    where = {
        "type": "scatter",
        "mode": "lines",
        "x": encode.typed(np.append(edges[known], edges[known[-1] + 1]), "f8"),
        "y": encode.typed(np.append(above[known], above[known[-1]]) + 0.5),
    }
    halo = {"color": theme.alpha(theme.LIGHT.card, 0.6), "width": 3.5, "shape": "hv"}
    symbol = theme.SYMBOLS[name]
    return [
        {**where, "name": f"{symbol} (halo)", "meta": {"series": "halo"}, "line": halo, "hoverinfo": "skip"},
        {
            **where,
            "name": f"directions above {symbol}",
            "meta": {"series": name},
            "line": {**line, "width": 2, "shape": "hv"},
            "hovertemplate": f"%{{y:,.0f}} directions above {symbol}<extra></extra>",
        },
    ]


def _edges(steps: np.ndarray, furthest: float) -> np.ndarray:
    """Where the columns begin and end, (m + 1,): a snapshot stands until the next one; the last as long as usual."""
    steps = np.maximum.accumulate(steps.astype(np.float64))
    usual = float(np.median(np.diff(steps))) if len(steps) > 1 else 1.0
    return np.append(steps, max(min(steps[-1] + usual, furthest), steps[-1] + 1e-3))


def _power(exponent: float) -> str:
    return f"1e{int(exponent)}"
