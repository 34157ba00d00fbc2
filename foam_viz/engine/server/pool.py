"""The engine processes of a server: started, heard, kept alive. Imports no torch.

An engine is a plain child process that connects back over the loopback address. The key it must show travels
through its standard input, never through its arguments or a log.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from foam_viz.engine import children
from foam_viz.engine.wire import protocol
from foam_viz.settings import Settings

_MAXIMUM_CALLERS = 32
_CRASH_SECONDS, _MANY_CRASHES = 60.0, 3
_TEND_SECONDS = 0.5
# What an engine may take to import torch and to train a first step, on a machine that is busy.
_START_SECONDS = 180.0
# How long the reader of a dead engine may take over what it had sent: those rows are worth waiting for.
_LAST_WORDS_SECONDS = 3.0
_RETRY_SECONDS = 1.0
_END_SECONDS = 20.0

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Engine:
    """One engine process and the connection to it; commands wait in ``outgoing`` until it has connected.

    Attributes:
        silent: Seconds since it was heard, as the pool's own thread counts them: a server that was held up itself
            must not take its engines for dead.
        why: What ended it, in words; empty while it lives.
        died: When its process was first seen dead.
        start_after: Time before which its process is not started.
    """

    index: int
    identity: bytes = field(default_factory=lambda: os.urandom(16))
    key: bytes = field(default_factory=lambda: os.urandom(32))
    outgoing: queue.SimpleQueue[dict[str, Any] | None] = field(default_factory=queue.SimpleQueue)
    process: subprocess.Popen[bytes] | None = None
    connection: Connection | None = None
    silent: float = 0.0
    why: str = ""
    died: float | None = None
    start_after: float = 0.0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def talk(self, connection: Connection) -> None:
        """Sends what waits and what comes, in a thread of its own: nobody else ever waits for an engine to listen."""
        with suppress(OSError, ValueError):  # its reader notices the loss, and another engine takes its place
            while (command := self.outgoing.get()) is not None:
                protocol.send(connection, command)
        _hang_up(connection)


class EnginePool:
    """Starts ``settings.engine_count`` engines and puts another in the place of each that dies or falls silent.

    Args:
        settings: Passed on to the engines.
        on_message: Called with (engine, header, tables) of every message, from the reader thread of its engine. What
            it raises is logged, and the next message is read.
        on_lost: Called with (engine, crashes within a minute, why) after an engine was lost; what is sent to that
            engine from then on is for the process in its place.
        on_tick: Called about twice a second.
        server: Identity of the server: engines begin to write a run only while it holds the data directory. Empty
            where nobody holds one.
    """

    def __init__(
        self,
        settings: Settings,
        on_message: Callable[[int, dict[str, Any], dict[str, Any]], None],
        on_lost: Callable[[int, int, str], None],
        on_tick: Callable[[], None],
        server: str = "",
    ) -> None:
        self._settings, self._server = settings, server
        self._on_message, self._on_lost, self._on_tick = on_message, on_lost, on_tick
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._crashes: dict[int, list[float]] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_MAXIMUM_CALLERS)
        self._callers: deque[socket.socket] = deque()
        self._leaving: list[tuple[_Engine, float]] = []
        self._next = settings.engine_count
        self._engines = {index: _Engine(index) for index in range(settings.engine_count)}
        for engine in self._engines.values():
            self._start(engine)
        threading.Thread(target=self._accept, daemon=True, name="engines-accept").start()
        threading.Thread(target=self._tend, daemon=True, name="engines-tend").start()

    def __len__(self) -> int:
        """Engines that runs share."""
        return self._settings.engine_count

    @property
    def own(self) -> int:
        """Engines that were added for a run each."""
        return len(self._engines) - len(self)

    @property
    def port(self) -> int:
        """The port on which engines call back."""
        return self._listener.getsockname()[1]

    def processes(self) -> list[int]:
        """Process ids, in order."""
        return [engine.process.pid for engine in list(self._engines.values()) if engine.process is not None]

    def send(self, index: int, command: dict[str, Any]) -> None:
        """Sends a command to an engine, now or when it has connected; returns at once."""
        if (engine := self._engines.get(index)) is not None:
            engine.outgoing.put(command)

    def add(self) -> int:
        """Starts another engine and returns its index."""
        with self._lock:
            index, self._next = self._next, self._next + 1
            engine = self._engines[index] = _Engine(index)
        self._start(engine)
        return index

    def remove(self, index: int) -> None:
        """Ends an engine that was added, when it has carried out what it was sent."""
        with self._lock:
            engine = self._engines.pop(index)
            self._crashes.pop(index, None)
            self._leaving.append((engine, time.monotonic() + _END_SECONDS))
        engine.outgoing.put(None)
        if engine.connection is None and engine.process is not None:
            engine.process.terminate()

    def leaves(self, index: int) -> bool:
        """True while an engine that was removed still writes what is left."""
        with self._lock:
            return any(engine.index == index for engine, _ in self._leaving)

    def end(self, index: int, why: str) -> None:
        """Kills the process of an engine, so that another takes its place."""
        if (engine := self._engines.get(index)) is not None:
            self._kill(engine, why)

    def _kill(self, engine: _Engine, why: str) -> None:
        engine.why = engine.why or why
        if engine.alive and engine.process is not None:
            with suppress(OSError):
                engine.process.kill()

    # --- starting

    def _start(self, engine: _Engine) -> None:
        """Starts the process of an engine; where the system cannot now, it is tried again a moment later."""
        with self._lock:
            if self._closing.is_set() or engine.process is not None or time.monotonic() < engine.start_after:
                return
            try:
                engine.process = self._spawn(engine)
            except (OSError, ValueError) as error:
                _log.warning("engine %d could not be started: %s", engine.index, error)
                engine.start_after = time.monotonic() + _RETRY_SECONDS

    def _spawn(self, engine: _Engine) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "foam_viz.engine.worker.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=children.environment(),
            creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
        )
        start = {
            "port": self.port,
            "identity": engine.identity.hex(),
            "key": engine.key.hex(),
            "server": self._server,
            # Engines do not open logs, and a path is not valid JSON.
            "settings": {
                **asdict(self._settings),
                "data_directory": str(self._settings.data_directory),
                "log_folders": (),
            },
        }
        assert process.stdin is not None  # a pipe
        with suppress(OSError):  # it died at once: _tend starts another
            process.stdin.write(json.dumps(start).encode() + b"\n")
            process.stdin.close()
        return process

    # --- hearing

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                link, _ = self._listener.accept()
            except OSError as error:  # too many open files, perhaps: it passes, and engines must get in again then
                if not self._closing.is_set():
                    _log.warning("a caller could not be accepted: %s", error)
                self._closing.wait(_TEND_SECONDS)
                continue
            # A caller is heard in a thread of its own: a silent stranger must not keep an engine waiting. Of too many
            # the oldest goes: an engine says all it has to say at once.
            with self._lock:
                self._callers.append(link)
                crowd = [self._callers.popleft() for _ in range(len(self._callers) - _MAXIMUM_CALLERS)]
            for oldest in crowd:
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
            try:
                threading.Thread(target=self._hear, args=(link,), daemon=True).start()
            except RuntimeError as error:
                _log.warning("a caller could not be heard: %s", error)
                self._leave(link)
                link.close()

    def _leave(self, link: socket.socket) -> None:
        with self._lock, suppress(ValueError):
            self._callers.remove(link)

    def _hear(self, link: socket.socket) -> None:
        try:
            expected = {e.identity: e.key for e in list(self._engines.values()) if e.connection is None}
            identity, connection = protocol.welcome(link, expected)
        except OSError:
            return
        finally:
            self._leave(link)
        with self._lock:
            found = (e for e in self._engines.values() if e.identity == identity and e.connection is None)
            engine = next(found, None)
            if engine is not None:
                engine.connection = connection
        if engine is None:
            connection.close()
            return
        try:
            engine.silent = 0.0
            threading.Thread(target=engine.talk, args=(connection,), daemon=True).start()
            self._read(engine, connection)
        except Exception as error:  # whatever ended the reading, an engine that nobody hears is of no use
            if not isinstance(error, OSError | EOFError):
                _log.exception("engine %d cannot be understood", engine.index)
        finally:
            self._replace(engine)

    def _read(self, engine: _Engine, connection: Connection) -> None:
        while True:
            header, tables = protocol.receive(connection)
            engine.silent = 0.0
            if self._engines.get(engine.index) is not engine:
                continue  # it leaves, and another may have its place
            try:
                self._on_message(engine.index, header, tables)
            except Exception:
                _log.exception("a message of engine %d was skipped", engine.index)

    # --- looking after

    def _tend(self) -> None:
        before = time.monotonic()
        while not self._closing.wait(_TEND_SECONDS):
            now = time.monotonic()
            passed, before = min(now - before, 2 * _TEND_SECONDS), now
            for engine in list(self._engines.values()):
                self._safely(self._look, engine, now, passed)
            self._safely(self._on_tick)
            self._safely(self._see_off, now)

    @staticmethod
    def _safely(look: Callable[..., None], *arguments: Any) -> None:
        try:
            look(*arguments)
        except Exception:  # one thing that fails must not leave all engines alone
            _log.exception("looking after the engines")

    def _look(self, engine: _Engine, now: float, passed: float) -> None:
        if engine.process is None:
            self._start(engine)
            return
        if not engine.alive:
            engine.died = engine.died or now
            if engine.connection is None or now - engine.died > _LAST_WORDS_SECONDS:
                self._replace(engine)
            return
        engine.silent += passed
        limit = _START_SECONDS if engine.connection is None else self._settings.silent_seconds
        if engine.silent > limit:
            self._kill(engine, f"was silent for {limit:g} s")

    def _see_off(self, now: float) -> None:
        """Waits for engines that leave, and ends those that do not."""
        for engine, deadline in list(self._leaving):
            if engine.alive and now > deadline:
                self._kill(engine, "")
            if not engine.alive:
                self._leaving.remove((engine, deadline))

    def _replace(self, dead: _Engine) -> None:
        with self._lock:
            if self._closing.is_set() or self._engines.get(dead.index) is not dead:
                return
            now = time.monotonic()
            recent = [t for t in self._crashes.get(dead.index, []) if now - t < _CRASH_SECONDS]
            self._crashes[dead.index] = [*recent, now]
            self._kill(dead, "stopped unexpectedly")
            fresh = self._engines[dead.index] = _Engine(dead.index)
            if len(recent) + 1 >= _MANY_CRASHES:
                fresh.start_after = now + 2 * _RETRY_SECONDS * len(recent)
        dead.outgoing.put(None)
        if dead.process is not None:
            dead.process.wait()
        self._on_lost(dead.index, len(recent) + 1, dead.why)
        self._start(fresh)

    def close(self) -> None:
        """Hangs up; the engines save what is left and end."""
        self._closing.set()
        self._listener.close()
        with self._lock:
            engines = [*self._engines.values(), *(engine for engine, _ in self._leaving)]
        for engine in engines:
            engine.outgoing.put(None)
            if engine.connection is not None:
                _hang_up(engine.connection)
        for engine in engines:
            if engine.process is None:
                continue
            if engine.connection is None:
                engine.process.terminate()
            try:
                engine.process.wait(5)
            except subprocess.TimeoutExpired:
                engine.process.kill()
                engine.process.wait()


def _hang_up(connection: Connection) -> None:
    """Ends both directions at once: closing alone would not wake the thread that reads."""
    if os.name == "nt":
        connection.close()
        return
    with suppress(OSError, ValueError), socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.shutdown(socket.SHUT_RDWR)
