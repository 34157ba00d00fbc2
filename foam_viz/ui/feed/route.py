"""Addresses of the app beside Streamlit's: the feed, and whatever else speaks WebSocket."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers, URLPath
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from streamlit import config

from foam_viz.ui.feed.guard import refusal

ADDRESS = "feed"

_log = logging.getLogger("foam_viz.ui")


class GuardedRoute(BaseRoute):
    """``<base path>/<address>`` and all below it. What an app adds to Streamlit is neither checked nor based by it.

    Args:
        serve: Answers a client whose Host and Origin were checked.
        address: The first part of the path.
    """

    def __init__(self, serve: Callable[[WebSocket], Awaitable[None]], address: str = ADDRESS) -> None:
        self._serve, self.path = serve, f"/{address}"

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See :class:`starlette.routing.BaseRoute`."""
        return (Match.NONE if self._below(scope) is None else Match.FULL), {}

    def _below(self, scope: Scope) -> str | None:
        """What follows the address in the path; None where the path is another one."""
        if scope["type"] not in ("http", "websocket"):
            return None
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        base = (config.get_option("server.baseUrlPath") or "").strip("/")
        address = f"/{base}{self.path}" if base else self.path
        rest = path.removeprefix(address)
        return rest if path.startswith(address) and rest[:1] in ("", "/") else None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See :class:`starlette.routing.BaseRoute`."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host"), headers.get("origin")
        if words := refusal(host, origin):
            _log.warning("a request to %s was refused: %s Host %.100r, Origin %.100r", self.path, words, host, origin)
            await deny(403, words, scope, receive, send)
        elif self._below(scope):
            await deny(404, "There is nothing at this address.", scope, receive, send)
        else:
            await self.answer(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose Host and Origin were checked."""
        if scope["type"] == "http":
            await deny(426, "This address speaks WebSocket.", scope, receive, send)
        else:
            await self._serve(WebSocket(scope, receive, send))

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        """See :class:`starlette.routing.BaseRoute`."""
        raise NoMatchFound(name, path_params)


async def deny(status: int, words: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a request in a sentence."""
    response = PlainTextResponse(words + "\n", status, headers={"Cache-Control": "no-store"})
    if scope["type"] == "http":
        await response(scope, receive, send)
    elif status == 403:  # as Streamlit's own socket: the server takes any other answer for a defect, and logs it
        await WebSocket(scope, receive, send).close(1008)
    else:
        await WebSocket(scope, receive, send).send_denial_response(response)
