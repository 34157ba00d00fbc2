"""Who looks at what through the feed, as the hub asks it: a run that is watched is kept."""

from __future__ import annotations

import threading
from collections import Counter

_PREFIX = "feed:"
_lock = threading.Lock()
_watched: Counter[str] = Counter()


def session(view_id: str) -> str:
    """Return the name under which all who look at a run through the feed are one session of the hub."""
    return _PREFIX + view_id


def enter(source: str) -> None:
    """Note that somebody looks at a source."""
    with _lock:
        _watched[source] += 1


def leave(source: str) -> None:
    """Note that one of them has gone."""
    with _lock:
        _watched[source] -= 1
        if not _watched[source]:
            del _watched[source]


def is_active(name: str) -> bool:
    """Say whether a session of the hub is one of the feed that somebody looks through."""
    return name.startswith(_PREFIX) and name.removeprefix(_PREFIX) in _watched
