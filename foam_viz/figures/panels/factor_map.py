"""Every factor of a lane as a cell: layers across, left and right factors down, coloured by drift against tolerance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foam_viz.analysis.checks import Checks, checks
from foam_viz.analysis.settings import Settings, course, settings_at
from foam_viz.analysis.snapshots_over_time import newest_values
from foam_viz.figures import encode, theme
from foam_viz.figures.look import Measure
from foam_viz.figures.panel import Drawing
from foam_viz.figures.panels.factor_grid import grid_of, layer_axis, side
from foam_viz.figures.panels.waiting import why_empty
from foam_viz.figures.scene import Lane, Scene


@dataclass(frozen=True, eq=False)
class _Shown:
    """What the map shows of each factor.

    Attributes:
        symbol: Beside the scale.
        words: In the reading.
        values: (factors,) NaN where there is none.
        steps: (factors,) steps that they belong to, NaN likewise.
        colour: (factors,) values on the scale.
        scale: Plotly's description of the scale.
        whole: Whether values are counts.
    """

    symbol: str
    words: str
    values: np.ndarray
    steps: np.ndarray
    colour: np.ndarray
    scale: dict
    whole: bool = False


def draw(scene: Scene) -> Drawing:
    """The newest measurement of every factor of the focused lane."""
    lane = scene.focus
    rows = checks(lane.trace) if lane else None
    if lane is None or rows is None or not (rows.factor >= 0).any():
        what = "A cell for every factor"
        return Drawing(empty=why_empty(scene, what, single=False))
    chosen = settings_at(lane.trace, lane.trace.last_step)
    newest = _newest(rows, len(lane.trace.manifest.factors))
    tolerated = course(lane.trace, "tau").at(rows.step[newest])  # each cell by the threshold of its own check
    shown = _shown(lane, rows, newest, chosen, tolerated, scene.look.measure)
    grid = grid_of(lane)
    shape, digits = (len(grid.down), grid.columns), grid.digits
    colour, text = np.full(shape, np.nan), [[""] * shape[1] for _ in grid.down]
    hover, index = [[""] * shape[1] for _ in grid.down], [[-1] * shape[1] for _ in grid.down]
    values, names = np.full(shape, np.nan), [[""] * shape[1] for _ in grid.down]
    for factor, (row, column) in enumerate(grid.cells):
        value, held = shown.values[factor], values[row, column]
        if index[row][column] >= 0 and not (value > held or np.isnan(held)):
            continue  # of factors that share a cell the one with the highest value has it
        index[row][column] = factor
        names[row][column] = lane.factor_name(factor)
        hover[row][column] = _hover(lane, factor, rows, newest[factor], chosen, tolerated[factor], shown, grid.shared)
        if np.isfinite(value):
            text[row][column] = _short(value, digits, shown)
            values[row, column], colour[row][column] = value, shown.colour[factor]
    figure = {
        "data": [
            {
                "type": "heatmap",
                "name": shown.symbol,
                "meta": {"series": "factors", "cells": names, "values": encode.typed(values)},
                "z": encode.typed(colour),
                "text": text,
                "hovertext": hover,
                "customdata": index,
                "texttemplate": "%{text}" if digits else "",
                "textfont": {"size": 11 if digits == 2 and shape[0] <= 12 else 9, "color": theme.LIGHT.ink},
                "hovertemplate": "%{hovertext}<extra></extra>",
                "hoverongaps": False,
                **shown.scale,
            }
        ],
        "layout": encode.layout(
            f"factor map {lane.position}",
            margin={"l": 82, "r": 14, "t": 32, "b": 44},
            xaxis=layer_axis(grid),
            yaxis=encode.axis("", **side(grid.down), range=[shape[0] - 0.5, -0.5]),
            shapes=[encode.cell_borders(*shape, width=3), *_outline(grid.cells, scene.look.factor)],
            annotations=[
                encode.note(
                    shown.symbol,
                    0.5,
                    1,
                    name="key",
                    xref="paper",
                    yref="paper",
                    xanchor="right",
                    yanchor="bottom",
                    xshift=-94,
                    yshift=-1,
                )
            ],
            meta={"follow": {"lane": lane.position, "factor": scene.look.factor}},
        ),
    }
    reading = _reading(lane, shown, chosen, tolerated[newest >= 0])
    return Drawing(figure=figure, reading=reading, moment=_moment(shown.steps, scene.look.measure))


_WORDS = {False: "drift h", True: "residual r"}


def _shown(
    lane: Lane, rows: Checks, newest: np.ndarray, chosen: Settings, tolerated: np.ndarray, measure: Measure
) -> _Shown:
    """The measure that the reader chose, of every factor."""
    checked = newest >= 0
    factors = len(newest)

    def of(values: np.ndarray) -> np.ndarray:
        return np.where(checked, values[newest].astype(np.float64), np.nan)

    steps = of(rows.step)
    if measure == "decides":
        drift = of(rows.residual if chosen.residual else rows.proxy)
        if not chosen.tau:
            return _decades(chosen.measure, _WORDS[chosen.residual], drift, steps)
        ratio = drift / tolerated
        colour = np.log2(np.maximum(ratio, 2.0**-8))
        return _Shown(f"{chosen.measure}/τ", _WORDS[chosen.residual], ratio, steps, colour, _with_threshold())
    if measure in ("h", "r"):
        return _decades(measure, _WORDS[measure == "r"], of(rows.residual if measure == "r" else rows.proxy), steps)
    if measure == "true_error":
        return _decades("true error", "true error", *newest_values(lane.trace, "true_error", factors))
    if measure == "epsilon":
        return _damping(of(rows.epsilon), steps, chosen)
    if measure == "age":
        now = lane.trace.last_step
        age = now - of(rows.last_decomposition)
        return _counts("steps old", "age of the basis", age, np.where(np.isfinite(age), now, np.nan))
    mine = (rows.factor >= 0) & (rows.factor < factors)
    done = np.bincount(rows.factor[mine], rows.decompositions[mine], factors)
    return _counts("decompositions", "decompositions so far", np.where(checked, done, np.nan), steps)


def _decades(symbol: str, words: str, values: np.ndarray, steps: np.ndarray) -> _Shown:
    """Decades of a measure: r is a share and ends at 1, the others go on."""
    low, ticks = (-3, ["0.001", "0.01", "0.1", "1"]) if symbol == "r" else (-2, ["0.01", "0.1", "1", "10"])
    steps = np.where(np.isfinite(values), steps, np.nan)
    return _Shown(symbol, words, values, steps, np.log10(np.maximum(values, 1e-4)), _scale(low, low + 3, ticks))


def _damping(values: np.ndarray, steps: np.ndarray, chosen: Settings) -> _Shown:
    """Damping between ε₀ and εₘₐₓ where there are both, else between the lowest and the highest."""
    positive = np.where(values > 0, values, np.nan)
    ends = [chosen.epsilon, chosen.epsilon_max] if chosen.epsilon and chosen.epsilon_max else []
    ends = ends or ([np.nanmin(positive), np.nanmax(positive)] if np.isfinite(positive).any() else [1e-12, 1.0])
    low, high = float(np.log10(ends[0])), float(np.log10(ends[1]))
    high = high if high > low else low + 1
    words = [theme.setting(float(f"{10.0**low:.2g}")), theme.setting(float(f"{10.0**high:.2g}"))]
    scale = _scale(low, high, words)
    return _Shown("ε", "damping ε", positive, np.where(np.isfinite(positive), steps, np.nan), np.log10(positive), scale)


def _counts(symbol: str, words: str, values: np.ndarray, steps: np.ndarray) -> _Shown:
    """Counts, from 0 to a round number."""
    top = encode.nice_ceiling(max(float(np.nanmax(values)) if np.isfinite(values).any() else 1.0, 1.0))
    scale = _scale(0, top, ["0", f"{top:,.0f}" if top >= 1 else f"{top:g}"])
    return _Shown(symbol, words, values, steps, values, scale, whole=True)


def _reading(lane: Lane, shown: _Shown, chosen: Settings, taus: np.ndarray) -> str:
    known = np.flatnonzero(np.isfinite(shown.values))
    if not len(known):
        return f"{lane.label}: no {shown.words} measured yet"
    if shown.symbol.endswith("/τ"):
        above = int((shown.values[known] > 1).sum())
        held = " or ".join(sorted({theme.setting(tau) for tau in taus.tolist()}))
        return f"{lane.label}: {shown.words} of {above} of {len(known)} factors above τ = {held}"
    worst = int(known[shown.values[known].argmax()])
    value = f"{shown.values[worst]:,.0f}" if shown.whole else theme.number(float(shown.values[worst]))
    return (
        f"{lane.label}: {'highest' if shown.whole else 'largest'} {shown.words} = {value} in {lane.factor_name(worst)}"
    )


def _moment(steps: np.ndarray, measure: Measure) -> str:
    """The steps of the newest measurements of all factors."""
    steps = steps[np.isfinite(steps)]
    if len(steps) == 0:
        return ""
    first, last = int(steps.min()), int(steps.max())
    if measure == "age":
        return f"step {last:,}"
    what = "snapshots" if measure == "true_error" else "checks"
    return f"{what} of step {last:,}" if first == last else f"{what} of steps {first:,} to {last:,}"


def _newest(rows: Checks, count: int) -> np.ndarray:
    """Row of the newest check of each factor, -1 where there is none; shape (count,)."""
    newest = np.full(count, -1)
    known = np.flatnonzero((rows.factor >= 0) & (rows.factor < count))
    newest[rows.factor[known]] = known  # later rows overwrite earlier ones
    return newest


def _with_threshold() -> dict:
    return {
        "zmin": -2,
        "zmax": 2,
        "colorscale": theme.DIVERGING,
        "colorbar": encode.color_bar([-2, -1, 0, 1, 2], ["¼", "½", "1", "2", "4"]),
    }


def _scale(low: float, high: float, words: list[str]) -> dict:
    """A scale of magnitudes with ticks at even distances."""
    ticks = np.linspace(low, high, len(words)).tolist()
    return {"zmin": low, "zmax": high, "colorscale": theme.MAGNITUDE, "colorbar": encode.color_bar(ticks, words)}


def _short(value: float, digits: int, shown: _Shown) -> str:
    """A number that fits into a cell: .13, 1.3, 13, 99+ with two digits, .1, 1, 13 with one; damping 3e-7; counts."""
    if shown.symbol == "ε":
        mantissa, _, exponent = f"{value:.0e}".partition("e")
        return f"{mantissa}e{int(exponent)}" if digits > 1 else ""
    if shown.whole:
        return f"{value:.0f}" if value < 999.5 else f"{value / 1000:.0f}k" if value < 99_500 else "++"
    if value >= 99.5:
        return "99+" if digits > 1 else "++"
    if value >= 9.95 or (digits == 1 and value >= 0.95):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 0.995 else f"{value:.{max(digits, 1)}f}".removeprefix("0")


def _hover(
    lane: Lane, factor: int, rows: Checks, at: int, settings: Settings, tau: float, shown: _Shown, shared: bool
) -> str:
    name = lane.trace.manifest.factor_names[factor]
    lines = [f"<b>{encode.escape(name.text)}</b>, {name.size}×{name.size}"]
    if shared:
        lines.append("has the highest value of the factors that share this cell")
    if at < 0:
        return "<br>".join([*lines, "not checked yet"])
    drift = float((rows.residual if settings.residual else rows.proxy)[at])
    if not shown.symbol.startswith(settings.measure) and np.isfinite(shown.values[factor]):
        value = f"{shown.values[factor]:,.0f}" if shown.whole else theme.number(float(shown.values[factor]))
        lines.append(f"{shown.words} = {value}, step {shown.steps[factor]:,.0f}")
    lines.append(f"check of step {rows.step[at]:,}:")
    against = f" {'>' if drift > tau else '≤'} τ = {theme.setting(tau)}" if tau > 0 else ""
    if np.isfinite(drift):
        lines.append(f"{_WORDS[settings.residual]} = {theme.number(drift)}{against}, before the decision")
    if np.isfinite(rows.epsilon[at]):
        lines.append(f"damping ε = {theme.number(float(rows.epsilon[at]))} after it")
    if np.isfinite(rows.last_decomposition[at]):
        age = int(rows.step[at] - rows.last_decomposition[at])
        lines.append(f"basis {age:,} steps old" if age else "decomposed then")
    return "<br>".join([*lines, "click to follow"])


def _outline(cells: list[tuple[int, int]], factor: int | None) -> list[dict]:
    if factor is None or not 0 <= factor < len(cells):
        return []
    row, column = cells[factor]
    return [
        {
            "type": "rect",
            "x0": column - 0.47,
            "x1": column + 0.47,
            "y0": row - 0.46,
            "y1": row + 0.46,
            "line": {"color": theme.LIGHT.ink, "width": 2},
        }
    ]
