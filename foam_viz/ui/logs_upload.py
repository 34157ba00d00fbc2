"""Where uploaded files lie while a session looks at them: a folder of the session's own, under safe names.

Nothing of a name that came with an upload is trusted: it becomes part of a path only after every component was made
harmless. The folder goes when the session removes the files, when its browser has been away for the grace time, and
with the server.
"""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\u202a-\u202e\u2066-\u2069]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?$", re.IGNORECASE)
_LONGEST_BYTES = 120
_DEEPEST = 12
_FORGOTTEN_SECONDS = 2 * 86_400.0
_LOOK_SECONDS = 15.0


def safe_name(name: str) -> str:
    """The relative path under which an uploaded file is kept: its own, with every component made harmless.

    Never empty or absolute, never with ``..``, control characters, drive letters, or names that Windows keeps for
    devices. Of a very deep path the last components are kept.
    """
    parts = [_component(part) for part in re.split(r"[/\\]", name) if part.strip() not in ("", ".")]
    return "/".join(parts[-_DEEPEST:]) or "unnamed"


def _component(part: str) -> str:
    part = _FORBIDDEN.sub("_", part).strip().encode("utf-8", "replace").decode()
    if part.strip(".") == "" or _RESERVED.match(part):
        part = "_" + part.replace(".", "_", 2)
    if len(part.encode()) <= _LONGEST_BYTES:
        return part
    stem, dot, suffix = part.rpartition(".")
    tail = dot + suffix if stem and len(suffix.encode()) <= 12 else ""
    return part.encode()[: _LONGEST_BYTES - len(tail.encode())].decode("utf-8", "ignore") + tail


class Uploads:
    """All upload folders of one server.

    Args:
        root: Folder that holds them; made when first needed.
        is_active: Says whether a session's browser is connected.
        grace_seconds: How long the files of a session outlive its browser.
    """

    def __init__(self, root: Path, is_active: Callable[[str], bool], grace_seconds: float) -> None:
        self._root, self._is_active, self._grace = root, is_active, grace_seconds
        self.also: Callable[[], None] = lambda: None
        """Called as often as the folders are looked after."""
        self._kept: dict[Path, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._watching = False

    def keep(self, session: str, files: Iterable[tuple[str, bytes | memoryview]]) -> Path:
        """Write files into a new folder of a session and return it.

        Args:
            session: Identity of the browser session.
            files: Names as the browser sent them, and contents. Of two with one name the second gets a number.

        Raises:
            OSError: The disk is full or the data directory cannot be written; nothing is left behind.
        """
        self._watch()
        folder = self._root / secrets.token_hex(16)
        with self._lock:
            self._kept[folder] = (session, time.monotonic())
        try:
            folder.mkdir(parents=True, mode=0o700)
            for name, content in files:
                place = _free(folder / safe_name(name))
                place.parent.mkdir(parents=True, exist_ok=True)
                with open(place, "xb") as file:
                    file.write(content)
        except OSError:
            self.remove(folder)
            raise
        return folder

    def remove(self, folder: Path) -> None:
        """Delete a folder that :meth:`keep` returned; any other path is left alone."""
        with self._lock:
            known = self._kept.pop(folder, None)
        if known is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what belongs to sessions whose browser has been away for longer than the grace time."""
        now = time.monotonic()
        with self._lock:
            kept = list(self._kept.items())
        for folder, (session, seen) in kept:
            if self._is_active(session):
                with self._lock:
                    if folder in self._kept:
                        self._kept[folder] = (session, now)
                if folder.exists():
                    os.utime(folder)  # so that no other server takes it for forgotten
            elif now - seen > self._grace:
                self.remove(folder)

    def close(self) -> None:
        """Delete everything that was kept."""
        with self._lock:
            kept = list(self._kept)
        for folder in kept:
            self.remove(folder)

    def _watch(self) -> None:
        """Once: delete what a server that died left behind, and look after the sessions from now on."""
        with self._lock:
            if self._watching:
                return
            self._watching = True
        for folder in self._root.glob("*"):
            try:
                if re.fullmatch("[0-9a-f]{32}", folder.name) and time.time() - folder.stat().st_mtime > (
                    _FORGOTTEN_SECONDS
                ):
                    shutil.rmtree(folder, ignore_errors=True)
            except OSError:
                continue
        atexit.register(self.close)
        threading.Thread(target=self._look, name="uploads", daemon=True).start()

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            self.sweep()
            self.also()


def _free(place: Path) -> Path:
    """The path itself, or the next numbered one that does not exist; a file that stands where a folder must be too."""
    for parent in reversed(place.parents):
        if parent.is_file():
            place = parent.with_name(parent.name + "_") / place.relative_to(parent)
    free, count = place, 1
    while free.exists():
        count += 1
        free = place.with_stem(f"{place.stem} ({count})")
    return free
