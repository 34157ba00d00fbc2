"""Factor streams that something is wrong with, made of good ones."""

from __future__ import annotations

import math
import shutil
import tempfile
import zipfile
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from foam_viz.recording import stream
from foam_viz.recording.stream.part import STREAM_FOLDER
from foam_viz.recording.stream.writing import StreamFile


def with_nan(source: Path, target: Path, *, step: int) -> str:
    """Write a bundle whose first factor is not finite from a step on, as a zip file; returns the factor's id."""
    record = stream.read(source)
    broken = next(sample.id for sample in record.samples if sample.kind == "factor")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        with zipfile.ZipFile(source) as archive:
            archive.extractall(place)
        shutil.rmtree(place / STREAM_FOLDER)
        file = StreamFile(place, 2**30, every=record.spacing.every)
        for _, samples in groupby(record.samples, lambda sample: sample.step):
            changed = []
            for sample in samples:
                values = sample.values.copy()
                if sample.id == broken and sample.step >= step:
                    values[0, 0] = math.nan
                changed.append(replace(sample, values=values))
            file.add(changed)
        file.flush()
        stream.pack(place, target)
    return broken
