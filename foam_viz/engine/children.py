"""What a process started by the server needs to find the package and to leave the cores to others."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path


def environment() -> dict[str, str]:
    """Return the environment of an engine: this one, one thread, and the package on the path wherever it lies."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": path}


def start(module: str) -> tuple[subprocess.Popen[bytes], Connection, Connection]:
    """Start an engine that speaks over its standard input and output.

    Args:
        module: What the process runs, a module of the package.

    Returns:
        The process, the connection that it hears, and the one on which it answers.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    )
    assert process.stdin is not None and process.stdout is not None  # both are pipes
    outgoing = Connection(os.dup(process.stdin.fileno()), readable=False)
    incoming = Connection(os.dup(process.stdout.fileno()), writable=False)
    process.stdin.close()
    process.stdout.close()
    return process, outgoing, incoming


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for an engine whose connection was closed; it is killed where it does not end in time."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    if process.poll() is None:
        process.kill()
        process.wait()
