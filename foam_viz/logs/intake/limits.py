"""How much an upload may take: time, memory, unpacked bytes, files."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 2**20
MOST_CELLS = 2**26
"""Values of one table, blanks included: 512 MiB as numbers. Formats that say their size are refused before they are
unpacked, as a column of one value takes no place in a file."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on reading one upload. Passing one costs the file at fault, never the others.

    Attributes:
        seconds: For unpacking one archive, recognising all files by one reader, or reading one run.
        total_seconds: For everything together.
        memory_bytes: That a worker process may allocate on top of what it holds when it starts.
        unpacked_bytes: That the contents of all archives together may take on the disk.
        ratio: Unpacked bytes for one packed byte; more is taken for a bomb. Counted from 16 MiB on, as small files of
            zeros pack as well as bombs do. Logs pack 5 to 50 times.
        files: Files looked at, members of archives included.
        depth: Archives inside one another.
        result_bytes: That the tables of all runs of one reading may take in memory. A few kilobytes that are packed
            well may stand for many rows.
        runs: Runs that one reading may give.
    """

    seconds: float = 60.0
    total_seconds: float = 300.0
    memory_bytes: int = 2048 * MEBIBYTE
    unpacked_bytes: int = 2048 * MEBIBYTE
    ratio: int = 200
    files: int = 20_000
    depth: int = 3
    result_bytes: int = 512 * MEBIBYTE
    runs: int = 2_000

    @classmethod
    def of(cls, *, seconds: float, memory_mb: int, unpacked_mb: int, result_mb: int = 512) -> Limits:
        """Return the limits that an installation sets, in the units of its configuration (seconds and MiB)."""
        return cls(
            seconds=seconds,
            total_seconds=5 * seconds,
            memory_bytes=memory_mb * MEBIBYTE,
            unpacked_bytes=unpacked_mb * MEBIBYTE,
            result_bytes=result_mb * MEBIBYTE,
        )
