"""The hub: one per server. Owns the engine processes, mirrors the traces of their runs, and holds the keys.

Imports no torch and touches nothing of Streamlit. Every public method may be called from any thread; commands
return at once, and what they lead to arrives in :class:`LabRun` a moment later.

A run outlives its engine: the hub keeps what the controls say and every command that was not answered, and gives both
to the engine that takes over.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foam_viz.engine import config, cost, store
from foam_viz.engine.config import Experiment
from foam_viz.engine.cost import TooCostly as TooCostly  # for those who create runs
from foam_viz.engine.data_folder import DataFolder
from foam_viz.engine.lab_run import LabRun
from foam_viz.engine.pool import EnginePool
from foam_viz.optim.fields import FieldError
from foam_viz.settings import Settings
from foam_viz.trace import bundle
from foam_viz.trace import manifest as manifests
from foam_viz.trace.bundle import BundleError
from foam_viz.trace.model import Trace

COMMANDS = ("start", "pause", "step", "check", "refresh", "speed", "follow", "reset")
_TRAINS = ("start", "step", "check", "refresh")
_CRASHES = 3
# A group that holds a shared engine up for so long is taken to one of its own; the others are back in seconds.
_HELD_UP_SECONDS = 5.0
_REMEMBERED = 256
# A page that shows a run that trains asks for it every second; one that has not for so long shows something else.
_SHOWN_SECONDS = 60.0
_MISREAD = 3

_log = logging.getLogger(__name__)


class ControlRefused(PermissionError):
    """The control key does not belong to this run: it may be watched, not steered."""


class HubFull(RuntimeError):
    """No room for another run; the message says what to do."""


@dataclass
class _Viewer:
    """A browser session that looks at a run.

    Attributes:
        connected: When it was connected last.
        shown: When its page drew the run last.
        hidden: Whether its page is out of sight: another tab, a window that is minimized.
    """

    connected: float
    shown: float
    hidden: bool = False


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
        self.devices: list[tuple[str, str]] = [("cpu", "CPU")]
        self._is_active = is_active
        self._runs: dict[str, LabRun] = {}
        self._viewers: dict[str, dict[str, _Viewer]] = {}
        self._seen: dict[str, float] = {}
        self._busy: dict[int, tuple[str, float]] = {}
        # Where a run was that has ended: its engine may still be writing it, and must be the one that opens it again.
        self._ended_on: OrderedDict[str, int] = OrderedDict()
        self._epochs = itertools.count(1)
        self._lock = threading.RLock()
        self._ready = threading.Event()
        self._data = DataFolder(settings, lambda: list(self._runs))
        self._pool = EnginePool(settings, self._on_message, self._on_lost, self._reap)

    # --- what engines cause

    def _on_lost(self, engine: int, crashes: int, why: str) -> None:
        """Gives the runs of an engine that was lost to the one in its place."""
        busy, seconds = self._busy.pop(engine, ("", 0.0))
        with self._lock:
            lost = [run for run in self._runs.values() if run.engine == engine and not run.gone]
        for run in lost:
            with run.lock:
                alone = engine >= len(self._pool)
                culprit = run.view_id == busy and seconds >= _HELD_UP_SECONDS
                hopeless = crashes >= (_CRASHES - 1 if alone else _CRASHES) or (alone and culprit)
                if hopeless:
                    self._on_ended(
                        run,
                        f"The training process {why} and was ended. The run is paused at its last autosave; a smaller "
                        "model or batch makes shorter steps."
                        if alone and culprit
                        else f"The training process {why}, {crashes} times within a minute. The run is paused at its "
                        "last autosave; a smaller batch may help.",
                    )
                    run.touch()
                    continue
                run.notice = (
                    f"The training process {why} and was replaced. The run continues from its last autosave, and is "
                    f"trained again up to step {run.reached:,}."
                )
                if culprit:
                    self._isolate(run, "its steps are too long to share one")
                self._take_over(run)

    def _take_over(self, run: LabRun) -> None:
        """Gives a run to its engine as the hub knows it; called under its lock."""
        controls, reached = run.controls, run.reached
        run.epoch, run.recovering, run.moving, run.gone = next(self._epochs), True, False, False
        if any(command["command"] == "reset" for command in run.waiting):
            reached = 0  # what would be trained again is about to go
        self._pool.send(
            run.engine,
            self._create(run, number=max(run.handled, 0), restore=run.saved, controls=controls, reached=reached),
        )
        for command in run.waiting:
            self._pool.send(run.engine, command)
        run.touch()

    def _answer_all(self, run: LabRun) -> None:
        """Lets go of commands that nobody will answer."""
        run.waiting = []
        run.header = {**run.header, "handled": run.sent}

    def _isolate(self, run: LabRun, why: str) -> bool:
        """Gives a run an engine of its own, where there is one left; called under its lock."""
        if run.engine >= len(self._pool):
            return False
        if self._pool.own >= self.settings.own_engines:
            run.header, run.reached = {**run.header, "running": False, "goal": None}, 0
            self._answer_all(run)
            run.notice = (
                f"Paused: the run needs a training process of its own, as {why}, and all {self.settings.own_engines} "
                "for such runs (own_engines) are taken. A smaller model or batch makes shorter steps."
            )
            return False
        run.engine = self._pool.add()
        run.notice = f"The run has a training process of its own now, as {why}."
        return True

    def _reap(self) -> None:
        """Ends runs that nobody has watched for the grace time, and pauses those that nobody has seen for long."""
        self._free_held_up()
        for run in list(self._runs.values()):
            if run.awaited is not None and not self._pool.leaves(run.awaited):
                with run.lock:
                    run.awaited = None
                    self._take_over(run)
        if self._is_active is None:
            return
        now = time.monotonic()
        with self._lock:
            for view_id, viewers in list(self._viewers.items()):
                for session, viewer in list(viewers.items()):
                    if self._is_active(session):
                        viewer.connected = now
                        if not viewer.hidden and now - viewer.shown < _SHOWN_SECONDS:
                            self._seen[view_id] = now
                if all(now - viewer.connected > self.settings.grace_seconds for viewer in viewers.values()):
                    self._drop(view_id)
                elif now - self._seen.setdefault(view_id, now) > self.settings.idle_pause_seconds:
                    self._pause_unseen(self._runs[view_id])

    def _pause_unseen(self, run: LabRun) -> None:
        with run.lock:
            if not run.running:
                return
            hours = self.settings.idle_pause_seconds / 3600
            run.notice = (
                f"Paused: no page has shown this run for {hours:.3g} h (idle_pause_seconds). Press Start to go on."
            )
            self._give(run, "pause")

    def _free_held_up(self) -> None:
        """Ends an engine that one run holds up for too long; the others go on without it."""
        for engine, (view_id, seconds) in list(self._busy.items()):
            if engine < len(self._pool):
                others = any(run.engine == engine and run.view_id != view_id for run in list(self._runs.values()))
                if seconds > _HELD_UP_SECONDS and others:
                    self._pool.end(engine, f"was held up by another run for {seconds:.0f} s")
            elif seconds > max(self.settings.step_seconds, _HELD_UP_SECONDS):
                self._pool.end(engine, f"took longer than {self.settings.step_seconds:g} s for a step (step_seconds)")

    def _drop(self, view_id: str) -> None:
        run = self._runs.pop(view_id, None)
        self._viewers.pop(view_id, None)
        self._seen.pop(view_id, None)
        if run is None:
            return
        self._pool.send(run.engine, {"command": "drop", "view_id": view_id})
        if run.engine >= len(self._pool):
            self._pool.remove(run.engine)
            self._busy.pop(run.engine, None)
        self._ended_on[view_id] = run.engine if run.awaited is None else run.awaited
        while len(self._ended_on) > _REMEMBERED:
            self._ended_on.popitem(last=False)

    def _on_message(self, engine: int, header: dict[str, Any], tables: dict[str, Any]) -> None:
        kind = header.pop("type")
        if kind == "hello":
            self.devices = [tuple(device) for device in header["devices"]]
            self._ready.set()
            return
        if kind == "alive":
            self._busy.pop(engine, None)
            if header["view_id"]:
                self._busy[engine] = header["view_id"], header["seconds"]
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

    def _on_misread(self, run: LabRun) -> None:
        """Rows may be missing now: the engine begins again from what is saved. The page says it."""
        run.misread += 1
        if run.misread > _MISREAD:
            self._on_ended(
                run, "Messages of the training process cannot be read. Start tries again; Reset begins anew."
            )
            return
        run.notice = "A message of the training process could not be read; the run was opened again."
        self._take_over(run)

    def _on_news(self, run: LabRun, kind: str, header: dict[str, Any], tables: dict[str, Any]) -> None:
        if kind == "lanes":
            self._on_lanes(run, header)
        elif kind == "rows":
            for lane, trace in enumerate(run.traces):
                rows = {kept: tables[name] for name in tables if (kept := name.removeprefix(f"{lane}/")) != name}
                if rows:
                    trace.extend(rows)
            self._on_state(run, header)
        elif kind == "problem":
            run.notice = header["message"]
        elif kind == "ended":
            self._on_ended(run, header["message"])
        elif kind == "dropped" and run.moving:
            self._isolate(run, "its steps are too long to share one")
            self._take_over(run)

    def _on_ended(self, run: LabRun, message: str) -> None:
        """No engine holds the run any more; its rows stay, and the next command opens it again."""
        lanes = [{**lane, "status": "interrupted"} for lane in run.header.get("lanes", ())]
        run.header = {"step": 0, "goal": None, **run.header, "running": False, "lanes": lanes}
        self._answer_all(run)
        run.notice, run.gone, run.recovering, run.moving = message, True, False, False
        if not run.traces and run.saved:  # what is on disk can still be looked at
            saved = [self._saved(run.view_id, lane) for lane in range(len(run.experiment.lanes))]
            run.traces = [trace for trace in saved if trace is not None]
        for trace in run.traces:
            trace.manifest = trace.manifest.with_(status="interrupted")
        run.measure(time.monotonic())

    def _on_lanes(self, run: LabRun, header: dict[str, Any]) -> None:
        told = [manifests.from_json(data) for data in header["manifests"]]
        step = header["restored_step"]
        run.experiment = config.from_json(header["experiment"])
        run._rate = []
        run.saved = True
        if step is None:
            run.traces = [Trace.empty(manifest) for manifest in told]
            run.notice, run.reached = "", 0
            return
        traces = []
        for lane, manifest in enumerate(told):
            trace = run.traces[lane] if lane < len(run.traces) else None
            if trace is None or _last_step(trace) < step:
                trace = self._saved(run.view_id, lane)
            trace = trace.truncated(step) if trace else Trace.empty(manifest)
            trace.manifest = manifest
            traces.append(trace)
        run.traces = traces
        if step == 0 and run.recovering and run.reached:
            run.notice += " Nothing of it could be restored, so it is trained again from step 0."

    def _saved(self, view_id: str, lane: int) -> Trace | None:
        directory = store.run_directory(self.settings.data_directory, view_id)
        try:
            return bundle.read(store.lane_directory(directory, lane))
        except (OSError, BundleError):
            return None

    def _on_state(self, run: LabRun, header: dict[str, Any]) -> None:
        run.header = header
        run.recovering = bool(header["recovering"])
        if not run.recovering:
            run.reached = header["step"]
        run.waiting = [command for command in run.waiting if command["number"] > header["handled"]]
        for trace, lane in zip(run.traces, header["lanes"], strict=True):
            if (trace.manifest.status, trace.manifest.diverged_step) != (lane["status"], lane["diverged_step"]):
                trace.manifest = trace.manifest.with_(status=lane["status"], diverged_step=lane["diverged_step"])
        run.measure(time.monotonic())
        if header["slow"] and run.running and not run.recovering:
            self._move(run)

    def _move(self, run: LabRun) -> None:
        """Takes a run out of an engine that it shares; commands wait until it has arrived in one of its own."""
        if run.engine < len(self._pool) and not (run.moving or run.gone):
            run.moving = True
            self._pool.send(run.engine, {"command": "drop", "view_id": run.view_id})

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
                self._pool.send(run.engine, {"command": "shared", "view_id": run.view_id})

    # --- what pages call

    def ready(self, seconds: float) -> bool:
        """Waits until an engine is warm; False if none is within ``seconds``."""
        return self._ready.wait(seconds)

    def _create(self, run: LabRun, **more: Any) -> dict[str, Any]:
        return {
            "command": "create",
            "view_id": run.view_id,
            "epoch": run.epoch,
            "experiment": run.experiment.to_json(),
            "device": run.device,
            "number": run.sent,
            **more,
        }

    def create(self, experiment: Experiment, *, session: str, device: str = "auto") -> tuple[LabRun, str]:
        """A new run, paused at step 0, and its control key.

        Raises:
            HubFull: The server or the session holds as many runs as it may.
            TooCostly: The run goes beyond what this installation allows.
        """
        cost.require(experiment, self.settings, on_cpu=self._on_cpu(device))
        view_id, control_key = store.new_identity(), store.new_identity()
        with self._lock:
            own = [run for run in self._runs.values() if run.session == session]
            if len(own) >= self.settings.runs_per_session:
                # The session's oldest run that does not train makes room; it stays on disk.
                idle = next((run for run in own if not run.running), None)
                if idle is None:
                    raise HubFull(f"This session already trains {len(own)} runs. Pause one of them, then start again.")
                self._drop(idle.view_id)
            needs_own = self._needs_own(experiment, device)
            if needs_own and self._pool.own >= self.settings.own_engines:
                raise HubFull(
                    f"This run's steps are too long, or its memory too large, to share a training process, and all "
                    f"{self.settings.own_engines} for such runs (own_engines) are taken. A smaller width, depth or "
                    "batch trains beside others."
                )
            run = self._open(view_id, experiment, device, store.fingerprint(control_key), session)
            if needs_own:
                run.engine = self._pool.add()
            self._pool.send(run.engine, self._create(run))
        self._keep_fingerprint(run)
        return run, control_key

    def review(self, experiment: Experiment, device: str = "auto") -> list[FieldError]:
        """In what an experiment goes beyond what this installation allows."""
        return cost.review(experiment, self.settings, on_cpu=self._on_cpu(device))

    def _on_cpu(self, device: str) -> bool:
        chosen = self.settings.device if device == "auto" else device
        return chosen == "cpu" or not any(name != "cpu" for name, _ in self.devices)

    def _needs_own(self, experiment: Experiment, device: str) -> bool:
        return self._on_cpu(device) and cost.needs_own_engine(cost.project(experiment), self.settings)

    def _open(self, view_id: str, experiment: Experiment, device: str, fingerprint: str, session: str) -> LabRun:
        if len(self._runs) >= self.settings.maximum_runs:
            raise HubFull(
                f"This server already holds {len(self._runs)} runs (maximum_runs). Try again when some have ended."
            )
        load = [sum(run.engine == index for run in self._runs.values()) for index in range(len(self._pool))]
        engine = self._ended_on.pop(view_id, load.index(min(load)))
        awaited = engine if self._pool.leaves(engine) else None
        if engine >= len(self._pool):  # it had one of its own, which is gone or about to go
            engine = load.index(min(load))
        run = LabRun(view_id, experiment, device, fingerprint, engine, session, epoch=next(self._epochs))
        run.awaited, run.moving = awaited, awaited is not None
        self._runs[view_id] = run
        now = time.monotonic()
        self._viewers[view_id] = {session: _Viewer(now, now)}
        return run

    def _keep_fingerprint(self, run: LabRun) -> None:
        try:
            directory = store.run_directory(self.settings.data_directory, run.view_id)
            directory.mkdir(parents=True, exist_ok=True)
            store.write_json(directory / store.CONTROL, {"key_sha256": run.key_fingerprint, "device": run.device})
        except OSError:
            pass  # the engine reports that autosave is off

    def find(self, view_id: str, *, session: str) -> LabRun | None:
        """The run of that view id: the live one, else reopened, paused, from its autosave; None where neither is.

        Whoever finds a run keeps it alive while their session is.
        """
        if not store.is_identity(view_id):
            return None
        with self._lock:
            run = self._runs.get(view_id)
            if run is None and (run := self._reopened(view_id, session)) is None:
                return None
            now = time.monotonic()
            self._viewers[view_id].setdefault(session, _Viewer(now, now)).shown = now
        self._data.mark_seen(view_id)
        return run

    def _reopened(self, view_id: str, session: str) -> LabRun | None:
        directory = store.run_directory(self.settings.data_directory, view_id)
        saved, control = store.read_json(directory / store.EXPERIMENT), store.read_json(directory / store.CONTROL)
        if saved is None or control is None:
            return None
        try:
            experiment = config.from_json(saved)
            run = self._open(view_id, experiment, control.get("device", "auto"), control["key_sha256"], session)
        except (ValueError, KeyError, TypeError, HubFull):
            return None
        run.saved = True
        if run.awaited is None:
            self._pool.send(run.engine, self._create(run, restore=True))
        run.notice = "Reopened from its autosave, paused. Press Start to continue."
        return run

    def show(self, view_id: str, *, session: str, hidden: bool) -> None:
        """Notes whether the page on which a session looks at a run is in sight; what nobody sees is paused in time."""
        with self._lock:
            if (viewer := self._viewers.get(view_id, {}).get(session)) is not None:
                viewer.hidden = hidden

    def controls(self, view_id: str, control_key: str | None) -> bool:
        """True where the key steers the run."""
        run = self._runs.get(view_id)
        return run is not None and bool(control_key) and store.matches(control_key, run.key_fingerprint)

    def command(self, view_id: str, control_key: str | None, name: str, **arguments: Any) -> None:
        """Sends a command to the run's engine.

        Raises:
            ValueError: No such command.
            KeyError: No such run.
            ControlRefused: The key is not this run's.
            TooCostly: A reset asks for more than this installation allows.
        """
        if name not in COMMANDS:
            raise ValueError(f"command {name!r}: must be one of {', '.join(COMMANDS)}")
        run = self._runs[view_id]
        if not self.controls(view_id, control_key):
            raise ControlRefused("This run belongs to somebody else: watch it, or take a copy of your own.")
        # One that was opened again may stand on a shared engine until somebody trains it.
        needs_own = name in _TRAINS and run.engine < len(self._pool) and self._needs_own(run.experiment, run.device)
        if isinstance(experiment := arguments.get("experiment"), Experiment):
            cost.require(experiment, self.settings, on_cpu=self._on_cpu(run.device))
            needs_own = self._needs_own(experiment, run.device)
            arguments["experiment"] = experiment.to_json()
        with run.lock:  # the order of the numbers is the order of the commands
            run.notice, run.misread = "", 0  # whoever steers has read it
            if needs_own:
                self._move(run)
            self._give(run, name, **arguments)

    def _give(self, run: LabRun, name: str, **arguments: Any) -> None:
        """A command, kept until it is answered; called under the run's lock."""
        run.sent += 1
        command = {"command": name, "view_id": run.view_id, "number": run.sent, **arguments}
        run.waiting.append(command)
        if run.gone:
            self._take_over(run)
        elif not run.moving:
            self._pool.send(run.engine, command)

    def engine_processes(self) -> list[int]:
        """Process ids of the engines, for those who look after the server."""
        return self._pool.processes()

    def close(self) -> None:
        """Ends the engines; they save what is left."""
        self._pool.close()
        self._data.close()


def _last_step(trace: Trace) -> int:
    steps = trace.values("steps", "step")
    return int(steps[-1]) if len(steps) else 0
