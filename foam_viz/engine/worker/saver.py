"""Saves a lab run in a thread of its own, so that training and its answers never wait for the disk."""

from __future__ import annotations

import shutil
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from foam_viz.engine import store
from foam_viz.engine.worker import lane_streams as streams
from foam_viz.engine.worker import memory
from foam_viz.engine.worker.lane_streams import LaneStreams, Samples, copy_stream
from foam_viz.engine.worker.to_save import Forked, Opening, States, Work, kept_steps
from foam_viz.experiment.config import MAXIMUM_LANES, Parent
from foam_viz.trace.disk import bundle
from foam_viz.trace.disk.autosave import Autosave, AutosaveError
from foam_viz.trace.disk.lock import FileLock, LockHeld
from foam_viz.trace.manifest import Manifest
from foam_viz.trace.schema import TABLES

FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 60.0
_SIZE_SECONDS = 30.0
_AFTER_THINNING = 0.8
_DROP_SECONDS = 5.0
_THREAD_BYTES = 16 * 2**20
"""Stack and first objects of a thread."""
_WAITING_MIB = 64
"""What may wait in memory while nothing can be written; an hour and more of a fast run."""
_MIB = 2**20
# Of the runs of an engine one is written at a time: thirty writers would take the interpreter from training.
_ONE_WRITES = threading.Lock()


