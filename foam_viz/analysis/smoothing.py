"""Smoothing in units of steps, so that a curve logged at every step and one logged at every tenth smooth alike.

A value weighs as much as the stretch of steps that it stands for is long. Values that are not finite weigh nothing, and
stay as they are: a smoothed curve has the gaps of the raw one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["none", "ema", "window"]

_NEGLIGIBLE = 1e-17


@dataclass(frozen=True)
class Smoothing:
    """How curves are smoothed.

    Attributes:
        kind: ``ema``: exponentially weighted mean of the past; ``window``: mean of a centred window.
        scale: Steps in which the weight of the past falls to 1/e, or the width of the window. 0 does nothing.
    """

    kind: Kind = "none"
    scale: float = 0.0

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Smooth ``y`` (n,) at ``x`` (n,), ascending; returns (n,) float64."""
        if self.kind == "none" or not self.scale > 0 or len(y) == 0:
            return np.asarray(y, dtype=np.float64)
        return (ema if self.kind == "ema" else centred_mean)(x, y, self.scale)


def ema(x: np.ndarray, y: np.ndarray, scale: float) -> np.ndarray:
    """Exponential moving average on irregular spacing.

    With dx the distance to the point before and a = exp(-dx / scale): s <- a s + (1 - a) y and w <- a w + (1 - a), both
    from 0, and the average is s / w, so that the start is not biased towards 0 (Kingma and Ba, 2015, section 3). The
    first point has nothing before it and counts for as long as the typical stretch of its series.

    Args:
        x: (n,) ascending, in steps.
        y: (n,); values that are not finite are left out and returned as they are.
        scale: Steps in which the weight falls to 1/e, above 0.

    Returns:
        (n,) float64.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(y) == 0:
        return y.copy()
    finite = np.isfinite(y)
    gaps = np.diff(x)
    positive = gaps[gaps > 0]
    first = float(np.median(positive)) if len(positive) else scale
    decay = np.exp(-np.concatenate([[first], gaps]) / scale)
    share = np.where(finite, -np.expm1(-np.concatenate([[first], gaps]) / scale), 0.0)
    sums, weights = share * np.where(finite, y, 0.0), share.copy()
    # Recursive doubling of the linear recurrence: after pass k each element holds the last 2^k terms, and no product
    # exceeds 1, so nothing overflows. It ends once what lies further back has no weight.
    decay[0], reach = 0.0, 1
    while reach < len(y) and decay.max() > _NEGLIGIBLE:
        sums[reach:] = sums[reach:] + decay[reach:] * sums[:-reach]
        weights[reach:] = weights[reach:] + decay[reach:] * weights[:-reach]
        decay[reach:] = decay[reach:] * decay[:-reach]
        decay[:reach] = 0.0
        reach *= 2
    return np.where(finite & (weights > 0), np.divide(sums, weights, out=y.copy(), where=weights > 0), y)


def centred_mean(x: np.ndarray, y: np.ndarray, width: float) -> np.ndarray:
    """Mean of the broken line through the points over the window from x - width/2 to x + width/2.

    Towards the first and the last finite value the window shrinks on both sides alike, down to the value itself: a
    window cut on one side would read high at the end of a falling curve, and low at its start. So the mean of a
    straight line is that line everywhere, and a burst stays at its step. The line does not cross values that are not
    finite.

    Args:
        x: (n,) ascending, in steps.
        y: (n,); values that are not finite are returned as they are.
        width: Of the window, in steps, above 0.

    Returns:
        (n,) float64.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(y) < 2:
        return y.copy()
    finite = np.isfinite(y)
    value = np.where(finite, y, 0.0)
    length = np.where(finite[1:] & finite[:-1], np.diff(x), 0.0)
    area = length * (value[1:] + value[:-1]) / 2
    if not finite.any():
        return y.copy()
    known = x[finite]
    half = np.clip(np.minimum(x - known[0], known[-1] - x), 0.0, width / 2)
    low, high = x - half, x + half
    left = np.clip(np.searchsorted(x, low, side="right") - 1, 0, len(x) - 2)
    right = np.clip(np.searchsorted(x, high, side="right") - 1, 0, len(x) - 2)
    # Whole segments left..right, less what sticks out on either side.
    total, long = _range_sums((area, length), left, right + 1)
    for at, segment, after in ((low, left, False), (high, right, True)):
        part, size = _piece(x, value, length, segment, at, after)
        total, long = total - part, long - size
    good = finite & (long > 1e-9 * width)
    return np.where(good, np.divide(total, long, out=y.copy(), where=good), y)


def _piece(
    x: np.ndarray, y: np.ndarray, length: np.ndarray, segment: np.ndarray, at: np.ndarray, after: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Area and length of the part of a segment after (else before) the place ``at``; 0 for segments that are gaps."""
    begin, whole = x[segment], length[segment]
    real = whole > 0
    place = np.where(real, np.clip((at - begin) / np.where(real, whole, 1.0), 0.0, 1.0), 0.0)
    there = y[segment] + place * (y[segment + 1] - y[segment])
    if after:
        size = np.where(real, (1 - place) * whole, 0.0)
        return size * (there + y[segment + 1]) / 2, size
    size = np.where(real, place * whole, 0.0)
    return size * (y[segment] + there) / 2, size


def _range_sums(arrays: tuple[np.ndarray, ...], start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sums over ``start`` to ``stop`` (not included) of each array, by blocks whose length is a power of two.

    Not by differences of one running sum: a single huge loss would drown every later window in rounding.
    """
    results = tuple(np.zeros(len(start)) for _ in arrays)
    place, left = start.copy(), stop - start
    longest, block = int(left.max(initial=0)), 1
    levels = list(arrays)
    while block <= longest:
        odd = np.flatnonzero(left & block)
        for result, level in zip(results, levels, strict=True):
            result[odd] += level[place[odd]]
        place[odd] += block
        levels = [level[:-block] + level[block:] if len(level) > block else level[:0] for level in levels]
        block *= 2
    return results
