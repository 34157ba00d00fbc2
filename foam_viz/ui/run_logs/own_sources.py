"""Sources of the feed that a page puts together for one browser session: uploaded logs, a comparison."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

import streamlit as st

from foam_viz.ui.feed.source import KeptSource
from foam_viz.ui.server import feed, is_active, session_id

_KEPT_SECONDS = 600.0
"""After a session was seen last: a page whose connection was cut finds its source again."""

_lock = threading.Lock()
_seen: dict[str, float] = {}


def own_source(key: str, identity: Hashable, make: Callable[[str], KeptSource]) -> str:
    """Return the id of what a page of this session shows; the same one while that is the same.

    Args:
        key: Of the board; a session has one source a board.
        identity: Stands for all that the source is made of.
        make: Given the id, returns the source.
    """
    _sweep()
    known = st.session_state.get(f"{key} source")
    if known is not None and known[0] == identity:
        return known[1]
    source = feed.sources.register(session_id(), make)
    st.session_state[f"{key} source"] = (identity, source)
    if known is not None:
        feed.sources.forget(known[1])
    return source


def _sweep() -> None:
    """Let go of what belongs to sessions that are long gone."""
    now = time.monotonic()
    with _lock:
        _seen[session_id()] = now
        _seen.update({owner: now for owner in _seen if is_active(owner)})
        gone = [owner for owner, last in _seen.items() if now - last > _KEPT_SECONDS]
        for owner in gone:
            del _seen[owner]
            feed.sources.forget_all(owner)
