"""A queue of work that no visitor can fill for the others."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class FairQueue:
    """Runs calls in threads: one at a time of each visitor, visitors in turn.

    A call that takes long stops counting against the places of the others, so that short ones do not wait behind it;
    only so many may run in all.

    Args:
        places: Calls at a time.
        patience: Seconds after which a call counts as a long one.
        most: Calls at a time, long ones included.
    """

    def __init__(self, places: int, patience: float, most: int) -> None:
        self._places, self._patience, self._most = places, patience, most
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[tuple[Future, Callable[[], Any]]]] = {}
        self._running: dict[str, float] = {}

    def submit(self, visitor: str, call: Callable[[], Any]) -> Future:
        """Queue a call of a visitor; cancelling the future takes it out again while it has not begun."""
        future: Future = Future()
        with self._lock:
            self._waiting.setdefault(visitor, deque()).append((future, call))
        self._dispatch()
        return future

    def ahead(self, future: Future) -> int:
        """Return how many other visitors read or wait while this call waits; 0 once it runs."""
        with self._lock:
            for visitor, queue in self._waiting.items():
                if any(waiting is future for waiting, _ in queue):
                    return len((self._running.keys() | self._waiting.keys()) - {visitor})
        return 0

    def _dispatch(self) -> None:
        with self._lock:
            while (visitor := self._next()) is not None:
                queue = self._waiting[visitor]
                future, call = queue.popleft()
                if not queue:
                    del self._waiting[visitor]
                if future.set_running_or_notify_cancel():
                    self._running[visitor] = time.monotonic()
                    threading.Thread(target=self._run, args=(visitor, future, call), daemon=True, name="logs").start()
                    timer = threading.Timer(self._patience, self._dispatch)
                    timer.daemon = True
                    timer.start()

    def _next(self) -> str | None:
        now = time.monotonic()
        short = sum(now - began < self._patience for began in self._running.values())
        if short >= self._places or len(self._running) >= self._most:
            return None
        return next((visitor for visitor in self._waiting if visitor not in self._running), None)

    def _run(self, visitor: str, future: Future, call: Callable[[], Any]) -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # the one who waits must hear of it, whatever it is
            future.set_exception(error)
        finally:
            with self._lock:
                del self._running[visitor]
                if visitor in self._waiting:
                    self._waiting[visitor] = self._waiting.pop(visitor)  # behind the others
            self._dispatch()
