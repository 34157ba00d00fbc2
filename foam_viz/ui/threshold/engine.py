"""The one replay engine of this server."""

from __future__ import annotations

import atexit
import threading

from foam_viz.engine.replay.client import ReplayClient

_lock = threading.Lock()
_client: ReplayClient | None = None


def replays() -> ReplayClient:
    """Return the client of the replay engine, which starts when it is first asked."""
    global _client
    with _lock:
        if _client is None:
            _client = ReplayClient()
            atexit.register(_client.close)
        return _client
