"""The truth engine: a child process that trains one small run after the other, at the lowest priority.

It reads what to train from its standard input and answers on its standard output: rows as they come, and in the end
the error that was left, as the run's own factors tell it.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import torch

from foam_viz.analysis.replay_setting import NoReplay
from foam_viz.engine.replay.plan import Plan
from foam_viz.engine.wire import protocol
from foam_viz.engine.worker.run import Run
from foam_viz.optim.fields import FieldError
from foam_viz.recording.stream import Record, Sample, Spacing
from foam_viz.trace import manifest as manifests

_PUBLISH_SECONDS = 0.25
_NICENESS = 10
_STREAM_BYTES = 200_000_000
"""Of the factors of a run that are held for its replay; beyond it none is made."""


class TruthEngine:
    """Trains what it is asked for, in order.

    Args:
        incoming: Where requests come from: ``{"number", "train": config, "steps"}`` or ``{"number", "stop": true}``.
        outgoing: Where answers go.
    """

    def __init__(self, incoming: Connection, outgoing: Connection) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._waiting: deque[tuple[int, dict[str, Any]]] = deque()
        self._stopped: set[int] = set()

    def serve(self) -> None:
        """Until the other side hangs up."""
        while True:
            try:
                self._read(block=not self._waiting)
                while self._waiting:
                    self._answer(*self._waiting.popleft())
                    self._read(block=False)
            except (EOFError, OSError):
                return

    def _read(self, *, block: bool) -> None:
        while block or self._incoming.poll():
            header, _ = protocol.receive(self._incoming)
            block = False
            number = int(header["number"])
            if "train" in header:
                self._waiting.append((number, header["train"]))
            else:
                self._stopped.add(number)

    def _answer(self, number: int, config: dict[str, Any]) -> None:
        if number in self._stopped:
            self._stopped.discard(number)
            protocol.send(self._outgoing, {"number": number, "kind": "stopped"})
            return
        try:
            self._train(number, config)
        except (EOFError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 (one run must not end the engine of all)
            traceback.print_exc()
            protocol.send(
                self._outgoing, {"number": number, "kind": "failed", "reason": f"{type(error).__name__}: {error}"}
            )

    def _train(self, number: int, config: dict[str, Any]) -> None:
        run = Run(config, run_id=f"truth-{number}", device="cpu", stream=True)
        run.status = "running"
        samples: list[Sample] = []
        held, told = 0, time.monotonic()
        self._publish(number, run, first=True)
        while run.live:
            run.advance()
            now = time.monotonic()
            if now - told >= _PUBLISH_SECONDS:
                told = now
                self._publish(number, run)
                self._read(block=False)
                if number in self._stopped:
                    self._stopped.discard(number)
                    protocol.send(self._outgoing, {"number": number, "kind": "stopped"})
                    return
            for step in run.drain_stream():
                if held <= _STREAM_BYTES:
                    samples += step
                    held += sum(sample.values.nbytes for sample in step)
        self._publish(number, run)
        left = _left(run, samples) if held <= _STREAM_BYTES else {}
        protocol.send(self._outgoing, {"number": number, "kind": "done", "status": run.status, **left})

    def _publish(self, number: int, run: Run, *, first: bool = False) -> None:
        tables = {name: rows for name, rows in run.drain().items() if rows.num_rows}
        told: dict[str, Any] = {"number": number, "kind": "rows", "step": run.step}
        if first:
            told["manifest"] = manifests.to_json(run.manifest(name="really trained"))
        protocol.send(self._outgoing, told, tables)


def _left(run: Run, samples: list[Sample]) -> dict[str, float]:
    """The mean error that the run's setting left of its own factors, and its projected kernel time."""
    factors = [sample for sample in samples if sample.kind == "factor"]
    if not factors:
        return {}
    spacing = Spacing(run.config["optimizer_settings"]["period"], 1, min(sample.step for sample in factors))
    with suppress(NoReplay, FieldError):
        plan = Plan.prepare(run.manifest(name="truth"), Record(tuple(factors), spacing=spacing))
        try:
            replay = plan.run()
            return {"error_left": replay.error_left, "kernel_seconds": replay.kernel_seconds}
        finally:
            plan.close()
    return {}


def main() -> None:
    """Serve the process that started this one."""
    torch.set_num_threads(1)
    with suppress(OSError, AttributeError):
        os.nice(_NICENESS)
    incoming = Connection(os.dup(sys.stdin.fileno()), writable=False)
    outgoing = Connection(os.dup(sys.stdout.fileno()), readable=False)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what somebody prints is no answer
    TruthEngine(incoming, outgoing).serve()


if __name__ == "__main__":
    main()
