"""A lock that one process holds at a time, and that a process which dies gives back."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt


class LockHeld(OSError):
    """Somebody else holds the lock."""


class FileLock:
    """An exclusive lock on a file, taken at once or not at all.

    The system keeps the lock for as long as the file is open, so a process that is killed leaves none behind. The file
    itself stays; whether it is there means nothing.

    Args:
        path: The file; made where it is missing.

    Raises:
        LockHeld: It is locked already, by another process or by this one.
        OSError: The file cannot be made or opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = open(path, "ab")  # noqa: SIM115 (open for as long as the lock is held)
        try:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                self._file.seek(0)
                msvcrt.locking(self._file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            self._file.close()
            raise LockHeld(error.errno, "is locked by another process", os.fspath(path)) from error

    def stands(self) -> bool:
        """Whether the file that is locked still lies at its path; where it was deleted, others may lock a new one."""
        if self._file is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path))
        except OSError:
            return False

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._file is None:
            return
        if fcntl is None:
            with suppress(OSError):
                self._file.seek(0)
                msvcrt.locking(self._file.fileno(), msvcrt.LK_UNLCK, 1)
        self._file.close()
        self._file = None
