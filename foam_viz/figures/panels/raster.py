"""Refresh raster: every factor by time, one mark a check, coloured by what was decided.

With more checks than columns a mark stands for several: its colour says why factors were decomposed there,
its strength what share of the checks it stands for were decompositions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from foam_viz.analysis.checks import DECISION_ORDER, Checks, checks
from foam_viz.figures import encode, theme
from foam_viz.figures.names import fitting
from foam_viz.figures.panel import Drawing
from foam_viz.figures.panels.waiting import why_empty
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace.counts import refreshes

_COLUMNS = 200
_LEVELS = 4
_REASONS = DECISION_ORDER[1:]
_MOST_NAMES = 24
_MOST_COUNTED = 2000
"""Cells of intervals at most that tell their counts on hovering."""
_MOST_COUNTS_ACROSS = 10
"""Columns at most in which counts are written."""
_LONGEST_NAME = 15
"""Letters of a row's name that the margin has room for."""
_MOST_GAPS = 120
"""Marks are set apart only while there are few; more would be narrower than what sets them apart."""


def draw(scene: Scene) -> Drawing:
    """All checks of the focused lane."""
    lane = scene.focus
    rows = checks(lane.trace) if lane else None
    if lane is None or rows is None or not (rows.factor >= 0).any():
        what = "One mark for every check of every factor"
        return Drawing(empty=why_empty(scene, what, single=False))
    if not (rows.factor >= 0).all():
        rows = rows.where(rows.factor >= 0)
    factors = len(lane.trace.manifest.factors)
    period = _period(rows)
    end, furthest = lane.trace.last_step, lane.newest.trace.last_step
    edges = _edges(rows, period, furthest)
    codes, checked, done = _cells(rows, factors, edges)
    names = [lane.factor_name(factor) for factor in range(factors)]
    every = max(1, -(-factors // _MOST_NAMES))
    seen = sorted({int(code) for code in np.unique(rows.decision)} - {-1})
    legend = [(DECISION_ORDER[code], theme.DECISION_WORDS[DECISION_ORDER[code]]) for code in seen]
    span = encode.time_range(furthest, 0.02)
    stated = _stated(rows, factors)
    legend += _untold(rows)
    if len(stated[0]):
        legend.append(("stated", "the last one, where the log says it was"))
    figure = {
        "data": [_marks(codes, edges, names, rows, checked, done), *_last_ones(*stated), *_legend(legend)],
        "layout": encode.layout(
            f"raster {lane.position}",
            margin={"l": 100, "r": 14, "t": 26, "b": 40},
            xaxis=encode.axis(
                "step", range=span, tickformat=",", showgrid=False
            ),
            yaxis=encode.axis(
                "", range=[factors - 0.5, -0.5], showgrid=False, showline=False, ticks="", fixedrange=True,
                tickvals=list(range(0, factors, every)), tickfont={"size": 10},
                ticktext=[encode.escape(name) for name in fitting(names, _LONGEST_NAME)[::every]],
            ),
            showlegend=True,
            legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "top", "yref": "container", "itemclick": False,
                    "itemdoubleclick": False, "font": {"size": 11}, "bgcolor": theme.alpha(theme.LIGHT.card, 0)},
            shapes=[_borders(factors, edges, span[1]), *_followed_row(scene)],
            meta={"follow": {"lane": lane.position, "factor": scene.look.factor, "rows": factors}},
        ),
    }  # fmt: skip
    reading = _reading(lane, rows, _checks_a_mark(edges, period))
    return Drawing(figure=figure, reading=reading, moment=f"steps to {end:,}")


def _period(rows: Checks) -> int:
    """Steps between checks, as most of them are apart: the first may come early."""
    gaps = np.diff(np.unique(rows.step))
    return max(1, int(np.median(gaps)) if len(gaps) else int(rows.step[0]))


def _edges(rows: Checks, period: int, end: int) -> np.ndarray:
    """Where columns begin and end, in steps, (columns + 1,): none beyond the last step.

    A column holds the checks of the steps after its left edge up to its right one. Where rows count intervals, columns
    are those intervals, as long as there are few.
    """
    end = max(end, int(rows.step.max()), 1)
    if rows.counted:
        edges = np.unique(np.concatenate([rows.start - 1, rows.step]))
        if len(edges) <= _COLUMNS + 1:
            return np.maximum(edges, 0)
    width = period
    while -(-end // width) > _COLUMNS:
        width *= 2
    return np.append(np.arange(0, end, width), end)


def _checks_a_mark(edges: np.ndarray, period: int) -> int:
    """How many checks of a factor fall into a column."""
    return max(1, int(edges[1] - edges[0]) // period)


def _cells(rows: Checks, factors: int, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each cell shows, shape (factors, columns), and its checks and decompositions, which are counts.

    0 nothing, 1 only reuses, then `_LEVELS` strengths for each reason of `_REASONS`: the reason most
    decompositions in the cell had, the later one in `_REASONS` where two tie. What spans several columns counts in each
    of them by its share.
    """
    count = len(edges) - 1
    first = np.searchsorted(edges, rows.start - 1, side="right") - 1
    last = np.searchsorted(edges, rows.step, side="left") - 1
    first, last = first.clip(0, count - 1), last.clip(0, count - 1)
    first = np.minimum(first, last)
    if (first == last).all():
        row, column, owner = np.arange(len(rows)), last, rows.factor
    else:
        spans = last - first + 1
        row = np.repeat(np.arange(len(rows)), spans)
        column = first[row] + np.arange(len(row)) - np.repeat(np.cumsum(spans) - spans, spans)
        owner = rows.factor[row]
    cell = owner * count + column
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
    shape = (factors, count)
    return codes.astype(np.uint8).reshape(shape), checked.reshape(shape), total.reshape(shape)


def _stated(rows: Checks, factors: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and factors of the decompositions that a log dates although it counts intervals: the last one of each."""
    last = rows.last_decomposition
    known = (rows.start != rows.step) & (rows.decompositions > 0) & np.isfinite(last)
    known &= (last >= rows.start) & (last <= rows.step) & (rows.factor < factors)
    return last[known].astype(np.int64), rows.factor[known]


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


def _marks(
    codes: np.ndarray, edges: np.ndarray, names: list[str], rows: Checks, checked: np.ndarray, done: np.ndarray
) -> dict[str, Any]:
    bands = 2 + len(_REASONS) * _LEVELS
    drawn = {
        "type": "heatmap",
        "meta": {"series": "raster", "down": names, "words": _words(), "bins": True},
        "z": encode.typed(codes, "u1"),
        "x": encode.integers(edges),  # every time: Plotly does not follow from a width to edges
        "zmin": -0.5,
        "zmax": bands - 0.5,
        "colorscale": _colorscale(),
        "showscale": False,
        "showlegend": False,
    }
    if rows.counted and codes.size <= _MOST_COUNTED:
        few = codes.shape[0] <= _MOST_NAMES and codes.shape[1] <= _MOST_COUNTS_ACROSS
        across = [_steps(a + 1, b) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
        drawn["hovertext"] = [
            [
                f"{encode.escape(name)}, {when}: {_count(d)} of {_count(c)} checks decomposed" if c else ""
                for when, d, c in zip(across, *pair, strict=True)
            ]
            for name, *pair in zip(names, done.tolist(), checked.tolist(), strict=True)
        ]
        drawn["hovertemplate"] = "%{hovertext}<extra></extra>"
        if few:
            drawn["text"] = [
                [f"{_count(d)}/{_count(c)}" if c else "" for d, c in zip(*pair, strict=True)]
                for pair in zip(done.tolist(), checked.tolist(), strict=True)
            ]
            drawn["texttemplate"] = "%{text}"
            drawn["textfont"] = {"size": 10}
        return drawn
    if codes.shape[1] < _MOST_GAPS:
        drawn["customdata"] = encode.integers(np.broadcast_to(edges[1:], codes.shape))
        drawn["hovertemplate"] = "checks up to step %{customdata:,}<extra></extra>"
    else:
        drawn["hovertemplate"] = "checks about step %{x:,.0f}<extra></extra>"
    return drawn


@lru_cache(maxsize=1)
def _words() -> list[str]:
    """What each code says, for a table of the numbers drawn."""
    shares = [f"up to {100 * level // _LEVELS} % decomposed" for level in range(1, _LEVELS + 1)]
    return ["", "all reused", *(f"{share}, {theme.DECISION_WORDS[reason]}" for reason in _REASONS for share in shares)]


def _steps(first: int, last: int) -> str:
    return f"step {last:,}" if first == last else f"steps {first:,}–{last:,}"


def _count(value: float) -> str:
    """A count; what was shared out over columns is about that."""
    return f"{value:,.0f}" if abs(value - round(value)) < 1e-6 else f"about {value:,.1f}"


def _last_ones(step: np.ndarray, factor: np.ndarray) -> list[dict[str, Any]]:
    """A tick at each decomposition whose step an interval tells."""
    if len(step) == 0:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "last decomposition of an interval",
            "meta": {"series": "stated"},
            "x": encode.typed(step - 0.5, "f8"),
            "y": encode.integers(factor),
            "customdata": encode.integers(step),
            "marker": {"symbol": "line-ns", "size": 9, "line": {"color": theme.LIGHT.accent, "width": 2}},
            "hovertemplate": "decomposed at step %{customdata:,}, the last time in its interval<extra></extra>",
        }
    ]


def _untold(rows: Checks) -> list[tuple[str, str]]:
    """Entries of the legend for intervals: a log counts what was decomposed by cap, and tells no other reason."""
    rows = rows.where(rows.decision < 0)
    words = {"reuse": "all reused", "cadence": "decomposed, reason not told", "cap": "mostly by cap"}
    seen = np.where(rows.decompositions > 0, 1 + _reasons(rows), 0) if len(rows) else np.empty(0, np.int64)
    return [(reason, words[reason]) for reason in words if DECISION_ORDER.index(reason) in seen]


_LEGEND_COLOURS = {**theme.DECISIONS, "stated": theme.LIGHT.accent}


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
            "marker": {"symbol": "square", "size": 9, "color": _LEGEND_COLOURS[reason]},
            "hoverinfo": "skip",
        }
        for reason, words in entries
    ]


def _borders(factors: int, edges: np.ndarray, end: float) -> dict[str, Any]:
    """One path of card-coloured lines that sets rows apart, and marks too while there are few.

    Plotly would paint gaps of its own cell by cell. The lines between rows run to the end of the axis.
    """
    between = tuple(edges[1:-1].tolist()) if len(edges) <= _MOST_GAPS else ()
    return {
        "type": "path",
        "path": _grid(factors, between, end) or "M0,0H0",
        "line": {"color": theme.LIGHT.card, "width": 1.5},
        "layer": "above",
    }


@lru_cache(maxsize=64)
def _grid(factors: int, between: tuple[int, ...], end: float) -> str:
    path = "".join(f"M0,{row + 0.5}H{end:g}" for row in range(factors - 1))
    return path + "".join(f"M{at},-0.5V{factors - 0.5}" for at in between)


def _followed_row(scene: Scene) -> list[dict[str, Any]]:
    if scene.followed is None:
        return []
    _, factor = scene.followed
    return [
        {
            "type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": factor - 0.5, "y1": factor + 0.5,
            "line": {"color": theme.LIGHT.accent, "width": 1.5}, "layer": "above",
        }
    ]  # fmt: skip


def _reading(lane: Lane, rows: Checks, together: int) -> str:
    counted = refreshes(lane.trace)
    parts = [f"{lane.label}: {counted.words}" if counted else lane.label]
    cap = int(rows.cap_refreshes.sum())
    if cap:
        parts.append(f"{cap:,} by the cap")
    if rows.counted:
        parts.append("the log counts by intervals")
    elif together > 1:
        parts.append(f"a mark stands for {together:,} checks")
    return "; ".join(parts)
