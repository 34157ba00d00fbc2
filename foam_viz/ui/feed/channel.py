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

_LOOK_SECONDS = 0.05
"""Between two looks at whether something urgent happened; each is a comparison of a few values."""
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
        gone: Why there is none any more; empty while there is.
        failed: Whether the newest could not be taken; the next one may be.
    """

    def __init__(self, source: Source, pool: Executor, pace: Pace) -> None:
        self.source, self._pool, self._pace = source, pool, pace
        self.moment: Moment | None = None
        self.gone = ""
        self.failed = False
        self._tell: dict[object, Callable[[], None]] = {}
        self._hidden: set[object] = set()
        self._seen = asyncio.Event()
        self._watch_at = 0.0
        self._told_hidden = False
        self._task = asyncio.create_task(self._run(), name=f"channel {source.id[:8]}")
        presence.enter(source.id)

    def join(self, who: object, tell: Callable[[], None]) -> None:
        """Tell ``who`` of every new moment, by calling ``tell``."""
        self._tell[who] = tell
        self._seen.set()

    def see(self, who: object, hidden: bool) -> None:
        """Note whether the page of ``who`` is in sight."""
        (self._hidden.add if hidden else self._hidden.discard)(who)
        if len(self._hidden) < len(self._tell):
            self._seen.set()

    def leave(self, who: object) -> bool:
        """Forget ``who``; True where nobody is left."""
        self._tell.pop(who, None)
        self._hidden.discard(who)
        return not self._tell

    def close(self) -> None:
        """Take no more moments."""
        self._task.cancel()
        presence.leave(self.source.id)

    async def _run(self) -> None:
        while not self.gone:
            try:
                await self._once()
            except Gone as error:
                self.gone = str(error)
            except Exception:  # a defect of ours: whoever looks keeps what there was, and the next moment may be good
                _log.exception("no moment of source %s", self.source.id[:8])
                self.failed = True
                self._tell_all()
                await asyncio.sleep(self._pace.seconds)
        self._tell_all()

    async def _once(self) -> None:
        """Wait for something new and take it."""
        loop = asyncio.get_running_loop()
        hidden = len(self._hidden) >= len(self._tell)
        if loop.time() >= self._watch_at or hidden != self._told_hidden:
            await self._in_pool(lambda: self.source.watch(hidden=hidden))
            self._watch_at, self._told_hidden = loop.time() + _WATCH_SECONDS, hidden
        if hidden:
            self.moment = None
            self._seen.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._seen.wait(), _WATCH_SECONDS)
            return
        urgent, took = self.source.urgent(), loop.time()
        if self.moment is None or self.source.changed(self.moment):
            self.moment, self.failed = await self._in_pool(self.source.moment), False
            self._tell_all()
        while loop.time() < self._watch_at and len(self._hidden) < len(self._tell):
            await asyncio.sleep(_LOOK_SECONDS)
            late = loop.time() - took >= self._pace.seconds - _LOOK_SECONDS / 2
            if self.source.urgent() != urgent or (late and self.source.changed(self.moment)):
                return

    async def _in_pool(self, call: Callable[[], Moment | None]) -> Moment | None:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def _tell_all(self) -> None:
        for tell in list(self._tell.values()):
            tell()
