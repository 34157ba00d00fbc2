"""Saving a run while it trains, so that a kill at any moment costs at most what was not yet flushed.

Rows go into numbered parts (:mod:`foam_viz.trace.parts`), weights into checkpoints. Every file appears by a rename, and
nothing that is the only copy of anything is ever opened for writing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from foam_viz.trace import manifest as manifests
from foam_viz.trace.assemble import parse_rewind, read_parts, until
from foam_viz.trace.batches import conform
from foam_viz.trace.bundle import CHECKPOINTS_FOLDER, BundleError, is_bundle, read_manifest
from foam_viz.trace.chunks import GrowingTable
from foam_viz.trace.manifest import Manifest
from foam_viz.trace.parts import (
    MANIFEST_NAME,
    REWIND_NAME,
    TABLES_FOLDER,
    TEMPORARY_SUFFIX,
    Part,
    PartError,
    decode,
    encode,
    parse_name,
    sync_directory,
    write_atomically,
)
from foam_viz.trace.schema import TABLES, table_schema

MERGE_COUNT = 16
"""So many neighbouring parts of like width become one: at most 15 for each power of 16 remain, 60 after 18 hours."""

_KEPT_CHECKPOINTS = 2
_CHECKPOINT_NAME = re.compile(r"step-(\d{12})\.pt")


class AutosaveError(OSError):
    """A run that cannot be saved; training can go on without.

    Attributes:
        path: What could not be written.
        reason: What was wrong.
        remedy: What to do about it.
    """

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"{path}: {reason}. {remedy}")
        self.path, self.reason, self.remedy = path, reason, remedy


class Autosave:
    """Writes one run into one bundle directory, as its only writer.

    Args:
        directory: The bundle directory; made if it is not there. If it holds the same run, that run is continued:
            what an interrupted writer left is put in order first.
        manifest: What the run is; written at once.

    Raises:
        AutosaveError: The directory cannot be written to, or holds another run or a bundle of a later version.
    """

    def __init__(self, directory: str | os.PathLike[str], manifest: Manifest) -> None:
        self.directory = Path(directory)
        self._tables = self.directory / TABLES_FOLDER
        self._checkpoints = self.directory / CHECKPOINTS_FOLDER
        self._pending = {name: GrowingTable(table_schema(name).arrow()) for name in TABLES}
        self._parts: dict[str, list[Part]] = {name: [] for name in TABLES}
        self._next: dict[str, int] = dict.fromkeys(TABLES, 0)
        self._not_durable: set[Path] = set()
        with self._failing(self.directory):
            self._refuse_other_run(manifest)
            self._tables.mkdir(parents=True, exist_ok=True)
            self._checkpoints.mkdir(exist_ok=True)
            self._tidy()
        self.write_manifest(manifest)

    def append(self, table: str, batch: pa.RecordBatch | pa.Table) -> None:
        """Take rows for the next flush; nothing is written yet.

        Raises:
            KeyError: There is no such table.
            SchemaError: The rows do not fit it.
        """
        self._pending[table_schema(table).name].append(conform(table, batch))

    def flush(self) -> None:
        """Write what was appended as one new part a table, and merge parts when enough have come together.

        Raises:
            AutosaveError: Writing failed. The rows are kept for the next flush.
        """
        for table, pending in self._pending.items():
            if not pending.rows:
                continue
            number = self._next[table]
            part = Part(table, number, number)
            with self._failing(self._tables / part.name):
                write_atomically(self._tables / part.name, encode(pending.table), durable=False)
            self._pending[table] = GrowingTable(pending.schema)
            self._parts[table].append(part)
            self._next[table] = number + 1
            self._not_durable.add(self._tables / part.name)
            with self._failing(self._tables):
                self._merge(table)

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest.

        Raises:
            AutosaveError: Writing failed; the old one is intact.
        """
        path = self.directory / MANIFEST_NAME
        with self._failing(path):
            write_atomically(path, manifests.dumps(manifest).encode(), durable=True)

    def checkpoint(self, bytes_writer: Callable[[BinaryIO], None], step: int) -> Path:
        """Save the state from which the run can be continued after ``step``; the last two are kept.

        The rows appended before are flushed and made durable first, so a checkpoint never outlives its rows.

        Args:
            bytes_writer: Writes the state into the binary file it is given; what it raises is passed on.
            step: The last optimizer step in that state.

        Returns:
            The file.

        Raises:
            AutosaveError: Writing failed; earlier checkpoints are intact.
        """
        # In memory first: a writer that meets a full disk itself may wrap the error in one of its own kind.
        state = BytesIO()
        bytes_writer(state)
        self.flush()
        path = self._checkpoints / f"step-{step:012d}.pt"
        with self._failing(path):
            self._make_durable()
            write_atomically(path, state.getbuffer(), durable=True)
            for old, _ in self.checkpoints()[_KEPT_CHECKPOINTS:]:
                _discard(old)
        return path

    def checkpoints(self) -> list[tuple[Path, int]]:
        """Return the checkpoints and their steps, newest first."""
        return checkpoints(self.directory)

    def latest_checkpoint(self) -> tuple[Path, int] | None:
        """Return the newest checkpoint and its step, or None while there is none."""
        return next(iter(self.checkpoints()), None)

    def rewind(self, step: int) -> None:
        """Drop every row and checkpoint beyond ``step``, appended or written, so that training goes on from there.

        Rows of step 0, evaluations before training, outlive ``rewind(0)``; ``rewind(-1)`` drops all.

        A marker makes it one event for every table: readers obey it until the parts themselves are cut.

        Raises:
            AutosaveError: Writing failed; calling again, or opening the directory again, finishes it.
        """
        for table, pending in self._pending.items():
            self._pending[table] = GrowingTable(pending.schema)
            if pending.rows:
                self._pending[table].append(until(pending.table, step))
        marker = self.directory / REWIND_NAME
        with self._failing(marker):
            document = {"step": step, "before": self._next}
            write_atomically(marker, json.dumps(document).encode(), durable=True)
            for path, saved in self.checkpoints():
                if saved > step:
                    path.unlink(missing_ok=True)
            self._finish_rewind()

    def _finish_rewind(self) -> None:
        marker = self.directory / REWIND_NAME
        try:
            step, before = parse_rewind(marker.read_bytes())
        except FileNotFoundError:
            return
        for table, parts in self._parts.items():
            cut: list[tuple[Part, pa.Table]] = []
            for part in [part for part in parts if part.last < before.get(table, 0)]:
                rows = self._rows(part)
                kept = until(rows, step)
                if len(kept) == len(rows):
                    continue
                if cut and cut[-1][0].last + 1 != part.first:
                    self._unite(table, cut)
                    cut = []
                cut.append((part, kept))
            if cut:
                self._unite(table, cut)
        marker.unlink()
        sync_directory(self.directory)

    def _merge(self, table: str) -> None:
        """Merge the newest parts while ``MERGE_COUNT`` neighbours are of like width."""
        parts = self._parts[table]
        while len(parts) >= MERGE_COUNT:
            group = parts[-MERGE_COUNT:]
            alike = len({part.level(MERGE_COUNT) for part in group}) == 1
            adjacent = all(left.last + 1 == right.first for left, right in zip(group, group[1:], strict=False))
            if not (alike and adjacent):
                return
            self._unite(table, [(part, self._rows(part)) for part in group])

    def _unite(self, table: str, group: list[tuple[Part, pa.Table]]) -> None:
        """Put one part in the place of neighbours: it is there, durable, before they go."""
        parts = [part for part, _ in group]
        wide = Part(table, parts[0].first, parts[-1].last)
        together = GrowingTable(table_schema(table).arrow())
        for _, rows in group:
            together.append(rows)
        write_atomically(self._tables / wide.name, encode(together.table), durable=True)
        place = self._parts[table].index(parts[0])
        self._parts[table][place : place + len(parts)] = [wide]
        for part in parts:
            if part != wide:
                _discard(self._tables / part.name)

    def _rows(self, part: Part) -> pa.Table:
        return decode(part.table, (self._tables / part.name).read_bytes())

    def _tidy(self) -> None:
        """Take stock of what an earlier writer left: leftovers go, damaged parts stay for the reader to report."""
        for folder in (self._tables, self._checkpoints):
            for path in folder.glob(f"*{TEMPORARY_SUFFIX}"):
                path.unlink()
        names = [path.name for path in self._tables.iterdir()]

        def load(name: str) -> bytes:
            return (self._tables / name).read_bytes()

        whole = {table: [part for part, _ in chosen] for table, (chosen, _) in read_parts(names, load).items()}
        for part in filter(None, map(parse_name, names)):
            self._next[part.table] = max(self._next[part.table], part.last + 1)
            kept = whole[part.table]
            if any(keep != part and keep.first <= part.first and part.last <= keep.last for keep in kept):
                _discard(self._tables / part.name)
        self._parts = whole
        self._finish_rewind()

    def _make_durable(self) -> None:
        for path in self._not_durable:
            # A part that was merged is gone, and the merged one is durable already.
            if path.exists():
                with open(path, "rb+") as file:
                    os.fsync(file.fileno())
        sync_directory(self._tables)
        self._not_durable.clear()

    def _refuse_other_run(self, manifest: Manifest) -> None:
        if not is_bundle(self.directory) and not (self.directory / MANIFEST_NAME).exists():
            return
        try:
            there = read_manifest(self.directory)
        except BundleError as error:
            raise AutosaveError(error.path, error.reason, error.remedy) from error
        if there.run_id != manifest.run_id:
            reason = f"holds another run, {there.name!r} ({there.run_id})"
            raise AutosaveError(self.directory, reason, "Choose an empty directory, or remove that run.")

    @contextmanager
    def _failing(self, path: Path) -> Iterator[None]:
        """Turn failures of the file system, and files that someone damaged meanwhile, into :class:`AutosaveError`."""
        try:
            yield
        except AutosaveError:
            raise
        except OSError as error:
            where = Path(error.filename) if isinstance(error.filename, str | os.PathLike) else path
            remedy = f"Make {self.directory} a directory that can be written to and has room, or choose another."
            raise AutosaveError(where, f"cannot be written: {error.strerror or error}", remedy) from error
        except (PartError, ValueError) as error:
            reason = f"holds a file that cannot be used: {error}"
            raise AutosaveError(path, reason, "Choose another directory.") from error


def checkpoints(directory: str | os.PathLike[str]) -> list[tuple[Path, int]]:
    """Return the checkpoints of a bundle directory and their steps, newest first."""
    folder = Path(directory) / CHECKPOINTS_FOLDER
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = [(folder / name, int(match[1])) for name in names if (match := _CHECKPOINT_NAME.fullmatch(name))]
    return sorted(found, key=lambda item: item[1], reverse=True)


def _discard(path: Path) -> None:
    """Delete a file that is not needed; one that another process holds open (Windows) waits for the next tidying."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        return
