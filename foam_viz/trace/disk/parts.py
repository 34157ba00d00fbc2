"""Numbered parts: how the rows of a table lie in a bundle.

``tables/<table>.<first>-<last>.arrow`` is an Arrow IPC file with what the writer's flushes ``first`` to ``last`` of
that table held. Ranges nest or are apart, never cross: a wide part was merged from the narrow ones inside its range. So
at any moment of a merge the widest readable parts are the table, and parts inside them are leftovers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from foam_viz.trace.batches import SchemaError, conform
from foam_viz.trace.schema import TABLES

MANIFEST_NAME = "manifest.json"
TABLES_FOLDER = "tables"
CHECKPOINTS_FOLDER = "checkpoints"
REWIND_NAME = "rewind.json"
BRANCHES_NAME = "branches.json"
TEMPORARY_SUFFIX = ".tmp"

_NAME = re.compile(r"(?P<table>[a-z]+)\.(?P<first>\d{8})-(?P<last>\d{8})\.arrow")


class PartError(ValueError):
    """A part that cannot be read: torn, damaged, or of another schema."""


class SizeLimitError(ValueError):
    """Rows that take more memory than the caller allows."""


@dataclass(frozen=True, order=True)
class Part:
    """One part by its name: the table and the range of flushes in it, both ends included."""

    table: str
    first: int
    last: int

    @property
    def name(self) -> str:
        """File name inside the folder of tables."""
        return f"{self.table}.{self.first:08d}-{self.last:08d}.arrow"

    @property
    def width(self) -> int:
        """Number of flushes in the range."""
        return self.last - self.first + 1

    def level(self, base: int) -> int:
        """How often it was merged: the whole logarithm of the width to ``base``, the number of parts in one merge."""
        level, width = 0, self.width
        while width >= base:
            level, width = level + 1, width // base
        return level


def parse_name(name: str) -> Part | None:
    """Return the part that a file name stands for, or None for any other file (temporary ones too)."""
    match = _NAME.fullmatch(name)
    if not match or match["table"] not in TABLES or int(match["first"]) > int(match["last"]):
        return None
    return Part(match["table"], int(match["first"]), int(match["last"]))


def encode(rows: pa.Table, compression: str = "lz4") -> pa.Buffer:
    """Return rows as the bytes of an Arrow IPC file with one batch at most."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression, unify_dictionaries=True)
    with pa.ipc.new_file(sink, rows.schema, options=options) as writer:
        writer.write_table(rows.combine_chunks())
    return sink.getvalue()


def decode(table: str, data: bytes | pa.Buffer, size_limit: int | None = None) -> pa.Table:
    """Read the bytes of a part into the table's schema.

    Args:
        table: Name of the table.
        data: The whole file.
        size_limit: Bytes that the rows may take in memory; None for no limit. It is compared after each batch.

    Raises:
        PartError: The bytes are not a whole, valid part of that table.
        SizeLimitError: The rows are larger than the limit.
    """
    batches, size = [], 0
    try:
        with pa.ipc.open_file(pa.py_buffer(data)) as reader:
            schema = reader.schema
            for index in range(reader.num_record_batches):
                batch = reader.get_batch(index)
                size += batch.nbytes
                if size_limit is not None and size > size_limit:
                    raise SizeLimitError(f"the rows of {table} take more than the {size_limit:,} bytes left")
                batches.append(batch)
        rows = pa.Table.from_batches(batches, schema)
        # Offsets and dictionary codes from a damaged file would be followed outside the buffers later on.
        rows.validate(full=True)
        return conform(table, rows)
    except SizeLimitError:
        raise
    except (pa.ArrowException, SchemaError, OSError, ValueError, KeyError, MemoryError) as error:
        raise PartError(str(error) or type(error).__name__) from error


def widest(
    parts: Iterable[Part], read: Callable[[Part], pa.Table]
) -> tuple[list[tuple[Part, pa.Table]], dict[Part, str]]:
    """Read the parts of one table that make it up, in order.

    Args:
        parts: Every part of the table that exists.
        read: Reads one part, or raises PartError.

    Returns:
        The parts that count with their rows, by range; and the damaged parts that no other part stands in for, with
        why.
    """
    chosen: list[tuple[Part, pa.Table]] = []
    damaged: dict[Part, str] = {}
    for part in sorted(parts, key=lambda part: (-part.width, part.first)):
        if any(taken.first <= part.last and part.first <= taken.last for taken, _ in chosen):
            continue
        try:
            chosen.append((part, read(part)))
        except PartError as error:
            damaged[part] = str(error)
    chosen.sort(key=lambda item: item[0])
    return chosen, {part: why for part, why in damaged.items() if not _covered(part, [part for part, _ in chosen])}


def _covered(part: Part, others: Iterable[Part]) -> bool:
    """Say whether parts that do not overlap one another hold everything in the range of ``part``."""
    shared = (min(part.last, other.last) - max(part.first, other.first) + 1 for other in others)
    return sum(max(0, count) for count in shared) == part.width


def gaps(parts: Iterable[Part]) -> list[tuple[int, int]]:
    """Return the ranges of flush numbers between 0 and the last part that no part covers, both ends included."""
    missing, expected = [], 0
    for part in sorted(parts):
        if part.first > expected:
            missing.append((expected, part.first - 1))
        expected = max(expected, part.last + 1)
    return missing


def write_atomically(path: Path, data: bytes | memoryview | pa.Buffer, *, durable: bool) -> None:
    """Write a file so that any moment shows the old or the new content, whole.

    Args:
        path: The file; a temporary one beside it takes the bytes first.
        data: Its content.
        durable: Wait until it is on the disk, so that it outlives a power cut and not only the process.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make renames in a directory durable, where the system can (POSIX)."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
