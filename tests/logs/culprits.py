"""A worker whose only reader misbehaves as the file asks: for the tests of what the parent does then."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from foam_viz.logs.core import catalogue, reading
from foam_viz.logs.core.reader import Group, LogFile, Options, Reader
from foam_viz.logs.intake import worker
from foam_viz.trace import Manifest, Trace, record_batch


def hang() -> None:
    """Hang, and tell the test so by a file whose name it gave."""
    Path(os.environ["CULPRIT_HANGS"]).touch()
    time.sleep(600)


def find(files: Sequence[LogFile]) -> list[Group]:
    if any(file.head.startswith(b"hang while looking") for file in files):
        hang()
    return [(file,) for file in files]


def read(group: Group, options: Options) -> list[Trace]:
    file = group[0]
    match file.head.decode().split()[0]:
        case "hang":
            hang()
        case "hog":
            held = [bytearray(2**24) for _ in range(1024)]
            return [Trace.empty(Manifest(run_id=str(len(held)), name="impossible"))]
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "abort":
            os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
            os.abort()
        case "defect":
            raise ZeroDivisionError("division by zero")
    steps = record_batch("steps", {"step": [1, 2], "loss": [2.0, float("nan")]})
    trace = Trace.empty(Manifest(run_id=file.name, name=file.name, files=(file.name,)))
    trace.append("steps", steps)
    return [trace]


if __name__ == "__main__":
    misbehaving = Reader(name="culprit", label="culprits", summary="", find=find, read=read)
    catalogue.READERS = reading.READERS = (misbehaving,)
    worker.main()
