"""Where lab runs lie on disk: a folder per run, a bundle per lane. Imports no torch.

``<data>/runs/<view id>/experiment.json`` says what is trained, ``control.json`` holds a hash of the control key
(the key itself is never stored), ``lane-<k>/`` is the run bundle of a lane, ``writer.lock`` is locked by the engine
that writes to the folder.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foam_viz.trace.disk.lock import LockHeld
from foam_viz.trace.disk.parts import write_atomically

EXPERIMENT = "experiment.json"
CONTROL = "control.json"
WRITER_LOCK = "writer.lock"
SERVER_LOCK = "server.lock"
SERVER = "server.id"
"""Names the server that holds the data directory: its engines begin to write a run only while it does."""

ANOTHER_DIRECTORY = "give the server another one: data_directory in config.toml, or FOAM_VIZ_DATA_DIRECTORY"
"""The remedy where nothing can be written."""

_IDENTITY = re.compile(r"[0-9a-f]{32}")


def new_identity() -> str:
    """128 random bits as 32 hexadecimal digits: a view id or a control key."""
    return secrets.token_hex(16)


def is_identity(text: object) -> bool:
    """True for the form of :func:`new_identity`: nothing else may become part of a path."""
    return isinstance(text, str) and _IDENTITY.fullmatch(text) is not None


def fingerprint(control_key: str) -> str:
    """What is kept of a control key."""
    return hashlib.sha256(control_key.encode()).hexdigest()


def matches(control_key: str, kept: str) -> bool:
    """Say whether a control key has the fingerprint that was kept, in constant time."""
    return hmac.compare_digest(fingerprint(control_key), kept)


def run_directory(data_directory: Path, view_id: str) -> Path:
    """The folder of a run.

    Raises:
        ValueError: A view id of another form.
    """
    if not is_identity(view_id):
        raise ValueError(f"view id {view_id!r}: must be 32 hexadecimal digits")
    return data_directory / "runs" / view_id


def lane_directory(directory: Path, lane: int) -> Path:
    """Return the folder of a lane, counted from 0, in that of its run."""
    return directory / f"lane-{lane + 1}"


_server = ""


def belong_to(server: str) -> None:
    """Let this process begin to write runs only while a server, named by its identity, holds the data directory."""
    global _server  # noqa: PLW0603 (a process is the engine of one server)
    _server = server


def require_held(directory: Path) -> None:
    """Refuse to write into a run's folder where the server of this process does not hold the data directory.

    Args:
        directory: Of the run.

    Raises:
        OSError: Another server holds it, or none does yet.
    """
    if not _server:
        return
    try:
        holder = (directory.parent.parent / SERVER).read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError):
        holder = ""
    if holder != _server:
        reason = "another server works in the data directory" if holder else "the data directory is not in use yet"
        raise OSError(errno.EBUSY, reason)


def unwritable(error: Exception) -> str:
    """Why nothing can be kept in the data directory, and the remedy: a clause that follows a colon. Names no path."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full. Make room, or {ANOTHER_DIRECTORY}"
    if isinstance(error, LockHeld):
        return (
            "another server works in the data directory, and two would write over each other's runs. End that server, "
            f"or {ANOTHER_DIRECTORY}"
        )
    reason = getattr(error, "strerror", None) or str(error)
    return f"the data directory cannot be written to ({reason}). Make it writable, or {ANOTHER_DIRECTORY}"


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Writes atomically: a reader sees the old file or the new one, also after a power cut."""
    write_atomically(path, json.dumps(data, allow_nan=False, indent=1).encode(), durable=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """The file's object, or None where there is none that can be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
