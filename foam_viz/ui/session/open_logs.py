"""What one browser has open of its own: uploads and folders of the server, and the runs that were read from them.

Every tab of the browser sees the same, so the sources are guarded by a lock.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from foam_viz.logs.core.reader import Problem, Reading
from foam_viz.logs.intake import safe
from foam_viz.logs.intake.limits import Limits
from foam_viz.trace import Trace
from foam_viz.ui.run_logs import reading as logs_reading
from foam_viz.ui.run_logs.kept import Kept
from foam_viz.ui.run_logs.upload import Uploads
from foam_viz.ui.session.corrections import Corrections, Rules

MOST_RUNS = 500
"""Runs that one browser may have open."""
_LOG = logging.getLogger("foam_viz.ui")


@dataclass(eq=False)
class Source:
    """Something that was brought in: an upload or a folder on the server.

    Attributes:
        id: Unique on the server.
        kind: Where it lies.
        label: Name to show.
        paths: Files and folders to read.
        folder: The upload folder to delete with it; None for a folder on the server.
        size: Bytes uploaded.
        watch: Read again when something in it changes.
        pattern: Of the lines of its text logs; empty for the built-in one.
        signature: State of the paths when they were read last.
        freed: Why what was read is no longer held; empty while it is.
        reading: What was found; None until the first reading ended.
    """

    id: str
    kind: Literal["upload", "folder"]
    label: str
    paths: tuple[Path, ...]
    folder: Path | None = None
    size: int = 0
    watch: bool = False
    pattern: str = ""
    signature: str = ""
    freed: str = ""
    reading: Reading | None = None
    began: float = 0.0
    job: Future[Reading] | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def found(self) -> Reading:
        """What was read, nothing where it was not yet or is no longer held: another visitor's upload may free it."""
        return self.reading or Reading()

    @property
    def seconds(self) -> float:
        """How long the reading at hand has taken."""
        return time.monotonic() - self.began

    @property
    def lost(self) -> bool:
        """Whether what it was read from is gone."""
        return not all(path.exists() for path in self.paths)


@dataclass(frozen=True)
class LogServices:
    """What the open logs of all browsers share.

    Attributes:
        uploads: Folders of uploaded files.
        kept: Memory that readings hold.
        limits: Of one reading.
    """

    uploads: Uploads
    kept: Kept
    limits: Limits


class OpenLogs:
    """The sources of one browser.

    Args:
        owner: Identity of the browser.
        services: Of the server.

    Attributes:
        sources: What was brought in, in that order.
        corrections: What the user said about columns.
        show_secrets: Do not mask what looks like a secret.
    """

    def __init__(self, owner: str, services: LogServices) -> None:
        self.owner = owner
        self.sources: list[Source] = []
        self.corrections = Corrections()
        self.show_secrets = False
        self._services = services
        self._lock = threading.RLock()

    def add(
        self, kind: Literal["upload", "folder"], label: str, paths: Sequence[Path], folder: Path | None, size: int = 0
    ) -> Source:
        """Take in files and begin to read them."""
        source = Source(secrets.token_hex(8), kind, label, tuple(paths), folder, size)
        with self._lock:
            self.sources.append(source)
            self.read(source)
        return source

    def upload(self, label: str, files: Sequence[tuple[str, bytes | memoryview]], size: int) -> Source:
        """Keep uploaded files and begin to read them.

        Raises:
            OSError: The files cannot be kept; nothing of them is open.
        """
        folder = self._services.uploads.keep(files)
        return self.add("upload", label, sorted(folder.iterdir()), folder, size)

    def remove(self, source: Source) -> None:
        """Forget a source, its runs and its uploaded files."""
        with self._lock:
            source.stop.set()
            if source.job is not None:
                source.job.cancel()
            self._services.kept.forget(source)
            source.reading = None
            if source in self.sources:
                self.sources.remove(source)
        if source.folder is not None:
            self._services.uploads.remove(source.folder)

    def forget(self) -> None:
        """Delete all uploaded files, and forget every source and correction."""
        for source in list(self.sources):
            self.remove(source)
        self.corrections.clear()
        self.show_secrets = False

    def take(self, other: OpenLogs) -> None:
        """Take over everything from another browser, which turned out to be this one."""
        with self._lock, other._lock:
            for source in other.sources:
                self.sources.append(source)
                self._services.kept.hold(self.owner, source)
            other.sources = []

    def read(self, source: Source) -> None:
        """Begin to read a source again; what it gave before stays until then."""
        with self._lock:
            if source.job is not None:
                source.job.cancel()
            source.stop.set()  # the result of a reading that has begun is that of an older question
            source.stop = threading.Event()
            weakref.finalize(source, source.stop.set)
            source.freed = ""
            source.signature, source.began = safe.signature(source.paths), time.monotonic()
            source.job = logs_reading.start(
                self.owner,
                source.paths,
                stop=source.stop.is_set,
                pattern=source.pattern,
                show_secrets=self.show_secrets,
                rules=self.corrections.of,
                limits=self._services.limits,
            )

    def read_all(self) -> None:
        """Read every source again, after a change that concerns all."""
        for source in list(self.sources):
            self.read(source)

    def collect(self) -> bool:
        """Take over readings that have ended; return whether there was one."""
        with self._lock:
            ended = [source for source in self.sources if source.job is not None and source.job.done()]
            for source in ended:
                self._take_over(source)
            return bool(ended)

    def _take_over(self, source: Source) -> None:
        job, source.job = source.job, None
        if job is None or job.cancelled():
            return
        if error := job.exception():
            _LOG.error("reading an upload failed", exc_info=error)
            reason = f"could not be read ({type(error).__name__}); the server's log has the details"
            problem = Problem(source.label, "", reason, "try again, or with fewer files")
            source.reading = Reading(source.found.traces, [problem])
            return
        source.reading = self._bounded(source, job.result())
        self._services.kept.hold(self.owner, source)

    def _bounded(self, source: Source, reading: Reading) -> Reading:
        others = sum(len(other.found.traces) for other in self.sources if other is not source)
        room = max(0, MOST_RUNS - others)
        if len(reading.traces) <= room:
            return reading
        reason = f"{len(reading.traces) - room:,} runs are left out: this page holds {MOST_RUNS:,} at a time"
        problem = Problem(source.label, "", reason, "remove what you do not need, or give fewer files")
        return Reading(reading.traces[:room], [*reading.problems, problem])

    def use(self, source: Source | None) -> None:
        """Remember that the user is here, and which source is looked at."""
        self._services.kept.use(self.owner, source)

    @property
    def pending(self) -> list[Source]:
        """Sources that are being read."""
        return [source for source in self.sources if source.job is not None]

    @property
    def size(self) -> int:
        """Bytes uploaded."""
        return sum(source.size for source in self.sources)

    def look_after(self) -> None:
        """Begin to read again whatever is watched and has changed."""
        with self._lock:
            for source in self.sources:
                if source.watch and source.job is None and safe.signature(source.paths) != source.signature:
                    self.read(source)

    def correct(self, trace: Trace, rules: Rules) -> None:
        """Remember how columns are to be read, and read again every source that this concerns."""
        before = [(source, [self.corrections.of(run) for run in source.found.traces]) for source in self.sources]
        self.corrections.keep(trace, rules)
        for source, known in before:
            if known != [self.corrections.of(run) for run in source.found.traces]:
                self.read(source)
