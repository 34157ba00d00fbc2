"""From the files of a bundle, whole or left by a crash, to the rows that count."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from foam_viz.trace.manifest import Manifest
from foam_viz.trace.model import Trace
from foam_viz.trace.parts import REWIND_NAME, Part, decode, gaps, parse_name, widest
from foam_viz.trace.schema import TABLES


def read_parts(
    names: Iterable[str], load: Callable[[str], bytes], size_limit: int | None = None
) -> dict[str, tuple[list[tuple[Part, pa.Table]], list[str]]]:
    """Read the parts of every table among file names.

    Args:
        names: File names inside the folder of tables; others than parts are passed over.
        load: Returns the bytes of one of them, or raises PartError.
        size_limit: Bytes that all rows together may take.

    Returns:
        For each table the parts that count, with their rows, and notes on what is missing.
    """
    found = [part for part in map(parse_name, names) if part]
    used = 0

    def read_one(part: Part) -> pa.Table:
        nonlocal used
        rows = decode(part.table, load(part.name), None if size_limit is None else size_limit - used)
        used += rows.nbytes
        return rows

    result = {}
    for table in TABLES:
        chosen, damaged = widest([part for part in found if part.table == table], read_one)
        notes = [f"{part.name} cannot be read, its rows are left out: {why}" for part, why in sorted(damaged.items())]
        known = [part for part, _ in chosen] + list(damaged)
        notes += [f"{Part(table, *gap).name} is missing, its rows are left out" for gap in gaps(known)]
        result[table] = (chosen, notes)
    return result


def parse_rewind(data: bytes) -> tuple[int, dict[str, int]]:
    """Parse ``rewind.json``: the step that rows must not pass, and per table the first part that it does not concern.

    Raises:
        ValueError: The content is not what the writer writes.
    """
    document = json.loads(data)
    try:
        return int(document["step"]), {str(table): int(first) for table, first in document["before"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a rewind marker: {error!r}") from error


def until(rows: pa.Table, step: int) -> pa.Table:
    """Return the rows whose step is at most ``step``."""
    return rows.filter(pc.less_equal(rows["step"], step))


def assemble(
    manifest: Manifest,
    names: Iterable[str],
    load: Callable[[str], bytes],
    rewind: bytes | None,
    size_limit: int,
) -> Trace:
    """Build the trace of a bundle from its files, leaving out aloud what cannot be read.

    Args:
        manifest: The bundle's manifest.
        names: File names inside the folder of tables.
        load: Returns the bytes of one of them, or raises PartError.
        rewind: Content of ``rewind.json``, None where there is none.
        size_limit: Bytes that all rows together may take.

    Raises:
        SizeLimitError: They take more.
    """
    notes: list[str] = []
    step, before = None, {}
    if rewind is not None:
        try:
            step, before = parse_rewind(rewind)
        except ValueError as error:
            notes.append(f"{REWIND_NAME} cannot be read, rows past a restart may be left in: {error}")
    trace = Trace.empty(manifest)
    for table, (chosen, missing) in read_parts(names, load, size_limit).items():
        notes += missing
        tables = [
            until(rows, step) if step is not None and part.last < before.get(table, 0) else rows
            for part, rows in chosen
        ]
        for rows in tables:
            try:
                trace.append(table, rows)
            except ValueError as error:
                notes.append(f"{len(rows)} rows of {table} are left out: {error}")
    trace.manifest = manifest.with_notes(notes)
    return trace
