"""The curves of a comparison, computed once however often they are drawn again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from foam_viz.analysis.series import Missing, Series, series
from foam_viz.analysis.smoothing import Smoothing
from foam_viz.trace import Trace, TraceView
from foam_viz.trace.view import Source


@dataclass(frozen=True, eq=False)
class Curve:
    """A metric of one run along an axis, raw and smoothed.

    Attributes:
        raw: As logged.
        smooth: (n,) smoothed values; the raw ones where nothing is smoothed.
        sorted: True when ``raw.x`` ascends, so that a window of it can be cut out.
    """

    raw: Series
    smooth: np.ndarray
    sorted: bool


_KEPT = 4
"""Curves kept of one run: what the reader goes back and forth between, and not every place of a slider."""

_CACHE: WeakKeyDictionary[Source, OrderedDict[tuple, tuple[tuple, Curve | Missing]]] = WeakKeyDictionary()
_LOCK = threading.Lock()


def curve(trace: Trace | TraceView, metric: str, axis: str, smoothing: Smoothing) -> Curve | Missing:
    """The curve of a run, or why there is none; computed again when the run grew.

    Raises:
        KeyError: There is no such axis.
    """
    trace, key = trace.view(), (metric, axis, smoothing)
    revision = (trace.revision, trace.at)
    with _LOCK:
        kept = _CACHE.setdefault(trace.source, OrderedDict())
        if key in kept and kept[key][0] == revision:
            kept.move_to_end(key)
            return kept[key][1]
    raw = series(trace, metric, axis)
    if isinstance(raw, Missing):
        built: Curve | Missing = raw
    else:
        built = Curve(raw, smoothing(raw.step, raw.y), bool(np.all(raw.x[1:] >= raw.x[:-1])))
    with _LOCK:
        kept[key] = (revision, built)
        kept.move_to_end(key)
        while len(kept) > _KEPT:
            kept.popitem(last=False)
    return built
