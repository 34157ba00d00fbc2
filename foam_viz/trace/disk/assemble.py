"""From the files of a bundle, whole or left by a crash, to the rows that count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from foam_viz.trace.disk.branches import Cut, last_step, parse_branches, parse_rewind
from foam_viz.trace.disk.parts import BRANCHES_NAME, REWIND_NAME, Part, decode, gaps, parse_name, widest
from foam_viz.trace.manifest import Manifest
from foam_viz.trace.model import Trace
from foam_viz.trace.schema import TABLES
from foam_viz.trace.soundness import sound


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


def until(rows: pa.Table, step: int) -> pa.Table:
    """Return the rows whose step is at most ``step``."""
    return rows.filter(pc.call_function("less_equal", [rows["step"], step]))


def assemble(
    manifest: Manifest,
    names: Iterable[str],
    load: Callable[[str], bytes],
    markers: Mapping[str, bytes],
    size_limit: int,
    branch: int | None = None,
) -> Trace:
    """Build the trace of a bundle from its files, leaving out aloud what cannot be read or cannot be.

    Args:
        manifest: The bundle's manifest.
        names: File names inside the folder of tables.
        load: Returns the bytes of one of them, or raises PartError.
        markers: Content of ``rewind.json`` and ``branches.json``, by name, as far as they are there.
        size_limit: Bytes that all rows together may take.
        branch: Which branch; 0 is the first, None the newest.

    Raises:
        SizeLimitError: They take more.
    """
    notes: list[str] = []
    cuts = _cuts(markers, notes)
    after: Cut | None = None
    if branch is not None and branch < len(cuts):
        cuts, after = cuts[:branch], cuts[branch]
    elif branch is not None and branch > len(cuts):
        notes.append(f"there is no branch {branch}; this is the newest, {len(cuts)}")
    trace = Trace.empty(manifest)
    for table, (chosen, missing) in read_parts(names, load, size_limit).items():
        notes += missing
        for part, rows in chosen:
            if after is not None and not after.concerns(part):
                continue
            step = last_step(part, cuts)
            try:
                trace.append(table, rows if step is None else until(rows, step))
            except ValueError as error:
                notes.append(f"{len(rows)} rows of {table} are left out: {error}")
    trace.manifest = manifest.with_notes(notes)
    return sound(trace)


def _cuts(markers: Mapping[str, bytes], notes: list[str]) -> list[Cut]:
    """Where branches begin, oldest first; a rewind that was not finished is the newest."""
    cuts: list[Cut] = []
    for name, parse in ((BRANCHES_NAME, parse_branches), (REWIND_NAME, lambda data: (parse_rewind(data),))):
        try:
            if name in markers:
                cuts += parse(markers[name])
        except ValueError as error:
            notes.append(f"{name} cannot be read, rows past a restart may be left in: {error}")
    return cuts
