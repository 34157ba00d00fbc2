"""Makes a thing once for all who ask for it, off the event loop, and keeps it while there is room."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

_Thing = TypeVar("_Thing")


class Once(Generic[_Thing]):
    """Things by key, made in a pool of threads. All calls come from one event loop. A key begins with a source's id.

    Args:
        pool: Where things are made.
        room: Weight of all that is kept; what was asked for longest ago goes first.
        weigh: Weight of a thing.

    Attributes:
        made: How many things were made so far.
        weight: Of all that is kept.
    """

    def __init__(self, pool: Executor, room: int, weigh: Callable[[_Thing], int] = lambda thing: 1) -> None:
        self._pool, self._room, self._weigh = pool, room, weigh
        self._kept: OrderedDict[tuple, _Thing] = OrderedDict()
        self._making: dict[tuple, asyncio.Future[_Thing]] = {}
        self.made = 0
        self.weight = 0

    async def get(self, key: tuple, make: Callable[[], _Thing]) -> _Thing:
        """Return the thing of a key: the one that is kept, the one that is being made, or a new one.

        Raises:
            Exception: What ``make`` raises; it is made anew the next time.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        making = self._making.get(key)
        if making is None:
            self.made += 1
            making = asyncio.get_running_loop().run_in_executor(self._pool, make)
            self._making[key] = making
            making.add_done_callback(lambda done: self._keep(key, done))
        return await asyncio.shield(making)  # whoever goes away takes it from nobody else

    def drop(self, source: str) -> None:
        """Let go of all whose key begins with a source."""
        for key in [key for key in self._kept if key[0] == source]:
            self.weight -= self._weigh(self._kept.pop(key))

    def _keep(self, key: tuple, done: asyncio.Future[_Thing]) -> None:
        del self._making[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._kept[key] = done.result()
        self.weight += self._weigh(done.result())
        while self.weight > self._room and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self.weight -= self._weigh(gone)
