"""How a page asks a replay engine: every question is answered by a future. Imports no torch."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa

from foam_viz.analysis.replay import Grid, Replay, Summary
from foam_viz.analysis.replay_setting import NoReplay, Setting
from foam_viz.engine import children
from foam_viz.engine.replay import commands
from foam_viz.engine.replay.commands import Calibrate, Command, Prepare, RunSetting, Stop, Summarize
from foam_viz.engine.wire import protocol
from foam_viz.recording.stream import Spacing


class Superseded(Exception):
    """A newer setting of the same run was asked for before this one was computed."""


class EngineLost(ConnectionError):
    """The replay engine ended; the next question starts another.

    Attributes:
        engine: Number of the engine: what was asked of one engine is lost together.
    """

    def __init__(self, engine: int) -> None:
        super().__init__("the replay engine ended; ask again, or choose a smaller run")
        self.engine = engine


@dataclass
class Preparation:
    """How far a run is, and what it can be asked once it is ready.

    Attributes:
        path: The run bundle.
        share: What is done, 0 to 1.
        words: What is being done.
        ready: Resolved when it is ready, with itself; or failed, with what a page may show.
        own: The setting a move begins from.
        grid: Which settings the stream can answer for.
        notes: What a reader should know.
        askers: Who waits for it.
    """

    path: str
    share: float = 0.0
    words: str = "waiting for the replay engine"
    ready: Future[Preparation] = field(default_factory=Future)
    own: Setting | None = None
    grid: Grid | None = None
    notes: tuple[str, ...] = ()
    askers: set[str] = field(default_factory=set)


class ReplayClient:
    """Starts the engine when it is first asked, and again after it was lost. One serves all pages of a server.

    Every method returns at once. Futures fail with ``NoReplay`` (its reason and remedy can be shown), ``Superseded``,
    ``EngineLost`` or ``CancelledError`` (stopped).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._outgoing: Connection | None = None
        self._number = self._engine = 0
        self._asked: dict[int, tuple[Command, Future[Any]]] = {}
        self._preparations: dict[str, Preparation] = {}

    def prepare(self, path: str | os.PathLike[str], asker: str = "") -> Preparation:
        """Make a run ready; the same run is prepared once, whoever asks.

        Args:
            path: The run bundle.
            asker: Who asks: see ``leave``.
        """
        name = _absolute(path)
        with self._lock:
            known = self._preparations.get(name)
            if known is not None and not _failed(known.ready):
                known.askers.add(asker)
                return known
            preparation = self._preparations[name] = Preparation(name, askers={asker})
        self._ask(Prepare(name), preparation.ready)
        return preparation

    def leave(self, path: str | os.PathLike[str], asker: str = "") -> None:
        """Wait for a preparation no more; it is stopped where nobody else does."""
        with self._lock:
            known = self._preparations.get(_absolute(path))
            if known is None or known.ready.done() or asker not in known.askers:
                return
            known.askers.remove(asker)
            abandoned = not known.askers
        if abandoned:
            self.stop(path)

    def run(
        self, path: str | os.PathLike[str], setting: Setting | None = None, *, updates: bool = False, asker: str = ""
    ) -> Future[Replay]:
        """A ``Future`` of the ``Replay`` of a setting, the run's own where none is given.

        Args:
            path: The run bundle.
            setting: The setting.
            updates: Whether to measure the error of updates too.
            asker: Who asks: of the settings that wait, the newest of each asker counts.
        """
        return self._ask(RunSetting(_absolute(path), setting, updates, asker))

    def summaries(
        self, path: str | os.PathLike[str], settings: Sequence[Setting], *, error_every: int = 1
    ) -> Future[list[Summary]]:
        """The totals of many settings: a map, or the references of a front; see ``Plan.summaries``."""
        return self._ask(Summarize(_absolute(path), tuple(settings), error_every))

    def calibrate(self, path: str | os.PathLike[str]) -> Future[Mapping[str, Any]]:
        """What ``analysis.calibrate.Suggestion.to_json`` tells, with the spectrum's ``quantiles`` and ``smallest``."""
        return self._ask(Calibrate(_absolute(path)))

    def stop(self, path: str | os.PathLike[str]) -> None:
        """Stop preparing a run, or give back what it takes."""
        name = _absolute(path)
        with self._lock:
            self._preparations.pop(name, None)
        self._ask(Stop(name))

    def close(self) -> None:
        """End the engine."""
        with self._lock:
            process, self._process = self._process, None
            if self._outgoing is not None:
                self._outgoing.close()
                self._outgoing = None
        if process is not None:
            children.end(process, 5)

    def _ask(self, command: Command, future: Future[Any] | None = None) -> Future[Any]:
        future = future or Future()
        lost: list[Future[Any]] = []
        with self._lock:
            engine = self._engine
            outgoing = self._outgoing
            if self._process is None or self._process.poll() is not None or outgoing is None:
                lost = self._lose()
                outgoing = self._start()
            self._number += 1
            self._asked[self._number] = command, future
            try:
                protocol.send(outgoing, {"number": self._number, **commands.to_json(command)})
            except OSError:
                del self._asked[self._number]
                lost.append(future)
                engine = self._engine
        _fail(lost, engine)
        return future

    def _start(self) -> Connection:
        process, outgoing, incoming = children.start("foam_viz.engine.replay.process")
        self._process, self._outgoing = process, outgoing
        self._engine += 1
        threading.Thread(target=self._listen, args=(process, incoming), daemon=True, name="replay-listen").start()
        return outgoing

    def _listen(self, process: subprocess.Popen[bytes], incoming: Connection) -> None:
        with suppress(EOFError, OSError, ValueError):
            while True:
                self._take(*protocol.receive(incoming))
        incoming.close()
        process.wait()
        with self._lock:
            lost, engine = self._lose() if self._process in (process, None) else [], self._engine
        _fail(lost, engine)

    def _lose(self) -> list[Future[Any]]:
        """The questions of an engine that ended, which are forgotten; the next one prepares anew what it had ready."""
        lost, self._asked = [future for _, future in self._asked.values()], {}
        self._preparations = {k: p for k, p in self._preparations.items() if p.ready not in lost}
        return lost

    def _take(self, header: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> None:
        number, kind = header["number"], header["kind"]
        with self._lock:
            asked = self._asked.get(number) if kind == "progress" else self._asked.pop(number, None)
            preparation = None if asked is None else self._preparations.get(asked[0].path)
        if asked is None:
            return
        command, future = asked
        if kind == "progress":
            if preparation is not None:
                preparation.share, preparation.words = header["share"], header["words"]
        elif kind == "superseded":
            future.set_exception(Superseded())
        elif kind == "stopped":
            future.cancel()
        elif kind == "refused":
            future.set_exception(NoReplay(header["reason"], header["remedy"]))
        else:
            future.set_result(_result(command, header, tables, preparation))


def _fail(lost: Sequence[Future[Any]], engine: int) -> None:
    for future in lost:
        if not future.done():
            future.set_exception(EngineLost(engine))


def _failed(future: Future[Any]) -> bool:
    return future.cancelled() or (future.done() and future.exception(0) is not None)


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.fspath(Path(path).absolute())


def _result(
    command: Command, header: Mapping[str, Any], tables: Mapping[str, pa.Table], preparation: Preparation | None
) -> Any:
    if isinstance(command, Prepare):
        own = Setting.from_json(header["own"])
        preparation = preparation or Preparation(command.path)
        preparation.own, preparation.notes = own, tuple(header["notes"])
        spacing = Spacing(header["every"], header["stride"], header["first"])
        preparation.grid = Grid(spacing, header["first"], header["last"], own if header["known"] else None)
        preparation.share, preparation.words = 1.0, "ready"
        return preparation
    if isinstance(command, RunSetting):
        return Replay(
            setting=Setting.from_json(header["setting"]),
            exact=header["exact"],
            table=tables["table"],
            course=tables["course"],
            factors=tuple(header["factors"]),
            near_ties=header["near_ties"],
            kernel_seconds=header["kernel_seconds"],
            updates=tuple(header["updates"]),
            notes=tuple(header["notes"]),
        )
    if isinstance(command, Summarize):
        return [Summary.from_json(one) for one in header["summaries"]]
    if isinstance(command, Calibrate):
        return {**header["suggestion"], "quantiles": header["quantiles"], "smallest": header["smallest"]}
    return None
