"""Files of one's own that came over a page: kept under their content's hash, and named by it in settings. No torch.

Such a name is a setting like any other: it may stand in a link or a manifest, for it opens no file but one that
somebody gave to this server, and knowing its 128 bits is the right to train on it.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import Path

from foam_viz.optim.fields import FieldError

PREFIX = "upload:"
MOST_BYTES = 500_000_000
"""Of all uploads of a server; beyond, those that were used longest ago go first."""
_NAME = re.compile(r"upload:([0-9a-f]{32})")
_FOLDER = "FOAM_VIZ_TASK_FILES"
"""Environment variable that tells the processes a server starts where its uploads are."""


def keep_in(folder: Path) -> None:
    """Say where this process, and those it starts from now on, find uploads."""
    os.environ[_FOLDER] = str(folder)


def is_upload(value: object) -> bool:
    """Whether a setting names an upload, and not a path."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def keep(folder: Path, content: bytes) -> str:
    """Write an upload, and return what names it in settings.

    Raises:
        OSError: The folder cannot be written to.
    """
    name = hashlib.sha256(content).hexdigest()[:32]
    place = folder / name
    if not place.is_file():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_room(folder, len(content))
        partial = place.with_suffix(f".{os.getpid()}-{time.monotonic_ns()}")
        partial.write_bytes(content)
        os.replace(partial, place)
    return PREFIX + name


def _make_room(folder: Path, size: int) -> None:
    files = sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.stat().st_mtime)
    taken = sum(path.stat().st_size for path in files)
    for path in files:
        if taken + size <= MOST_BYTES:
            return
        taken -= path.stat().st_size
        path.unlink(missing_ok=True)


def path_of(field: str, value: str) -> Path:
    """Where the file is that a setting names: an upload of this server, or any path.

    Raises:
        FieldError: The upload is not here, or no longer; ``field`` is blamed.
    """
    if (match := _NAME.fullmatch(value)) is None:
        return Path(value).expanduser()
    folder = os.environ.get(_FOLDER)
    place = Path(folder) / match[1] if folder else None
    if place is None or not place.is_file():
        raise FieldError(field, value, "a file that is on this server; this one is not, or no longer: upload it again")
    os.utime(place)  # it is in use
    return place
