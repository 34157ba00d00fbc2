"""What all connections of the feed share: the pool that draws, what is drawn, the pace, and the sources looked at."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from starlette.websockets import WebSocket

from foam_viz.ui.feed.channel import Channel
from foam_viz.ui.feed.frame import Frames
from foam_viz.ui.feed.pace import Pace
from foam_viz.ui.feed.sources import SET, Sources
from foam_viz.ui.feed.watcher import Watcher

_THREADS = 2
"""That draw. They share one interpreter: more of them would only make the event loop wait."""
_MOST, _MOST_OF_ONE = 1024, 240
"""Connections at a time: of all clients, and of one address, behind which a whole class may be."""
_FULL = 1013


class Feed:
    """The feed of one server.

    Args:
        sources: What can be looked at.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.pace = Pace()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="feed")
        self.frames = Frames(self._pool)
        self._channels: dict[str, Channel] = {}
        self._clients: Counter[str] = Counter()
        self._measuring: asyncio.Task | None = None

    async def serve(self, socket: WebSocket) -> None:
        """Answer one client; its Host and Origin were checked."""
        address = socket.client.host if socket.client else ""
        await socket.accept(headers=[(b"cache-control", b"no-store")])
        if self._clients.total() >= _MOST or self._clients[address] >= _MOST_OF_ONE:
            await socket.close(_FULL)
            return
        if self._measuring is None:
            self._measuring = asyncio.create_task(self.pace.run())
        self._clients[address] += 1
        try:
            await Watcher(self, socket).serve()
        finally:
            self._clients[address] -= 1

    async def channel(self, source: str) -> Channel:
        """Return the channel of a source.

        Raises:
            Gone: There is no such source.
        """
        channel = self._channels.get(source)
        if channel is None or channel.gone:
            found = await asyncio.to_thread(self.sources.find, source)
            channel = self._channels.get(source)  # another client may have asked for it meanwhile
            if channel is None or channel.gone:
                channel = self._channels[source] = Channel(found, self._pool, self.pace)
        return channel

    def leave(self, channel: Channel, who: object) -> None:
        """Note that a client looks at something else."""
        if channel.leave(who):
            channel.close()
            if self._channels.get(channel.source.id) is channel:
                del self._channels[channel.source.id]
                self.frames.drop(channel.source.id, drawings=channel.source.id.startswith(SET))

    def close(self) -> None:
        """End it with the server."""
        if self._measuring is not None:
            self._measuring.cancel()
        for channel in list(self._channels.values()):
            channel.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
