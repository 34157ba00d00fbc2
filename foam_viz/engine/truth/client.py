"""How a page asks for the truth: runs are trained in the background, and tell what they did. Imports no torch."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import pyarrow as pa

from foam_viz.engine import children
from foam_viz.engine.wire import protocol
from foam_viz.trace import Trace
from foam_viz.trace import manifest as manifests


@dataclass(eq=False)
class Training:
    """One run that is trained, or waits for that.

    Attributes:
        config: Of the run, complete.
        told: Called, on a thread of the client, after everything that changes.
        trace: What was recorded so far; None until it began.
        status: ``waiting``, ``training``, ``finished``, ``diverged``, ``stopped`` or ``failed``.
        reason: Why it failed.
        error_left: Mean error that its setting left of its own factors; None until it ended.
        kernel_seconds: Projected seconds of decompositions, measures and rebuilds; None until it ended.
    """

    config: Mapping[str, Any]
    told: Callable[[], None]
    trace: Trace | None = None
    status: str = "waiting"
    reason: str = ""
    error_left: float | None = None
    kernel_seconds: float | None = None
    number: int = field(default=0)

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.status not in ("waiting", "training")


class TruthClient:
    """Starts the engine when it is first asked, and again after it was lost. One serves all pages of a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._outgoing: Connection | None = None
        self._number = 0
        self._asked: dict[int, Training] = {}

    def train(self, config: Mapping[str, Any], told: Callable[[], None]) -> Training:
        """Train a run after those that were asked for before; returns at once."""
        training = Training(config, told)
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            self._number += 1
            training.number = self._number
            self._asked[self._number] = training
            self._send({"number": self._number, "train": config}, training)
        return training

    def stop(self, training: Training) -> None:
        """Give a run up, wherever it is."""
        with self._lock:
            if not training.over and training.number in self._asked:
                self._send({"number": training.number, "stop": True}, training)

    def close(self) -> None:
        """End the engine."""
        with self._lock:
            process, self._process = self._process, None
            if self._outgoing is not None:
                self._outgoing.close()
                self._outgoing = None
        if process is not None:
            children.end(process, 2)

    def _send(self, message: Mapping[str, Any], training: Training) -> None:
        try:
            if self._outgoing is None:
                raise BrokenPipeError
            protocol.send(self._outgoing, message)
        except OSError:
            self._asked.pop(training.number, None)
            training.status, training.reason = "failed", "the process that trains in the background ended"

    def _start(self) -> None:
        process, outgoing, incoming = children.start("foam_viz.engine.truth.process")
        self._process, self._outgoing = process, outgoing
        threading.Thread(target=self._listen, args=(process, incoming), daemon=True, name="truth-listen").start()

    def _listen(self, process: subprocess.Popen[bytes], incoming: Connection) -> None:
        with suppress(EOFError, OSError, ValueError):
            while True:
                self._take(*protocol.receive(incoming))
        incoming.close()
        process.wait()
        with self._lock:
            lost = list(self._asked.values()) if self._process in (process, None) else []
            self._asked = {} if lost else self._asked
        for training in lost:
            training.status, training.reason = "failed", "the process that trains in the background ended"
            training.told()

    def _take(self, header: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> None:
        number, kind = header["number"], header["kind"]
        with self._lock:
            training = self._asked.get(number) if kind == "rows" else self._asked.pop(number, None)
        if training is None:
            return
        if kind == "rows":
            training.status = "training"
            if "manifest" in header:
                training.trace = Trace.empty(manifests.from_json(header["manifest"]))
            if tables and training.trace is not None:
                training.trace.extend(tables)
        elif kind == "done":
            training.error_left, training.kernel_seconds = header.get("error_left"), header.get("kernel_seconds")
            training.status = header["status"]
        else:
            training.status, training.reason = kind, header.get("reason", "")
        training.told()
