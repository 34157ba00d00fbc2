"""Fewer points, the same curve: bins that stand still while a run grows, so that nothing drawn shimmers."""

from __future__ import annotations

import numpy as np
from tsdownsample import MinMaxDownsampler

_MINMAX = MinMaxDownsampler()


def bin_width(count: int, bins: int) -> int:
    """The smallest power of two that cuts `count` points into at most `bins` bins."""
    width = 1
    while -(-count // width) > bins:
        width *= 2
    return width


def minmax(values: np.ndarray, max_points: int) -> np.ndarray:
    """Indices of a min/max downsampling of a series; first and last point are always among them.

    Bins hold a power of two points, counted from the first, so a longer series keeps the bins of a shorter
    one until
    their width doubles: what is on the screen does not flicker while points arrive.

    Args:
        values: (n,) finite numbers.
        max_points: at most so many indices, 4 or more.

    Returns:
        Sorted unique indices into `values`.
    """
    count = len(values)
    if count <= max_points:
        return np.arange(count)
    width = bin_width(count, (max_points - 2) // 2)
    whole = count // width * width
    if whole == 0:
        return np.unique([0, int(values.argmin()), int(values.argmax()), count - 1])
    chosen = _MINMAX.downsample(np.ascontiguousarray(values[:whole]), n_out=2 * (whole // width)).astype(np.int64)
    rest = values[whole:]
    tail = [whole + int(rest.argmin()), whole + int(rest.argmax())] if len(rest) else []
    return np.unique(np.concatenate([[0], chosen, tail, [count - 1]]).astype(np.int64))


def strided(count: int, max_points: int) -> np.ndarray:
    """Indices of every 2^k-th point, and the last: for a series that is already smooth.

    Args:
        count: length of the series.
        max_points: at most so many indices, 2 or more.
    """
    if count == 0:
        return np.arange(0)
    indices = np.arange(0, count, bin_width(count, max_points - 1))
    return indices if indices[-1] == count - 1 else np.append(indices, count - 1)


def trailing_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the last `window` values at each point (of all values so far at the beginning); shape (n,), float64."""
    sums = np.cumsum(values, dtype=np.float64)
    means = sums / np.arange(1, len(values) + 1)
    if len(values) > window:
        means[window:] = (sums[window:] - sums[:-window]) / window
    return means


def smoothing_window(count: int) -> int:
    """Steps to average over: 20, doubling when a run is long enough that 20 would still be noise at its scale."""
    window = 20
    while count > 200 * window:
        window *= 2
    return window
