"""How the board's files reach a browser: packed once, kept by it for good, and asked for before any script runs.

Streamlit would compress each file anew for each request, a fifth of a second of the server for Plotly alone, and lets
browsers ask again after every reload. The addresses carry a hash or a version, so what they name never changes.
"""

from __future__ import annotations

import asyncio
import gzip
import mimetypes
from functools import lru_cache
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders, URLPath
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

from foam_viz.files import STATIC
from foam_viz.ui.board import assets
from foam_viz.ui.feed.guard import refusal
from foam_viz.ui.feed.route import deny

_PREFIX = "/app/static/"
_LEVEL = 6
_FOR_GOOD = "public, max-age=31536000, immutable"
_BOARDS = ("", "live-lab", "lessons", "run-logs", "threshold-lab")
"""Addresses of the pages that have a board."""


def names(published: assets.Published) -> list[str]:
    """Return the files that the board of a page loads, below the static folder: Plotly, which is the largest, first."""
    folder = published.board.removeprefix("app/static/")
    files = sorted(path.name for path in (STATIC / folder).iterdir() if path.suffix in (".js", ".css"))
    return [published.plotly.removeprefix("app/static/"), *(f"{folder}/{name}" for name in files)]


@lru_cache(maxsize=128)
def packed(path: Path) -> tuple[bytes, bytes]:
    """Return a file as it is and compressed; read once."""
    content = path.read_bytes()
    return content, gzip.compress(content, _LEVEL, mtime=0)


def warm() -> None:
    """Pack every file, so that the first visitor need not wait for it."""
    for name in names(assets.published()):
        packed(STATIC / name)


def _below(scope: Scope) -> str | None:
    """What follows the app's base path in an address; None where the address is not below it."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    base = (config.get_option("server.baseUrlPath") or "").strip("/")
    if not base:
        return path
    return path.removeprefix(f"/{base}") if path.startswith(f"/{base}/") else None


class AssetsRoute(BaseRoute):
    """Answers pages of this app with the files that were published; all else is left to Streamlit."""

    path = _PREFIX

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See :class:`starlette.routing.BaseRoute`."""
        asked = _below(scope) if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") else None
        known = asked is not None and asked.startswith(_PREFIX) and asked.removeprefix(_PREFIX) in _known()
        return (Match.FULL if known else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See :class:`starlette.routing.BaseRoute`."""
        asked = Headers(scope=scope)
        if words := refusal(asked.get("host"), asked.get("origin")):
            await deny(403, words, scope, receive, send)
            return
        name = str(_below(scope)).removeprefix(_PREFIX)
        plain, compressed = await asyncio.to_thread(packed, STATIC / name)
        packs = "gzip" in asked.get("accept-encoding", "")
        head = {
            "Cache-Control": _FOR_GOOD,
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
            "Content-Encoding": "gzip" if packs else "identity",
        }
        kind = mimetypes.guess_type(name)[0]
        await Response(compressed if packs else plain, headers=head, media_type=kind)(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        """See :class:`starlette.routing.BaseRoute`."""
        raise NoMatchFound(name, path_params)


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(names(assets.published()))


@lru_cache(maxsize=1)
def _link() -> str:
    """The header that tells a browser what the page will need; its addresses are relative to the page's."""
    plotly, *others = names(assets.published())
    told = [f"<app/static/{plotly}>; rel=preload; as=script"]
    for name in others:
        told.append(f"<app/static/{name}>; rel={'modulepreload' if name.endswith('.js') else 'preload; as=style'}")
    return ", ".join(told)


class Preload:
    """Tells the browser with a page what its board will load.

    Without it Plotly is asked for once Streamlit's scripts, its session, the page and the board's scripts are there,
    one after the other.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        asked = _below(scope) if scope["type"] == "http" else None
        if asked is None or asked.strip("/") not in _BOARDS:
            await self._app(scope, receive, send)
            return

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    headers["Link"] = _link()
            await send(message)

        await self._app(scope, receive, tell)
