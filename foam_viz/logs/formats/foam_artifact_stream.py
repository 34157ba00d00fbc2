"""Factor snapshots of the FOAM artifact as a run bundle with a factor stream, which the threshold lab replays."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from foam_viz.logs.core.reader import LogFile
from foam_viz.logs.formats.foam_artifact_snapshots import entries
from foam_viz.recording.stream import Sample
from foam_viz.recording.stream.writing import StreamFile
from foam_viz.trace import Trace
from foam_viz.trace.disk import bundle


def write_stream(
    files: Sequence[LogFile], factor_number: Callable[[str, int, int], int], trace: Trace, folder: Path
) -> None:
    """Write the matrices of all snapshots, each the current factor A at its step, into the folder's ``run_id``.

    Args:
        files: ``factor_snapshots/*.pt``.
        factor_number: Gives the number of a factor from its id, its parameter group and its size.
        trace: What else was read of the run, its table of snapshots included.
        folder: Where the bundle is made; one that is there already stays.

    Raises:
        OSError: It cannot be written.
    """
    target = folder / trace.manifest.run_id
    if target.exists():
        return
    steps = np.unique(trace.values("snapshots", "step"))
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    bundle.write(trace, unfinished)
    stream = StreamFile(unfinished, 2**63, every=int(np.gcd.reduce(np.diff(steps))) if len(steps) > 1 else 1)
    # Epochs rise with the names; the ranks of an epoch follow each other.
    found = (one for file in sorted(files, key=lambda file: file.base) for one in entries(file, factor_number, []))
    for step, mine in groupby(found, key=lambda one: one[0]):
        samples = []
        for _, number, entry in mine:
            matrix = entry["factor_matrix"]
            matrix = matrix.double() if matrix.element_size() == 8 else matrix.float()
            values = ((matrix + matrix.mT) / 2).numpy()
            info = trace.manifest.factors[number]
            samples.append(Sample(step, "factor", info.id, values, entry["root"], float(entry["epsilon"])))
        stream.add(samples)
    stream.flush()
    os.replace(unfinished, target)
