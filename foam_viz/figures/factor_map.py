"""Every factor of a lane as a cell: layers across, left and right factors down, coloured by drift against tolerance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foam_viz.analysis.checks import Checks, checks
from foam_viz.analysis.settings import Settings, course, settings_at
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Lane, Scene
from foam_viz.figures.waiting import why_empty

_ROOMY = 8
"""Layers across whose cells hold a number of two digits on a small screen."""
_TIGHT = 14
"""Layers across whose cells hold a number of one digit."""
_MOST_ROWS = 22
"""Rows that are high enough for numbers."""
_LONGEST_NAME = 12
_NAMES_ACROSS = 40
"""Letters that fit under the map of a card on a small screen."""


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
    measured_by = rows.residual if chosen.residual else rows.proxy
    grid = _grid(lane)
    shape = (len(grid.down), grid.columns)
    digits = (2 if grid.columns <= _ROOMY else 1) if len(grid.down) <= _MOST_ROWS else 0
    colour, text = np.full(shape, np.nan), [[""] * shape[1] for _ in grid.down]
    hover, index = [[""] * shape[1] for _ in grid.down], [[-1] * shape[1] for _ in grid.down]
    values, names = np.full(shape, np.nan), [[""] * shape[1] for _ in grid.down]
    above = measured = 0
    worst = (-np.inf, -1)
    for factor, (row, place) in enumerate(grid.cells):
        at = newest[factor]
        index[row][place] = factor
        names[row][place] = lane.factor_name(factor)
        drift = float(measured_by[at]) if at >= 0 else np.nan
        tau = float(tolerated[factor])
        value = drift / tau if chosen.tau else drift
        hover[row][place] = _hover(lane, factor, rows, at, chosen, drift, tau)
        if np.isfinite(value):
            measured += 1
            above += value > 1
            worst = max(worst, (value, factor))
            text[row][place] = _short(value, digits)
            values[row, place] = value
            colour[row][place] = np.log2(max(value, 2.0**-8)) if chosen.tau else np.log10(max(value, 1e-4))
    scale = _with_threshold() if chosen.tau else _without_threshold(chosen)
    symbol = f"{chosen.measure}/τ" if chosen.tau else chosen.measure
    figure = {
        "data": [
            {
                "type": "heatmap",
                "name": symbol,
                "meta": {"series": "factors", "cells": names, "values": encode.typed(values)},
                "z": encode.typed(colour),
                "text": text,
                "hovertext": hover,
                "customdata": index,
                "texttemplate": "%{text}" if digits else "",
                "textfont": {"size": 11 if digits == 2 and shape[0] <= 12 else 9, "color": theme.LIGHT.ink},
                "hovertemplate": "%{hovertext}<extra></extra>",
                "hoverongaps": False,
                **scale,
            }
        ],
        "layout": encode.layout(
            f"factor map {lane.position}",
            margin={"l": 82, "r": 14, "t": 32, "b": 44},
            xaxis=_layers(grid),
            yaxis=encode.axis("", **_side(grid.down), range=[shape[0] - 0.5, -0.5]),
            shapes=[encode.cell_borders(*shape, width=3), *_outline(grid.cells, scene.look.factor)],
            annotations=[
                encode.note(
                    symbol,
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
    word = _WORDS[chosen.residual]
    if not measured:
        reading = f"{lane.label}: no {word} measured yet"
    elif chosen.tau:
        taus = sorted({theme.setting(tau) for tau in tolerated[newest >= 0].tolist()})
        reading = f"{lane.label}: {word} of {above} of {measured} factors above τ = {' or '.join(taus)}"
    else:
        reading = f"{lane.label}: largest {word} = {theme.number(worst[0])} in {lane.factor_name(worst[1])}"
    return Drawing(figure=figure, reading=reading, moment=_moment(rows.step[newest[newest >= 0]]))


_WORDS = {False: "drift h", True: "residual r"}


def _moment(steps: np.ndarray) -> str:
    """The steps of the newest checks of all factors."""
    if len(steps) == 0:
        return ""
    first, last = int(steps.min()), int(steps.max())
    return f"checks of step {last:,}" if first == last else f"checks of steps {first:,} to {last:,}"


def _newest(rows: Checks, count: int) -> np.ndarray:
    """Row of the newest check of each factor, -1 where there is none; shape (count,)."""
    newest = np.full(count, -1)
    known = np.flatnonzero((rows.factor >= 0) & (rows.factor < count))
    newest[rows.factor[known]] = known  # later rows overwrite earlier ones
    return newest


@dataclass(frozen=True)
class _Grid:
    """Where each factor's cell is.

    Attributes:
        layers: Names of the layers, in order.
        columns: Layers across; more continue below.
        down: Names of the rows.
        cells: Row and column of each factor.
    """

    layers: list[str]
    columns: int
    down: list[str]
    cells: list[tuple[int, int]]


def _grid(lane: Lane) -> _Grid:
    """Layers across and sides down; layers that do not fit beside each other continue in rows below."""
    names = lane.trace.manifest.factor_names
    layers = list(dict.fromkeys(name.layer for name in names))
    kinds = list(dict.fromkeys(name.row for name in names))
    kinds.sort(key=lambda row: row.partition(" ")[0] == "bias")
    columns = len(layers)
    for most in (_ROOMY, _TIGHT):
        bands = -(-len(layers) // most)
        columns = -(-len(layers) // bands)
        if bands * len(kinds) <= _MOST_ROWS:
            break
    place = {layer: divmod(number, columns) for number, layer in enumerate(layers)}
    rows = sorted({(place[name.layer][0], kinds.index(name.row)) for name in names})
    number = {row: at for at, row in enumerate(rows)}
    several = len(layers) > columns
    down = []
    for band, kind in rows:
        first, last = band * columns + 1, min((band + 1) * columns, len(layers))
        down.append(f"{kinds[kind]} {first}–{last}".strip() if several else kinds[kind])
    cells = [(number[place[name.layer][0], kinds.index(name.row)], place[name.layer][1]) for name in names]
    return _Grid(layers, columns, down, cells)


def _layers(grid: _Grid) -> dict:
    """The axis of layers: by name where the names fit beside each other, else by number."""
    span = [-0.5, grid.columns - 0.5]
    if len(grid.layers) == grid.columns and sum(map(len, grid.layers)) + grid.columns <= _NAMES_ACROSS:
        return encode.axis("layer", **_side(grid.layers), range=span)
    numbers = [str(number) for number in range(1, grid.columns + 1)]
    title = "layer, in order (names on hover)"
    if len(grid.layers) > grid.columns:
        title = "layer, counted along each row (names on hover)"
    return encode.axis(title, **_side(numbers), range=span)


def _side(names: list[str]) -> dict:
    every = max(1, -(-len(names) // 24))
    shown = [name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}" for name in names]
    return {
        "tickvals": list(range(0, len(names), every)),
        "ticktext": [encode.escape(name) for name in shown[::every]],
        "tickcolor": theme.alpha(theme.LIGHT.card, 0),
        "showgrid": False,
        "showline": False,
        "fixedrange": True,
    }


def _with_threshold() -> dict:
    return {
        "zmin": -2,
        "zmax": 2,
        "colorscale": theme.DIVERGING,
        "colorbar": encode.color_bar([-2, -1, 0, 1, 2], ["¼", "½", "1", "2", "4"]),
    }


def _without_threshold(settings: Settings) -> dict:
    """Decades of the measure: r is a share and ends at 1, h goes on."""
    low, words = (-3, ["0.001", "0.01", "0.1", "1"]) if settings.residual else (-2, ["0.01", "0.1", "1", "10"])
    return {
        "zmin": low,
        "zmax": low + 3,
        "colorscale": theme.MAGNITUDE,
        "colorbar": encode.color_bar([low, low + 1, low + 2, low + 3], words),
    }


def _short(value: float, digits: int) -> str:
    """A number that fits into a cell: .13, 1.3, 13, 99+ with two digits, .1, 1, 13 with one."""
    if value >= 99.5:
        return "99+" if digits > 1 else "++"
    if value >= 9.95 or (digits == 1 and value >= 0.95):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 0.995 else f"{value:.{max(digits, 1)}f}".removeprefix("0")


def _hover(lane: Lane, factor: int, rows: Checks, at: int, settings: Settings, drift: float, tau: float) -> str:
    name = lane.trace.manifest.factor_names[factor]
    lines = [f"<b>{encode.escape(name.text)}</b>, {name.size}×{name.size}"]
    if at < 0:
        return "<br>".join([*lines, "not checked yet"])
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
    row, place = cells[factor]
    return [
        {
            "type": "rect",
            "x0": place - 0.47,
            "x1": place + 0.47,
            "y0": row - 0.46,
            "y1": row + 0.46,
            "line": {"color": theme.LIGHT.ink, "width": 2},
        }
    ]
