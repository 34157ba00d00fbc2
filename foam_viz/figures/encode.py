"""Numbers into what Plotly reads: typed arrays as base64, axes, and ranges that seldom change."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

from foam_viz.figures import theme

_LARGEST = 3e38
"""Of single precision, in which values are sent: a larger number would arrive as infinity."""
_INTEGERS = ((np.uint8, "u1"), (np.uint16, "u2"), (np.int32, "i4"))


def typed(values: np.ndarray, dtype: str = "f4") -> dict[str, str]:
    """A typed array as Plotly decodes it.

    Args:
        values: one or two dimensions.
        dtype: Plotly's name of the element type: "f4", "f8", "u1", "u2", "i4".
    """
    if dtype == "f4":
        with np.errstate(over="ignore"):
            data = np.ascontiguousarray(values, dtype=dtype)
        if np.isinf(data).any():
            data = np.ascontiguousarray(np.clip(values, -_LARGEST, _LARGEST), dtype=dtype)
    else:
        data = np.ascontiguousarray(values, dtype=dtype)
    spec = {"dtype": dtype, "bdata": base64.b64encode(data.data).decode("ascii")}
    if data.ndim == 2:
        spec["shape"] = f"{data.shape[0]},{data.shape[1]}"
    return spec


def integers(values: np.ndarray) -> dict[str, str]:
    """Non-negative whole numbers in the smallest type that holds them exactly; f8 beyond 32 bits."""
    highest = int(values.max()) if len(values) else 0
    for kind, name in _INTEGERS:
        if highest <= np.iinfo(kind).max:
            return typed(values, name)
    return typed(values, "f8")


_ROUND = (
    1,
    1.1,
    1.2,
    1.3,
    1.4,
    1.5,
    1.6,
    1.8,
    2,
    2.2,
    2.4,
    2.6,
    2.8,
    3,
    3.2,
    3.5,
    4,
    4.5,
    5,
    5.5,
    6,
    6.5,
    7,
    7.5,
    8,
    9,
    10,
)
"""Ends of an axis, times powers of ten: near the data, and seldom changed."""


def nice_ceiling(value: float) -> float:
    """The next round number at or above `value` (> 0), at most an eighth above it."""
    power = 10.0 ** math.floor(math.log10(value))
    for step in _ROUND:
        if value <= step * power * (1 + 1e-9):
            return max(step * power, value)  # 1.4 * 0.1 is a little less than 0.14
    return 10 * power


def time_range(last: float, room: float = 0.0) -> list[float]:
    """From 0 to a round number at or beyond `last`, so that a growing curve moves inside a frame that stands still.

    Args:
        last: largest value so far.
        room: share of the width to keep free at the right, for labels.
    """
    return [0.0, nice_ceiling(max(last * (1 + room), 20.0 if last >= 1 else max(last, 1e-3)))]


def log_range(low: float, high: float, per_decade: int = 2) -> list[float]:
    """Range of a logarithmic axis (in log10), rounded outwards to 1/`per_decade` of a decade."""
    bottom = math.floor(math.log10(low) * per_decade + 1e-9) / per_decade
    top = math.ceil(math.log10(high) * per_decade - 1e-9) / per_decade
    return [bottom, top if top > bottom else bottom + 1 / per_decade]


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with a title and barely visible gridlines."""
    return {
        "title": {"text": title, "standoff": 6, "font": {"size": 12, "color": theme.LIGHT.soft_ink}},
        "gridcolor": theme.alpha(theme.LIGHT.line, 0.7),
        "linecolor": theme.LIGHT.line,
        "tickcolor": theme.LIGHT.line,
        "ticks": "outside",
        "ticklen": 4,
        "zeroline": False,
        "showline": True,
        "tickfont": {"size": 11},
        "nticks": 6,
        # Plotly otherwise measures every label after each update, a quarter of its time.
        "ticklabeloverflow": "allow",
        **more,
    }


def log_axis(title: str, **more: Any) -> dict[str, Any]:
    """A logarithmic axis; ticks read 0.01, 1, 20, or with `tickformat="~e"` 1e-7."""
    return axis(title, **{"type": "log", "tickformat": "~g", "nticks": 4, **more})


