"""Who looks at a run: what keeps it alive, what pauses it, and whose steps come first. Imports no torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foam_viz.engine.wire.commands import Priority

# A page that shows a run asks for it now and then; one that has not for so long shows something else.
SHOWN_SECONDS = 60.0


@dataclass
class _Viewer:
    """A page that looks at a run.

    Attributes:
        browser: Fingerprint of its browser; empty where it is not known.
        connected: When it was connected last.
        shown: When its page asked for the run last.
        attends: Whether it looks until it says that it leaves.
        hidden: Whether its page is out of sight: another tab, a window that is minimized.
        tells: Whether it says when it is out of sight.
    """

    browser: str
    connected: float
    shown: float
    attends: bool = False
    hidden: bool = False
    tells: bool = False


class Viewers:
    """The viewers of all runs. Every method may be called from any thread.

    Args:
        is_active: Tells whether a browser session is connected; None takes every one for connected.
    """

    def __init__(self, is_active: Callable[[str], bool] | None) -> None:
        self._is_active = is_active
        self._lock = threading.RLock()
        self._runs: dict[str, dict[str, _Viewer]] = {}
        self._seen: dict[str, float] = {}
        self._presented: set[str] = set()

    def note(self, view_id: str, session: str, browser: str, now: float, *, attends: bool = False) -> None:
        """A page asks for a run."""
        with self._lock:
            viewer = self._runs.setdefault(view_id, {}).setdefault(session, _Viewer(browser, now, now))
            # A page learns only after it was drawn first whose browser it is in.
            viewer.browser = browser or viewer.browser
            viewer.shown, viewer.connected, viewer.attends = now, now, viewer.attends or attends

    def leave(self, view_id: str, session: str, now: float) -> None:
        """A page that attended looks no more."""
        with self._lock:
            if (viewer := self._runs.get(view_id, {}).get(session)) is not None:
                viewer.attends, viewer.shown, viewer.connected = False, now - SHOWN_SECONDS, now

    def hide(self, view_id: str, session: str, hidden: bool) -> None:
        """The page of a viewer is out of sight, or is seen again."""
        with self._lock:
            if (viewer := self._runs.get(view_id, {}).get(session)) is not None:
                viewer.hidden, viewer.tells = hidden, True

    def present(self, view_id: str, on: bool) -> None:
        """The run is shown to a class, or no longer."""
        with self._lock:
            (self._presented.add if on else self._presented.discard)(view_id)

    def forget(self, view_id: str) -> None:
        """The run has ended."""
        with self._lock:
            self._runs.pop(view_id, None)
            self._seen.pop(view_id, None)
            self._presented.discard(view_id)

    def look(self, view_id: str, now: float) -> None:
        """Brings up to date who is connected and who sees the run."""
        with self._lock:
            connected = self._connected_to(view_id)
            for viewer in connected:
                viewer.connected = now
            if _seen(connected, now):
                self._seen[view_id] = now

    def alone(self, view_id: str, now: float) -> float:
        """Seconds since any viewer was connected, as of the last :meth:`look`."""
        with self._lock:
            return min((now - viewer.connected for viewer in self._runs.get(view_id, {}).values()), default=0.0)

    def unseen(self, view_id: str, now: float) -> float:
        """Seconds since the run was in sight, as of the last :meth:`look`."""
        with self._lock:
            return now - self._seen.setdefault(view_id, now)

    def others(self, view_id: str, browser: str) -> bool:
        """Whether a browser other than this one is known to look at the run."""
        with self._lock:
            return any(
                viewer.browser not in ("", browser) and self._connected(session, viewer)
                for session, viewer in self._runs.get(view_id, {}).items()
            )

    def priority(self, view_id: str, now: float) -> Priority:
        """Whose steps come first."""
        with self._lock:
            if view_id in self._presented:
                return Priority.PRESENTED
            watched = _seen(self._connected_to(view_id), now)
        return Priority.WATCHED if watched else Priority.UNWATCHED

    def _connected_to(self, view_id: str) -> list[_Viewer]:
        viewers = self._runs.get(view_id, {})
        return [viewer for session, viewer in viewers.items() if self._connected(session, viewer)]

    def _connected(self, session: str, viewer: _Viewer) -> bool:
        return viewer.attends or self._is_active is None or self._is_active(session)


def _seen(viewers: Sequence[_Viewer], now: float) -> bool:
    """Say whether somebody sees the run. A page and its board are two viewers, and the board knows what is in sight."""
    telling = [viewer for viewer in viewers if viewer.tells]
    return any(
        not viewer.hidden and (viewer.attends or now - viewer.shown < SHOWN_SECONDS) for viewer in telling or viewers
    )
