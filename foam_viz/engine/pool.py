"""The engine processes of a server: started, heard, kept alive. Imports no torch.

An engine is a plain child process that connects back over the loopback address. The key it must show travels
through its standard input, never through its arguments or a log.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from foam_viz.engine import protocol
from foam_viz.settings import Settings

_MAXIMUM_CALLERS = 32
_CRASH_SECONDS = 60.0
_TEND_SECONDS = 0.5


@dataclass
class _Engine:
    """One engine process and the connection to it; commands wait until it has connected."""

    index: int
    identity: bytes
    key: bytes
    process: subprocess.Popen[bytes]
    connection: Connection | None = None
    waiting: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def connected(self, connection: Connection) -> None:
        with self.lock:
            self.connection = connection
            for command in self.waiting:
                protocol.send(connection, command)
            self.waiting = []

    def send(self, command: dict[str, Any]) -> None:
        with self.lock:
            if self.connection is None:
                self.waiting.append(command)
                return
            with suppress(OSError):  # its reader notices the loss, and another engine takes its place
                protocol.send(self.connection, command)


class EnginePool:
    """Starts ``settings.engine_count`` engines and puts another in the place of each that dies.

    Args:
        settings: Passed on to the engines.
        on_message: Called with (header, tables) of every message, from the reader thread of its engine.
        on_replaced: Called with (index, crashes within a minute) after an engine died and another was started.
        on_tick: Called about twice a second.
    """

    def __init__(
        self,
        settings: Settings,
        on_message: Callable[[dict[str, Any], dict[str, Any]], None],
        on_replaced: Callable[[int, int], None],
        on_tick: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._on_message, self._on_replaced, self._on_tick = on_message, on_replaced, on_tick
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._crashes: dict[int, list[float]] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_MAXIMUM_CALLERS)
        self._callers = threading.BoundedSemaphore(_MAXIMUM_CALLERS)
        self._engines = [self._spawn(index) for index in range(settings.engine_count)]
        threading.Thread(target=self._accept, daemon=True, name="engines-accept").start()
        threading.Thread(target=self._tend, daemon=True, name="engines-tend").start()

    def __len__(self) -> int:
        return len(self._engines)

    @property
    def port(self) -> int:
        """The port on which engines call back."""
        return self._listener.getsockname()[1]

    def processes(self) -> list[int]:
        """Process ids, in order."""
        return [engine.process.pid for engine in self._engines]

    def send(self, index: int, command: dict[str, Any]) -> None:
        """Sends a command to an engine, now or when it has connected."""
        self._engines[index].send(command)

    def _spawn(self, index: int) -> _Engine:
        root = str(Path(__file__).resolve().parents[2])
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "foam_viz.engine.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment,
            creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
        )
        engine = _Engine(index, os.urandom(16), os.urandom(32), process)
        start = {
            "port": self.port,
            "identity": engine.identity.hex(),
            "key": engine.key.hex(),
            # Engines open no logs, and a path is no JSON.
            "settings": {
                **asdict(self._settings),
                "data_directory": str(self._settings.data_directory),
                "log_folders": (),
            },
        }
        with suppress(OSError):  # it died at once: _tend starts another
            process.stdin.write(json.dumps(start).encode() + b"\n")
            process.stdin.close()
        return engine

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            # A caller is heard in a thread of its own: a silent stranger must not keep an engine waiting.
            if not self._callers.acquire(blocking=False):
                link.close()
                continue
            threading.Thread(target=self._hear, args=(link,), daemon=True).start()

    def _hear(self, link: socket.socket) -> None:
        try:
            expected = {e.identity: e.key for e in self._engines if e.connection is None}
            identity, connection = protocol.welcome(link, expected)
        except OSError:
            return
        finally:
            self._callers.release()
        engine = next((e for e in self._engines if e.identity == identity and e.connection is None), None)
        if engine is None:
            connection.close()
            return
        try:
            engine.connected(connection)
            while True:
                self._on_message(*protocol.receive(connection))
        except (OSError, EOFError, ValueError):
            self._replace(engine)

    def _tend(self) -> None:
        while not self._closing.wait(_TEND_SECONDS):
            for engine in list(self._engines):
                if engine.process.poll() is not None:
                    self._replace(engine)
            self._on_tick()

    def _replace(self, dead: _Engine) -> None:
        with self._lock:
            if self._closing.is_set() or self._engines[dead.index] is not dead:
                return
            if dead.process.poll() is None:
                dead.process.kill()
            dead.process.wait()
            now = time.monotonic()
            recent = [t for t in self._crashes.get(dead.index, []) if now - t < _CRASH_SECONDS]
            self._crashes[dead.index] = [*recent, now]
            self._engines[dead.index] = self._spawn(dead.index)
        self._on_replaced(dead.index, len(recent) + 1)

    def close(self) -> None:
        """Hangs up; the engines save what is left and end."""
        self._closing.set()
        self._listener.close()
        for engine in self._engines:
            with engine.lock:
                if engine.connection is not None:
                    _hang_up(engine.connection)
        for engine in self._engines:
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
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.shutdown(socket.SHUT_RDWR)
