"""Whose files are whose: a browser is known by a secret that the server mints and the browser keeps.

The secret lives in the browser's local storage. It is never part of a link and never logged; the server keeps a digest
of it, which names the owner of runs and files. What a browser has open belongs to it, so a reload or a second tab finds
it again, and lives until no tab of the browser was open for an hour.
"""

from __future__ import annotations

import atexit
import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeGuard

from foam_viz.ui.session.open_logs import LogServices, OpenLogs

_SECRET = re.compile(r"[0-9a-f]{32}")
_LOOK_SECONDS = 15.0
_MOST_TABS = 64


def is_secret(text: object) -> TypeGuard[str]:
    """Return whether a text has the form of a browser's secret."""
    return isinstance(text, str) and _SECRET.fullmatch(text) is not None


class Browser:
    """One browser, in all of its tabs.

    Attributes:
        id: Digest of the secret: the name of the owner of runs and files.
        logs: Logs that it has open.
        control_keys: By view id, the keys of the runs that it may steer.
        left: By page, the link of what the page showed last, in full.
        confirmed: Confounds that the user said do not matter, in words.
        classroom: Code of the class that it has joined; empty for none.
        predictions: By lesson, the answer that was predicted; the first one stands.
        sketches: By lesson, the losses that were drawn besides.
        own_runs: View ids of the live runs that pages other than the lab keep, by what the page calls them.
    """

    def __init__(self, identity: str, services: LogServices) -> None:
        self.id = identity
        self.logs = OpenLogs(identity, services)
        self.control_keys: dict[str, str] = {}
        self.left: dict[str, Mapping[str, list[str]]] = {}
        self.confirmed: frozenset[str] = frozenset()
        self.classroom = ""
        self.predictions: dict[str, int] = {}
        self.sketches: dict[str, list[float]] = {}
        self.own_runs: dict[str, str] = {}
        self.tabs: dict[str, None] = {}
        self.seen = time.monotonic()

    def forget(self) -> None:
        """Delete its files, and what was said about them. Its runs stay."""
        self.logs.forget()
        self.left.clear()
        self.confirmed = frozenset()

    def take(self, other: Browser) -> None:
        """Take over what another one holds, which turned out to be this one."""
        self.logs.take(other.logs)
        self.control_keys |= other.control_keys
        self.classroom = other.classroom or self.classroom
        self.predictions = {**other.predictions, **self.predictions}
        self.sketches = {**other.sketches, **self.sketches}
        self.own_runs = {**self.own_runs, **other.own_runs}


class Browsers:
    """All browsers that this server knows.

    Args:
        services: Shared by what they have open.
        is_active: Says whether a tab's session is connected.
        unseen_seconds: How long what a browser has open outlives its last tab.
    """

    def __init__(self, services: LogServices, is_active: Callable[[str], bool], unseen_seconds: float) -> None:
        self._services, self._is_active, self._unseen = services, is_active, unseen_seconds
        self._browsers: dict[str, Browser] = {}
        self._lock = threading.Lock()
        self._watching = False
        atexit.register(self.close)

    @staticmethod
    def mint() -> str:
        """Return a new secret, of 128 random bits."""
        return secrets.token_hex(16)

    def open(self, secret: str, tab: str) -> Browser:
        """Return the browser of a secret, with one more tab open.

        Raises:
            ValueError: The text is no secret.
        """
        if not is_secret(secret):
            raise ValueError("a browser's secret has 32 hexadecimal digits")
        identity = hashlib.sha256(secret.encode()).hexdigest()[:32]
        self._watch()
        with self._lock:
            found = self._browsers.get(identity)
            if found is None:
                found = self._browsers[identity] = Browser(identity, self._services)
        self.note(found, tab)
        return found

    def note(self, browser: Browser, tab: str) -> None:
        """Remember that a tab of a browser is open; one that was forgotten meanwhile begins anew, with nothing."""
        with self._lock:
            self._browsers.setdefault(browser.id, browser)
            browser.tabs.pop(tab, None)
            browser.tabs[tab] = None
            while len(browser.tabs) > _MOST_TABS:
                del browser.tabs[next(iter(browser.tabs))]
            browser.seen = time.monotonic()

    def drop(self, browser: Browser) -> None:
        """Forget a browser and everything that it has open."""
        with self._lock:
            self._browsers.pop(browser.id, None)
        browser.forget()

    def sweep(self) -> None:
        """Forget browsers of which no tab was open for so long."""
        now = time.monotonic()
        with self._lock:
            known = list(self._browsers.values())
        for browser in known:
            with self._lock:
                # A tab whose connection was cut may come back, so it stays in the list.
                if any(map(self._is_active, browser.tabs)):
                    browser.seen = now
                gone = now - browser.seen > self._unseen
            if gone:
                self.drop(browser)

    def close(self) -> None:
        """Delete the files of all browsers."""
        with self._lock:
            known, self._browsers = list(self._browsers.values()), {}
        for browser in known:
            browser.forget()

    def _watch(self) -> None:
        with self._lock:
            if self._watching:
                return
            self._watching = True
        threading.Thread(target=self._look, name="browsers", daemon=True).start()

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            self.sweep()
