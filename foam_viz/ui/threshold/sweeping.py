"""Sweeps that pages start: a process each, which trains runs into a folder of the browser that asked."""

from __future__ import annotations

import atexit
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foam_viz.engine import children, store
from foam_viz.engine.sweep import results, spec
from foam_viz.engine.sweep.runner import RECORD, STOP
from foam_viz.experiment import config, cost
from foam_viz.optim.fields import FieldError
from foam_viz.settings import Settings
from foam_viz.tasks import catalogue as tasks

MOST_RUNS = 200
"""Of a sweep that a page starts; the command line allows more."""
_MOST_SWEEPS = 20
"""That one browser keeps."""
_SPEC, _LOG, _RUNS = "sweep.yaml", "log.txt", "runs"
_lock = threading.Lock()
_processes: dict[Path, subprocess.Popen[bytes]] = {}


def _end_all() -> None:
    """With the server; what finished stays, and can be resumed."""
    for process in _processes.values():
        if process.poll() is None:
            process.terminate()


atexit.register(_end_all)


class SweepRefused(ValueError):
    """A sweep that is not started; the message says why and what to do."""


@dataclass(frozen=True)
class PageSweep:
    """A sweep of a browser.

    Attributes:
        folder: Where it lies.
    """

    folder: Path

    @property
    def name(self) -> str:
        """When it was started."""
        return self.folder.name

    @property
    def text(self) -> str:
        """Its specification."""
        return (self.folder / _SPEC).read_text(encoding="utf-8", errors="replace")

    @property
    def trains(self) -> bool:
        """Whether its process runs."""
        process = _processes.get(self.folder)
        return process is not None and process.poll() is None

    def rows(self) -> list[dict[str, Any]]:
        """One row a run, as far as they are; empty until the first word of the process."""
        try:
            return results.read(self.folder / _RUNS) if (self.folder / _RUNS / RECORD).exists() else []
        except FieldError:
            return []

    def counts(self) -> Counter[str]:
        """Runs by status, without reading them."""
        record = store.read_json(self.folder / _RUNS / RECORD) or {}
        return Counter(entry.get("status", "waiting") for entry in record.get("runs", ()))

    def problem(self) -> str:
        """What the process said last, where it ended without a word on its runs."""
        process = _processes.get(self.folder)
        failed = process is not None and process.poll() not in (None, 0, 1, 130)
        if not failed:
            return ""
        try:
            lines = (self.folder / _LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return (lines[-1][:500] if lines else "its process ended") + ". Resume it: runs that finished stay."

    def stop(self) -> None:
        """End it soon; what finished stays."""
        try:
            (self.folder / _RUNS / STOP).touch()
        except OSError:  # the folder is gone, or cannot be written to
            process = _processes.get(self.folder)
            if process is not None and process.poll() is None:
                process.terminate()

    def start(self) -> None:
        """Train what is not there yet.

        Raises:
            SweepRefused: Another sweep trains on this server.
        """
        with _lock:
            if any(process.poll() is None for process in _processes.values()):
                raise SweepRefused("Another sweep trains on this server. Start this one when it has ended.")
            command = [sys.executable, "-m", "foam_viz", "sweep", str(self.folder / _SPEC)]
            with (self.folder / _LOG).open("ab") as log:
                _processes[self.folder] = subprocess.Popen(
                    [*command, "--out", str(self.folder / _RUNS), "--resume"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=children.environment(),
                )  # fmt: skip

    def delete(self) -> None:
        """Delete it with all of its runs."""
        process = _processes.pop(self.folder, None)
        if process is not None and process.poll() is None:
            process.terminate()
            process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def known(settings: Settings, owner: str) -> list[PageSweep]:
    """The sweeps of a browser, the newest first."""
    home = settings.data_directory / "sweeps" / owner
    try:
        return [PageSweep(path) for path in sorted(home.iterdir(), reverse=True) if (path / _SPEC).exists()]
    except OSError:
        return []


def begin(settings: Settings, owner: str, text: str) -> PageSweep:
    """Check a specification as a whole and start it.

    Raises:
        FieldError: A key or value is refused; the message names it.
        SweepRefused: There are too many runs or sweeps, or one trains.
        OSError: Nothing can be written.
    """
    if not re.fullmatch("[0-9a-f]{32}", owner):
        raise SweepRefused("This browser is not known yet. Try again in a moment.")
    mine = known(settings, owner)
    if len(mine) >= _MOST_SWEEPS:
        raise SweepRefused(f"This browser keeps {len(mine)} sweeps, as many as there may be. Delete one first.")
    folder = settings.data_directory / "sweeps" / owner / f"{datetime.now(UTC):%Y-%m-%d %H-%M-%S}"
    folder.mkdir(parents=True)
    try:
        (folder / _SPEC).write_text(text, encoding="utf-8")
        _require(spec.read(folder / _SPEC), settings)
        made = PageSweep(folder)
        made.start()
    except (FieldError, SweepRefused):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return made


def _require(sweep: spec.Sweep, settings: Settings) -> None:
    if len(sweep.runs) > MOST_RUNS:
        raise SweepRefused(
            f"{len(sweep.runs):,} runs: a page starts sweeps of at most {MOST_RUNS}. Sweep fewer values at a time, or "
            "use the command line: foam_viz sweep"
        )
    for run in sweep.runs:
        refused = tasks.find(run.config["task"]).foreign(run.config["task_settings"])[1]
        if refused:
            raise refused[0]
        experiment, errors = config.from_manifest(run.config)
        errors = [*errors, *cost.review(experiment, settings)]
        if errors:
            raise errors[0]
