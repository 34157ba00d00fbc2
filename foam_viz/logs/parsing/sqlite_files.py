"""SQLite files of other programs, opened read-only, with everything off that a hostile one could use.

Where a write-ahead log lies beside the file, both are copied first: the newest rows are only in the log, and SQLite
cannot read it without writing.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path

from foam_viz.logs.core.damage import of_sqlite
from foam_viz.logs.core.reader import Group, LogError, LogFile

MAGIC = b"SQLite format 3\0"
SIDES = ("-wal", "-shm", "-journal")
LARGEST_VALUE = 64 * 2**20
"""Bytes of one cell."""


def databases(files: Sequence[LogFile]) -> list[Group]:
    """Return every SQLite file with what lies beside it of its logs."""
    sides = {file.name: file for file in files if file.name.endswith(SIDES)}
    return [
        (file, *(sides[file.name + side] for side in SIDES if file.name + side in sides))
        for file in files
        if file.head.startswith(MAGIC)
    ]


def tables_in(group: Group) -> frozenset[str]:
    """Return the names of the tables; none when it is damaged. Several readers ask for each file."""
    return _tables(group)


@lru_cache(maxsize=64)
def _tables(group: Group) -> frozenset[str]:
    try:
        with opened(group) as database:
            return frozenset(
                name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' LIMIT 1000")
            )
    except (sqlite3.Error, UnicodeDecodeError, OSError):
        return frozenset()


def columns_of(database: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of the columns of a table; none when there is no such table."""
    return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}


def damaged(file: LogFile, error: Exception) -> LogError:
    """Return the error to raise for a database that SQLite cannot read."""
    remedy = "copy it again while nothing writes to it, with the -wal file beside it"
    return of_sqlite(file, error, remedy)


@contextmanager
def opened(group: Group) -> Iterator[sqlite3.Connection]:
    """Open a database for reading, its write-ahead log included."""
    file = group[0]
    logs = [side for side in group[1:] if not side.name.endswith("-shm")]
    if not logs:
        with closing(_connect(f"{file.path.absolute().as_uri()}?mode=ro&immutable=1")) as database:
            yield database
        return
    with tempfile.TemporaryDirectory(prefix="foam_viz_sqlite_") as folder:
        copy = Path(folder) / "copy.db"
        shutil.copyfile(file.path, copy)
        for side in logs:
            shutil.copyfile(side.path, f"{copy}{side.name[len(file.name) :]}")
        with closing(_connect(f"{copy.as_uri()}?mode=rw")) as database:
            yield database


def _connect(address: str) -> sqlite3.Connection:
    database = sqlite3.connect(address, uri=True)
    database.text_factory = lambda data: data.decode("utf-8", "replace")
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
    for pragma in ("query_only = 1", "trusted_schema = 0", "cell_size_check = 1", "mmap_size = 0"):
        database.execute(f"PRAGMA {pragma}")
    return database
