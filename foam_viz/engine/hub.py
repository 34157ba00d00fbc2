"""The hub: one per server. Owns the engine processes, mirrors the traces of their runs, and holds the keys.

Imports no torch and touches nothing of Streamlit. Every public method may be called from any thread; commands
return at once, and what they lead to arrives in :class:`LabRun` a moment later.

A run outlives its engine: the hub keeps what the controls say and every command that was not answered, and gives both
to the engine that takes over. Limits count browsers, which a secret of each tells apart, not pages or tabs; the hub
keeps only the fingerprint of that secret.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foam_viz.engine import cost, news, store
from foam_viz.engine.commands import Command, MarkShared, Pause, Prioritize, SetSpeed
from foam_viz.engine.config import Experiment
from foam_viz.engine.cost import TooCostly as TooCostly  # for those who create runs
from foam_viz.engine.data_folder import DataFolder
from foam_viz.engine.history import History, YourRun
from foam_viz.engine.lab_run import LabRun
from foam_viz.engine.placement import Placement
from foam_viz.engine.pool import EnginePool
from foam_viz.engine.recovery import Recovery
from foam_viz.engine.viewers import Viewers
from foam_viz.optim.fields import FieldError
from foam_viz.settings import Settings
from foam_viz.trace.model import Trace

_MISREAD = 3
# How long a run that is deleted may take to be written to its end.
_DELETE_SECONDS = 2.0

_log = logging.getLogger(__name__)


class ControlRefused(PermissionError):
    """Neither key nor browser belongs to this run: it may be watched, not steered."""


class HubFull(RuntimeError):
    """No room for another run; the message says what to do."""


class Hub:
    """Starts ``settings.engine_count`` engines and keeps them alive.

    Args:
        settings: Of the installation.
        is_active: Tells whether a browser session is connected; runs without one end after the grace time. None
            keeps runs for ever.

    Raises:
        DataFolderInUse: Another server works in the data directory.
    """

    def __init__(self, settings: Settings, is_active: Callable[[str], bool] | None = None) -> None:
        self.settings = settings
        self._keeps_all = is_active is None
        self._runs: dict[str, LabRun] = {}
        self._missing: dict[str, str] = {}
        self._lock = threading.RLock()
        self._ready = threading.Event()
        self._viewers = Viewers(is_active)
        self._data = DataFolder(settings, lambda: list(self._runs))
        self._history = History(settings.data_directory)
        self._pool = EnginePool(settings, self._on_message, self._on_lost, self._tick)
        self._placement = Placement(settings, self._pool, self._runs)
        self._recovery = Recovery(self._pool, self._placement, self._runs, self._end)

    # --- what engines cause

    def _on_lost(self, engine: int, crashes: int, why: str) -> None:
        self._recovery.on_lost(engine, crashes, why)

    def _on_message(self, engine: int, header: dict[str, Any], tables: dict[str, Any]) -> None:
        kind = header.pop("type")
        if kind == "hello":
            self._placement.devices = [tuple(device) for device in header["devices"]]
            self._ready.set()
            return
        if kind == "alive":
            self._recovery.note(engine, header["view_id"], header["seconds"])
            return
        run = self._runs.get(header.get("view_id"))
        if run is None:
            return
        with run.lock:
            if header["epoch"] != run.epoch:
                return  # of an engine that holds the run no more
            before = run.header
            try:
                self._on_news(run, kind, header, tables)
            except Exception:
                _log.exception("a message of run %s was skipped", run.view_id)
                run.header = before
                self._on_misread(run)
            run.touch()
        self._mark_shared()

    def _on_news(self, run: LabRun, kind: str, header: dict[str, Any], tables: dict[str, Any]) -> None:
        if kind == "lanes":
            news.lanes(run, header, self._directory(run))
        elif kind == "rows":
            news.rows(run, header, tables)
            if header["slow"] and run.running and not run.recovering:
                self._placement.move(run)
        elif kind == "problem":
            run.notice = header["message"]
        elif kind == "ended":
            self._end(run, header["message"])
        elif kind == "dropped":
            self._recovery.on_dropped(run)

    def _on_misread(self, run: LabRun) -> None:
        """Rows may be missing now: the engine begins again from what is saved. The page says it."""
        run.misread += 1
        if run.misread > _MISREAD:
            self._end(run, "Messages of the training process cannot be read. Start tries again; Reset begins anew.")
            return
        run.notice = "A message of the training process could not be read; the run was opened again."
        self._placement.take_over(run)

    def _end(self, run: LabRun, message: str) -> None:
        news.ended(run, message, self._directory(run))

    def _directory(self, run: LabRun) -> Path:
        return store.run_directory(self.settings.data_directory, run.view_id)

    def _mark_shared(self) -> None:
        """Marks runs that train at the same time as others: their seconds are not a quiet machine's."""
        running = [run for run in list(self._runs.values()) if run.running]
        if len(running) < 2:
            return
        for run in running:
            with run.lock:
                if all(trace.manifest.shared_machine for trace in run.traces):
                    continue
                for trace in run.traces:
                    trace.manifest = trace.manifest.with_(shared_machine=True)
                self._placement.tell(run, MarkShared())

    # --- what time causes

    def _tick(self) -> None:
        """Twice a second: ends runs that nobody watches, pauses those that nobody has seen for long, admits others."""
        self._recovery.free_held_up()
        self._placement.open_awaited()
        now = time.monotonic()
        for run in list(self._runs.values()):
            self._viewers.look(run.view_id, now)
            self._prioritize(run, now)
            if not self._keeps_all:
                self._end_unwatched(run, now)
        self._placement.admit_waiting()

    def _prioritize(self, run: LabRun, now: float) -> None:
        priority = self._viewers.priority(run.view_id, now)
        if priority != run.priority:
            with run.lock:
                run.priority = priority
                self._placement.tell(run, Prioritize(int(priority)))

    def _end_unwatched(self, run: LabRun, now: float) -> None:
        alone = self._viewers.alone(run.view_id, now)
        # One that only holds room makes it for those who wait.
        patience = 0.0 if self._placement.waits and not run.trains else self.settings.grace_seconds
        if alone > patience:
            with self._lock:
                self._drop(run.view_id)
        elif self._viewers.unseen(run.view_id, now) > self.settings.idle_pause_seconds:
            with run.lock:
                if run.running:
                    hours = self.settings.idle_pause_seconds / 3600
                    run.notice = (
                        f"Paused: no page has shown this run for {hours:.3g} h (idle_pause_seconds). Press Start to "
                        "go on."
                    )
                    self._placement.give(run, Pause())

    def _drop(self, view_id: str) -> None:
        """Ends a run here; it stays on disk. Called under the hub's lock."""
        run = self._runs.pop(view_id, None)
        self._viewers.forget(view_id)
        if run is not None:
            self._placement.release(run)
            self._recovery.note(run.engine, None, 0.0)

    # --- what pages call: runs

    def ready(self, seconds: float) -> bool:
        """Waits until an engine is warm; False if none is within ``seconds``."""
        return self._ready.wait(seconds)

    @property
    def devices(self) -> list[tuple[str, str]]:
        """The devices of this machine, each with its label, the preferred one first."""
        return self._placement.devices

    def device(self, name: str) -> str:
        """The device on which a run trains that asks for ``name``: ``auto`` is what the installation chose."""
        return self._placement.device(name)

    def review(self, experiment: Experiment, device: str = "auto") -> list[FieldError]:
        """In what an experiment goes beyond what this installation allows."""
        return cost.review(experiment, self.settings, on_cpu=self._placement.on_cpu(device))

    def create(
        self,
        experiment: Experiment,
        *,
        session: str,
        owner: str | None = None,
        device: str = "auto",
        speed: float | None = None,
    ) -> tuple[LabRun, str]:
        """A new run, paused at step 0, and its control key. Where there is no room for it now, it waits in a queue.

        Args:
            experiment: What is trained.
            session: The page that shows it.
            owner: The secret of the browser; None takes the session for a browser of its own.
            device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
            speed: Steps a second at most; None for as many as the machine can.

        Raises:
            HubFull: The server or the browser holds as many runs as it may.
            TooCostly: The run goes beyond what this installation allows.
        """
        return self._create(experiment, session, owner, device, speed, None)

    def renew(
        self,
        view_id: str,
        control_key: str | None,
        experiment: Experiment,
        *,
        session: str,
        owner: str | None = None,
        device: str | None = None,
        speed: float | None = None,
    ) -> tuple[LabRun, str]:
        """A new run in the place of another, which is paused and kept: what Reset does, or a preset over a run.

        Args:
            view_id: The run so far.
            control_key: Its key; None where the browser owns it.
            experiment: What the new one trains.
            session: The page that shows it.
            owner: The secret of the browser.
            device: None keeps the old run's.
            speed: Of the new one; None keeps the old run's.

        Raises:
            KeyError: No such run.
            ControlRefused: The run is somebody else's.
            HubFull: The server or the browser holds as many runs as it may.
            TooCostly: The new run goes beyond what this installation allows.
        """
        old = self._steered(view_id, control_key, owner)
        speed = old.header.get("speed") if speed is None else speed
        run, key = self._create(experiment, session, owner, device or old.device, speed, old)
        with old.lock:
            old.successor = run.view_id
            if old.trains:
                self._placement.give(old, Pause())
            old.touch()
        if not self._viewers.others(view_id, old.browser):
            with self._lock:
                self._drop(view_id)
        return run, key

    def _create(
        self,
        experiment: Experiment,
        session: str,
        owner: str | None,
        device: str,
        speed: float | None,
        instead: LabRun | None,
    ) -> tuple[LabRun, str]:
        self._placement.require(experiment, device)
        control_key, browser = store.new_identity(), store.fingerprint(owner or session)
        run = LabRun(
            store.new_identity(),
            experiment,
            device,
            store.fingerprint(control_key),
            cost.project(experiment),
            owner=browser,
            browser=browser,
        )
        with self._lock:
            self._make_room(browser, instead)
            self._admit(run, session)
        with run.lock:
            self._placement.open(run)
            if speed:
                self._placement.give(run, SetSpeed(speed))
        self._history.note(run)
        return run, control_key

    def _make_room(self, browser: str, instead: LabRun | None) -> None:
        """Ends the browser's oldest run that neither trains nor is watched by others, where it holds too many."""
        own = [run for run in self._runs.values() if run.browser == browser and run is not instead]
        if len(own) < self.settings.runs_per_browser:
            return
        idle = (run for run in own if not run.trains and not self._viewers.others(run.view_id, browser))
        if (oldest := next(idle, None)) is None:
            raise HubFull(
                f"This browser already holds {len(own)} runs that train or that others watch (runs_per_browser). "
                "Pause one of them, then start again."
            )
        self._drop(oldest.view_id)

    def _admit(self, run: LabRun, session: str) -> None:
        """Takes a run among those of the server. Called under the hub's lock."""
        now = time.monotonic()
        if len(self._runs) >= self.settings.maximum_runs:
            idle = (held for held in list(self._runs.values()) if not held.trains and self._unwatched(held, now))
            if (oldest := next(idle, None)) is None:
                raise HubFull(
                    f"This server already holds {len(self._runs)} runs (maximum_runs). Try again when some have ended."
                )
            self._drop(oldest.view_id)
        self._runs[run.view_id] = run
        self._missing.pop(run.view_id, None)
        self._viewers.note(run.view_id, session, run.browser, now)

    def _unwatched(self, run: LabRun, now: float) -> bool:
        self._viewers.look(run.view_id, now)
        return self._viewers.alone(run.view_id, now) > 0

    def find(self, view_id: str, *, session: str, owner: str | None = None) -> LabRun | None:
        """The run of that view id: the live one, else reopened, paused, from its autosave; None where neither is.

        Whoever finds a run keeps it alive while their session is. :meth:`why_missing` says why nothing was found.

        Args:
            view_id: The run.
            session: The page that looks.
            owner: The secret of its browser; None takes the session for a browser of its own, an empty text says that
                the browser is not known, or counted already.
        """
        if not store.is_identity(view_id):
            return None
        with self._lock:
            run = self._runs.get(view_id)
            if run is None and (run := self._reopened(view_id, session, store.fingerprint(owner or session))) is None:
                return None
            browser = store.fingerprint(session if owner is None else owner) if owner != "" else ""
            self._viewers.note(view_id, session, browser, time.monotonic())
        self._data.mark_seen(view_id)
        return run

    def why_missing(self, view_id: str) -> str:
        """Why :meth:`find` found no run, in a sentence; empty where nothing is kept of it."""
        return self._missing.get(view_id, "")

    def _reopened(self, view_id: str, session: str, browser: str) -> LabRun | None:
        saved = self._history.find(view_id)
        self._missing.pop(view_id, None)
        if saved is None:
            return None
        run = LabRun(
            view_id,
            saved.experiment,
            saved.device,
            saved.key_fingerprint,
            cost.project(saved.experiment),
            owner=saved.owner,
            browser=browser,
            name=saved.name,
            saved=True,
        )
        try:
            self._admit(run, session)
        except HubFull as full:
            self._missing[view_id] = f"The run is saved, but it cannot be opened now. {full}"
            return None
        with run.lock:
            run.notice = "Reopened from its autosave, paused. Press Start to continue."
            if not self._placement.open(run, queue=False):
                self._end(
                    run, "Opened from its autosave, paused; there is no room to train it now. Start waits for it."
                )
        return run

    # --- what pages call: viewers

    def show(self, view_id: str, *, session: str, hidden: bool) -> None:
        """Notes whether the page on which a session looks at a run is in sight; what nobody sees is paused in time."""
        self._viewers.hide(view_id, session, hidden)

    def attend(self, view_id: str, viewer: str, *, browser: str) -> None:
        """Somebody looks at a run until :meth:`leave`, and keeps it alive, without a session of Streamlit.

        Args:
            view_id: A run that :meth:`find` has found.
            viewer: A name of its own, for :meth:`leave` and :meth:`show`.
            browser: The secret of its browser, or a name of its own.
        """
        self._viewers.note(view_id, viewer, store.fingerprint(browser), time.monotonic(), attends=True)

    def leave(self, view_id: str, viewer: str) -> None:
        """The end of :meth:`attend`."""
        self._viewers.leave(view_id, viewer, time.monotonic())

    def present(self, view_id: str, control_key: str | None, on: bool, *, owner: str | None = None) -> None:
        """Shows a run to a class, whose steps come before all others; or shows it no longer.

        Raises:
            KeyError: No such run.
            ControlRefused: The run is somebody else's.
        """
        self._steered(view_id, control_key, owner)
        self._viewers.present(view_id, on)

    # --- what pages call: control

    def controls(self, view_id: str, control_key: str | None, owner: str | None = None) -> bool:
        """True where the key steers the run, or the browser owns it."""
        run = self._runs.get(view_id)
        if run is None:
            return False
        by_key = bool(control_key) and store.matches(control_key, run.key_fingerprint)
        return by_key or (bool(owner and run.owner) and store.matches(owner, run.owner))

    def _steered(self, view_id: str, control_key: str | None, owner: str | None) -> LabRun:
        run = self._runs[view_id]
        if not self.controls(view_id, control_key, owner):
            raise ControlRefused("This run belongs to somebody else: watch it, or take a copy of your own.")
        return run

    def command(self, view_id: str, control_key: str | None, command: Command, *, owner: str | None = None) -> None:
        """Sends a command to the run's engine.

        Raises:
            KeyError: No such run.
            ControlRefused: The run is somebody else's.
            ValueError: A command of the hub's own.
        """
        if not command.steers:
            raise ValueError(f"command {command.name!r}: the hub alone gives it")
        run = self._steered(view_id, control_key, owner)
        with run.lock:  # the order of the numbers is the order of the commands
            run.notice, run.misread = "", 0  # whoever steers has read it
            self._placement.give(run, command)

    # --- what pages call: the runs of a browser

    def your_runs(self, owner: str) -> list[YourRun]:
        """The saved runs that a browser has made and trained, those that changed last first.

        Args:
            owner: The secret of the browser.
        """
        return self._history.of(store.fingerprint(owner))

    def rename(self, view_id: str, owner: str, name: str) -> None:
        """Gives a run of the browser another name; an empty one is that of its optimizers.

        Raises:
            KeyError: No such run.
            ControlRefused: The run is somebody else's.
            OSError: Nothing can be written.
        """
        self._owned(view_id, owner)
        kept = self._history.rename(view_id, name)
        if (run := self._runs.get(view_id)) is not None:
            with run.lock:
                run.name = kept
                run.touch()

    def delete(self, view_id: str, owner: str) -> str:
        """Deletes a run of the browser from the disk, for good.

        Returns:
            Why it was not deleted, in a sentence; empty where it was.

        Raises:
            KeyError: No such run.
            ControlRefused: The run is somebody else's.
        """
        browser = self._owned(view_id, owner)
        with self._lock:
            if (run := self._runs.get(view_id)) is not None:
                if run.trains:
                    return "The run trains: pause it, then delete it."
                if self._viewers.others(view_id, browser):
                    return "Others watch this run: it can be deleted when they have left."
                self._drop(view_id)
        end = time.monotonic() + _DELETE_SECONDS
        while not self._data.delete(view_id):  # its engine writes what is left
            if time.monotonic() > end:
                return "The run is still being written, or cannot be deleted. Try again in a moment."
            time.sleep(0.05)
        self._history.forget(browser, view_id)
        return ""

    def traces(self, view_id: str) -> list[Trace]:
        """What is recorded of a run, a trace a lane, whether it is open or only saved."""
        if (run := self._runs.get(view_id)) is not None:
            with run.lock:
                if run.traces:
                    return list(run.traces)
        saved = self._history.find(view_id)
        if saved is None:
            return []
        directory = store.run_directory(self.settings.data_directory, view_id)
        return news.saved_traces(directory, len(saved.experiment.lanes))

    def _owned(self, view_id: str, owner: str) -> str:
        """The fingerprint of the browser, whose run it must be."""
        saved = self._history.find(view_id) if store.is_identity(view_id) else None
        if saved is None:
            raise KeyError(view_id)
        if not saved.owner or not store.matches(owner, saved.owner):
            raise ControlRefused("This run was made in another browser.")
        return saved.owner

    # --- what the server calls

    def engine_processes(self) -> list[int]:
        """Process ids of the engines, for those who look after the server."""
        return self._pool.processes()

    def close(self) -> None:
        """Ends the engines; they save what is left."""
        self._pool.close()
        self._data.close()
