"""Every factor of a lane as a cell: layers across, left and right factors down, coloured by drift against tolerance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foam_viz.figures import columns, encode, theme
from foam_viz.figures.columns import Checks, Settings
from foam_viz.figures.panel import Drawing, Lane, View

_MOST_TEXT_COLUMNS = 14
"""Beyond so many layers a number no longer fits into its cell."""
_LONGEST_NAME = 12


_NAMES_ACROSS = 40
"""Letters that fit under the map of a card on a small screen."""


def draw(lanes: Sequence[Lane], view: View) -> Drawing:
    """The newest measurement of every factor of the focused lane."""
    lane = columns.focus(lanes, view)
    rows = columns.checks(lane) if lane else None
    if lane is None or rows is None or not (rows.factor >= 0).any():
        what = "A cell for every factor"
        return Drawing(empty=columns.why_empty(lanes, View(factor=0, lane=view.lane), what))
    chosen = columns.settings(lane)
    newest = _newest(rows, len(lane.trace.manifest.factors))
    across, down, cells = _grid(lane)
    shape = (len(down), len(across))
    colour, text = np.full(shape, np.nan), [[""] * shape[1] for _ in down]
    hover, index = [[""] * shape[1] for _ in down], [[-1] * shape[1] for _ in down]
    above = measured = 0
    worst = (-np.inf, -1)
    for factor, (row, place) in enumerate(cells):
        at = newest[factor]
        index[row][place] = factor
        drift = float((rows.residual if chosen.residual else rows.proxy)[at]) if at >= 0 else np.nan
        value = drift / chosen.tau if chosen.tau else drift
        hover[row][place] = _hover(lane, factor, rows, at, chosen, drift)
        if np.isfinite(value):
            measured += 1
            above += value > 1
            worst = max(worst, (value, factor))
            text[row][place] = _short(value)
            colour[row][place] = np.log2(max(value, 2.0**-8)) if chosen.tau else np.log10(max(value, 1e-3))
    scale = _with_threshold() if chosen.tau else _without_threshold()
    symbol = f"{chosen.measure}/τ" if chosen.tau else chosen.measure
    figure = {
        "data": [
            {
                "type": "heatmap",
                "meta": {"series": "factors"},
                "z": encode.typed(colour),
                "text": text,
                "hovertext": hover,
                "customdata": index,
                "texttemplate": "%{text}" if shape[1] <= _MOST_TEXT_COLUMNS else "",
                "hovertemplate": "%{hovertext}<extra></extra>",
                "hoverongaps": False,
                **scale,
            }
        ],
        "layout": encode.layout(
            f"factor map {lane.position}",
            margin={"l": 82, "r": 14, "t": 32, "b": 44},
            xaxis=_layers(across),
            yaxis=encode.axis("", **_side(down), range=[shape[0] - 0.5, -0.5]),
            shapes=[encode.cell_borders(*shape, width=3), *_outline(cells, view.factor, lane, view)],
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
            meta={"follow": {"lane": lane.position, "factor": view.factor}},
        ),
    }
    if not measured:
        reading = f"{lane.label}: no drift measured yet"
    elif chosen.tau:
        reading = f"{lane.label}: {above} of {measured} factors above τ = {theme.setting(chosen.tau)}"
    else:
        reading = f"{lane.label}: largest {symbol} = {theme.number(worst[0])} in {columns.factor_name(lane, worst[1])}"
    return Drawing(figure=figure, reading=reading)


def _newest(rows: Checks, count: int) -> np.ndarray:
    """Row of the newest check of each factor, -1 where there is none; shape (count,)."""
    newest = np.full(count, -1)
    known = np.flatnonzero((rows.factor >= 0) & (rows.factor < count))
    newest[rows.factor[known]] = known  # later rows overwrite earlier ones
    return newest


def _grid(lane: Lane) -> tuple[list[str], list[str], list[tuple[int, int]]]:
    """Names of the columns (layers), of the rows (kind and side), and the place of each factor as (row, column)."""
    across: dict[str, int] = {}
    down: dict[str, int] = {}
    places = []
    for info in lane.trace.manifest.factors:
        layer, _, leaf = info.parameter.rpartition(".")
        layer, leaf = layer or info.parameter, leaf if layer else ""
        layer += f" #{info.block}" if info.block else ""
        side = {1: "", 2: ("left", "right")[info.dim % 2]}.get(info.order, f"dim {info.dim}")
        row = " ".join(filter(None, [leaf, side]))
        places.append((row, across.setdefault(layer, len(across))))
        down.setdefault(row, 0)
    order = sorted(down, key=lambda row: (row.partition(" ")[0] == "bias", list(down).index(row)))
    ranks = {row: rank for rank, row in enumerate(order)}
    return list(across), order, [(ranks[row], column) for row, column in places]


def _layers(names: list[str]) -> dict:
    """The axis of layers: by name where the names fit beside each other, else by number."""
    span = [-0.5, len(names) - 0.5]
    if sum(map(len, names)) + len(names) <= _NAMES_ACROSS:
        return encode.axis("layer", **_side(names), range=span)
    numbers = [str(number) for number in range(1, len(names) + 1)]
    return encode.axis("layer, in order (names on hover)", **_side(numbers), range=span)


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
        "textfont": {"size": 11, "color": theme.LIGHT.ink},
        "colorbar": encode.color_bar([-2, -1, 0, 1, 2], ["¼", "½", "1", "2", "4"]),
    }


def _without_threshold() -> dict:
    return {
        "zmin": -2,
        "zmax": 1,
        "colorscale": theme.SEQUENTIAL,
        "textfont": {"size": 11},
        "colorbar": encode.color_bar([-2, -1, 0, 1], ["0.01", "0.1", "1", "10"]),
    }


def _short(value: float) -> str:
    """Two digits: what fits into a cell."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}".removeprefix("0")


def _hover(lane: Lane, factor: int, rows: Checks, at: int, settings: Settings, drift: float) -> str:
    info = lane.trace.manifest.factors[factor]
    lines = [f"<b>{encode.escape(columns.factor_name(lane, factor))}</b>, {info.size} × {info.size}"]
    if at < 0:
        return "<br>".join([*lines, "not checked yet"])
    against = f" of τ = {theme.setting(settings.tau)}" if settings.tau else ""
    if np.isfinite(drift):
        lines.append(f"{settings.measure} = {theme.number(drift)}{against}")
    if np.isfinite(rows.epsilon[at]):
        lines.append(f"damping ε = {theme.number(float(rows.epsilon[at]))}")
    if np.isfinite(rows.last_decomposition[at]):
        age = int(rows.step[at] - rows.last_decomposition[at])
        lines.append(f"basis {age:,} steps old at step {rows.step[at]:,}")
    return "<br>".join([*lines, "click to follow"])


def _outline(cells: list[tuple[int, int]], factor: int | None, lane: Lane, view: View) -> list[dict]:
    if factor is None or not 0 <= factor < len(cells) or columns.followed([lane], view) is None:
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
