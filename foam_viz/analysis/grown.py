"""What is computed of a trace, kept while the trace is and brought up to date by its new rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from foam_viz.trace import TraceView
from foam_viz.trace.view import Source

_T = TypeVar("_T")
_NEWEST: WeakKeyDictionary[Source, dict[Hashable, tuple[int, Any]]] = WeakKeyDictionary()
_EARLIER: WeakKeyDictionary[TraceView, dict[Hashable, tuple[int, Any]]] = WeakKeyDictionary()
_LOCK = threading.Lock()


def grown(trace: TraceView, table: str, what: Hashable, build: Callable[[int, Any], _T]) -> _T:
    """A value computed from the rows of a table, brought up to date when rows were appended.

    Several threads may ask at once, some of them with a view of an earlier moment: values are kept as they are made and
    are never changed, so ``build`` returns a new one. The newest is kept with the trace, that of an earlier moment with
    its view.

    Args:
        trace: Whose table.
        table: Its name.
        what: Names the value.
        build: Given the number of rows already seen and the value for those (0 and None at first), the new value.
    """
    rows = trace.rows(table)
    with _LOCK:
        seen, value = _NEWEST.setdefault(trace.source, {}).get(what, (-1, None))
        if seen > rows:
            seen, value = _EARLIER.get(trace, {}).get(what, (-1, None))
    if seen == rows:
        return value
    value = build(max(seen, 0), value)
    with _LOCK:
        newest = _NEWEST.setdefault(trace.source, {})
        kept = newest if newest.get(what, (-1, None))[0] < rows else _EARLIER.setdefault(trace, {})
        kept[what] = (rows, value)
    return value
