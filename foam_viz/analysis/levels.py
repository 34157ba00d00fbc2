"""Fewer points of a long curve for the window that the reader looks at: extremes, ends and gaps stay."""

from __future__ import annotations

import numpy as np

from foam_viz.analysis.downsample import minmax


def window_rows(x: np.ndarray, low: float | None = None, high: float | None = None) -> tuple[int, int]:
    """First row and end (not included) of an ascending axis to draw for a window, with a neighbour on either side.

    The neighbours let lines run out of the window rather than end inside it.

    Args:
        x: (n,) ascending.
        low: Left edge; None for the beginning.
        high: Right edge; None for the end.
    """
    first = 0 if low is None else max(int(np.searchsorted(x, low, side="left")) - 1, 0)
    end = len(x) if high is None else min(int(np.searchsorted(x, high, side="right")) + 1, len(x))
    return first, max(first, end)


def sample(
    x: np.ndarray, y: np.ndarray, max_points: int, low: float | None = None, high: float | None = None
) -> np.ndarray:
    """Rows to draw of a curve: smallest and largest value of each bin, both ends, and the borders of each gap.

    A gap (values that are not finite) keeps one row that is not finite, so that the line breaks there and a marker can
    be drawn, and the finite rows on both sides of it. With more gaps than an eighth of the points, only the widest are
    kept apart.

    Args:
        x: (n,) ascending.
        y: (n,); NaN and infinity are gaps.
        max_points: About so many rows, 16 or more; gaps come on top, at most three eighths more.
        low: Lower edge of the window of ``x``; None for all of it. One row beyond it is kept.
        high: Upper edge, likewise.

    Returns:
        Row numbers, ascending, int64.
    """
    first, end = window_rows(x, low, high)
    values = y[first:end]
    if len(values) <= max_points:
        return np.arange(first, end)
    finite = np.isfinite(values)
    rows = np.flatnonzero(finite) if not finite.all() else None
    kept = values if rows is None else values[rows]
    chosen = minmax(kept, max_points, first if rows is None else 0)
    if rows is not None:
        chosen = np.concatenate([rows[chosen], _gaps(finite, max_points // 8)])
    return np.unique(chosen) + first


def _gaps(finite: np.ndarray, most: int) -> np.ndarray:
    """First row of each gap and the finite rows around it; of too many gaps the widest."""
    edges = np.diff(np.concatenate([[True], finite, [True]]).astype(np.int8))
    start, stop = np.flatnonzero(edges == -1), np.flatnonzero(edges == 1)
    if len(start) > most:
        widest = np.sort(np.argsort(start - stop, kind="stable")[:most])
        start, stop = start[widest], stop[widest]
    around = np.concatenate([start - 1, start, stop])
    return around[(around >= 0) & (around < len(finite))]
