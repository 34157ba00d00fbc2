"""What every page shares of the server: the hub, and what happens when the server starts and ends."""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from starlette.middleware import Middleware
from streamlit import runtime
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from foam_viz.engine.server.data_folder import DataFolderInUse
from foam_viz.engine.server.hub import Hub
from foam_viz.files import STATIC
from foam_viz.settings import SettingsError, load
from foam_viz.ui.board import delivery
from foam_viz.ui.board.assets import published
from foam_viz.ui.classroom import socket
from foam_viz.ui.classroom.room import rooms
from foam_viz.ui.feed import presence
from foam_viz.ui.feed.feed import Feed
from foam_viz.ui.feed.route import GuardedRoute
from foam_viz.ui.feed.sources import Sources
from foam_viz.ui.feed.tables import TablesRoute
from foam_viz.ui.whole_callbacks import carry_out_whole

carry_out_whole()

# Not st.cache_resource: "clear cache" in somebody's browser must not start a second set of engines.
_lock = threading.Lock()
_hub: Hub | None = None


def hub() -> Hub:
    """The one hub of this server; the first call starts its engines."""
    global _hub
    with _lock:
        if _hub is None:
            _hub = Hub(load(), is_active=is_active)
            atexit.register(_hub.close)
        return _hub


def is_active(session: str) -> bool:
    """Says whether a browser session is connected, to Streamlit or to the feed."""
    if presence.is_active(session):
        return True
    return runtime.exists() and runtime.get_instance().is_active_session(session)


feed = Feed(Sources(hub))
"""What the board of every page is drawn from."""

routes = [
    GuardedRoute(feed.serve),
    GuardedRoute(socket.ClassSocket(rooms, hub).serve, socket.ADDRESS),
    TablesRoute(feed.sources),
    delivery.AssetsRoute(),
]
"""Addresses beside Streamlit's."""

middleware = [Middleware(delivery.Preload)]
"""What every answer goes through."""


def session_id() -> str:
    """Identity of this browser session on the server."""
    context = get_script_run_ctx()
    return context.session_id if context else "none"


def _refuse(words: str) -> NoReturn:
    """End the server in a sentence: an exception would reach the terminal as sixty lines of the web server's own."""
    print(f"error: {words}", file=sys.stderr, flush=True)
    os._exit(2)


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[None]:
    """Warms the engines before the first visitor comes, and ends them with the server."""
    # A folder named pages makes Streamlit take the app for one of the old kind until st.navigation has run once: the
    # first visitor of a deep link would be told that the page does not exist.
    PagesManager.uses_pages_directory = False
    try:
        published()
    except OSError as error:
        _refuse(
            f"{STATIC} cannot be written to ({error.strerror or error}). Start the app once as a user who may write "
            "there: it puts there what browsers load, and needs no such right afterwards."
        )
    try:
        started = hub()
    except (SettingsError, DataFolderInUse) as error:
        _refuse(str(error))
    packing = asyncio.create_task(asyncio.to_thread(delivery.warm))
    # What is imported by now stays: the collector need not walk it again in the middle of a tick.
    gc.collect()
    gc.freeze()
    yield
    await packing
    feed.close()
    await asyncio.to_thread(started.close)
