"""How much memory parsed logs hold on the server: a share for each visitor, and one for all together."""

from __future__ import annotations

import threading
import time
import weakref
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from foam_viz.logs.core.reader import Reading
from foam_viz.logs.intake.limits import MEBIBYTE


class Holder(Protocol):
    """What holds a reading, and can be told to let it go."""

    reading: Reading | None
    freed: str


@dataclass
class _Entry:
    holder: weakref.ref
    visitor: str
    size: int
    used: float


class Kept:
    """All readings of one server, by visitor.

    Args:
        visitor_bytes: That the readings of one visitor may hold.
        server_bytes: That all readings together may hold.
    """

    def __init__(self, visitor_bytes: int, server_bytes: int) -> None:
        self.visitor_bytes, self.server_bytes = visitor_bytes, server_bytes
        self._entries: list[_Entry] = []
        self._lock = threading.Lock()

    def hold(self, visitor: str, holder: Holder) -> None:
        """Take a holder's new reading into account, and free what was used longest ago until everything fits."""
        reading = holder.reading
        size = sum(trace.nbytes for trace in reading.traces) if reading else 0
        with self._lock:
            self._forget(holder)
            self._entries.append(_Entry(weakref.ref(holder), visitor, size, time.monotonic()))
            self._make_room(
                [entry for entry in self._entries if entry.visitor == visitor], self.visitor_bytes, "you have open"
            )
            self._make_room(self._entries, self.server_bytes, "this server holds for all its visitors")

    def use(self, visitor: str, holder: Holder | None = None) -> None:
        """Remember that a visitor looks at a holder's reading now, or at all of them."""
        now = time.monotonic()
        with self._lock:
            for entry in self._entries:
                if entry.visitor == visitor and (holder is None or entry.holder() is holder):
                    entry.used = now

    def forget(self, holder: Holder) -> None:
        """Let a holder's reading go for good."""
        with self._lock:
            self._forget(holder)
        _release()

    def held(self, visitor: str | None = None) -> int:
        """Bytes that one visitor's readings hold, or those of all."""
        with self._lock:
            return sum(entry.size for entry in self._alive() if visitor in (None, entry.visitor))

    def _make_room(self, entries: list[_Entry], limit: int, whose: str) -> None:
        held = sum(entry.size for entry in entries)
        for entry in sorted(entries, key=lambda entry: entry.used)[:-1]:  # never the one that just came
            if held <= limit:
                return
            if entry.size:
                held -= entry.size
                self._free(
                    entry,
                    f"Closed to make room: the logs {whose} may take {limit / MEBIBYTE:,.0f} MiB of memory. Remove "
                    "what you do not need, then read this again.",
                )
        _release()

    def _free(self, entry: _Entry, words: str) -> None:
        self._entries.remove(entry)
        if (holder := entry.holder()) is not None:
            holder.reading, holder.freed = None, words

    def _forget(self, holder: Holder) -> None:
        self._entries = [entry for entry in self._alive() if entry.holder() is not holder]

    def _alive(self) -> list[_Entry]:
        self._entries = [entry for entry in self._entries if entry.holder() is not None]
        return self._entries


def _release() -> None:
    """Give memory back to the system, as far as the allocator can."""
    pa.default_memory_pool().release_unused()
