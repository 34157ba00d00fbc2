"""Who looks at what through the feed, as the hub asks it: a run that is watched is kept."""

from __future__ import annotations

import threading
from collections import Counter

_PREFIX, _ALONE = "feed:", "feed alone:"
_lock = threading.Lock()
_watched: Counter[str] = Counter()


def session(view_id: str) -> str:
    """Return the name under which all who look at a run through the feed are one session of the hub."""
    return _PREFIX + view_id


def alone(view_id: str) -> str:
    """Return the name under which those of them who have no page, and so no browser, are one session of the hub."""
    return _ALONE + view_id


def enter(name: str) -> None:
    """Note that somebody looks, under the name of a session."""
    with _lock:
        _watched[name] += 1


def leave(name: str) -> None:
    """Note that one of them has gone."""
    with _lock:
        _watched[name] -= 1
        if not _watched[name]:
            del _watched[name]


def is_active(name: str) -> bool:
    """Say whether a session of the hub is one of the feed that somebody looks through."""
    return name in _watched
