"""Refresh raster: every factor by time, one mark a check, coloured by what was decided.

With more checks than columns a mark stands for several: its colour says why factors were decomposed there,
its strength what share of the checks it stands for were decompositions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from foam_viz.figures import columns, encode, theme
from foam_viz.figures.columns import DECISION_ORDER, Checks
from foam_viz.figures.panel import Drawing, Lane, View

_COLUMNS = 200
_LEVELS = 4
_REASONS = DECISION_ORDER[1:]
_MOST_NAMES = 24
_MOST_GAPS = 120
"""Marks are set apart only while there are few; more would be narrower than what sets them apart."""


def draw(lanes: Sequence[Lane], view: View) -> Drawing:
    """All checks of the focused lane."""
    lane = columns.focus(lanes, view)
    rows = columns.checks(lane) if lane else None
    if lane is None or rows is None or not (rows.factor >= 0).any():
        what = "One mark for every check of every factor"
        return Drawing(empty=columns.why_empty(lanes, View(factor=0, lane=view.lane), what))
    if not (rows.factor >= 0).all():
        rows = rows.where(rows.factor >= 0)
    factors = len(lane.trace.manifest.factors)
    period = _period(rows)
    width = period
    while -(-int(rows.step.max()) // width) > _COLUMNS:
        width *= 2
    codes = _codes(rows, factors, width)
    names = [columns.factor_name(lane, factor) for factor in range(factors)]
    every = max(1, -(-factors // _MOST_NAMES))
    seen = sorted({int(code) for code in np.unique(rows.decision)} - {-1})
    legend = [(DECISION_ORDER[code], theme.DECISION_WORDS[DECISION_ORDER[code]]) for code in seen]
    span = encode.time_range(columns.last_step(lane), 0.02)
    figure = {
        "data": [_marks(codes, width, names), *_legend(legend + _untold(rows))],
        "layout": encode.layout(
            f"raster {lane.position}",
            margin={"l": 100, "r": 14, "t": 26, "b": 40},
            xaxis=encode.axis(
                "step", range=span, tickformat=",", showgrid=False
            ),
            yaxis=encode.axis(
                "", range=[factors - 0.5, -0.5], showgrid=False, showline=False, ticks="", fixedrange=True,
                tickvals=list(range(0, factors, every)), tickfont={"size": 10},
                ticktext=[encode.escape(name if len(name) <= 15 else f"…{name[-14:]}") for name in names[::every]],
            ),
            showlegend=True,
            legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "top", "yref": "container", "itemclick": False,
                    "itemdoubleclick": False, "font": {"size": 11}, "bgcolor": theme.alpha(theme.LIGHT.card, 0)},
            shapes=[_borders(factors, width, span[1]), *_followed_row(lane, view)],
            meta={"follow": {"lane": lane.position, "factor": view.factor, "rows": factors}},
        ),
    }  # fmt: skip
    return Drawing(figure=figure, reading=_reading(lane, rows, period, width))


def _period(rows: Checks) -> int:
    """Steps between checks, as most of them are apart: the first may come early."""
    gaps = np.diff(np.unique(rows.step))
    return max(1, int(np.median(gaps)) if len(gaps) else int(rows.step[0]))


def _codes(rows: Checks, factors: int, width: int) -> np.ndarray:
    """What each cell shows, shape (factors, columns), uint8.

    0 nothing, 1 only reuses, then `_LEVELS` strengths for each reason of `_REASONS`: the reason most
    decompositions in the cell had, the later one in `_REASONS` where two tie.
    """
    first, last = np.maximum(rows.start - 1, 0) // width, np.maximum(rows.step - 1, 0) // width
    count = int(last.max()) + 1
    if (first == last).all():
        row, place, owner = np.arange(len(rows)), last, rows.factor
    else:
        spans = last - first + 1
        row = np.repeat(np.arange(len(rows)), spans)
        place = first[row] + np.arange(len(row)) - np.repeat(np.cumsum(spans) - spans, spans)
        owner = rows.factor[row]
    cell = owner * count + place
    share = np.maximum(last - first + 1, 1)[row]
    checked = np.bincount(cell, rows.checks[row] / share, factors * count)
    reasons = _reasons(rows)[row]
    done = rows.decompositions[row] / share
    kept = done > 0
    amounts = np.bincount(
        reasons[kept] * factors * count + cell[kept], done[kept], len(_REASONS) * factors * count
    ).reshape(len(_REASONS), factors * count)
    total = amounts.sum(axis=0)
    reason = len(_REASONS) - 1 - amounts[::-1].argmax(axis=0)
    strength = np.ceil(_LEVELS * np.minimum(total / np.maximum(checked, 1e-9), 1) - 1e-9)
    codes = np.where(total > 0, 2 + reason * _LEVELS + np.maximum(strength, 1) - 1, np.where(checked > 0, 1, 0))
    return codes.astype(np.uint8).reshape(factors, count)


def _reasons(rows: Checks) -> np.ndarray:
    """Index into `_REASONS` for each row; an interval without a decision is cap if most of it was, else cadence."""
    guessed = np.where(2 * rows.cap_refreshes > rows.decompositions, _REASONS.index("cap"), _REASONS.index("cadence"))
    return np.where(rows.decision > 0, rows.decision - 1, guessed).astype(np.int64)


def _colorscale() -> list[list]:
    """One flat band of colour for each code, from faint to full for each reason."""
    bands = [theme.alpha(theme.LIGHT.card, 0), theme.LIGHT.faint]
    for reason in _REASONS:
        bands += [theme.alpha(theme.DECISIONS[reason], 0.4 + 0.6 * level / (_LEVELS - 1)) for level in range(_LEVELS)]
    scale = []
    for index, colour in enumerate(bands):
        scale += [[index / len(bands), colour], [(index + 1) / len(bands), colour]]
    return scale


def _marks(codes: np.ndarray, width: int, names: list[str]) -> dict[str, Any]:
    bands = 2 + len(_REASONS) * _LEVELS
    return {
        "type": "heatmap",
        "meta": {"series": "raster"},
        "z": encode.typed(codes, "u1"),
        "x0": width / 2,
        "dx": width,
        "zmin": -0.5,
        "zmax": bands - 0.5,
        "colorscale": _colorscale(),
        "showscale": False,
        "showlegend": False,
        "hovertemplate": "step %{x:,.0f}<extra></extra>",
    }


def _untold(rows: Checks) -> list[tuple[str, str]]:
    """Entries of the legend for intervals: a log counts what was decomposed by cap, and tells no other reason."""
    rows = rows.where(rows.decision < 0)
    words = {"reuse": "all reused", "cadence": "decomposed, reason not told", "cap": "mostly by cap"}
    seen = np.where(rows.decompositions > 0, 1 + _reasons(rows), 0) if len(rows) else np.empty(0, np.int64)
    return [(reason, words[reason]) for reason in words if DECISION_ORDER.index(reason) in seen]


def _legend(entries: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Traces without points that put the reasons seen into the legend: pairs of reason and words."""
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": words,
            "meta": {"series": "legend"},
            "x": [None],
            "y": [None],
            "marker": {"symbol": "square", "size": 9, "color": theme.DECISIONS[reason]},
            "hoverinfo": "skip",
        }
        for reason, words in entries
    ]


