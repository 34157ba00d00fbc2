"""From what a user gives - files, folders, archives, in any mix - to a flat list of plain files."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from foam_viz.logs.core.reader import HEAD_BYTES, LogFile, Problem
from foam_viz.logs.intake import archive
from foam_viz.logs.intake.archive import Budget
from foam_viz.logs.intake.limits import Limits

_RUBBISH = {".DS_Store", "__MACOSX", "Thumbs.db", "desktop.ini", ".git", "__pycache__", ".ipynb_checkpoints"}
_OFTEN_EMPTY = ("-wal", "-shm", "-journal", ".lock", ".gitkeep", "__init__.py")
_LFS = b"version https://git-lfs.github.com/spec/v1"


def absolute(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return absolute paths.

    Raises:
        TypeError: It is one path and not a sequence: a text would be taken apart, and ``/`` is a whole disk.
    """
    if isinstance(paths, str | bytes | os.PathLike):
        raise TypeError(f"paths must be a sequence of paths, not one path: [{paths!r}]")
    return [Path(os.path.abspath(path)) for path in paths]


def gather(
    paths: Sequence[str | os.PathLike[str]],
    scratch: Path,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    *,
    skip: frozenset[str] = frozenset(),
    watch: Callable[[str], None] = lambda name: None,
) -> tuple[list[LogFile], list[Problem]]:
    """List every file that was given, those inside of folders and archives included.

    Names are relative to the folder that all paths share: one file is its own name, one folder starts with the
    folder's name, and uploads that were saved into one temporary folder are named as they lie in it, if its entries
    are given and not the folder. An archive counts as a folder that is called like it.

    Args:
        paths: Files, folders and archives. Links among them are followed; links inside of folders are not.
        scratch: An empty folder for the contents of archives; it must live as long as the files are read.
        limits: On the number of files, their nesting and their unpacked size.
        skip: Names of archives that are left alone.
        watch: Called with the name of each archive before it is opened.

    Returns:
        The files in natural order of their names, and a problem for each thing passed over.
    """
    gatherer = _Gatherer(scratch, limits, skip, watch)
    given = absolute(paths)
    shared = Path(os.path.commonpath([path.parent for path in given])) if given else Path()
    for path in dict.fromkeys(given):
        gatherer.add(path, path.relative_to(shared).as_posix())
    return sorted(gatherer.files, key=lambda file: natural(file.name)), gatherer.problems


def signature(paths: Sequence[str | os.PathLike[str]]) -> str:
    """Return a digest of names, sizes and times of change: another one means that reading again may tell more.

    Contents are not read, so a folder that a run is writing into can be asked several times a second.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        for name, place, entry in walk(Path(path), os.fspath(path)):
            state = "" if entry is None else f"{entry.st_size} {entry.st_mtime_ns}"
            digest.update(f"{name}\0{place}\0{state}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts ``trial_2`` before ``trial_10``."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"([0-9]{1,18})", name) if part]


def walk(path: Path, name: str) -> Iterator[tuple[str, Path, os.stat_result | None]]:
    """Yield name, path and state of a file, or of everything below a folder, in order; None where it has no state.

    Links inside are yielded and not followed; the rubbish of operating systems and tools is left out.
    """
    pending = [(name, path, True)]
    while pending:
        name, path, given = pending.pop()
        try:
            state = path.stat() if given else path.lstat()
            inside = sorted(os.listdir(path), key=natural, reverse=True) if stat.S_ISDIR(state.st_mode) else None
        except OSError:
            yield name, path, None
            continue
        if inside is None:
            yield name, path, state
        pending += [
            (f"{name}/{base}", path / base, False)
            for base in inside or ()
            if base not in _RUBBISH and not base.startswith("._")
        ]


class _Gatherer:
    def __init__(self, scratch: Path, limits: Limits, skip: frozenset[str], watch: Callable[[str], None]) -> None:
        self.files: list[LogFile] = []
        self.problems: list[Problem] = []
        self._scratch, self._limits, self._skip, self._watch = scratch, limits, skip, watch
        self._budget = Budget(limits)
        self._names: set[str] = set()
        self._archives = 0

    def add(self, path: Path, name: str) -> None:
        """Add everything at or below one path that the user gave."""
        if not path.exists():
            self._problem(str(path), "there is no such file or folder", "check the path")
            return
        for inner, place, state in walk(path, name):
            if self._budget.files_left <= 0:
                reason = f"its further files are not read: more than {self._limits.files:,} files"
                self._problem(name, reason, "give fewer files at a time")
                return
            self._budget.files_left -= 1
            self._add_file(place, _text(inner), state, depth=0)

    def _add_file(self, path: Path, name: str, state: os.stat_result | None, depth: int) -> None:
        base = name.rpartition("/")[2]
        if state is None:
            self._problem(name, "cannot be looked at", "check the permissions")
        elif stat.S_ISLNK(state.st_mode):
            self._problem(name, "is a link, which is not followed", "give the file that it points to")
        elif not stat.S_ISREG(state.st_mode):
            self._problem(name, "is no regular file (a device, a pipe or a socket)", "")
        elif not state.st_size and base.endswith(_OFTEN_EMPTY):
            pass
        elif not state.st_size:
            self._problem(name, "is empty", "nothing was written to it, or it was not copied whole")
        else:
            try:
                with open(path, "rb") as file:
                    head = file.read(HEAD_BYTES)
            except OSError as error:
                self._problem(name, f"cannot be opened: {error.strerror or error}", "check the permissions")
                return
            if head.startswith(_LFS):
                remedy = "run `git lfs pull` in the repository it comes from, and give the file again"
                self._problem(name, "is a Git-LFS pointer; the log itself is not here", remedy)
            elif archive.kind(head):
                self._unpack(path, name, head, depth)
            elif base not in _RUBBISH:
                self.files.append(LogFile(self._unique(name), path, state.st_size, head))

    def _unpack(self, path: Path, name: str, head: bytes, depth: int) -> None:
        if name in self._skip:
            return
        if depth >= self._limits.depth:
            reason = f"is an archive inside of {depth} others, the most that are opened"
            self._problem(name, reason, "unpack it yourself and give the folder")
            return
        self._watch(name)
        self._archives += 1
        target = self._scratch / f"{self._archives:06d}"
        found, problems = archive.unpack(path, name, head, target, self._budget)
        self.problems += problems
        for inner, place in found:
            parts = inner.split("/")
            if not any(part in _RUBBISH or part.startswith("._") for part in parts):
                self._add_file(place, inner, place.stat(), depth + 1)

    def _unique(self, name: str) -> str:
        unique, count = name, 1
        while unique in self._names:
            count += 1
            unique = f"{name} ({count})"
        self._names.add(unique)
        return unique

    def _problem(self, name: str, reason: str, remedy: str) -> None:
        self.problems.append(Problem(_text(name), "", reason, remedy))


def _text(name: str) -> str:
    """File names of other encodings come as lone surrogates, which can be written nowhere."""
    return name.encode("utf-8", "replace").decode()
