"""Visitors of the app without browsers: they speak to the server as the browser's code does, and draw nothing.

A visitor is a page, a session of Streamlit, and a board, a client of the feed (docs/feed.md). Loopback only.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
import zlib
from urllib.parse import urlparse

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

_HEAD = 16_384
"""Bytes of a frame that are inflated: what stands before the panels."""
_JITTER_SECONDS = 2.0
"""In which pages that only watch ask for what has changed around the board."""


def _address(url: str, path: str) -> str:
    if urlparse(url).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError(f"url = {url}: must be of this machine")
    return url.replace("http", "ws", 1) + path


class Page:
    """A session of Streamlit.

    Args:
        url: Of the app.
        name: Of the page in the address.
        query: Of the address.

    Attributes:
        view_id: Of the run on the page, once there is one.
        runs: How often the script ran to its end.
        errors: What the page showed of exceptions, and why the session ended.
    """

    def __init__(self, url: str, name: str, query: str) -> None:
        self._url, self._name, self._query = _address(url, "/_stcore/stream"), name, query
        self._hash = ""
        self._buttons: dict[str, tuple[str, bool]] = {}
        self._finished = asyncio.Event()
        self.view_id = ""
        self.runs = 0
        self.errors: list[str] = []

    async def open(self) -> None:
        """Opens the page; returns when its script has run."""
        self._socket = await websockets.connect(self._url, subprotocols=["streamlit"], max_size=None, open_timeout=60)
        self._reader = asyncio.create_task(self._read())
        await self.rerun()

    async def rerun(self, press: str = "") -> None:
        """Runs the script once more, and waits for its end.

        Args:
            press: Id of a button that is pressed.
        """
        message = BackMsg()
        run = message.rerun_script
        run.query_string, run.page_script_hash = self._query, self._hash
        run.page_name = "" if self._hash else self._name
        run.widget_states.SetInParent()
        if press:
            widget = run.widget_states.widgets.add()
            widget.id, widget.trigger_value = press, True
        self._finished.clear()
        await self._socket.send(message.SerializeToString())
        await asyncio.wait_for(self._finished.wait(), 60)

    def can_press(self, label: str) -> bool:
        """Say whether a button can be pressed, as the page was drawn last."""
        return not self._buttons.get(label, ("", True))[1]

    async def press(self, label: str) -> None:
        """Presses a button as soon as it can be.

        Raises:
            TimeoutError: It cannot within half a minute.
        """
        async with asyncio.timeout(30):
            while not self.can_press(label):
                await asyncio.sleep(0.02)
        await self.rerun(self._buttons[label][0])

    async def close(self) -> None:
        self._reader.cancel()
        await self._socket.close()

    async def _read(self) -> None:
        try:
            async for raw in self._socket:
                message = ForwardMsg()
                message.ParseFromString(raw)
                self._take(message)
        except websockets.ConnectionClosed as error:
            self.errors.append(f"the session ended: {error}")

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "navigation":
            self._hash = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self._query = message.page_info_changed.query_string
            if found := re.search(r"run=([0-9a-f]{32})", self._query):
                self.view_id = found[1]
        elif kind == "script_finished":
            self.runs += 1
            self._finished.set()
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            element = message.delta.new_element
            if element.WhichOneof("type") == "button":
                self._buttons[element.button.label] = element.button.id, element.button.disabled
            elif element.WhichOneof("type") == "exception":
                self.errors.append(f"exception: {element.exception.type} {element.exception.message}"[:300])


class Board:
    """A client of the feed: says that it has got each frame, and reads what stands over the panels.

    Args:
        url: Of the app.
        page: That the board is on; its script runs again when what it shows of the run has changed.
        steers: Whether the page steers the run: then it asks at once, else a little later.

    Attributes:
        frames: How many came.
        bytes: That came.
        n: Number of the request that the newest one answers.
        state, step, rate: What the run does, its step, and its steps a second.
        errors: Sentences shown instead of panels.
    """

    def __init__(self, url: str, page: Page, *, steers: bool) -> None:
        self._url, self._page, self._steers = _address(url, "/feed"), page, steers
        self.frames = self.bytes = self.step = self.n = 0
        self.rate = 0.0
        self.state = self._outline = ""
        self.errors: list[str] = []
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task] = set()

    async def open(self, source: str, panels: list[str], **look: object) -> None:
        """Subscribes; returns when the first frame has come."""
        self._socket = await websockets.connect(self._url, max_size=None, open_timeout=60, compression=None)
        await self._socket.send(json.dumps({"n": 1, "source": source, "look": look, "panels": panels}))
        self._do(self._read())
        await self.until(lambda: self.frames > 0)

    async def ask(self, n: int, source: str, panels: list[str], **look: object) -> None:
        """Looks at something else; ``n`` rises."""
        await self._socket.send(json.dumps({"n": n, "source": source, "look": look, "panels": panels}))

    async def until(self, condition: object, seconds: float = 60.0) -> None:
        """Waits for a frame after which a condition holds."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(condition)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._socket.close()

    def _do(self, work: object) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self) -> None:
        async for raw in self._socket:
            text = zlib.decompressobj().decompress(raw, _HEAD).decode(errors="replace")
            k, self.n = (int(number) for number in re.match(r'{"k":(\d+),"n":(\d+)', text).groups())
            await self._socket.send(json.dumps({"got": k}))
            self.bytes += len(raw)
            if found := re.search(r'"problem":"([^"]*)', text):
                self.errors.append(found[1])
                continue
            status = dict(re.findall(r'\["([^"]*)","([^"]*)",', text))
            self.state = status.get("State", "")
            self.step = int(status.get("Step", "0").replace(",", "") or 0)
            self.rate = float(status.get("Steps/s", "0").replace(",", "").replace("–", "0"))
            outline = re.search(r'"outline":"([^"]*)', text)[1]
            if not self._steers:
                outline = outline.partition(".")[0]
            if self._outline not in ("", outline):
                self._do(self._again())
            self._outline = outline
            async with self._news:
                self.frames += 1
                self._news.notify_all()

    async def _again(self) -> None:
        await asyncio.sleep(0 if self._steers else random.uniform(0, _JITTER_SECONDS))
        await self._page.rerun()


