"""What one browser session has open and looks at, on all pages."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from foam_viz.logs.intake.limits import MEBIBYTE
from foam_viz.ui import address
from foam_viz.ui.run_logs import reading as logs_reading
from foam_viz.ui.run_logs.kept import Kept
from foam_viz.ui.run_logs.upload import Uploads
from foam_viz.ui.server import hub, is_active, session_id
from foam_viz.ui.session.browser import Browser, Browsers, is_secret
from foam_viz.ui.session.lab import Lab
from foam_viz.ui.session.logs import Logs
from foam_viz.ui.session.open_logs import LogServices
from foam_viz.ui.session.threshold import Threshold

KEY = "session"
_LATE_SECONDS = 2.0
"""So long after a click a browser may still tell the link from before it."""
_lock = threading.Lock()
_browsers: dict[Path, Browsers] = {}


def browsers() -> Browsers:
    """Return the browsers that this server knows."""
    settings = hub().settings
    with _lock:
        if (found := _browsers.get(settings.data_directory)) is None:
            services = LogServices(
                Uploads(settings.data_directory / "uploads", hub().data.hold),
                Kept(settings.log_kept_mb * MEBIBYTE, settings.log_kept_total_mb * MEBIBYTE),
                logs_reading.limits_of(settings),
            )
            found = _browsers[settings.data_directory] = Browsers(services, is_active, settings.browser_seconds)
        return found


@dataclass
class Session:
    """Lives in ``st.session_state``: one tab of a browser, for all pages.

    Attributes:
        tab: Identity of the tab's connection.
        browser: Whose tab it is: a new browser until the page has told the secret that it keeps.
        secret: Of a new browser, for the page to keep. Never shown or logged.
        known: Whether the page has told whose tab it is.
        page: Path of the page that was drawn last.
        came: Whether the tab came to another page since a link was looked for.
        written: Links that this tab has put into its address; a browser may still tell an earlier one.
        left: The link that the last one replaced, and when.
        lab: The live lab of this tab; None until it was opened.
        logs: The page of logs of this tab; None until it was opened.
        threshold: The threshold lab of this tab; None until it was opened.
    """

    tab: str
    browser: Browser
    secret: str = field(repr=False)
    known: bool = False
    page: str = ""
    came: bool = False
    written: deque[address.Query] = field(default_factory=lambda: deque(maxlen=64))
    left: tuple[address.Query, float] | None = None
    lab: Lab | None = None
    logs: Logs | None = None
    threshold: Threshold | None = None

    def recognise(self, secret: object) -> None:
        """Take the secret that the page keeps: what that browser has open is open here. A tampered one is ignored."""
        if not is_secret(secret):
            return
        new, self.known = self.browser, True
        self.browser = browsers().open(secret, self.tab)
        self.secret = secret
        if new is not self.browser:
            self.browser.take(new)
            browsers().drop(new)
        if self.logs is not None:
            self.logs.recognised()

    def show(self, query: Mapping[str, Sequence[str]]) -> None:
        """Put a link into the address of the page."""
        wanted = {key: list(texts) for key, texts in query.items()}
        if (before := address.shown()) != wanted:
            self.left = before, time.monotonic()
        self.written.append(wanted)
        address.show(wanted)

    def link(self) -> address.Query:
        """Return the link of the page, of a page whose link is all it knows.

        What the browser asked for just before it heard of a new link still names the old one: the new one holds.
        """
        query = address.shown()
        if self.left is None or query != self.left[0] or time.monotonic() > self.left[1] + _LATE_SECONDS:
            return query
        address.show(self.written[-1])
        return dict(self.written[-1])

    def arrived(self) -> address.Query | None:
        """Return the link by which this tab came to the page anew; None where it came without one, or was here."""
        query, came, self.came = address.shown(), self.came, False
        return query if came and query and query not in self.written else None


def current() -> Session:
    """Return the session of the tab for which the page is drawn."""
    if KEY not in st.session_state:
        tab, secret = session_id(), Browsers.mint()
        st.session_state[KEY] = Session(tab, browsers().open(secret, tab), secret)
    return st.session_state[KEY]


def begin(page: str) -> Session:
    """Return the session, once for each time a page is drawn: its browser is here.

    Args:
        page: Path of the page's address.
    """
    session = current()
    browsers().note(session.browser, session.tab)
    session.came, session.page = session.came or page != session.page, page
    return session


def lab() -> Lab:
    """Return the live lab of this tab; the first call reads the link, before any widget exists."""
    session = current()
    link = session.arrived()
    if session.lab is None:
        session.lab = Lab.opened(session)
    elif link is not None:
        session.lab.follow(link)
    session.lab.meet()
    return session.lab


def logs() -> Logs:
    """Return the page of logs of this tab; the first call reads the link, before any widget exists."""
    session = current()
    link = session.arrived()
    if session.logs is None:
        session.logs = Logs.opened(session)
    elif link is not None:
        session.logs.follow(link)
    return session.logs


def threshold() -> Threshold:
    """Return the threshold lab of this tab; the first call reads the link, before any widget exists."""
    session = current()
    link = session.arrived()
    if session.threshold is None:
        session.threshold = Threshold.opened(session)
    elif link is not None:
        session.threshold.follow(link)
    return session.threshold
