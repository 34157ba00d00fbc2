"""The hub: one per server. Owns the engine processes, mirrors the traces of their runs, and holds the keys.

Imports no torch and touches nothing of Streamlit. Every public method may be called from any thread; commands
return at once, and what they lead to arrives in :class:`LabRun` a moment later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from foam_viz.engine import config, store
from foam_viz.engine.config import Experiment
from foam_viz.engine.data_folder import DataFolder
from foam_viz.engine.lab_run import LabRun
from foam_viz.engine.pool import EnginePool
from foam_viz.settings import Settings
from foam_viz.trace import bundle
from foam_viz.trace import manifest as manifests
from foam_viz.trace.bundle import BundleError
from foam_viz.trace.model import Trace

COMMANDS = ("start", "pause", "step", "check", "refresh", "speed", "follow", "reset")
_CRASHES = 3


class ControlRefused(PermissionError):
    """The control key does not belong to this run: it may be watched, not steered."""


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
        self.devices: list[tuple[str, str]] = [("cpu", "CPU")]
        self._is_active = is_active
        self._runs: dict[str, LabRun] = {}
        self._viewers: dict[str, dict[str, float]] = {}
        self._lock = threading.RLock()
        self._ready = threading.Event()
        self._data = DataFolder(settings, lambda: list(self._runs))
        self._pool = EnginePool(settings, self._on_message, self._on_replaced, self._reap)

    # --- what engines cause

    def _on_replaced(self, index: int, crashes: int) -> None:
        """Gives the runs of an engine that died to the one in its place."""
        hopeless = crashes >= _CRASHES
        with self._lock:
            lost = [run for run in self._runs.values() if run.engine == index]
        for run in lost:
            with run.lock:
                resume = run.running and not hopeless
                # Pending until the new engine has answered: a page that waits must go on looking.
                run.header = {**run.header, "running": False, "handled": -1}
                run.notice = (
                    f"The training process stopped {crashes} times within a minute. The run is paused at its last "
                    "autosave; a smaller batch may help."
                    if hopeless
                    else "The training process stopped unexpectedly and was replaced. The run continues from its "
                    "last autosave."
                )
                run.touch()
            self._pool.send(index, self._create(run, restore=True, start=resume))

    def _reap(self) -> None:
        """Ends runs that nobody has watched for the grace time."""
        if self._is_active is None:
            return
        now = time.monotonic()
        with self._lock:
            for view_id, viewers in list(self._viewers.items()):
                for session in list(viewers):
                    if self._is_active(session):
                        viewers[session] = now
                if all(now - seen > self.settings.grace_seconds for seen in viewers.values()):
                    self._drop(view_id)

    def _drop(self, view_id: str) -> None:
        run = self._runs.pop(view_id, None)
        self._viewers.pop(view_id, None)
        if run is not None:
            self._pool.send(run.engine, {"command": "drop", "view_id": view_id})

    def _on_message(self, header: dict[str, Any], tables: dict[str, Any]) -> None:
        kind = header.pop("type")
        if kind == "hello":
            self.devices = [tuple(device) for device in header["devices"]]
            self._ready.set()
            return
        run = self._runs.get(header.get("view_id"))
        if run is None:
            return
        with run.lock:
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
            run.touch()
        self._mark_shared()

    def _on_lanes(self, run: LabRun, header: dict[str, Any]) -> None:
        told = [manifests.from_json(data) for data in header["manifests"]]
        step = header["restored_step"]
        run.experiment = config.from_json(header["experiment"])
        run._rate = []
        if step is None:
            run.traces = [Trace.empty(manifest) for manifest in told]
            run.notice = ""
            return
        traces = []
        for lane, manifest in enumerate(told):
            trace = run.traces[lane] if lane < len(run.traces) else self._saved(run.view_id, lane)
            trace = trace.truncated(step) if trace else Trace.empty(manifest)
            trace.manifest = manifest
            traces.append(trace)
        run.traces = traces

    def _saved(self, view_id: str, lane: int) -> Trace | None:
        directory = store.run_directory(self.settings.data_directory, view_id)
        try:
            return bundle.read(store.lane_directory(directory, lane))
        except (OSError, BundleError):
            return None

    def _on_state(self, run: LabRun, header: dict[str, Any]) -> None:
        run.header = header
        for trace, lane in zip(run.traces, header["lanes"], strict=True):
            if (trace.manifest.status, trace.manifest.diverged_step) != (lane["status"], lane["diverged_step"]):
                trace.manifest = trace.manifest.with_(status=lane["status"], diverged_step=lane["diverged_step"])
        run.measure(time.monotonic())

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
            "experiment": run.experiment.to_json(),
            "device": run.device,
            "number": run.sent,
            **more,
        }

    def create(self, experiment: Experiment, *, session: str, device: str = "auto") -> tuple[LabRun, str]:
        """A new run, paused at step 0, and its control key.

        Raises:
            HubFull: The server or the session holds as many runs as it may.
        """
        view_id, control_key = store.new_identity(), store.new_identity()
        with self._lock:
            own = [run for run in self._runs.values() if run.session == session]
            if len(own) >= self.settings.runs_per_session:
                # The session's oldest run that does not train makes room; it stays on disk.
                idle = next((run for run in own if not run.running), None)
                if idle is None:
                    raise HubFull(f"This session already trains {len(own)} runs. Pause one of them, then start again.")
                self._drop(idle.view_id)
            run = self._open(view_id, experiment, device, store.fingerprint(control_key), session)
            self._pool.send(run.engine, self._create(run))
        self._keep_fingerprint(run)
        return run, control_key

    def _open(self, view_id: str, experiment: Experiment, device: str, fingerprint: str, session: str) -> LabRun:
        if len(self._runs) >= self.settings.maximum_runs:
            raise HubFull(
                f"This server already holds {len(self._runs)} runs (maximum_runs). Try again when some have ended."
            )
        load = [sum(run.engine == index for run in self._runs.values()) for index in range(len(self._pool))]
        run = LabRun(view_id, experiment, device, fingerprint, load.index(min(load)), session)
        self._runs[view_id] = run
        self._viewers[view_id] = {session: time.monotonic()}
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
            self._viewers[view_id].setdefault(session, time.monotonic())
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
        self._pool.send(run.engine, self._create(run, restore=True))
        run.notice = "Reopened from its autosave, paused. Press Start to continue."
        return run

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
        """
        if name not in COMMANDS:
            raise ValueError(f"command {name!r}: must be one of {', '.join(COMMANDS)}")
        run = self._runs[view_id]
        if not self.controls(view_id, control_key):
            raise ControlRefused("This run belongs to somebody else: watch it, or take a copy of your own.")
        if isinstance(experiment := arguments.get("experiment"), Experiment):
            arguments["experiment"] = experiment.to_json()
        with run.lock:  # the order of the numbers is the order of the commands
            run.sent += 1
            self._pool.send(run.engine, {"command": name, "view_id": view_id, "number": run.sent, **arguments})

    def engine_processes(self) -> list[int]:
        """Process ids of the engines, for those who look after the server."""
        return self._pool.processes()

    def close(self) -> None:
        """Ends the engines; they save what is left."""
        self._pool.close()
        self._data.close()
