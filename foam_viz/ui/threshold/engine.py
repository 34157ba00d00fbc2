"""The replay engine of this server, and the one that trains in the background."""

from __future__ import annotations

import atexit
import threading

from foam_viz.engine.replay.client import ReplayClient
from foam_viz.engine.truth.client import TruthClient

_lock = threading.Lock()
_client: ReplayClient | None = None
_trainer: TruthClient | None = None


def truths() -> TruthClient:
    """Return the client of the engine that trains in the background, which starts when it is first asked."""
    global _trainer
    with _lock:
        if _trainer is None:
            _trainer = TruthClient()
            atexit.register(_trainer.close)
        return _trainer


def replays() -> ReplayClient:
    """Return the client of the replay engine, which starts when it is first asked."""
    global _client
    with _lock:
        if _client is None:
            _client = ReplayClient()
            atexit.register(_client.close)
        return _client
