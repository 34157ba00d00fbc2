"""What a session of the page of logs has open: sources, the runs they gave, and what is looked at."""

from __future__ import annotations

import logging
import secrets
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from foam_viz.analysis.comparison import Row
from foam_viz.files import SAMPLE_RUNS
from foam_viz.logs import safe
from foam_viz.logs.limits import MEBIBYTE
from foam_viz.logs.reader import Problem, Reading
from foam_viz.optim.fields import FieldError
from foam_viz.trace import Trace, bundle
from foam_viz.ui import logs_address, logs_reading
from foam_viz.ui.lab_state import LabState
from foam_viz.ui.logs_kept import Kept
from foam_viz.ui.logs_memory import ColumnMemory, Rules, shape_of
from foam_viz.ui.logs_upload import Uploads
from foam_viz.ui.server import hub, is_active, session_id

OPENS_WITH = (
    "digits-autoencoder-foam",
    "digits-autoencoder-shampoo",
    "digits-autoencoder-shampoo-f200",
    "digits-autoencoder-soap",
    "digits-autoencoder-adamw",
)
MOST_RUNS = 500
"""Runs that one session may have open."""
_KEY = "logs"
_LOG = logging.getLogger("foam_viz.ui")


@dataclass
class Source:
    """Something that was brought in: an upload or a folder on the server.

    Attributes:
        id: Unique in the session.
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


@dataclass(frozen=True, eq=False)
class Run:
    """One run on the page.

    Attributes:
        key: Stable while the run is open.
        label: Unique name to show; text of a stranger.
        trace: What is known of it; what reads more than one thing of a live run takes ``trace.view()`` first.
        origin: Where it comes from, in a word or two.
        source: What it was read from; None for samples and live runs.
        live: True while it still trains.
    """

    key: str
    label: str
    trace: Trace
    origin: str
    source: Source | None = None
    live: bool = False


@lru_cache(maxsize=1)
def sample_names() -> tuple[str, ...]:
    """The recorded samples of this project."""
    return tuple(sorted(path.stem for path in SAMPLE_RUNS.glob("*.zip")))


@lru_cache(maxsize=64)
def sample(name: str) -> Trace:
    """A recorded sample, read once a server: it is ours, so no worker is needed."""
    return bundle.read(SAMPLE_RUNS / f"{name}.zip")


_lock = threading.Lock()
_uploads: dict[Path, Uploads] = {}
_memories: dict[Path, ColumnMemory] = {}
_kept: dict[Path, Kept] = {}


def uploads() -> Uploads:
    """The upload folders of this server."""
    settings = hub().settings
    root = settings.data_directory / "uploads"
    with _lock:
        found = _uploads.setdefault(root, Uploads(root, is_active, settings.grace_seconds))
    found.also = kept().sweep
    return found


def kept() -> Kept:
    """The memory of this server that parsed logs hold."""
    settings = hub().settings
    own, all_ = settings.log_kept_mb * MEBIBYTE, settings.log_kept_total_mb * MEBIBYTE
    with _lock:
        return _kept.setdefault(settings.data_directory, Kept(own, all_, is_active, settings.grace_seconds))


def memory() -> ColumnMemory:
    """What users of this server said about columns."""
    path = hub().settings.data_directory / "log_columns.json"
    with _lock:
        return _memories.setdefault(path, ColumnMemory(path))


@dataclass
class LogsState:
    """Lives in ``st.session_state``.

    Attributes:
        view: What the page looks at: every field of :mod:`foam_viz.ui.logs_address`.
        samples: Recorded samples that are open.
        rejected: What the link asked for and could not have.
        sources: What was brought in.
        chosen: Keys of the runs compared; None until somebody chose, which means all, up to a dozen.
        run: Key of the run inspected.
        factor: Factor followed.
        moments: By run, the step looked at; a run that is not there is looked at its end.
        with_live: Show the runs of this session's live lab.
        show_secrets: Do not mask what looks like a secret.
        confirmed: Confounds that the reader said do not matter, in words.
        window: Part of the horizontal axis that is zoomed into, with the axis it belongs to.
        notice: What the last attempt to open something could not do.
        answer: The last question to the table of a comparison, and its rows.
    """

    view: dict[str, Any]
    samples: list[str]
    rejected: list[FieldError] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    chosen: list[str] | None = None
    run: str = ""
    factor: int = 0
    moments: dict[str, int] = field(default_factory=dict)
    with_live: bool = False
    show_secrets: bool = False
    confirmed: frozenset[str] = frozenset()
    window: tuple[str, float, float] | None = None
    notice: str = ""
    answer: tuple[tuple, list[Row]] | None = None
    _places: dict[str, int] = field(default_factory=dict)

    # --- sources

    def add(self, kind: Literal["upload", "folder"], label: str, paths: Sequence[Path], folder: Path | None) -> Source:
        """Take in files and begin to read them."""
        source = Source(secrets.token_hex(4), kind, label, tuple(paths), folder)
        self.sources.append(source)
        self.notice = ""
        self.read(source)
        return source

    def remove(self, source: Source) -> None:
        """Forget a source, its runs and its files."""
        self.notice = ""
        source.stop.set()
        kept().forget(source)
        source.reading = None
        if source in self.sources:
            self.sources.remove(source)
        if source.folder is not None:
            uploads().remove(source.folder)

    def read(self, source: Source) -> None:
        """Begin to read a source again; what it gave before stays until then."""
        if source.job is not None:
            source.job.cancel()
        source.stop.set()  # the result of a reading that has begun is that of an older question
        source.stop = threading.Event()
        weakref.finalize(source, source.stop.set)
        source.freed = ""
        source.signature, source.began = safe.signature(source.paths), time.monotonic()
        source.job = logs_reading.start(
            owner(),
            source.paths,
            stop=source.stop.is_set,
            pattern=source.pattern,
            show_secrets=self.show_secrets,
            rules=memory().rules,
            limits=logs_reading.limits_of(hub().settings),
        )

    def collect(self) -> bool:
        """Take over readings that have ended; says whether there was one."""
        news = False
        for source in self.sources:
            if source.job is None or not source.job.done():
                continue
            job, source.job, news = source.job, None, True
            if error := job.exception():
                _LOG.error("reading an upload failed", exc_info=error)
                reason = f"could not be read ({type(error).__name__}); the server's log has the details"
                problem = Problem(source.label, "", reason, "try again, or with fewer files")
                source.reading = Reading(source.found.traces, [problem])
                continue
            first = source.reading is None
            source.reading = self._bounded(source, job.result())
            kept().hold(owner(), source)
            if first and source.found.traces:
                self.run = f"{source.id}/{source.found.traces[0].manifest.run_id}"
                self.factor = 0
        return news

    def _bounded(self, source: Source, reading: Reading) -> Reading:
        others = sum(len(other.found.traces) for other in self.sources if other is not source)
        room = max(0, MOST_RUNS - others)
        if len(reading.traces) <= room:
            return reading
        reason = f"{len(reading.traces) - room:,} runs are left out: this page holds {MOST_RUNS:,} at a time"
        problem = Problem(source.label, "", reason, "remove what you do not need, or give fewer files")
        return Reading(reading.traces[:room], [*reading.problems, problem])

    def look(self) -> None:
        """Remember that this visitor is here, and which reading is looked at."""
        kept().use(owner())
        for source in self.sources:
            if self.run.startswith(f"{source.id}/"):
                kept().use(owner(), source)

    @property
    def pending(self) -> list[Source]:
        """Sources that are being read."""
        return [source for source in self.sources if source.job is not None]

    def look_after(self) -> None:
        """Begin to read again whatever is watched and has changed."""
        for source in self.sources:
            if source.watch and source.job is None and safe.signature(source.paths) != source.signature:
                self.read(source)

    def correct(self, trace: Trace, rules: Rules) -> None:
        """Remember how columns are to be read, and read again every source that has runs of that shape."""
        shape = shape_of(trace)
        memory().remember(shape, rules)
        for source in self.sources:
            if any(shape_of(other) == shape for other in source.found.traces):
                self.read(source)

    def read_all_again(self) -> None:
        """After a change that concerns every source."""
        for source in self.sources:
            self.read(source)

    # --- runs

    def runs(self) -> list[Run]:
        """Every run on the page, with names that tell them apart: what the user brought first, then live, samples."""
        found = [*self._imported(), *self._live(), *self._samples()]
        seen: dict[str, int] = {}
        named = []
        for run in found:
            count = seen[run.label] = seen.get(run.label, 0) + 1
            label = run.label if count == 1 else f"{run.label} ({run.origin} {count})"
            named.append(Run(run.key, label, run.trace, run.origin, run.source, run.live))
        return named

    def _imported(self) -> Iterator[Run]:
        for source in self.sources:
            for trace in source.found.traces:
                manifest = trace.manifest
                yield Run(f"{source.id}/{manifest.run_id}", manifest.name or "unnamed", trace, source.label, source)

    def _live(self) -> Iterator[Run]:
        run = self.live_run() if self.with_live else None
        if run is None:
            return
        for place, (lane, trace) in enumerate(zip(run.experiment.lanes, run.traces, strict=False)):
            yield Run(f"live/{run.view_id}/{place}", f"live: {lane.label()}", trace, "live lab", live=run.running)

    def live_run(self):  # noqa: ANN201 - LabRun | None
        """The run of this session's live lab; None where there is none."""
        lab = st.session_state.get("lab")
        return lab.run() if isinstance(lab, LabState) else None

    @property
    def training(self) -> bool:
        """Whether the live run that is shown trains now."""
        run = self.live_run() if self.with_live else None
        return run is not None and run.running

    def replaced(self, runs: Iterable[Run]) -> bool:
        """Whether a live run began anew or was opened again meanwhile, so that what is shown of it no longer grows."""
        now = {run.key: run.trace for run in self._live()}
        return any(run.live and now.get(run.key) is not run.trace for run in runs)

    def _samples(self) -> Iterator[Run]:
        for name in self.samples:
            trace = sample(name)
            yield Run(f"sample/{name}", trace.manifest.name or name, trace, "recorded sample")

    def places(self, keys: Sequence[str]) -> list[int]:
        """Positions that fix how runs look: each keeps its own while it is shown, a new one takes the lowest free."""
        for gone in self._places.keys() - set(keys):
            del self._places[gone]
        for key in keys:
            if key not in self._places:
                taken = set(self._places.values())
                self._places[key] = next(place for place in range(len(taken) + 1) if place not in taken)
        return [self._places[key] for key in keys]

    # --- the link

    def write_address(self) -> None:
        """Put what is looked at into the page's address."""
        query = logs_address.to_query(self.view, self.samples, [n for n in OPENS_WITH if n in sample_names()])
        wanted = {key: value if isinstance(value, list) else [value] for key, value in query.items()}
        if {key: st.query_params.get_all(key) for key in st.query_params} != wanted:
            st.query_params.from_dict(query)


def state() -> LogsState:
    """The session's state; the first call reads the link, before any widget exists."""
    if _KEY not in st.session_state:
        query = {key: st.query_params.get_all(key) for key in st.query_params}
        view, chosen, rejected = logs_address.from_query(query, sample_names())
        opens = [name for name in OPENS_WITH if name in sample_names()]
        st.session_state[_KEY] = LogsState(view, opens if chosen is None else chosen, rejected)
    return st.session_state[_KEY]


def owner() -> str:
    """Identity under which this session's uploads are kept."""
    return session_id()