class Visitor:
    """A page with its board.

    Args:
        url: Of the app.
        query: Of the live lab's address.
        steers: Whether the page steers its run.
    """

    PANELS = ("loss", "factor-map", "damping", "spectrum", "overlap")
    """In view at 1280 by 720, with what lies just below."""

    def __init__(self, url: str, query: str, *, steers: bool) -> None:
        self.page = Page(url, "live-lab", query)
        self.board = Board(url, self.page, steers=steers)

    async def watch(self) -> float:
        """Opens the link of a run; returns the seconds until its panels are there."""
        began = time.perf_counter()
        await self.page.open()
        await self.board.open(self.page.view_id, list(self.PANELS))
        return time.perf_counter() - began

    async def start(self) -> float:
        """Opens a lab and presses Start; returns the seconds until the run trains and its panels are there."""
        await self.page.open()
        began = time.perf_counter()
        await self.page.press("Start")
        await self.board.open(self.page.view_id, list(self.PANELS))
        await self.board.until(lambda: self.board.state == "training", 240)
        return time.perf_counter() - began

    async def click(self, label: str, state: str) -> float:
        """Presses a button; returns the seconds until the board shows the state that it leads to."""
        began = time.perf_counter()
        pressed = asyncio.create_task(self.page.press(label))
        await self.board.until(lambda: self.board.state == state)
        took = time.perf_counter() - began
        await pressed
        return took

    @property
    def errors(self) -> list[str]:
        """What went wrong."""
        return self.page.errors + self.board.errors

    async def close(self) -> None:
        await self.board.close()
        await self.page.close()
