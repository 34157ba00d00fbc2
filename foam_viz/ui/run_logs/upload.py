"""Where uploaded files lie while a browser has them open: a folder for each upload, under safe names.

Nothing of a name that came with an upload is trusted: it becomes part of a path only after every component was made
harmless. How long a folder stays is decided where browsers are known; what a server left behind goes when the next one
begins.
"""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\u202a-\u202e\u2066-\u2069]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?$", re.IGNORECASE)
_LONGEST_BYTES = 120
_DEEPEST = 12


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
    """All upload folders of one server, which alone works in its data directory.

    Args:
        root: Folder that holds them; made when first needed.
        hold: Called before something is written or deleted; raises OSError where this server must not.
    """

    def __init__(self, root: Path, hold: Callable[[], None]) -> None:
        self._root, self._hold = root, hold
        self._kept: set[Path] = set()
        self._lock = threading.Lock()
        with suppress(OSError):
            hold()
            for folder in root.glob("*"):  # of a server that died
                if re.fullmatch("[0-9a-f]{32}", folder.name):
                    shutil.rmtree(folder, ignore_errors=True)

    def keep(self, files: Iterable[tuple[str, bytes | memoryview]]) -> Path:
        """Write files into a new folder and return it.

        Args:
            files: Names as the browser sent them, and contents. Of two with one name the second gets a number.

        Raises:
            OSError: The disk is full or the data directory cannot be written, or another server holds it; nothing is
                left behind.
        """
        self._hold()
        folder = self._root / secrets.token_hex(16)
        with self._lock:
            self._kept.add(folder)
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
            known = folder in self._kept
            self._kept.discard(folder)
        if known:
            shutil.rmtree(folder, ignore_errors=True)


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