def _borders(factors: int, width: int, end: float) -> dict[str, Any]:
    """One path of card-coloured lines that sets rows apart, and marks too while there are few.

    Plotly would paint gaps of its own cell by cell. The lines run to the end of the axis, so they hold still while
    marks are added.
    """
    return {
        "type": "path",
        "path": _grid(factors, width, end) or "M0,0H0",
        "line": {"color": theme.LIGHT.card, "width": 1.5},
        "layer": "above",
    }


@lru_cache(maxsize=64)
def _grid(factors: int, width: int, end: float) -> str:
    path = "".join(f"M0,{row + 0.5}H{end:g}" for row in range(factors - 1))
    if end / width <= _MOST_GAPS:
        path += "".join(f"M{at},-0.5V{factors - 0.5}" for at in range(width, int(end), width))
    return path


def _followed_row(lane: Lane, view: View) -> list[dict[str, Any]]:
    if columns.followed([lane], view) is None:
        return []
    return [
        {
            "type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": view.factor - 0.5, "y1": view.factor + 0.5,
            "line": {"color": theme.LIGHT.accent, "width": 1.5}, "layer": "above",
        }
    ]  # fmt: skip


def _reading(lane: Lane, rows: Checks, period: int, width: int) -> str:
    checked, done = int(rows.checks.sum()), int(rows.decompositions.sum())
    share = f" ({theme.percent(done / checked)})" if checked else ""
    cap = int(rows.cap_refreshes.sum())
    parts = [f"{lane.label}: {done:,} decompositions in {checked:,} checks{share}"]
    if cap:
        parts.append(f"{cap:,} by the cap")
    if rows.counted:
        parts.append("the log counts by intervals: strength is the share decomposed of each")
    elif width > period:
        parts.append(f"a mark stands for {width // period} checks")
    return "; ".join(parts)
