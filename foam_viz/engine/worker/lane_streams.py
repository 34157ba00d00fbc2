"""The factor streams of a run's lanes, written by the thread that saves the run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from foam_viz.recording.stream import RUN_BYTES, STREAM_FOLDER, Sample, StreamFile
from foam_viz.trace.manifest import Manifest

Samples = Sequence[Sequence[Sequence[Sample]]]
"""Of each lane, of each step: the samples."""


class LaneStreams:
    """One stream a lane; a lane whose run keeps none has no file.

    Args:
        directories: The bundle directory of each lane.
        manifests: Of each lane.
        step: Samples beyond this step are dropped; None begins anew.

    Raises:
        OSError: A stream that is there cannot be put in order.
    """

    def __init__(self, directories: Sequence[Path], manifests: Sequence[Manifest], step: int | None) -> None:
        self._directories, self._step = directories, step
        self._periods = [manifest.config.get("optimizer_settings", {}).get("period", 1) for manifest in manifests]
        self._files: dict[int, StreamFile] = {}
        for lane, directory in enumerate(directories):
            if (directory / STREAM_FOLDER).is_dir():
                if step is None:
                    shutil.rmtree(directory / STREAM_FOLDER)
                else:
                    self._file(lane)

    def _file(self, lane: int) -> StreamFile:
        if lane not in self._files:
            self._files[lane] = StreamFile(self._directories[lane], RUN_BYTES, self._step, self._periods[lane])
        return self._files[lane]

    def write(self, waiting: list[Samples]) -> list[str]:
        """Write what waits, taking it off the list as it is written.

        Returns:
            What to tell of streams that were thinned out.

        Raises:
            OSError: It cannot be written; what is left waits for the next time.
        """
        told = []
        while waiting:
            lanes = waiting.pop(0)
            for lane, steps in enumerate(lanes):
                if steps:
                    file = self._file(lane)
                    before = file.spacing.stride
                    for samples in steps:
                        file.add(samples)
                    if file.spacing.stride > before:
                        told.append(
                            f"The factor stream keeps one check of {file.spacing.stride} from now on, to stay within "
                            f"{RUN_BYTES / 2**20:,.0f} MiB."
                        )
        for file in self._files.values():
            file.flush()
        return told


def size(waiting: Sequence[Samples]) -> int:
    """Bytes of numbers that wait."""
    return sum(sample.values.nbytes for lanes in waiting for steps in lanes for one in steps for sample in one)
