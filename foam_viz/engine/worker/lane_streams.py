"""The factor streams of a run's lanes, written by the thread that saves the run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from foam_viz.recording.stream import Sample
from foam_viz.recording.stream.part import STREAM_FOLDER
from foam_viz.recording.stream.writing import RUN_BYTES, StreamFile
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
        self._directories, self._step = list(directories), step
        self._periods = [_period(manifest) for manifest in manifests]
        self._forks: list[tuple[Path, Path, int, int]] = []
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

    def fork(self, parent: int, step: int, directory: Path, manifest: Manifest) -> None:
        """Take one more lane, which goes on with what another has kept up to a step; it is copied by :meth:`write`.

        Args:
            parent: Position of the other lane.
            step: The last step that both share.
            directory: The bundle directory of the new lane.
            manifest: Of the new lane.
        """
        source = [*self._directories, *(target for _, target, _, _ in self._forks)][parent]
        self._forks.append((source, directory, step, _period(manifest)))

    def drop_last(self) -> None:
        """Forget the lane that was added last."""
        if self._forks:
            self._forks.pop()
        else:
            self._files.pop(len(self._directories) - 1, None)
            self._directories.pop()
            self._periods.pop()

    def _copy(self) -> None:
        """The next fork: what was written of its parent so far, without what is later than their common step."""
        source, directory, step, period = self._forks[0]
        if source in self._directories and (file := self._files.get(self._directories.index(source))) is not None:
            file.flush()
        copy_stream(source, directory)
        if (directory / STREAM_FOLDER).is_dir():
            self._files[len(self._directories)] = StreamFile(directory, RUN_BYTES, step, period)
        self._directories.append(directory)
        self._periods.append(period)
        self._forks.pop(0)

    def write(self, waiting: list[Samples]) -> list[str]:
        """Write what waits, taking it off the list as it is written.

        Returns:
            What to tell of streams that were thinned out.

        Raises:
            OSError: It cannot be written; what is left waits for the next time.
        """
        told = []
        while waiting:
            while self._forks and len(waiting[0]) > len(self._directories):
                self._copy()
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
        while self._forks:
            self._copy()
        for file in self._files.values():
            file.flush()
        return told


def copy_stream(source: Path, directory: Path) -> None:
    """Copy the stream of one bundle directory to another, in place of what is there; nothing where it has none."""
    shutil.rmtree(directory / STREAM_FOLDER, ignore_errors=True)
    if (source / STREAM_FOLDER).is_dir():
        shutil.copytree(source / STREAM_FOLDER, directory / STREAM_FOLDER)


def _period(manifest: Manifest) -> int:
    return manifest.config.get("optimizer_settings", {}).get("period", 1)


def size(waiting: Sequence[Samples]) -> int:
    """Bytes of numbers that wait."""
    return sum(sample.values.nbytes for lanes in waiting for steps in lanes for one in steps for sample in one)
