"""Writes the factor stream of a run beside its tables as it trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from foam_viz.recording.stream import Sample
from foam_viz.recording.stream.writing import RUN_BYTES, StreamFile

if TYPE_CHECKING:
    from foam_viz.engine.worker.run import Run


class StreamSaver:
    """The one writer of a run's stream.

    Args:
        run: The run; one that keeps no stream writes none.
        folder: The bundle directory.
        after: Samples beyond this step, of an earlier writer, are dropped; None drops none.

    Raises:
        OSError: The folder cannot be written to.
    """

    def __init__(self, run: Run, folder: Path, after: int | None = None) -> None:
        self._run = run
        self._samples: list[list[Sample]] = []
        self._file = None
        if run.streams:
            self._file = StreamFile(folder, RUN_BYTES, after, run.config["optimizer_settings"]["period"])

    def save(self) -> None:
        """Write the new samples; where checks were thinned out an event of the run says so.

        Raises:
            OSError: They cannot be written; they are kept for the next time.
        """
        if self._file is None:
            return
        before = self._file.spacing.stride
        self._samples += self._run.drain_stream()
        while self._samples:
            self._file.add(self._samples.pop(0))
        if (stride := self._file.spacing.stride) > before:
            message = f"{RUN_BYTES:,} bytes are the cap of the factor stream: it keeps one check of {stride}."
            self._run.tell("stream-thinned", message, float(stride))
        self._file.flush()
