"""The folder of tables of a bundle as its one writer keeps it: parts are added, merged, cut and thinned."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from foam_viz.trace.chunks import GrowingTable
from foam_viz.trace.disk.assemble import until
from foam_viz.trace.disk.branches import Cut, last_step
from foam_viz.trace.disk.parts import (
    TEMPORARY_SUFFIX,
    Part,
    PartError,
    decode,
    encode,
    parse_name,
    sync_directory,
    widest,
    write_atomically,
)
from foam_viz.trace.disk.thin import thinned
from foam_viz.trace.schema import TABLES, table_schema


class PartFiles:
    """The parts of every table, oldest first.

    Args:
        folder: The folder of tables, which exists. What an interrupted writer left is put in order; damaged parts stay
            for readers to report.
        merge_count: Neighbouring parts of similar width that are merged into one.

    Raises:
        OSError: The folder cannot be read or written.
    """

    def __init__(self, folder: Path, merge_count: int) -> None:
        self._folder = folder
        self._merge_count = merge_count
        self._parts: dict[str, list[Part]] = {}
        self.next: dict[str, int] = dict.fromkeys(TABLES, 0)
        self._not_durable: set[Path] = set()
        self._leftovers: list[Part] = []
        remove_temporary(folder)
        found = [part for part in map(parse_name, os.listdir(folder)) if part]
        for table in TABLES:
            parts = sorted(part for part in found if part.table == table)
            self.next[table] = max((part.last + 1 for part in parts), default=0)
            self._parts[table] = self._without_leftovers(parts)

    def _without_leftovers(self, parts: list[Part]) -> list[Part]:
        """Delete parts whose rows lie in a wider one that can be read."""
        if all(left.last < right.first for left, right in zip(parts, parts[1:], strict=False)):
            return parts
        whole = [part for part, _ in widest(parts, self._read)[0]]
        for part in parts:
            if any(wide != part and wide.first <= part.first and part.last <= wide.last for wide in whole):
                discard(self._folder / part.name)
        return whole

    def add(self, table: str, rows: pa.Table) -> None:
        """Write rows as the newest part of a table.

        Raises:
            OSError: Writing failed; nothing was added.
        """
        part = Part(table, self.next[table], self.next[table])
        write_atomically(self._folder / part.name, encode(rows), durable=False)
        self._parts[table].append(part)
        self.next[table] += 1
        self._not_durable.add(self._folder / part.name)

    def merge(self, table: str, cuts: Sequence[Cut]) -> None:
        """Merge the newest parts while enough neighbours are of like width and on one branch.

        Raises:
            OSError: Writing failed; the narrow parts are intact.
        """
        parts = self._parts[table]
        while len(parts) >= self._merge_count:
            group = parts[-self._merge_count :]
            alike = len({part.level(self._merge_count) for part in group}) == 1
            adjacent = all(left.last + 1 == right.first for left, right in zip(group, group[1:], strict=False))
            one_branch = len({tuple(cut.concerns(part) for cut in cuts) for part in group}) == 1
            if not (alike and adjacent and one_branch):
                return
            rows = [self._readable(part) for part in group]
            if any(found is None for found in rows):
                return
            self._unite(table, list(zip(group, rows, strict=True)))

    def cut(self, cuts: Sequence[Cut]) -> None:
        """Drop the rows that no longer count.

        Raises:
            OSError: Writing failed; calling again finishes it.
        """
        for table, parts in self._parts.items():
            group: list[tuple[Part, pa.Table]] = []
            for part in list(parts):
                step = last_step(part, cuts)
                rows = None if step is None else self._readable(part)
                if step is None or rows is None or len(kept := until(rows, step)) == len(rows):
                    continue
                if group and group[-1][0].last + 1 != part.first:
                    self._unite(table, group)
                    group = []
                group.append((part, kept))
            if group:
                self._unite(table, group)

    def has_rows_after(self, step: int) -> bool:
        """Say whether a row that counts or not lies beyond a step; rows are in the order of steps within a branch."""
        for table, parts in self._parts.items():
            for part in parts[::-1]:
                rows = self._readable(part)
                if rows is None or not len(rows):
                    continue
                if rows["step"].combine_chunks().to_numpy().max() > step:
                    return True
                if table != "events":
                    break
        return False

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(self._size(part) for parts in self._parts.values() for part in parts)

    def thin(self) -> int:
        """Thin the older half of each table's bytes to about half of its rows.

        Returns:
            The last step that was thinned; 0 where nothing was left to thin.

        Raises:
            OSError: Writing failed; calling again goes on.
        """
        last = 0
        for table, parts in self._parts.items():
            left = sum(map(self._size, parts)) / 2
            for part in list(parts):
                left -= self._size(part)
                if left < 0 and part is not parts[0]:
                    break
                rows = self._readable(part)
                if rows is None:
                    continue
                kept = thinned(table, rows)
                if len(kept) < len(rows):
                    self._unite(table, [(part, kept)])
                    last = max(last, int(rows["step"].to_numpy().max()))
        return last

    def make_durable(self) -> None:
        """Wait until every part is on the disk, so that it outlives a power cut and not only the process.

        Raises:
            OSError: The disk reports a failure.
        """
        for path in list(self._not_durable):
            # A part that was merged is gone, and the merged one is durable already.
            if path.exists():
                with open(path, "rb+") as file:
                    os.fsync(file.fileno())
            self._not_durable.discard(path)
        sync_directory(self._folder)
        while self._leftovers:
            discard(self._folder / self._leftovers.pop().name)

    def _unite(self, table: str, group: list[tuple[Part, pa.Table]]) -> None:
        """Put one part in the place of neighbours: it is there, durable, before they go."""
        parts = [part for part, _ in group]
        wide = Part(table, parts[0].first, parts[-1].last)
        together = GrowingTable(table_schema(table).arrow())
        for _, rows in group:
            together.append(rows)
        path = self._folder / wide.name
        try:
            write_atomically(path, encode(together.table), durable=True)
        except OSError:
            if path.exists():  # whole, if perhaps not durable: from now on it is the part, or ranges would cross
                self._replace(parts, wide)
                self._not_durable.add(path)
                self._leftovers += [part for part in parts if part != wide]
            raise
        self._replace(parts, wide)
        for part in parts:
            if part != wide:
                discard(self._folder / part.name)

    def _replace(self, parts: list[Part], wide: Part) -> None:
        position = self._parts[wide.table].index(parts[0])
        self._parts[wide.table][position : position + len(parts)] = [wide]

    def _readable(self, part: Part) -> pa.Table | None:
        """The rows of a part; None for one that is damaged, which stays on the disk and is left alone from now on."""
        try:
            return self._read(part)
        except PartError:
            self._parts[part.table].remove(part)
            return None

    def _read(self, part: Part) -> pa.Table:
        return decode(part.table, (self._folder / part.name).read_bytes())

    def _size(self, part: Part) -> int:
        try:
            return (self._folder / part.name).stat().st_size
        except FileNotFoundError:
            return 0


def remove_temporary(folder: Path) -> None:
    """Delete files that a writer did not finish."""
    for path in folder.glob(f"*{TEMPORARY_SUFFIX}"):
        discard(path)


def discard(path: Path) -> None:
    """Delete a file that is not needed; one that another process holds open (Windows) waits for the next tidying."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        return