class Saver:
    """The one writer of a run's folder.

    A write that fails is tried again, first soon and then about once a minute; until it succeeds everything waits in
    memory, thinned where it becomes too much. The folder is touched for the first time by the first row, so a run that
    is only opened is never written to.

    Args:
        directory: The folder of the run.
        limit_mb: Disk space of the run; beyond it older rows are thinned.
    """

    def __init__(self, directory: Path, limit_mb: float) -> None:
        self._directory = directory
        self._limit = limit_mb * _MIB
        self._changed = threading.Condition()
        self._next, self._now = Work(), Work()
        self._asked = self._writing = self._closing = False
        self._thread: threading.Thread | None = None
        self._autosaves: list[Autosave] = []
        self._streams: LaneStreams | None = None
        self._lock: FileLock | None = None
        self._measured = float("-inf")
        self._checkpoint_bytes = 0
        self._step = 0
        self._failed_step: int | None = None
        self._waiting_thinned = 0
        self._delay = FIRST_RETRY_SECONDS
        self._retry_at = 0.0
        self._thinned: list[tuple[int, str, str]] = []
        self.problem = ""
        self.notice = ""

    # --- what the run hands over

    def open(self, opening: Opening) -> None:
        """Begin anew, at once, or go on, with the first rows."""
        with self._changed:
            self._next.absorb(Work(opening=opening))
            self._step, self._failed_step, self._retry_at = opening.step or 0, None, 0.0
            self._waiting_thinned = 0
            self.problem = self.notice = ""
            self._ask(opening.step is None)

    def add(self, lanes: Sequence[Mapping[str, pa.Table]], step: int, samples: Samples = ()) -> None:
        """Take new rows, and samples of factors, of every lane, up to ``step``; the next :meth:`write` writes them."""
        if not any(lanes):
            return
        with self._changed:
            self._step = step
            self._next.rows.append(lanes)
            if any(samples):
                self._next.samples.append(samples)

    def write(
        self,
        states: States | None = None,
        manifests: Sequence[Manifest] = (),
        experiment: Mapping[str, Any] | None = None,
    ) -> None:
        """Ask for the rows taken so far to be written, and with them the configuration, states and manifests."""
        with self._changed:
            self._next.experiment = experiment or self._next.experiment
            self._next.states = states or self._next.states
            self._next.manifests = manifests or self._next.manifests
            self._ask(bool(self._next.rows or states or manifests or experiment))

    def fork(self, parent: Parent, manifest: Manifest) -> None:
        """Take one more lane; the rows of its parent up to their last common step are its own, too."""
        with self._changed:
            self._next.forks.append(Forked(parent, manifest))
            self._ask(True)

    def drop_last_lane(self) -> None:
        """Delete the lane that was added last; what waits of it is not written."""
        self.wait(_DROP_SECONDS)
        with self._changed:
            if self._next.forks:
                self._next.forks.pop()
            elif self._autosaves:
                if self._streams is not None:
                    self._streams.drop_last()
                shutil.rmtree(self._autosaves.pop().directory, ignore_errors=True)
            self._next.rows = [lanes[: len(self._autosaves)] for lanes in self._next.rows]
            self._next.samples = [lanes[: len(self._autosaves)] for lanes in self._next.samples]

    @property
    def busy(self) -> bool:
        """True while a checkpoint waits or is being written."""
        return self._next.states is not None or self._now.states is not None

    def wait(self, seconds: float = 30.0) -> bool:
        """Wait until everything asked for was written; False where it was not in time, or failed."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._asked or self._writing) or bool(self.problem), seconds)
            return not (self._asked or self._writing)

    def take_thinned(self) -> list[tuple[int, str, str]]:
        """Return what was thinned since the last call: up to which step, the kind of event, and a message."""
        with self._changed:
            taken, self._thinned = self._thinned, []
            return taken

    @property
    def closed(self) -> bool:
        """True when everything was written and nothing more will be."""
        return self._closing and (self._thread is None or not self._thread.is_alive())

    def close(self, seconds: float = 30.0) -> None:
        """Write what is left, trying once more where that failed before, and give the folder back."""
        with self._changed:
            self._closing = True
            self._asked = self._asked or bool(self._next.rows)
            thread, alone = self._thread, False
            if thread is None and self._asked:
                try:
                    thread = self._start()
                except (MemoryError, RuntimeError):  # no room for a thread: whoever ends the run writes
                    alone = True
            self._changed.notify_all()
        if thread is not None:
            thread.join(seconds)
        elif alone:
            self._work()
        else:
            self._release()

    # --- the thread

    def _ask(self, asked: bool) -> None:
        if not asked and not self._asked:
            return  # a paused run has nothing to write, many times a second
        self._asked = True
        if self._thread is None and not self._closing:
            self._start()
        self._changed.notify_all()

    def _start(self) -> threading.Thread:
        # A thread without memory for its first objects never says that it has started: who starts it waits for ever.
        memory.require(_THREAD_BYTES)
        thread = threading.Thread(target=self._work, daemon=True, name="saver")
        thread.start()
        self._thread = thread
        return thread

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._asked and time.monotonic() >= self._retry_at) and not self._closing:
                    self._changed.wait(max(0.0, self._retry_at - time.monotonic()) if self._asked else None)
                last = self._closing
                self._now.absorb(self._next)
                self._next = Work()
                self._asked, self._writing = False, True
            try:
                if self._now:
                    with _ONE_WRITES:
                        self._write()
                    self._hold_limit()
            except Exception as error:  # noqa: BLE001 (whatever it is, the thread must go on to save)
                if not isinstance(error, OSError):
                    traceback.print_exc()
                self._failed(error)
            else:
                self._succeeded()
            if last:
                self._release()
                return

    def _write(self) -> None:
        work = self._now
        if work.opening is not None:
            if work.opening.step is not None and not (work.rows or work.states or work.experiment):
                return  # opened, and not trained yet: it is only being read
            self._open(work.opening)
            work.opening = None
        if work.experiment is not None:
            store.write_json(self._directory / store.EXPERIMENT, work.experiment)
            work.experiment = None
        for autosave in self._autosaves:
            autosave.flush()  # what failed before: the rows that wait stay here, where they can be thinned
        for lanes in work.rows:
            while work.forks and len(self._autosaves) < len(lanes) and any(lanes[len(self._autosaves) :]):
                self._fork(work.forks[0])
                work.forks.pop(0)
            for autosave, tables in zip(self._autosaves, lanes, strict=False):
                for name, table in tables.items():
                    autosave.append(name, table)
        work.rows = []
        for autosave in self._autosaves:
            autosave.flush()
        while work.forks:
            self._fork(work.forks[0])
            work.forks.pop(0)
        for message in self._streams.write(work.samples) if self._streams is not None else ():
            self._tell_thinned(message, "stream-thinned")
        work.samples = []
        if (states := work.states) is not None:
            # The states of all lanes are on the disk before an older one of any lane goes.
            for autosave, write in zip(self._autosaves, states.lanes, strict=True):
                autosave.checkpoint(write, states.step, keep=None)
            there = sorted({found.step for autosave in self._autosaves for found in autosave.checkpoints()})
            kept = kept_steps(there, states.keep, states.most)
            for autosave in self._autosaves:
                autosave.prune_checkpoints(kept)
            self._checkpoint_bytes = len(kept) * states.size
            work.states = None
        for autosave, manifest in zip(self._autosaves, work.manifests, strict=False):
            autosave.write_manifest(manifest)
        work.manifests = ()

    def _fork(self, fork: Forked) -> None:
        """Adds a lane with the rows that its parent has on the disk up to their last common step."""
        directory = store.lane_directory(self._directory, len(self._autosaves))
        self._autosaves.append(self._with_past(directory, fork.parent, fork.manifest))
        if self._streams is not None:
            self._streams.fork(fork.parent.lane - 1, fork.parent.step, directory, fork.manifest)

    def _with_past(self, directory: Path, parent: Parent, manifest: Manifest) -> Autosave:
        past = bundle.read(store.lane_directory(self._directory, parent.lane - 1)).truncated(parent.step)
        shutil.rmtree(directory, ignore_errors=True)  # what a copy that failed in its middle has left
        autosave = Autosave(directory, manifest, adopt=True)
        for name in TABLES:
            autosave.append(name, past.table(name))
        autosave.flush()
        return autosave

    def _open(self, opening: Opening) -> None:
        store.require_held(self._directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        if self._lock is None:
            self._lock = FileLock(self._directory / store.WRITER_LOCK)
        self._autosaves = []
        if opening.step is None:
            store.write_json(self._directory / store.EXPERIMENT, opening.experiment)
        opened = []
        for lane, manifest in enumerate(opening.manifests):
            parent = opening.parents[lane] if lane < len(opening.parents) else None
            if opening.step is not None and parent is not None:
                # A fork whose past was not copied yet when its engine was lost.
                directory = store.lane_directory(self._directory, lane)
                if not bundle.is_bundle(directory):
                    self._with_past(directory, parent, manifest)
                    copy_stream(store.lane_directory(self._directory, parent.lane - 1), directory)
            autosave = Autosave(store.lane_directory(self._directory, lane), manifest, adopt=True)
            opened.append(autosave)
            if opening.step is None:
                autosave.rewind(0)
        if opening.step is None:
            for lane in range(len(opening.manifests), MAXIMUM_LANES):
                shutil.rmtree(store.lane_directory(self._directory, lane), ignore_errors=True)
        else:
            for autosave in opened:
                autosave.branch(opening.step)
        directories = [store.lane_directory(self._directory, lane) for lane in range(len(opening.manifests))]
        self._streams = LaneStreams(directories, opening.manifests, opening.step)
        self._autosaves = opened

    def _hold_limit(self) -> None:
        """Older branches go first, then every second of the older rows, until the run is within its limit."""
        now = time.monotonic()
        if not self._autosaves or now - self._measured < _SIZE_SECONDS:
            return
        self._measured = now
        rows_limit = max(self._limit - self._checkpoint_bytes, self._limit / 4)
        if self._size() <= rows_limit:
            return
        limit = f"the {self._limit / _MIB:,.0f} MiB that a run may take (run_mb)"
        if any(autosave.branches for autosave in self._autosaves):
            for autosave in self._autosaves:
                autosave.drop_old_branches()
            self._tell_thinned(f"Rows that were trained again after a restart were deleted, to stay within {limit}.")
        last = 0
        while self._size() > rows_limit * _AFTER_THINNING:
            thinned = max(autosave.thin() for autosave in self._autosaves)
            if not thinned:
                break
            last = max(last, thinned)
        if last:
            self._tell_thinned(f"The saved rows up to step {last:,} were thinned, to stay within {limit}.")

    def _size(self) -> int:
        return sum(autosave.size() for autosave in self._autosaves)

    def _tell_thinned(self, message: str, kind: str = "rows-thinned") -> None:
        with self._changed:
            self._thinned.append((self._step, kind, message))

    def _failed(self, error: Exception) -> None:
        reason = error.reason if isinstance(error, AutosaveError) else getattr(error, "strerror", None) or str(error)
        if isinstance(error, LockHeld):
            reason, remedy = "another server trains this run", "end that server"
        else:
            remedy = f"make room, make the data directory writable, or {store.ANOTHER_DIRECTORY}"
        with self._changed:
            if self._failed_step is None:
                self._failed_step = self._step
            self.notice = ""
            self.problem = (
                f"Autosave is off since step {self._failed_step:,}: {reason}. Training goes on, what it records waits "
                f"in memory, and saving is tried again about every minute; {remedy}."
            )
            self._thin_waiting()
            if self._waiting_thinned:
                self.problem += (
                    f" More than {_WAITING_MIB} MiB waited, so rows up to step {self._waiting_thinned:,} were thinned; "
                    "what the page shows has them all."
                )
            self._asked, self._writing = True, False
            self._retry_at = time.monotonic() + self._delay
            self._delay = min(2 * self._delay, LAST_RETRY_SECONDS)
            self._changed.notify_all()

    def _thin_waiting(self) -> None:
        """Every second of the waiting rows goes, again and again, until they are within the limit; totals stay.

        Of factors that wait none is kept beyond the limit: their stream has a gap there.
        """
        if streams.size(self._now.samples) > _WAITING_MIB * _MIB:
            self._now.samples = []
            self._thinned.append((self._step, "stream-gap", f"Factors up to step {self._step:,} could not be written."))
        if self._now.thin_rows(_WAITING_MIB * _MIB):
            self._waiting_thinned = self._step

    def _succeeded(self) -> None:
        if self._waiting_thinned:
            self._tell_thinned(
                f"Saved rows up to step {self._waiting_thinned:,} were thinned: nothing could be written for so long "
                f"that more than {_WAITING_MIB} MiB waited in memory."
            )
            self._waiting_thinned = 0
        with self._changed:
            if self._failed_step is not None:
                self.notice = (
                    f"Autosave is on again: it was off from step {self._failed_step:,} to step {self._step:,}, and "
                    "what was recorded meanwhile is saved."
                )
            self._writing, self.problem, self._failed_step = False, "", None
            self._delay, self._retry_at = FIRST_RETRY_SECONDS, 0.0
            self._changed.notify_all()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
