"""Saving a run while it trains, so that a kill at any moment costs at most what was not yet flushed.

Rows go into numbered parts (:mod:`foam_viz.trace.disk.parts`), weights into checkpoints. Every file appears by a
rename, and nothing that is the only copy of anything is ever opened for writing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from foam_viz.trace import manifest as manifests
from foam_viz.trace.batches import conform
from foam_viz.trace.chunks import GrowingTable
from foam_viz.trace.disk import checkpoints
from foam_viz.trace.disk.assemble import until
from foam_viz.trace.disk.branches import Cut, dump_branches, parse_branches, parse_rewind
from foam_viz.trace.disk.bundle import BundleError, is_bundle, read_manifest
from foam_viz.trace.disk.checkpoints import Checkpoint
from foam_viz.trace.disk.part_files import PartFiles, discard, remove_temporary
from foam_viz.trace.disk.parts import (
    BRANCHES_NAME,
    CHECKPOINTS_FOLDER,
    MANIFEST_NAME,
    REWIND_NAME,
    TABLES_FOLDER,
    PartError,
    sync_directory,
    write_atomically,
)
from foam_viz.trace.manifest import Manifest
from foam_viz.trace.schema import TABLES, table_schema

MERGE_COUNT = 16
"""Neighbours of similar width that are merged into one; at most 15 remain for each power of 16, 60 after 18 hours."""

KEPT_CHECKPOINTS = 2
_EVERY_STEP = 2**62


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
        adopt: Take a directory whose manifest is missing or damaged for this run's: the caller knows that it is.

    Raises:
        AutosaveError: The directory cannot be written to, or holds another run or a bundle of a later version.
    """

    def __init__(self, directory: str | os.PathLike[str], manifest: Manifest, *, adopt: bool = False) -> None:
        self.directory = Path(directory)
        self._tables = self.directory / TABLES_FOLDER
        self._pending = {name: GrowingTable(table_schema(name).arrow()) for name in TABLES}
        self._cuts: tuple[Cut, ...] = ()
        with self._failing(self.directory):
            self._refuse_other_run(manifest, adopt)
            self._tables.mkdir(parents=True, exist_ok=True)
            (self.directory / CHECKPOINTS_FOLDER).mkdir(exist_ok=True)
            remove_temporary(self.directory / CHECKPOINTS_FOLDER)
            if (self.directory / BRANCHES_NAME).exists():
                self._cuts = parse_branches((self.directory / BRANCHES_NAME).read_bytes())
            self._files = PartFiles(self._tables, MERGE_COUNT)
            self._finish_rewind()
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
            with self._failing(self._tables):
                self._files.add(table, pending.table)
            self._pending[table] = GrowingTable(pending.schema)
            with self._failing(self._tables):
                self._files.merge(table, self._cuts)

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest.

        Raises:
            AutosaveError: Writing failed; the old one is intact.
        """
        path = self.directory / MANIFEST_NAME
        with self._failing(path):
            write_atomically(path, manifests.dumps(manifest).encode(), durable=True)

    def checkpoint(
        self, bytes_writer: Callable[[BinaryIO], object], step: int, *, keep: int | None = KEPT_CHECKPOINTS
    ) -> Path:
        """Save the state from which the run can be continued after ``step``.

        The rows appended before are flushed and made durable first, so a checkpoint never outlives its rows.

        Args:
            bytes_writer: Writes the state into the binary file it is given; what it raises is passed on.
            step: The last optimizer step in that state.
            keep: So many of the newest stay, the new one among them; None deletes none.

        Returns:
            The file.

        Raises:
            AutosaveError: Writing failed; earlier checkpoints are intact.
        """
        # In memory first: a writer that meets a full disk itself may wrap the error in one of its own kind.
        state = BytesIO()
        bytes_writer(state)
        self.flush()
        with self._failing(self.directory / CHECKPOINTS_FOLDER):
            self._files.make_durable()
            written = checkpoints.write(self.directory, state.getbuffer(), step, self._files.next["steps"])
        if keep is not None:
            self.prune_checkpoints(keep)
        return written.path

    def prune_checkpoints(self, keep: int | Container[int]) -> None:
        """Delete all checkpoints but some of the branch, and all of older branches.

        Args:
            keep: How many of the newest stay, or the steps of those that do.
        """
        with self._failing(self.directory / CHECKPOINTS_FOLDER):
            there = self.checkpoints()
            kept = there[:keep] if isinstance(keep, int) else [found for found in there if found.step in keep]
            for checkpoint in checkpoints.found(self.directory):
                if checkpoint not in kept:
                    discard(checkpoint.path)

    def checkpoints(self) -> list[Checkpoint]:
        """Return the checkpoints of the newest branch, newest first."""
        return [found for found in checkpoints.found(self.directory) if found.counts(self._cuts)]

    def branch(self, step: int) -> None:
        """Go on from ``step`` in a new branch: later rows, appended or written, no longer count, and stay on the disk.

        Rows of step 0, evaluations before training, belong to ``branch(0)``.

        Raises:
            AutosaveError: Writing failed; the old branch is in force.
        """
        with self._failing(self._tables):
            beyond = self._files.has_rows_after(step)
        if beyond or not all(checkpoint.step <= step for checkpoint in self.checkpoints()):
            cuts = (*self._cuts, Cut(step, dict(self._files.next)))
            path = self.directory / BRANCHES_NAME
            with self._failing(path):
                write_atomically(path, dump_branches(cuts), durable=True)
            self._cuts = cuts
        self._drop_pending(step)

    @property
    def branches(self) -> int:
        """Number of branches that the run has left."""
        return len(self._cuts)

    def drop_old_branches(self) -> None:
        """Delete the rows that older branches alone hold.

        Raises:
            AutosaveError: Writing failed; calling again finishes it.
        """
        if self._cuts:
            self._rewind(_EVERY_STEP)

    def rewind(self, step: int) -> None:
        """Delete every row and checkpoint beyond ``step``, appended or written, and those of older branches.

        Rows of step 0, evaluations before training, outlive ``rewind(0)``; ``rewind(-1)`` drops all.

        A marker makes it one event for every table: readers obey it until the parts themselves are cut.

        Raises:
            AutosaveError: Writing failed; calling again, or opening the directory again, finishes it.
        """
        self._drop_pending(step)
        self._rewind(step)

    def size(self) -> int:
        """Return the bytes that the rows take on the disk."""
        return self._files.size()

    def thin(self) -> int:
        """Thin the rows of the older half; see :mod:`foam_viz.trace.disk.thin`.

        Returns:
            The last step that was thinned; 0 where there was nothing to thin.

        Raises:
            AutosaveError: Writing failed.
        """
        with self._failing(self._tables):
            return self._files.thin()

    def _drop_pending(self, step: int) -> None:
        for table, pending in self._pending.items():
            self._pending[table] = GrowingTable(pending.schema)
            if pending.rows:
                self._pending[table].append(until(pending.table, step))

    def _rewind(self, step: int) -> None:
        marker = self.directory / REWIND_NAME
        with self._failing(marker):
            document = Cut(step, dict(self._files.next)).to_json()
            write_atomically(marker, json.dumps(document).encode(), durable=True)
            self._finish_rewind()

    def _finish_rewind(self) -> None:
        marker = self.directory / REWIND_NAME
        try:
            cut = parse_rewind(marker.read_bytes())
        except FileNotFoundError:
            return
        cuts = (*self._cuts, cut)
        for checkpoint in checkpoints.found(self.directory):
            if not checkpoint.counts(cuts):
                checkpoint.path.unlink(missing_ok=True)
        self._files.cut(cuts)
        (self.directory / BRANCHES_NAME).unlink(missing_ok=True)
        self._cuts = ()
        marker.unlink()
        sync_directory(self.directory)

    def _refuse_other_run(self, manifest: Manifest, adopt: bool) -> None:
        path = self.directory / MANIFEST_NAME
        if not is_bundle(self.directory) and not path.exists():
            return
        if adopt and not _is_json_object(path):
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


def _is_json_object(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except (FileNotFoundError, ValueError, RecursionError):
        return False
