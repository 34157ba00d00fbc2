"""How often pages are sent something new: four times a second while the server is idle, once while it is busy."""

from __future__ import annotations

import asyncio
import time

FASTEST, SLOWEST = 0.25, 0.9
"""Seconds between two moments; drawing and sending them comes on top, so the slowest makes one update a second."""
_EVERY_SECONDS = 0.5
_WEIGHT = 0.4
"""Of the newest measurement."""
_SHARES, _LAGS = (0.2, 0.38), (0.02, 0.08)
"""Below the first the pace quickens, beyond the second it slows: of a core, and in seconds."""
_SLOWER, _QUICKER = 1.25, 0.85


class Pace:
    """Follows the load of the server.

    Load is measured as what the whole process takes of one core, since drawing, sending and Streamlit's scripts share
    one interpreter, and as how late the event loop is, which also tells of other processes.

    Attributes:
        seconds: Between two updates.
        share: Of a core that the process takes, smoothed.
        lag: How late the event loop is, in seconds, smoothed.
    """

    def __init__(self) -> None:
        self.seconds = FASTEST
        self.share = self.lag = 0.0

    @property
    def busy(self) -> bool:
        """Whether the page should say that updates are rare."""
        return self.seconds >= 0.9 * SLOWEST

    def note(self, share: float, lag: float) -> None:
        """Take a measurement into account.

        Args:
            share: Of a core that the process took since the last one.
            lag: How late the event loop was, in seconds.
        """
        self.share += _WEIGHT * (share - self.share)
        self.lag += _WEIGHT * (lag - self.lag)
        if self.share > _SHARES[1] or self.lag > _LAGS[1]:
            self.seconds = min(self.seconds * _SLOWER, SLOWEST)
        elif self.share < _SHARES[0] and self.lag < _LAGS[0]:
            self.seconds = max(self.seconds * _QUICKER, FASTEST)

    async def run(self) -> None:
        """Measure for ever."""
        loop = asyncio.get_running_loop()
        while True:
            began, used = loop.time(), time.process_time()
            await asyncio.sleep(_EVERY_SECONDS)
            took = loop.time() - began
            self.note((time.process_time() - used) / took, took - _EVERY_SECONDS)
