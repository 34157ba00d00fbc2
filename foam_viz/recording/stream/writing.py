"""Writes the factor stream of a run, and thins it where it would pass its cap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from foam_viz.recording.stream.model import Sample, Spacing
from foam_viz.recording.stream.part import (
    PART_NAME,
    SCHEMA,
    STREAM_FOLDER,
    column_bytes,
    decode,
    encode,
    row_bytes,
    row_of,
    spacing_of,
)
from foam_viz.trace.disk.parts import TEMPORARY_SUFFIX, write_atomically

RUN_BYTES = 64 * 2**20
"""Bytes of numbers that a run of our own keeps at most."""
PART_BYTES = 4 * 2**20
"""So much is gathered before a part is written; a kill loses what is gathered."""


class StreamFile:
    """Writes the stream of one run, as its only writer.

    A stream that would pass its cap is thinned: every second check goes, of those that are kept and of those that
    follow, so that it still spans the whole run.

    Args:
        directory: The bundle directory.
        byte_cap: Bytes of numbers at most, those of an earlier writer included.
        after: Samples beyond this step are dropped first; None drops none.
        every: Steps between two samples of a factor: the check period.

    Attributes:
        bytes: Bytes of numbers so far.
        spacing: Which steps are kept.
        full: Whether the samples of one step alone pass the cap; none is taken after.
    """

    def __init__(self, directory: Path, byte_cap: int, after: int | None = None, every: int = 1) -> None:
        self._folder = directory / STREAM_FOLDER
        self._cap = byte_cap
        self._pending: list[dict[str, Any]] = []
        self._pending_bytes = self.bytes = self._next = 0
        self.spacing = Spacing(every)
        self.full = False
        self._folder.mkdir(parents=True, exist_ok=True)
        found = []
        for path in sorted(self._folder.iterdir()):
            if path.name.endswith(TEMPORARY_SUFFIX):
                path.unlink()
            elif match := PART_NAME.fullmatch(path.name):
                self._next = max(self._next, int(match[1]) + 1)
                found.append(path)
        for path in found:
            self._widen(path)
        for path in found:
            self._keep(path, after)

    def _widen(self, path: Path) -> None:
        try:
            told = spacing_of(decode(path.read_bytes()).schema)
        except ValueError:
            return
        if told is not None and told.stride >= self.spacing.stride:
            self.spacing = told

    def _keep(self, path: Path, after: int | None = None) -> None:
        try:
            rows = decode(path.read_bytes())
        except ValueError:
            return  # torn: the reader reports it
        steps = rows["step"].to_pylist()
        kept = rows.filter(
            pa.array([(after is None or s <= after) and self.spacing.keeps(s) for s in steps], pa.bool_())
        )
        if len(kept) < len(rows) or spacing_of(rows.schema) != self.spacing:
            write_atomically(path, encode(kept, self.spacing), durable=True)
        self.bytes += column_bytes(kept["values"]) + column_bytes(kept["mirror"])

    def add(self, samples: Iterable[Sample]) -> None:
        """Take the samples of one step, all or none of them.

        Raises:
            OSError: A part could not be written; its samples are kept for the next.
        """
        rows = [row_of(sample) for sample in samples]
        if self.full or not rows:
            return
        step = rows[0]["step"]
        if self.spacing.first is None:
            self.spacing = replace(self.spacing, first=step)
        if not self.spacing.keeps(step):
            return
        size = sum(map(row_bytes, rows))
        while self.bytes + size > self._cap:
            if self.bytes == 0 or self.spacing.stride > step:
                self.full = True
                return
            self._thin()
            if not self.spacing.keeps(step):
                return
        self._pending += rows
        self._pending_bytes += size
        self.bytes += size
        if self._pending_bytes >= PART_BYTES:
            self.flush()

    def _thin(self) -> None:
        self.spacing = replace(self.spacing, stride=2 * self.spacing.stride)
        self._pending = [row for row in self._pending if self.spacing.keeps(row["step"])]
        self._pending_bytes = self.bytes = sum(map(row_bytes, self._pending))
        for path in sorted(self._folder.iterdir()):
            if PART_NAME.fullmatch(path.name):
                self._keep(path)

    def flush(self) -> None:
        """Write what was gathered as one part.

        Raises:
            OSError: It could not be written; the samples are kept for the next part.
        """
        if not self._pending:
            return
        rows = pa.Table.from_pylist(self._pending, schema=SCHEMA)
        write_atomically(self._folder / f"stream.{self._next:08d}.arrow", encode(rows, self.spacing), durable=False)
        self._next += 1
        self._pending, self._pending_bytes = [], 0
