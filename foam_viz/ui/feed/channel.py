"""One source and all who look at it: they see the same moments, so that each is drawn once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress

from foam_viz.ui.feed import presence
from foam_viz.ui.feed.pace import Pace
from foam_viz.ui.feed.source import Gone, Moment, Source

_WATCH_SECONDS = 10.0
"""Between two notes that somebody looks."""

_log = logging.getLogger("foam_viz.ui")


class Channel:
    """Takes moments of a source while somebody sees them.

    Args:
        source: What is looked at.
        pool: Where moments are taken.
        pace: How often.

    Attributes:
        moment: The newest; None until there is one, and while nobody sees it.
        gone: Why there is none any more; None while there is.
        urgent: Whether the newest answers a click: what stands over the panels goes before they are drawn.
        failed: Whether the newest could not be taken; the next one may be.
    """

    def __init__(self, source: Source, pool: Executor, pace: Pace) -> None:
        self.source, self._pool, self._pace = source, pool, pace
        self.moment: Moment | None = None
        self.gone: Gone | None = None
        self.failed = self.urgent = False
        self._answered: object = None
        self._tell: dict[object, Callable[[], None]] = {}
        self._hidden: set[object] = set()
        self._alone: set[object] = set()
        self._seen, self._touched = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._watch_at = 0.0
        self._told = self._told_hidden = self._closed = False
        self._task = asyncio.create_task(self._run(), name=f"channel {source.id[:8]}")
        presence.enter(presence.session(source.id))

    def join(self, who: object, tell: Callable[[], None], *, page: bool) -> None:
        """Tell ``who`` of every new moment, by calling ``tell``.

        Args:
            who: Somebody who looks.
            tell: Must return at once.
            page: Whether it is a page, which the hub knows already. Anybody else is told to the hub at once.
        """
        self._tell[who] = tell
        self._seen.set()
        if not page:
            self._alone.add(who)
            presence.enter(presence.alone(self.source.id))
            self._watch_at = 0.0
            self._touched.set()

    def see(self, who: object, hidden: bool) -> None:
        """Note whether the page of ``who`` is in sight."""
        (self._hidden.add if hidden else self._hidden.discard)(who)
        self._touched.set()
        if not self._unseen:
            self._seen.set()

    @property
    def _unseen(self) -> bool:
        return len(self._hidden) >= len(self._tell)

    def leave(self, who: object) -> bool:
        """Forget ``who``; True where nobody is left."""
        self._tell.pop(who, None)
        self._hidden.discard(who)
        if who in self._alone:
            self._alone.remove(who)
            presence.leave(presence.alone(self.source.id))
        self._touched.set()
        return not self._tell

    def close(self) -> None:
        """Take no more moments."""
        if self._closed:
            return
        self._closed = True
        self._task.cancel()
        presence.leave(presence.session(self.source.id))
        with suppress(RuntimeError):  # the server ends
            self._pool.submit(self.source.listen, None)

    def _touch(self) -> None:
        """Something may have changed; called from any thread."""
        with suppress(RuntimeError):  # the server ends
            self._loop.call_soon_threadsafe(self._touched.set)

    async def _run(self) -> None:
        self._told = await asyncio.to_thread(self.source.listen, self._touch)
        while not self.gone:
            try:
                await self._once()
            except Gone as error:
                self.gone = error
            except Exception:  # a defect of ours: whoever looks keeps what there was, and the next moment may be good
                _log.exception("no moment of source %s", self.source.id[:8])
                self.failed = True
                self._tell_all()
                await asyncio.sleep(self._pace.seconds)
        self._tell_all()

    async def _once(self) -> None:
        """Wait for something new and take it."""
        self._seen.clear()
        now, hidden = self._loop.time(), self._unseen
        if now >= self._watch_at or hidden != self._told_hidden:
            self._watch_at, self._told_hidden = now + _WATCH_SECONDS, hidden  # whoever joins meanwhile asks for it anew
            await asyncio.to_thread(self.source.watch, hidden=hidden)
        if hidden:
            self.moment = None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._seen.wait(), _WATCH_SECONDS)
            return
        urgent, began = self.source.urgent(), self._loop.time()
        moment = self.moment
        if moment is None or self.source.changed(moment):
            self.moment = moment = await self._loop.run_in_executor(self._pool, self.source.moment)
            # A click may be answered while the moment is taken: then it is in it, or in the next.
            self.urgent = {urgent, self.source.urgent()} != {self._answered}
            self._answered = urgent
            self.failed = False
            self._tell_all()
        await self._wait(moment, urgent, began)

    async def _wait(self, moment: Moment, urgent: object, began: float) -> None:
        """Wait until it is time for another moment: at once where that is urgent, else as the pace says."""
        while not self._unseen:
            self._touched.clear()
            now, due = self._loop.time(), began + self._pace.seconds
            changed = self.source.changed(moment)
            if now >= self._watch_at or self.source.urgent() != urgent or (changed and now >= due):
                return
            end = due if changed else self._watch_at if self._told else now + self._pace.seconds
            with suppress(TimeoutError):
                await asyncio.wait_for(self._touched.wait(), max(min(end, self._watch_at) - now, 0.001))

    def _tell_all(self) -> None:
        for tell in list(self._tell.values()):
            tell()
