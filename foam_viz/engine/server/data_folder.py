"""The data directory of a server: held by one server at a time, and kept within its limits. Imports no torch."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from foam_viz.engine import store
from foam_viz.settings import Settings
from foam_viz.trace.disk.lock import FileLock, LockHeld
from foam_viz.trace.disk.parts import write_atomically

SWEEP_SECONDS = 600.0
_DAY = 86_400.0
_GIB = 2**30
_DELETED = ".deleted-"

_log = logging.getLogger(__name__)


class DataFolderInUse(RuntimeError):
    """Another server works in the data directory; the message says what to do."""


@dataclass(frozen=True)
class _Saved:
    """A run on the disk.

    Attributes:
        view_id: Its name.
        seen: When it was watched or written last, in seconds since 1970.
        size: In bytes.
    """

    view_id: str
    seen: float
    size: int


class DataFolder:
    """Holds the data directory for one server and deletes saved runs that are past ``keep_days`` or ``keep_gb``.

    Where nothing can be written there, nothing is held and nothing deleted: runs say that autosave is off. It is taken
    as soon as something can be, and anew where it was deleted meanwhile; whoever writes calls :meth:`hold` first.

    Args:
        settings: Of the installation.
        open_runs: Returns the view ids of the runs that are open now; they are never deleted.
        start: Whether to look through the directory now and then, in a thread; otherwise call :meth:`sweep`.

    Attributes:
        identity: Stands in the directory while this server holds it.
        taken: How often it was taken: what was written before it was taken last may be missing.

    Raises:
        DataFolderInUse: Another server holds the directory.
    """

    def __init__(self, settings: Settings, open_runs: Callable[[], Iterable[str]], *, start: bool = True) -> None:
        self._settings = settings
        self._open_runs = open_runs
        self._runs = settings.data_directory / "runs"
        self._seen = settings.data_directory / "seen"
        self._ending = threading.Event()
        self.identity = store.new_identity()
        self.taken = 0
        self._lock: FileLock | None = None
        self._taking = threading.Lock()
        self._sweeps = not start
        try:
            self.hold()
        except LockHeld:
            raise DataFolderInUse(
                f"data_directory = {settings.data_directory}: another server works in this folder, and two would "
                "write over each other's runs. End the other server, or give this one a folder of its own: "
                "data_directory in config.toml, or the environment variable FOAM_VIZ_DATA_DIRECTORY."
            ) from None
        except OSError as error:
            _log.warning(
                "data_directory = %s: runs train and are not kept, as %s.",
                settings.data_directory, store.unwritable(error),
            )  # fmt: skip

    def hold(self) -> None:
        """Take the directory, where this server does not hold it yet, or no more.

        Raises:
            LockHeld: Another server holds it.
            OSError: Nothing can be written there.
        """
        with self._taking:
            if self._ending.is_set() or (self._lock is not None and self._lock.stands()):
                return
            if self._lock is not None:  # deleted, with all that was in the directory
                self._lock.release()
                self._lock = None
            self._settings.data_directory.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._settings.data_directory / store.SERVER_LOCK)
            try:
                write_atomically(self._settings.data_directory / store.SERVER, self.identity.encode(), durable=False)
            except OSError:
                lock.release()
                raise
            self._lock = lock
            self.taken += 1
            if not self._sweeps:
                self._sweeps = True
                threading.Thread(target=self._sweep_now_and_then, daemon=True, name="data-folder").start()

    def problem(self) -> str:
        """Why nothing can be kept now, and what to do; empty where runs are kept. Tries it."""
        try:
            self.hold()
            with tempfile.TemporaryFile(dir=self._settings.data_directory):
                return ""
        except OSError as error:
            return store.unwritable(error)

    def mark_seen(self, view_id: str, now: float | None = None) -> None:
        """Note that a saved run is watched. The mark lies outside the run's own folder."""
        if self._lock is None or not (self._runs / view_id).is_dir():
            return
        with suppress(OSError):
            self._seen.mkdir(exist_ok=True)
            mark = self._seen / view_id
            mark.touch()
            if now is not None:
                os.utime(mark, (now, now))

    def sweep(self, now: float | None = None) -> list[str]:
        """Delete what is past the limits, unwatched longest first.

        Args:
            now: Seconds since 1970; the clock's by default.

        Returns:
            The view ids of the runs that were deleted.
        """
        if self._lock is None:
            return []
        now = time.time() if now is None else now
        self._remove_leftovers()
        for view_id in self._open_runs():
            self.mark_seen(view_id, now)
        saved = sorted(self._saved(), key=lambda run: run.seen)
        total = sum(run.size for run in saved)
        deleted = []
        for run in saved:
            too_old = now - run.seen > self._settings.keep_days * _DAY
            if not too_old and total <= self._settings.keep_gb * _GIB:
                break
            # Asked anew for each: a run may have been opened meanwhile.
            if run.view_id not in set(self._open_runs()) and self.delete(run.view_id):
                total -= run.size
                deleted.append(run.view_id)
                reason = f"{self._settings.keep_days:g} days" if too_old else f"{self._settings.keep_gb:g} GiB"
                _log.info("run %s deleted: beyond %s", run.view_id, reason)
        return deleted

    def close(self) -> None:
        """Give the directory back."""
        with self._taking:
            self._ending.set()
            if self._lock is not None:
                self._lock.release()

    def _sweep_now_and_then(self) -> None:
        while True:
            try:
                self.sweep()
            except OSError as error:
                _log.warning("saved runs could not be looked through: %s", error)
            if self._ending.wait(SWEEP_SECONDS):
                return

    def _saved(self) -> Iterable[_Saved]:
        try:
            names = os.listdir(self._runs)
        except OSError:
            return
        for name in filter(store.is_identity, names):
            written, size = weigh(self._runs / name)
            with suppress(OSError):
                written = max(written, (self._seen / name).stat().st_mtime)
            yield _Saved(name, written, size)

    def delete(self, view_id: str) -> bool:
        """Delete a run; False where it is still written, or cannot be deleted."""
        folder = self._runs / view_id
        try:
            FileLock(folder / store.WRITER_LOCK).release()  # an engine may still write what is left
            # A rename first: a run is there whole or not at all, whatever happens meanwhile.
            doomed = folder.rename(folder.with_name(_DELETED + view_id))
        except OSError:
            return False
        shutil.rmtree(doomed, ignore_errors=True)
        with suppress(OSError):
            (self._seen / view_id).unlink()
        return True

    def _remove_leftovers(self) -> None:
        for folder in self._runs.glob(f"{_DELETED}*"):
            shutil.rmtree(folder, ignore_errors=True)


def weigh(folder: Path) -> tuple[float, int]:
    """When a file of the folder was written last, in seconds since 1970, and the bytes of all of them."""
    written, size = 0.0, 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # a writer merges and deletes meanwhile
            state = path.stat()
            written, size = max(written, state.st_mtime), size + (state.st_size if path.is_file() else 0)
    return written, size
