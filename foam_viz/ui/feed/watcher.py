"""One connection of the feed. A frame is sent when the one before was applied, so that slow readers cost nothing."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.websockets import WebSocket, WebSocketDisconnect

from foam_viz.ui.feed.channel import Channel
from foam_viz.ui.feed.frame import Content, problem
from foam_viz.ui.feed.protocol import Got, Refused, Request, parse
from foam_viz.ui.feed.source import Gone, Moment

if TYPE_CHECKING:
    from foam_viz.ui.feed.feed import Feed

_PATIENCE_SECONDS = 30.0
"""For the answer to a frame, and for the first request."""
_MESSAGE_SECONDS = 0.005
"""Between two messages of a client, at least: a flood of them waits in its own socket."""
_LEAST = 0.16
"""Between two frames of one client, of the pace: who drags the time gets 25 a second while the server is idle."""
_MOST_REFUSED = 3
_FAILED = "The server could not draw this; its log has the details."
_POLICY, _LATER = 1008, 1013
"""Codes of WebSocket: a client that does not keep to the protocol; one that may come again."""

_log = logging.getLogger("foam_viz.ui")


class Watcher:
    """Answers one client.

    Args:
        feed: What all connections share.
        socket: The connection, accepted.
    """

    def __init__(self, feed: Feed, socket: WebSocket) -> None:
        self._feed, self._socket = feed, socket
        self._request: Request | None = None
        self._channel: Channel | None = None
        self._have: dict[str, str] = {}
        self._sent: dict[str, str] = {}
        self._shown: object = None
        self._whole: object = None
        self._answered: object = None
        self._k = self._refused = 0
        self._wake, self._applied = asyncio.Event(), asyncio.Event()

    async def serve(self) -> None:
        """Answer until the client goes, or is sent away."""
        writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait([writer, reader], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writer, reader):
                task.cancel()
            ended = await asyncio.gather(writer, reader, return_exceptions=True)
            self._leave()
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect | RuntimeError):
                raise error

    # --- what the client says

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                said = parse(message.get("text") or "")
            except Refused as error:
                if not await self._refuse(str(error)):
                    return
            else:
                self._hear(said)
            await asyncio.sleep(_MESSAGE_SECONDS)

    def _hear(self, said: Request | Got) -> None:
        if isinstance(said, Got):
            if said.k == self._k:
                self._have.update(self._sent)
                self._applied.set()
            return
        if self._request is not None and said.n < self._request.n:
            return
        self._request = said
        if said.have is not None:
            self._have = dict(said.have)
        if self._channel is not None:
            self._channel.see(self, said.hidden)
        self._wake.set()

    async def _refuse(self, words: str) -> bool:
        """Say why a message is refused; False where that was once too often."""
        self._refused += 1
        n = self._request.n if self._request else 0
        await asyncio.wait_for(self._socket.send_bytes(problem(self._k, n, words, again=False)), _PATIENCE_SECONDS)
        if self._refused < _MOST_REFUSED:
            return True
        await self._end(_POLICY)
        return False

    async def _end(self, code: int) -> None:
        """Send the client away; one that reads nothing is not waited for."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._socket.close(code), 1.0)

    # --- what it is sent

    async def _write(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), _PATIENCE_SECONDS)
            while True:
                await self._wake.wait()
                self._wake.clear()
                request = self._request
                frame = await self._answer(request) if request is not None else None
                if frame is not None:
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        await self._socket.send_bytes(frame)
                        await self._applied.wait()
                    await asyncio.sleep(self._feed.pace.seconds * _LEAST)
        except TimeoutError:
            await self._end(_LATER)

    def _next(self) -> int:
        """The number of the next frame, which nobody has applied."""
        self._k += 1
        self._sent = {}
        self._applied.clear()
        return self._k

    async def _answer(self, request: Request) -> bytes | None:
        """The frame that answers a request, be it that there is nothing to show."""
        try:
            return await self._frame(request)
        except Refused as error:
            words, again = str(error), False
        except Gone as error:
            words, again = str(error), error.again
        except Exception:  # a defect of ours: the reader keeps what there is, and the next moment may be good
            _log.exception("no frame of source %s", request.source[:8])
            words, again = _FAILED, True
        return self._problem(request, words, again)

    def _problem(self, request: Request, words: str, again: bool) -> bytes | None:
        """A sentence instead of a frame; None where the client has it already."""
        if self._shown == (request.n, words):
            return None
        self._shown = (request.n, words)
        return problem(self._next(), request.n, words, again)

    async def _frame(self, request: Request) -> bytes | None:
        """The frame that answers a request; None where the client shows it, or while there is nothing yet."""
        channel = await self._tuned(request)
        if channel.gone is not None:
            raise Gone(str(channel.gone), again=channel.gone.again)
        moment = channel.moment
        if request.hidden or (moment is None and not channel.failed):
            return None
        if moment is None:
            return self._problem(request, _FAILED, again=True)
        content = await self._first(channel, moment, request)
        if content is None:
            content = await self._feed.frames.content(moment, request.look, request.panels)
            self._whole = (request.n, moment.incarnation)
        shown = (request.n, content.head, content.revisions())
        if shown == self._shown:
            return None
        self._shown = shown
        return self._encoded(request, content)

    async def _first(self, channel: Channel, moment: Moment, request: Request) -> Content | None:
        """What is sent at once after a click: the state of the run, over the panels as the client holds them.

        None where the panels are drawn already, or go with it.
        """
        frames, same_look = self._feed.frames, self._whole == (request.n, moment.incarnation)
        if not (channel.urgent and same_look and request.panels <= self._have.keys()) or request.look.at is not None:
            return None
        if self._answered == moment.key or frames.ready(moment, request.look, request.panels):
            return None
        self._answered = moment.key
        self._wake.set()  # the panels follow
        return await frames.head(moment, request.look, {name: self._have[name] for name in request.panels})

    def _encoded(self, request: Request, content: Content) -> bytes:
        pace, k = self._feed.pace, self._next()
        have, self._sent = dict(self._have), content.revisions()
        own = {"k": k, "n": request.n, "pace": round(pace.seconds, 3), "busy": pace.busy}
        return content.frame(own, have)

    async def _tuned(self, request: Request) -> Channel:
        """The channel of the source that is asked for."""
        if self._channel is None or self._channel.gone or self._channel.source.id != request.source:
            self._leave()
            self._channel = await self._feed.channel(request.source)
            self._channel.join(self, self._wake.set, page=request.page)
            self._channel.see(self, request.hidden)
            self._shown = None
        return self._channel

    def _leave(self) -> None:
        if self._channel is not None:
            self._feed.leave(self._channel, self)
            self._channel = None
