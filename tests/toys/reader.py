"""A toy reader: lines of ``@step loss``. A real one stands in ``foam_viz/logs``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foam_viz.logs.core.reader import Group, LogFile, Options, Reader
from foam_viz.trace import Manifest, Trace, record_batch


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim files that begin with ``@``."""
    return [(file,) for file in files if file.head.startswith(b"@")]


def read(group: Group, options: Options) -> list[Trace]:
    """Read one file.

    Raises:
        LogError: A line is not a step and a loss.
    """
    (file,) = group
    steps, losses = [], []
    for number, line in enumerate(file.path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        step, _, loss = line.removeprefix("@").partition(" ")
        try:
            steps.append(int(step))
            losses.append(float(loss))
        except ValueError:
            raise file.problem(f"line {number}", "is not '@step loss'", "delete the line") from None
    trace = Trace.empty(Manifest(run_id=file.name, name=file.name, format=READER.name, files=(file.name,)))
    trace.append("steps", record_batch("steps", {"step": steps, "loss": np.array(losses)}))
    return [trace]


READER = Reader(name="at-lines", label="@-lines", summary="Lines of '@step loss'.", find=find, read=read)
