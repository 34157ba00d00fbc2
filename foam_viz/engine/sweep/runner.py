"""Trains the runs of a sweep, some at a time, by local processes or by a Dask cluster. Imports no torch."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foam_viz.engine import store
from foam_viz.engine.sweep import worker
from foam_viz.engine.sweep.spec import Sweep, SweepRun
from foam_viz.trace.disk import bundle
from foam_viz.trace.disk.bundle import BundleError

RECORD = "sweep.json"
STOP = "stop"
_ATTEMPTS = 2
_DASK_SECONDS = 10
_ADDRESS = re.compile(r"(?:[a-z]+://)?(?:[^\s:/\[\]]+|\[[0-9A-Fa-f:]+\]):\d{1,5}/?")


class SchedulerError(ConnectionError):
    """A Dask scheduler that cannot be used; the message says what to do."""


@dataclass
class Outcome:
    """What became of one run.

    Attributes:
        name: Its folder.
        status: ``waiting``, ``training``, ``finished``, ``diverged``, ``failed`` or ``stopped``.
        message: Why it failed.
        seconds: It took.
        kept: Whether it was there from before.
    """

    name: str
    status: str = "waiting"
    message: str = ""
    seconds: float = 0.0
    kept: bool = False

    @property
    def done(self) -> bool:
        """Whether it needs no training any more."""
        return self.status in ("finished", "diverged")


@dataclass
class Workers:
    """Where runs are trained.

    Attributes:
        count: How many at a time.
        open: Makes an executor; called again after one broke.
        words: Where, in words.
    """

    count: int
    open: Callable[[], Executor]
    words: str
    close: Callable[[], None] = field(default=lambda: None)


def local_workers(count: int | None = None) -> Workers:
    """Processes of this machine, started anew: one that is forked would inherit torch's threads."""
    count = count or max((os.cpu_count() or 2) - 1, 1)
    context = multiprocessing.get_context("spawn")
    return Workers(count, lambda: ProcessPoolExecutor(count, mp_context=context), f"{count} processes of this machine")


def dask_workers(address: str) -> Workers:
    """The workers of an existing Dask cluster.

    Args:
        address: Of its scheduler, ``tcp://host:8786``. Its workers must have this program, and see the same folder.

    Raises:
        SchedulerError: Dask is not installed, the scheduler does not answer, or it has no workers.
    """
    if not _ADDRESS.fullmatch(address):  # a client of such an address tries for long, and complains at its end
        raise SchedulerError(
            f"scheduler = {address}: must be the address of a Dask scheduler, tcp://HOST:PORT, such as "
            "tcp://127.0.0.1:8786. Correct it, or unset FOAM_VIZ_SCHEDULER to train with processes of this machine"
        )
    try:
        from distributed import Client
    except ImportError:
        raise SchedulerError(
            f"scheduler = {address}: dask.distributed is not installed here. Install it (pip install distributed), or "
            "unset FOAM_VIZ_SCHEDULER to train with processes of this machine"
        ) from None
    try:
        client, count = _within(_DASK_SECONDS + 1, lambda: _reached(Client, address))
    except (OSError, ValueError, TypeError, TimeoutError) as error:
        raise SchedulerError(
            f"scheduler = {address}: no Dask scheduler answers there within {_DASK_SECONDS} s ({error}). Start it, "
            "correct the address, or unset FOAM_VIZ_SCHEDULER to train with processes of this machine"
        ) from error
    if not count:
        client.close()
        raise SchedulerError(f"scheduler = {address}: it has no workers. Start some: dask worker {address}")
    return Workers(
        count, lambda: client.get_executor(pure=False, retries=1), f"{count} Dask workers at {address}", client.close
    )


def _reached(client_class: Callable[..., Any], address: str) -> tuple[Any, int]:
    """A client of a scheduler, and how many threads its workers have."""
    client = client_class(address, timeout=_DASK_SECONDS, set_as_default=False)
    return client, sum(client.nthreads().values())


def _within(seconds: float, work: Callable[[], Any]) -> Any:
    """What some work returns, or raises: a client waits for ever for a scheduler that accepts and says nothing.

    Raises:
        TimeoutError: It takes longer. The work goes on in a thread that does not keep the process alive.
    """
    future: Future[Any] = Future()

    def carry_out() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 (raised where it is waited for)
            future.set_exception(error)

    threading.Thread(target=carry_out, daemon=True, name="dask-client").start()
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            raise
        raise TimeoutError("it accepts connections and says nothing") from None


def workers_of(scheduler: str, count: int | None = None) -> Workers:
    """Those of the scheduler that an installation names; of this machine where it names none.

    Raises:
        SchedulerError: The scheduler cannot be used.
    """
    return dask_workers(scheduler) if scheduler else local_workers(count)


