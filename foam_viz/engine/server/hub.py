"""The hub: one per server. Owns the engine processes, mirrors the traces of their runs, and holds the keys.

Imports no torch and touches nothing of Streamlit. Every public method may be called from any thread; commands
return at once, and what they lead to arrives in :class:`LabRun` a moment later.

A run outlives its engine: the hub keeps what the controls say and every command that was not answered, and gives both
to the engine that takes over. Limits count browsers, which a secret of each tells apart, not pages or tabs; the hub
keeps only the fingerprint of that secret.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from foam_viz.engine import store
from foam_viz.engine.server.data_folder import DataFolder
from foam_viz.engine.server.engines import Engines
from foam_viz.engine.server.history import History
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.engine.server.viewers import Viewers
from foam_viz.engine.wire.commands import Command, Fork, Pause, Prioritize, SetSpeed
from foam_viz.experiment import cost
from foam_viz.experiment.config import Experiment
from foam_viz.experiment.cost import TooCostly as TooCostly  # for those who create runs
from foam_viz.optim.fields import FieldError
from foam_viz.settings import Settings
from foam_viz.tasks import uploads

# What a page may take to be loaded again.
_RELOAD_SECONDS = 10.0


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

    Attributes:
        data: The data directory.
        history: The saved runs in it.

    Raises:
        DataFolderInUse: Another server works in the data directory.
    """

    def __init__(self, settings: Settings, is_active: Callable[[str], bool] | None = None) -> None:
        self.settings = settings
        uploads.keep_in(self.task_files)
        self._keeps_all = is_active is None
        self._runs: dict[str, LabRun] = {}
        self._missing: dict[str, str] = {}
        self._lock = threading.RLock()
        self._viewers = Viewers(is_active)
        self.data = DataFolder(settings, lambda: list(self._runs))
        self._noted = self.data.taken
        self.history = History(settings.data_directory, self.data.hold)
        self._engines = Engines(settings, self._runs, self._tick, self.data.identity)

    @property
    def task_files(self) -> Path:
        """Where files lie that were uploaded to train on."""
        return self.settings.data_directory / "task_files"

    # --- what time causes

    def _tick(self) -> None:
        """Twice a second: ends runs that nobody watches, pauses those that nobody has seen for long.

        The data directory is taken as soon as it can be, before an engine writes to it.
        """
        now = time.monotonic()
        with suppress(OSError):  # pages say it
            self.data.hold()
        if self.data.taken != self._noted:
            self._noted = self.data.taken
            self.history.note_missing(list(self._runs.values()))
        for run in list(self._runs.values()):
            self._viewers.look(run.view_id, now)
            self._prioritize(run, now)
            if not self._keeps_all:
                self._end_unwatched(run, now)

    def _prioritize(self, run: LabRun, now: float) -> None:
        priority = self._viewers.priority(run.view_id, now)
        if priority != run.priority:
            with run.lock:
                run.priority = priority
                self._engines.placement.tell(run, Prioritize(int(priority)))

    def _end_unwatched(self, run: LabRun, now: float) -> None:
        alone = self._viewers.alone(run.view_id, now)
        # One that only holds room makes it for those who wait, unless its page was only loaded again.
        patience = self.settings.grace_seconds
        if self._engines.placement.waits and not run.trains:
            patience = min(patience, _RELOAD_SECONDS)
        if alone > patience:
            with self._lock:
                self._drop(run.view_id)
        elif self._viewers.unseen(run.view_id, now) > self.settings.idle_pause_seconds:
            with run.lock:
                if run.running:
                    hours = self.settings.idle_pause_seconds / 3600
                    run.say(
                        f"Paused: no page has shown this run for {hours:.3g} h (idle_pause_seconds).",
                        "Press Start to go on.",
                    )
                    self._engines.placement.give(run, Pause())

    def _drop(self, view_id: str) -> None:
        """Ends a run here; it stays on disk. Called under the hub's lock."""
        run = self._runs.pop(view_id, None)
        self._viewers.forget(view_id)
        if run is not None:
            self._engines.release(run)

    # --- what pages call: runs

    def training(self) -> int:
        """How many runs train now, or wait for room to."""
        with self._lock:
            return sum(run.trains for run in self._runs.values())

    def ready(self, seconds: float) -> bool:
        """Waits until an engine is warm; False if none is within ``seconds``."""
        return self._engines.ready.wait(seconds)

    @property
    def devices(self) -> list[tuple[str, str]]:
        """The devices of this machine, each with its label, the preferred one first."""
        return self._engines.placement.devices

    def device(self, name: str) -> str:
        """The device on which a run trains that asks for ``name``: ``auto`` is what the installation chose."""
        return self._engines.placement.device(name)

    def review(self, experiment: Experiment, device: str = "auto") -> list[FieldError]:
        """In what an experiment goes beyond what this installation allows."""
        return cost.review(experiment, self.settings, on_cpu=self._engines.placement.on_cpu(device))

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
            ControlRefused: The run belongs to another browser.
            HubFull: The server or the browser holds as many runs as it may.
            TooCostly: The new run goes beyond what this installation allows.
        """
        old = self._steered(view_id, control_key, owner)
        speed = old.header.get("speed") if speed is None else speed
        run, key = self._create(experiment, session, owner, device or old.device, speed, old)
        with old.lock:
            old.successor = run.view_id
            if old.trains:
                self._engines.placement.give(old, Pause())
            old.touch()
        self.history.succeed(view_id, run.view_id)
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
        self._engines.placement.require(experiment, device)
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
            self._engines.placement.open(run)
            if speed:
                self._engines.placement.give(run, SetSpeed(speed))
        self.history.note(run)
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

        A session that finds a run keeps it alive while it lasts. :meth:`why_missing` says why nothing was found.

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
        self.data.mark_seen(view_id)
        return run

    def why_missing(self, view_id: str) -> str:
        """Why :meth:`find` found no run, in a sentence; empty where nothing is kept of it."""
        return self._missing.get(view_id, "")

    def _reopened(self, view_id: str, session: str, browser: str) -> LabRun | None:
        saved = self.history.find(view_id)
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
        if saved.successor in self._runs or (saved.successor and self.history.find(saved.successor)):
            run.successor = saved.successor
        try:
            self._admit(run, session)
        except HubFull as full:
            self._missing[view_id] = f"The run is saved, but it cannot be opened now. {full}"
            return None
        with run.lock:
            run.say("Reopened from its autosave, paused.", "Press Start to continue.")
            if not self._engines.placement.open(run, queue=False):
                self._engines.end(
                    run,
                    "Opened from its autosave, paused; there is no room to train it now.",
                    "Start waits for it.",
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
            ControlRefused: The run belongs to another browser.
        """
        self._steered(view_id, control_key, owner)
        self._viewers.present(view_id, on)

    # --- what pages call: control

    def controls(self, view_id: str, control_key: str | None, owner: str | None = None) -> bool:
        """True where the key steers the run, or the browser owns it."""
        run = self._runs.get(view_id)
        if run is None:
            return False
        by_key = bool(control_key and store.matches(control_key, run.key_fingerprint))
        return by_key or bool(owner and run.owner and store.matches(owner, run.owner))

    def _steered(self, view_id: str, control_key: str | None, owner: str | None) -> LabRun:
        run = self._runs[view_id]
        if not self.controls(view_id, control_key, owner):
            raise ControlRefused("This run belongs to somebody else: watch it, or take a copy of your own.")
        return run

    def command(self, view_id: str, control_key: str | None, command: Command, *, owner: str | None = None) -> None:
        """Sends a command to the run's engine.

        Raises:
            KeyError: No such run.
            ControlRefused: The run belongs to another browser.
            TooCostly: A fork goes beyond what this installation allows.
            ValueError: A command of the hub's own.
        """
        if not command.steers:
            raise ValueError(f"command {command.name!r}: the hub alone gives it")
        run = self._steered(view_id, control_key, owner)
        if isinstance(command, Fork) and 1 <= command.lane <= len(run.experiment.lanes):
            self._engines.placement.require(run.experiment.forked(command.lane - 1, command.step or 0), run.device)
        with run.lock:  # the order of the numbers is the order of the commands
            run.say("")  # whoever steers has read it
            run.misread = 0
            self._engines.placement.give(run, command)

    # --- what pages call: the runs of a browser

    def held(self) -> list[LabRun]:
        """All runs that are open."""
        return list(self._runs.values())

    def opened(self, view_id: str) -> LabRun | None:
        """The run of that view id where it is open now; nothing is opened for it."""
        return self._runs.get(view_id)

    def end(self, view_id: str, browser: str) -> str:
        """Ends a run of a browser where it is open; it stays on disk.

        Args:
            view_id: The run.
            browser: Fingerprint of the browser.

        Returns:
            Why it was not ended, in a sentence; empty where it is open no more.
        """
        with self._lock:
            if (run := self._runs.get(view_id)) is not None:
                if run.trains:
                    return "The run trains: pause it first."
                if self._viewers.others(view_id, browser):
                    return "Others watch this run. Try again when they have left."
                self._drop(view_id)
        return ""

    # --- what the server calls

    def engine_processes(self) -> list[int]:
        """Process ids of the engines, for operators."""
        return self._engines.pool.processes()

    def close(self) -> None:
        """Ends the engines; they save what is left."""
        self._engines.pool.close()
        self.data.close()
