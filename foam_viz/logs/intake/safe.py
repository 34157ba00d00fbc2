"""Reading logs that strangers made, in a worker process under limits of time, memory and unpacked size.

A worker that is stopped or dies costs the one run it was reading: the next worker goes on behind it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from foam_viz.logs.core.reader import Options, Problem, Reading
from foam_viz.logs.core.reading import distinct
from foam_viz.logs.core.same_run import united
from foam_viz.logs.intake.files import absolute, signature
from foam_viz.logs.intake.limits import MEBIBYTE, Limits
from foam_viz.logs.intake.worker import FILES, JOURNAL, PLAN, bundle_name, journal
from foam_viz.trace import BundleError, Trace
from foam_viz.trace.disk import bundle

__all__ = ["read", "signature"]

_WORKER = "foam_viz.logs.intake.worker"
_POLL_SECONDS = 0.05
_START_SECONDS = 30.0
_LISTED = 10


def read(
    paths: Sequence[str | os.PathLike[str]],
    options: Options = Options(),  # noqa: B008 - frozen
    limits: Limits = Limits(),  # noqa: B008
    stop: Callable[[], bool] = lambda: False,
) -> Reading:
    """Read all runs in files, folders and archives; never raises for what is in them.

    Args:
        paths: As for :func:`foam_viz.logs.intake.files.gather`.
        options: What the user said about the files.
        limits: What the reading may take.
        stop: Asked many times a second; once it says True the reading ends at once, with nothing.

    Returns:
        The traces, in memory, and a problem for each thing that could not be read or passed a limit.
    """
    with tempfile.TemporaryDirectory(prefix="foam_viz_logs_", ignore_cleanup_errors=True) as folder:
        try:
            return _Supervisor([str(path) for path in absolute(paths)], options, limits, Path(folder), stop).run()
        except _StoppedError:
            return Reading()


class _StoppedError(Exception):
    """Nobody wants the reading any more."""


@dataclass
class _Supervisor:
    paths: list[str]
    options: Options
    limits: Limits
    folder: Path
    stop: Callable[[], bool]
    traces: dict[int, list[Trace]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    skip_archives: list[str] = field(default_factory=list)
    skip_readers: list[str] = field(default_factory=list)
    skip_runs: list[int] = field(default_factory=list)
    read_bytes: int = 0

    def run(self) -> Reading:
        deadline = time.monotonic() + self.limits.total_seconds
        attempt = 0
        while True:
            attempt += 1
            reason = self._work(attempt, deadline)
            if not reason:
                break
            if time.monotonic() >= deadline or not self._blame(reason):
                self._give_up(reason)
                break
        found, unclaimed = (
            [Problem(**entry) for entry in self._document(name).get("problems", ())] for name in (FILES, PLAN)
        )
        traces = [trace for number in sorted(self.traces) for trace in self.traces[number]]
        return Reading(distinct(united(traces)), [*found, *self.problems, *unclaimed])

    def _work(self, attempt: int, deadline: float) -> str:
        """Run one worker to its end; returns why it did not finish, empty when it did."""
        request = {
            "folder": str(self.folder),
            "attempt": attempt,
            "paths": self.paths,
            "options": asdict(self.options),
            "limits": asdict(self.limits),
            "skip_archives": self.skip_archives,
            "skip_readers": self.skip_readers,
            "skip_runs": self.skip_runs,
        }
        errors = self.folder / "errors.txt"
        with open(errors, "wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                env=_environment(),
            )
        assert process.stdin is not None
        try:
            try:
                process.stdin.write(json.dumps(request).encode())
                process.stdin.close()
            except OSError:
                pass  # it is dead already; its exit code tells
            # A busy machine may take seconds to start a process; that is no fault of the files.
            changed = time.monotonic() + _START_SECONDS
            while True:
                try:
                    code = process.wait(_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    code = None
                if self._collect():
                    changed = time.monotonic()
                if code is not None:
                    return "" if code == 0 else _death(code, errors, self.limits)
                if self.stop():
                    raise _StoppedError
                now = time.monotonic()
                if now > deadline:
                    return f"reading everything took more than {self.limits.total_seconds:g} s, so it was stopped"
                if now > changed + self.limits.seconds:
                    return f"took more than {self.limits.seconds:g} s, so it was stopped (log_seconds)"
        finally:
            process.kill()
            process.wait()

    def _collect(self) -> bool:
        """Take over the runs that the journal calls done; says whether it has grown."""
        size = self.read_bytes
        try:
            with open(self.folder / JOURNAL, "rb") as file:
                file.seek(size)
                self.read_bytes += file.read().rfind(b"\n") + 1
        except FileNotFoundError:
            return False
        if self.read_bytes == size:
            return False
        for entry in journal(self.folder, size):
            if "done" in entry:
                number = entry["done"]
                self.problems += [Problem(**problem) for problem in entry["problems"]]
                self.traces[number] = []
                for index in range(entry["traces"]):
                    self._take(number, index)
        return True

    def _take(self, number: int, index: int) -> None:
        place = self.folder / bundle_name(number, index)
        try:
            self.traces[number].append(bundle.read(place, size_limit=2 * self.limits.result_bytes))
        except (BundleError, OSError) as error:
            self.problems.append(Problem(self._run_name(number), "", f"was read and cannot be taken over: {error}"))

    def _blame(self, reason: str) -> bool:
        """Find what the worker was doing when it ended, and leave that out from now on; False if nothing is known."""
        entries = journal(self.folder)
        if not entries or "doing" not in entries[-1]:
            return False
        doing, what = entries[-1]["doing"], entries[-1]["what"]
        if doing == "unpack" and what not in self.skip_archives:
            self.skip_archives.append(what)
            self.problems.append(Problem(what, "", f"unpacking it {reason}", "unpack it yourself and give the folder"))
        elif doing == "find" and what not in self.skip_readers:
            self.skip_readers.append(what)
            text = f"recognising files of format {what} {reason}; no such files are read"
            self.problems.append(Problem("all files", "", text, "give fewer files at a time"))
        elif doing == "read" and entries[-1]["run"] not in self.skip_runs:
            number = entries[-1]["run"]
            self.skip_runs.append(number)
            remedy = "give a shorter log, or raise the limit if you trust the file"
            self.problems.append(Problem(self._run_name(number), "", f"reading it {reason}", remedy))
        else:
            return False
        return True

    def _give_up(self, reason: str) -> None:
        plan = self._document(PLAN).get("runs", [])
        left = [self._run_name(n) for n in range(len(plan)) if n not in self.traces and n not in self.skip_runs]
        names = ", ".join(left[:_LISTED]) + (f" and {len(left) - _LISTED:,} more" if len(left) > _LISTED else "")
        remedy = "give fewer files at a time"
        self.problems.append(Problem(names or ", ".join(self.paths[:_LISTED]), "", f"not read: {reason}", remedy))

    def _run_name(self, number: int) -> str:
        """The first file of a run of the plan."""
        return self._document(FILES)["files"][self._document(PLAN)["runs"][number][1][0]][0]

    def _document(self, name: str) -> dict[str, Any]:
        place = self.folder / name
        return json.loads(place.read_bytes()) if place.exists() else {}


def _death(code: int, errors: Path, limits: Limits) -> str:
    memory = f"the limit is {limits.memory_bytes // MEBIBYTE:,} MiB, log_memory_mb"
    if code == -getattr(signal, "SIGKILL", 9):
        return f"made the system stop the process, most likely for its memory ({memory})"
    if code == -getattr(signal, "SIGXCPU", 24):
        return f"took more than {limits.total_seconds:g} s of computing, so it was stopped"
    lines = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = lines[-1][:300] if lines else ""
    if "bad_alloc" in last or "MemoryError" in last or "Cannot allocate" in last:
        return f"took more memory than allowed ({memory})"
    return f"crashed the process (exit code {code}{': ' + last if last else ''})"


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[3])
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        "PYTHONSAFEPATH": "1",  # modules of the folder the server happens to stand in are not ours
        # Each thread takes memory of its own, and the many small files of an upload give them nothing to do.
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",  # its other allocators reserve a gibibyte at once
    }