class SweepRunner:
    """One sweep into one folder.

    Args:
        sweep: What to train.
        out: The folder; a bundle for each run appears in it.
        resume: Go on with a sweep that is there: runs that finished stay, others are trained.

    Attributes:
        outcomes: By name, in order; they change while it runs.

    Raises:
        FileExistsError: The folder holds something, and ``resume`` was not asked for.
    """

    def __init__(self, sweep: Sweep, out: str | Path, *, resume: bool = False) -> None:
        self.sweep, self.out = sweep, Path(out).absolute()
        if self.out.exists() and any(self.out.iterdir()) and not resume:
            raise FileExistsError(
                f"--out = {out}: must be a folder that is new or empty; or go on with the sweep there (--resume)"
            )
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / STOP).unlink(missing_ok=True)
        self.outcomes = {run.name: self._known(run) for run in sweep.runs}
        self._save()

    def _known(self, run: SweepRun) -> Outcome:
        if not bundle.is_bundle(self.out / run.name):
            return Outcome(run.name)
        try:
            status = bundle.read_manifest(self.out / run.name).status
        except BundleError:
            return Outcome(run.name)
        return Outcome(run.name, status, kept=True) if status in ("finished", "diverged") else Outcome(run.name)

    def stop(self) -> None:
        """Ends the sweep soon: nothing new begins, what trains is given up. ``resume`` goes on from there."""
        (self.out / STOP).touch()

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop."""
        return (self.out / STOP).exists()

    def run(self, workers: Workers, told: Callable[[SweepRunner], None] = lambda _: None) -> None:
        """Trains what is not there yet. One run that fails does not end the sweep.

        Args:
            workers: Where.
            told: Called after every change of the outcomes.
        """
        waiting = deque((run, 1) for run in self.sweep.runs if not self.outcomes[run.name].done)
        suspects: deque[tuple[SweepRun, int]] = deque()
        try:
            self._train(waiting, suspects, workers, workers.count, told)
            # A worker that died took the others of its pool along: one at a time shows which run it was.
            self._train(suspects, deque(), workers, 1, told)
        finally:
            if self.stopped:
                for outcome in self.outcomes.values():
                    if outcome.status in ("waiting", "training"):
                        outcome.status = "stopped"
            self._save()
            told(self)

    def _train(
        self,
        waiting: deque[tuple[SweepRun, int]],
        suspects: deque[tuple[SweepRun, int]],
        workers: Workers,
        count: int,
        told: Callable[[SweepRunner], None],
    ) -> None:
        while waiting and not self.stopped:
            with self._executor(workers) as executor:
                training: dict[Future[dict[str, Any]], tuple[SweepRun, int]] = {}
                broken = False
                while (waiting and not self.stopped and not broken) or training:
                    while waiting and len(training) < count and not self.stopped and not broken:
                        run, attempt = waiting.popleft()
                        arguments = (run.name, dict(run.config), str(self.out), self.sweep.stream, str(self.out / STOP))
                        try:
                            training[executor.submit(worker.train, *arguments)] = run, attempt
                        except (BrokenExecutor, RuntimeError):
                            waiting.appendleft((run, attempt))
                            broken = True
                            break
                        self.outcomes[run.name].status = "training"
                    told(self)
                    done, _ = wait(training, timeout=1.0, return_when=FIRST_COMPLETED)
                    for future in done:
                        run, attempt = training.pop(future)
                        broken |= self._ended(run, attempt, future, suspects)
                        self._save()

    def _ended(
        self, run: SweepRun, attempt: int, future: Future[dict[str, Any]], suspects: deque[tuple[SweepRun, int]]
    ) -> bool:
        """Takes down what became of a run; whether its executor broke."""
        outcome = self.outcomes[run.name]
        try:
            result = future.result()
        except (BrokenExecutor, CancelledError) as error:
            if attempt < _ATTEMPTS:
                outcome.status = "waiting"
                suspects.append((run, attempt + 1))
            else:
                outcome.status, outcome.message = "failed", f"its worker died twice while it trained ({_said(error)})"
            return isinstance(error, BrokenExecutor)
        except Exception as error:  # noqa: BLE001 (whatever a run dies of, the others go on)
            outcome.status, outcome.message = "failed", _said(error)
        else:
            outcome.status, outcome.seconds = result["status"], result["seconds"]
        return False

    @contextmanager
    def _executor(self, workers: Workers) -> Iterator[Executor]:
        executor = workers.open()
        try:
            yield executor
        finally:
            executor.shutdown(wait=True)

    def _save(self) -> None:
        runs = [{**vars(self.outcomes[run.name]), "config": run.config} for run in self.sweep.runs]
        store.write_json(self.out / RECORD, json.loads(json.dumps({"stream": self.sweep.stream, "runs": runs})))


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]
