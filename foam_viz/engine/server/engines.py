"""The engines of a hub: what they tell goes into the runs, and what runs need is given to them. Imports no torch."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foam_viz.engine import store
from foam_viz.engine.server import news
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.engine.server.placement import Placement
from foam_viz.engine.server.pool import EnginePool
from foam_viz.engine.server.recovery import Recovery
from foam_viz.engine.wire.commands import MarkShared
from foam_viz.settings import Settings

_MISREAD = 3

_log = logging.getLogger(__name__)


class Engines:
    """Starts the engines and keeps the hub's picture of every run up to date.

    Args:
        settings: Of the installation.
        runs: All runs of the hub by view id.
        on_tick: Called about twice a second, after the engines were looked after.
        server: Identity of the server, as it holds the data directory.

    Attributes:
        pool: The processes.
        placement: Gives runs to them.
        ready: Set when the first engine is warm.
    """

    def __init__(self, settings: Settings, runs: dict[str, LabRun], on_tick: Callable[[], None], server: str) -> None:
        self._settings, self._runs, self._on_tick = settings, runs, on_tick
        self.ready = threading.Event()
        self.pool = EnginePool(settings, self.on_message, self._on_lost, self._tick, server)
        self.placement = Placement(settings, self.pool, runs)
        self._recovery = Recovery(self.pool, self.placement, runs, self.end)

    def release(self, run: LabRun) -> None:
        """Lets an engine save a run and forget it."""
        self.placement.release(run)
        self._recovery.note(run.engine, None, 0.0)

    def end(self, run: LabRun, message: str, advice: str = "") -> None:
        """No engine holds the run any more; called under its lock."""
        news.ended(run, message, self._directory(run), advice)

    def _tick(self) -> None:
        self._recovery.free_held_up()
        self.placement.open_awaited()
        self._on_tick()
        self.placement.admit_waiting()

    def _on_lost(self, engine: int, crashes: int, why: str) -> None:
        self._recovery.on_lost(engine, crashes, why)

    def on_message(self, engine: int, header: dict[str, Any], tables: dict[str, Any]) -> None:
        """Hears a message of an engine."""
        kind = header.pop("type")
        if kind == "hello":
            self.placement.devices = [tuple(device) for device in header["devices"]]
            self.ready.set()
            return
        if kind == "alive":
            self._recovery.note(engine, header["view_id"], header["seconds"])
            return
        run = self._runs.get(header.get("view_id", ""))
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
                self.placement.move(run)
        elif kind == "problem":
            run.say(header["message"])
        elif kind == "ended":
            self.end(run, header["message"])
        elif kind == "dropped":
            self._recovery.on_dropped(run)

    def _on_misread(self, run: LabRun) -> None:
        """Rows may be missing now: the engine begins again from what is saved. The page says it."""
        run.misread += 1
        if run.misread > _MISREAD:
            advice = "Start tries again; Reset begins anew."
            self.end(run, "Messages of the training process cannot be read.", advice)
            return
        run.say("A message of the training process could not be read; the run was opened again.")
        self.placement.take_over(run)

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
                self.placement.tell(run, MarkShared())

    def _directory(self, run: LabRun) -> Path:
        return store.run_directory(self._settings.data_directory, run.view_id)