def color_bar(values: list[float], words: list[str]) -> dict[str, Any]:
    """A slim colour bar above the plot; the figure needs a top margin of about 36 px for it.

    Args:
        values: where the ticks are, in the units of z.
        words: what they say.
    """
    return {
        "orientation": "h", "thickness": 7, "outlinewidth": 0, "lenmode": "pixels", "len": 170, "xpad": 0, "ypad": 2,
        "x": 0.5, "y": 0.99, "yanchor": "top", "yref": "container", "ticklabelposition": "outside top", "ticks": "",
        "tickvals": values, "ticktext": words, "tickfont": {"size": 11},
    }  # fmt: skip


def layout(revision: str, **more: Any) -> dict[str, Any]:
    """What every figure shares.

    Args:
        revision: `uirevision`: while it stays, the reader's zoom stays.
        more: axes, shapes, annotations; a `margin` replaces the default.
    """
    return {
        "uirevision": revision,
        "margin": {"l": 56, "r": 14, "t": 8, "b": 40},
        "paper_bgcolor": theme.alpha(theme.LIGHT.card, 0),
        "plot_bgcolor": theme.alpha(theme.LIGHT.card, 0),
        "font": {"family": theme.FONT, "size": 12, "color": theme.LIGHT.soft_ink},
        "hoverlabel": {
            "bgcolor": theme.LIGHT.card,
            "bordercolor": theme.LIGHT.line,
            "font": {"family": theme.FONT, "size": 12, "color": theme.LIGHT.ink},
            "align": "left",
        },
        "hovermode": "closest",
        "showlegend": False,
        **more,
    }


def cell_borders(rows: int, columns: int, width: float) -> dict[str, Any]:
    """One path of card-coloured lines that sets the cells of a heatmap apart; `columns` = 0 sets only its rows apart.

    Plotly's own gaps make it paint cell by cell.
    """
    across = "".join(f"M-0.5,{row + 0.5}H{max(columns, 1) - 0.5}" for row in range(rows - 1))
    down = "".join(f"M{column + 0.5},-0.5V{rows - 0.5}" for column in range(columns - 1))
    line = {"color": theme.LIGHT.card, "width": width}
    return {"type": "path", "path": f"{across}{down}" or "M0,0H0", "line": line, "layer": "above"}


def note(text: str, x: Any, y: Any, **more: Any) -> dict[str, Any]:
    """An annotation without an arrow; y in log10 on logarithmic axes, as Plotly wants it."""
    return {"text": text, "x": x, "y": y, "showarrow": False, "font": {"size": 11}, **more}


def escape(text: str) -> str:
    """`text` from a file or a person, made harmless for Plotly's pseudo-HTML labels."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def spread(positions: list[float], gap: float, low: float = -math.inf, high: float = math.inf) -> list[float]:
    """Moves labels apart so that neighbours are at least `gap` away, as little as that takes.

    Args:
        positions: wished positions, in any order.
        gap: least distance, in the same unit.
        low: lowest position.
        high: highest position; too many labels for the room between reach beyond it.

    Returns:
        New positions in the order given.
    """
    order = sorted(range(len(positions)), key=positions.__getitem__)
    groups: list[tuple[float, list[int]]] = []
    for index in order:
        centre, members = positions[index], [index]
        while groups and centre - gap * (len(members) - 1) / 2 < groups[-1][0] + gap * (
            (len(groups[-1][1]) - 1) / 2 + 1
        ):
            other, others = groups.pop()
            centre = (other * len(others) + centre * len(members)) / (len(others) + len(members))
            members = others + members
        groups.append((centre, members))
    result = [0.0] * len(positions)
    for centre, members in groups:
        for rank, index in enumerate(members):
            result[index] = centre + gap * (rank - (len(members) - 1) / 2)
    for rank, index in enumerate(reversed(order)):
        result[index] = min(result[index], high - gap * rank)
    for rank, index in enumerate(order):
        result[index] = max(result[index], low + gap * rank)
    return result
