"""The connection of a page to its class: what the presenter shows is pushed to it. docs/class.md documents it.

The Host and Origin of every request were checked by :class:`foam_viz.ui.feed.route.GuardedRoute`.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from foam_viz.engine.server.hub import Hub
from foam_viz.figures.look_fields import BY_NAME as LOOK
from foam_viz.optim.fields import FieldError
from foam_viz.ui.classroom.room import Room, Rooms

ADDRESS = "class"
MESSAGE_BYTES = 512
_MOST, _MOST_OF_ONE = 1024, 480
_PATIENCE_SECONDS = 30.0
"""For the first message, and for a page to take what it is sent."""
_LEAST_SECONDS = 0.1
"""Between two messages to one page: of what changes meanwhile it gets the newest."""
_MESSAGE_SECONDS = 0.02
_COLLECT_SECONDS = 2.0
_POLICY, _FULL = 1008, 1013
_NAME = re.compile(r"[0-9a-f]{8,32}")
GONE = "This class is not open: it has ended, or the server was started again. Ask for a new link."


class ClassSocket:
    """Serves the pages of all classes.

    Args:
        rooms: The classes.
        hub: Gives the hub, whose runs are looked through for those that students have finished.
    """

    def __init__(self, rooms: Rooms, hub: Callable[[], Hub]) -> None:
        self._rooms, self._hub = rooms, hub
        self._clients: Counter[str] = Counter()

    async def serve(self, socket: WebSocket) -> None:
        """Answer one page."""
        address = socket.client.host if socket.client else ""
        await socket.accept(headers=[(b"cache-control", b"no-store")])
        if self._clients.total() >= _MOST or self._clients[address] >= _MOST_OF_ONE:
            await socket.close(_FULL)
            return
        self._clients[address] += 1
        try:
            await self._serve(socket)
        except (WebSocketDisconnect, TimeoutError, RuntimeError):  # it went away, or reads nothing
            with suppress(Exception):
                await socket.close(_FULL)
        finally:
            self._clients[address] -= 1

    async def _serve(self, socket: WebSocket) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            hello = await _heard(socket)
        if hello is None or not isinstance(code := hello.get("class"), str):
            await socket.close(_POLICY)
            return
        room = self._rooms.find(code)
        if room is None:
            await _send(socket, {"ended": GONE})
            await socket.close(1000)
            return
        key, student = hello.get("key"), hello.get("student")
        if key is not None and secrets.compare_digest(key, room.key):
            await self._presenter(socket, room)
        elif student is not None and room.knows(student):
            await self._student(socket, room, student)
        else:
            await socket.close(_POLICY)

    async def _presenter(self, socket: WebSocket, room: Room) -> None:
        def hear(message: Mapping[str, Any]) -> None:
            if "at" in message:
                room.look(message["at"])

        collecting = asyncio.create_task(self._collect(room))
        try:
            await _pushed(socket, room, room.told_presenter, hear)
        finally:
            collecting.cancel()

    async def _student(self, socket: WebSocket, room: Room, student: str) -> None:
        def hear(message: Mapping[str, Any]) -> None:
            if "following" in message:
                room.follow(student, message["following"])

        room.connect(student, True)
        try:
            await _pushed(socket, room, lambda: room.told_students(student), hear)
        finally:
            room.connect(student, False)

    async def _collect(self, room: Room) -> None:
        """Look through the runs of the server for finished ones of students, while a presenter is there."""
        while True:
            await asyncio.to_thread(lambda: room.collect(self._hub().held()))
            await asyncio.sleep(_COLLECT_SECONDS)


async def _pushed(
    socket: WebSocket, room: Room, told: Callable[[], Mapping[str, Any]], hear: Callable[[Mapping[str, Any]], None]
) -> None:
    """Send what is told whenever it has changed, and hear what the page says, until either ends."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def touch() -> None:
        with suppress(RuntimeError):  # the server ends
            loop.call_soon_threadsafe(changed.set)

    async def write() -> None:
        sent = None
        while True:
            changed.clear()
            if room.ended:
                await _send(socket, {"ended": room.ended})
                return
            now = told()
            if now != sent:
                await _send(socket, now)
                sent = now
            await asyncio.sleep(_LEAST_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _PATIENCE_SECONDS)

    async def read() -> None:
        while True:
            message = await _heard(socket)
            if message is None:
                await socket.close(_POLICY)
                return
            hear(message)
            await asyncio.sleep(_MESSAGE_SECONDS)

    room.listen(touch, True)
    tasks = [asyncio.create_task(write()), asyncio.create_task(read())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        room.listen(touch, False)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(socket: WebSocket, message: Mapping[str, Any]) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await socket.send_text(orjson.dumps(message).decode())


async def _heard(socket: WebSocket) -> dict[str, Any] | None:
    """What a page says next, checked; None where it is not of the protocol.

    Raises:
        WebSocketDisconnect: It went away.
    """
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    text = message.get("text")
    return None if text is None else parse(text)


def parse(message: str) -> dict[str, Any] | None:
    """Return what a page says, checked; None where it is not of the protocol."""
    if len(message) > MESSAGE_BYTES:
        return None
    try:
        told = orjson.loads(message)
        return {name: _CHECKS[name](value) for name, value in told.items()} if isinstance(told, dict) else None
    except (orjson.JSONDecodeError, KeyError, ValueError, FieldError):
        return None


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("no name of the protocol")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "class": _name,
    "key": _name,
    "student": _name,
    "at": LOOK["at"].check,
    "following": _flag,
}
"""Fields of the messages of a page, each with its check."""
