"""The part of a curve's values that an axis must show: one lane that explodes must not flatten all others."""

from __future__ import annotations

import numpy as np

_EXPLODED, _DIVERGED = 1e3, 3.0
"""Times its usual value that a curve may rise before the rest of it leaves the plot; less once the run diverged."""


def extent(values: np.ndarray, *, log: bool, diverged: bool = False, falls: bool = False) -> tuple[float, float] | None:
    """The lowest and the highest value of one curve that its axis should hold.

    A burst belongs to the curve and is held. What lies a thousand times above both the curve's beginning and its median
    does not belong: it leaves the plot at its upper edge. Of a diverged run three times its beginning already leaves.

    Args:
        values: (n,) of one run; what is not finite does not count, nor what a logarithmic axis cannot show.
        log: True for a logarithmic axis.
        diverged: True when the run diverged.
        falls: True for what should fall, such as a loss: its first value alone then says what is usual, so that a run
            that explodes at once and stays there leaves the plot too.

    Returns:
        None without any value to show.
    """
    seen = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not len(seen):
        return None
    low, high = float(seen.min()), float(seen.max())
    if falls:
        usual = abs(float(seen[0]))
    elif diverged or high <= _EXPLODED * low:  # then the median of all decides nothing
        usual = abs(float(np.median(seen[:10])))
    else:
        usual = max(abs(float(np.median(seen[:10]))), abs(float(np.median(seen))))
    limit = usual * (_DIVERGED if diverged else _EXPLODED)
    if high > limit > 0:
        high = max(float(seen[seen <= limit].max(initial=low)), low)
    return low, high
