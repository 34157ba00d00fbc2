"""A client of the feed as an outside tool would write it, and an app that serves nothing else."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from foam_viz.ui.feed.feed import Feed
from foam_viz.ui.feed.route import GuardedRoute


class Served:
    """A feed on a loopback port, in a thread of its own."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        page = Route("/{path:path}", lambda request: PlainTextResponse("the page"))
        config = uvicorn.Config(
            Starlette(routes=[GuardedRoute(feed.serve), page]), log_level="warning", ws="websockets-sansio"
        )
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)

    def _serve(self) -> None:
        async def serve() -> None:
            self.loop = asyncio.get_running_loop()
            await self._server.serve([self._socket])
            self.feed.close()

        asyncio.run(serve())

    def client(self, **more: Any) -> Client:
        """A new client."""
        return Client(f"ws://127.0.0.1:{self.port}/feed", **more)

    def stop(self) -> None:
        """Ends it, with all connections."""
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()


class Client:
    """Shows what it is sent, as the board does."""

    def __init__(self, url: str, **more: Any) -> None:
        self._open = ExitStack()
        self.socket: ClientConnection = self._open.enter_context(connect(url, max_size=None, **more))
        self.n = 0
        self.panels: dict[str, dict] = {}
        self.frames: list[dict] = []

    def ask(self, source: str, *panels: str, look: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Sends a request."""
        self.n += 1
        self.say(n=self.n, source=source, look=dict(look or {}), panels=list(panels), **more)

    def say(self, **message: Any) -> None:
        """Sends any message."""
        self.socket.send(json.dumps(message))

    def see(self, seconds: float = 20.0, *, got: bool = True) -> dict:
        """Waits for a frame, applies it and says so.

        Raises:
            TimeoutError: None came.
        """
        frame = json.loads(zlib.decompress(self.socket.recv(seconds)))
        self.frames.append(frame)
        for panel in frame.get("panels", ()):
            if "figure" in panel:
                self.panels[panel["id"]] = panel
            elif "revision" in panel:
                assert self.panels[panel["id"]]["revision"] == panel["revision"]
        if got and "panels" in frame:
            self.say(got=frame["k"])
        return frame

    def until(self, wanted: Callable[[dict], bool], seconds: float = 20.0) -> dict:
        """Waits for a frame of a kind."""
        end = time.monotonic() + seconds
        while not wanted(frame := self.see(max(end - time.monotonic(), 0.01))):
            pass
        return frame

    def still(self, seconds: float = 0.8) -> dict:
        """The last frame that comes: after it there is none for ``seconds``."""
        try:
            while True:
                self.see(seconds)
        except TimeoutError:
            return self.frames[-1]

    def closed(self, seconds: float = 20.0) -> int:
        """Waits until the server has closed the connection; returns the code."""
        try:
            while True:
                self.socket.recv(seconds)
        except ConnectionClosed as error:
            return error.rcvd.code

    def nothing(self, seconds: float = 0.8) -> None:
        """Asserts that no frame comes."""
        try:
            frame = self.see(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"a frame came: {frame}")

    def close(self) -> None:
        """Goes away."""
        self._open.close()
