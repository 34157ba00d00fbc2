"""Fewer points, the same curve: the one way in which every panel thins what has more points than the screen has pixels.

A series is drawn whole while it has at most as many points as asked for. Beyond that it becomes an envelope: of each
bin its lowest and its highest point, so that every vertex drawn is a point of the record and no point of the record
lies outside the envelope. Bins stand still while a run grows, so that nothing drawn shimmers.
"""

from __future__ import annotations

import numpy as np
from tsdownsample import MinMaxDownsampler

PIXELS = 512
"""Points of a series across a card at its widest on a screen of 1920 pixels: more could not be told apart."""

_GAPS = 1000
"""Steps at the end whose distance says how often values are logged."""

_MINMAX = MinMaxDownsampler()


def bin_width(count: int, bins: int) -> int:
    """The smallest power of two that cuts `count` points into at most `bins` bins."""
    width = 1
    while -(-count // width) > bins:
        width *= 2
    return width


def envelope_width(count: int, max_points: int) -> int:
    """Points that a bin of :func:`minmax` holds; 1 while every point is drawn."""
    return 1 if count <= max_points else bin_width(count, max((max_points - 2) // 2, 1))


def minmax(values: np.ndarray, max_points: int, offset: int = 0) -> np.ndarray:
    """Indices of the lowest and the highest point of each bin, and of the first and the last point.

    Bins hold a power of two points and begin at multiples of it, so a longer series keeps the bins of a shorter one
    until their width doubles, and a window that moves keeps those of the whole.

    Args:
        values: (n,) finite numbers.
        max_points: About so many indices, 4 or more; every point while there are no more.
        offset: Points of the whole series before the first of these.

    Returns:
        Sorted unique indices into `values`: at most `max_points`, and two more with an offset.
    """
    count = len(values)
    if count <= max_points:
        return np.arange(count)
    width = envelope_width(count, max_points)
    begin = min(-offset % width, count)
    end = begin + (count - begin) // width * width
    parts = [np.array([0, count - 1])]
    if end > begin:
        whole = np.ascontiguousarray(values[begin:end])
        parts.append(_MINMAX.downsample(whole, n_out=2 * ((end - begin) // width)).astype(np.int64) + begin)
    for start, stop in ((0, begin), (end, count)):
        if stop > start:
            rest = values[start:stop]
            parts.append(np.array([start + int(rest.argmin()), start + int(rest.argmax())]))
    picked = np.sort(np.concatenate(parts))  # np.unique takes several times as long
    return picked[np.append(True, picked[1:] != picked[:-1])]


def bins_of(at: np.ndarray, bins: int, end: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Events by bins of steps, of which marks that could not be told apart share one.

    Args:
        at: (n,) steps of the events, ascending, 0 or more.
        bins: At most so many bins from step 0 to the end; each is a power of two steps wide.
        end: Last step of the plot; None for that of the last event.

    Returns:
        Indices of the first event of each bin that has any, and how many events it has; both (m,).
    """
    if len(at) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    last = int(at[-1]) if end is None else max(int(end), int(at[-1]))
    _, first, count = np.unique(at // bin_width(last + 1, bins), return_index=True, return_counts=True)
    return first, count


def strided(count: int, max_points: int) -> np.ndarray:
    """Indices of every 2^k-th point, and the last: for a cloud of points in no order, and for nothing along an axis.

    Args:
        count: length of the series.
        max_points: at most so many indices, 2 or more.
    """
    if count == 0:
        return np.arange(0)
    indices = np.arange(0, count, bin_width(count, max_points - 1))
    return indices if indices[-1] == count - 1 else np.append(indices, count - 1)


def smoothing_width(step: np.ndarray) -> float:
    """Width in steps of the window that a loss is smoothed over: 20 values, doubled while that is too little to see.

    Args:
        step: (n,) ascending.
    """
    window = 20
    while len(step) > 200 * window:
        window *= 2
    gaps = np.diff(step[-_GAPS:])
    return window * (float(np.median(gaps)) if len(gaps) else 1.0)
