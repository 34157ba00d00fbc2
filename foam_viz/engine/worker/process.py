"""The engine process: ``python -m foam_viz.engine.worker.process``, started by the hub, never by a person.

It reads one JSON line from standard input (port, identity, key, server, settings), connects to the hub, and then trains
the groups it is told to. When the hub is gone it saves and ends.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import fields
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from foam_viz import device
from foam_viz.engine import store
from foam_viz.engine.wire import protocol
from foam_viz.engine.worker import memory
from foam_viz.engine.worker.run import Run
from foam_viz.engine.worker.worker import Worker
from foam_viz.experiment import config
from foam_viz.settings import Settings

_CONNECT_TRIES = 5
# Training takes what is left of the cores: the page that shows it, and the browser on the same machine, come first.
# (Windows is given the same by the flags that the process is started with.)
_NICENESS = 10
# A thread that saves holds the interpreter for so long at most once training asks for it again; every call of torch
# gives it away.
_SWITCH_SECONDS = 0.0005


def main() -> None:
    """Serve the hub that started this process until it closes the pipe."""
    start = json.loads(sys.stdin.readline())
    torch.set_num_threads(1)
    sys.setswitchinterval(_SWITCH_SECONDS)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    names = {field.name for field in fields(Settings)}
    given: dict[str, Any] = {key: value for key, value in start["settings"].items() if key in names}
    if "data_directory" in given:
        given["data_directory"] = Path(given["data_directory"])
    settings = Settings(**given)
    store.belong_to(start["server"])
    _warm_up()
    connection = _connect(start["port"], bytes.fromhex(start["identity"]), bytes.fromhex(start["key"]))
    if device.available()[0].name == "cpu":  # drivers of other devices reserve far more than they use
        memory.limit(settings.engine_memory)
    Worker(connection, settings).run()
    os._exit(0)


def _connect(port: int, identity: bytes, key: bytes) -> Connection:
    """The connection to the hub; strangers may crowd its door for a moment."""
    for _ in range(_CONNECT_TRIES - 1):
        with suppress(protocol.HandshakeError):
            return protocol.connect(port, identity, key)
        time.sleep(0.2)
    return protocol.connect(port, identity, key)


def _warm_up() -> None:
    """Pays for imports, the data set and the first decomposition now, not at the first click."""
    experiment, _ = config.build(lanes=[("shampoo", {"start": 1, "period": 1})])
    run = Run(experiment.lane_config(0), run_id="warm-up")
    run.advance()
    run.drain()


if __name__ == "__main__":
    main()
