"""What a reader of one log format is, and what passes between readers and those who call them.

A reader is a value: a name, two functions, one line in :mod:`foam_viz.logs.core.catalogue`. ``find`` looks at the
content of files and says which of them make up a run; ``read`` turns the files of one run into traces. Readers never
see archives, uploads or folders: those have become plain files before (:mod:`foam_viz.logs.intake.files`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foam_viz.trace import Trace

HEAD_BYTES = 65536
"""So much of a file is looked at to recognise it."""


@dataclass(frozen=True)
class Problem:
    """Something of an upload that could not be read, or not as it stands; the rest is read all the same.

    Attributes:
        file: Name of the file as the user knows it.
        place: Where in it: ``"line 17"``, ``"record 40, byte 8,120"``, ``"row 3, column loss"``; empty for the whole.
        reason: What is wrong.
        remedy: What to do about it; empty when nothing can be done.
    """

    file: str
    place: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.file}, {self.place}" if self.place else self.file
        return f"{where}: {self.reason}" + (f" ({self.remedy})" if self.remedy else "")


class LogError(ValueError):
    """Files that a reader recognised and cannot read; carries the :class:`Problem`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class LogFile:
    """One file of an upload, a folder or an archive.

    Attributes:
        name: What the user calls it, relative to what was given, with ``/``: ``"study/trial_1/measurements.csv"``.
        path: Where its bytes lie now; a temporary place when it came from an archive.
        size: Bytes.
        head: Its first :data:`HEAD_BYTES` bytes.
    """

    name: str
    path: Path
    size: int
    head: bytes = field(repr=False)

    @property
    def folder(self) -> str:
        """The part of the name before the last ``/``; empty at the top."""
        return self.name.rpartition("/")[0]

    @property
    def base(self) -> str:
        """The part of the name after the last ``/``."""
        return self.name.rpartition("/")[2]

    def problem(self, place: str, reason: str, remedy: str = "") -> LogError:
        """Return the error to raise for something in this file."""
        return LogError(Problem(self.name, place, reason, remedy))


@dataclass(frozen=True, kw_only=True)
class ColumnRule:
    """How one column of a source becomes one column of ``steps``: a guess, or what the user said instead.

    Attributes:
        target: Column of ``steps``; empty to leave the column out.
        unit: Unit after conversion, as the trace schema has it where the target is one of its columns.
        scale: The source's values times this give the values in ``unit``, for example 0.001 from ms to s.
    """

    target: str
    unit: str = ""
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user may say about how files are read; the default says nothing.

    Attributes:
        columns: By name of the source's column, rules that replace the guess.
        line_pattern: Grammar of the records of text logs, as :func:`foam_viz.logs.parsing.blocks.parse` reads it: in
            the simplest case a regular expression with named groups. Empty for the built-in styles.
        show_matches: Keep the first lines that the pattern takes in the manifest, as ``matches``.
        show_secrets: Keep what looks like a secret or an e-mail address in configurations.
        streams: A folder in which factor matrices that were found become run bundles with a factor stream, each by the
            name of its run's ``run_id``; empty for none.
        branch: Which branch of a run that went on from an earlier step: 0 is the first, None the newest.
    """

    columns: Mapping[str, ColumnRule] = field(default_factory=dict)
    line_pattern: str = ""
    show_matches: bool = False
    show_secrets: bool = False
    streams: str = ""
    branch: int | None = None


Group = tuple[LogFile, ...]
"""The files of one run, or of one file that holds several runs."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A log format.

    Attributes:
        name: Goes into the manifest's ``format``.
        label: Name to show.
        summary: One line: what it recognises and what it gets out of it.
        find: Given all files that no earlier reader claimed, returns groups, by content; never raises for bad content.
        read: Turns one group into traces. Raises :class:`LogError` when nothing of the group can be read; what was
            dropped, repaired, guessed or left goes into the manifest's ``notes``, and each column of the source into
            its ``source_columns``.
    """

    name: str
    label: str
    summary: str
    find: Callable[[Sequence[LogFile]], list[Group]]
    read: Callable[[Group, Options], list[Trace]]


@dataclass(frozen=True)
class Reading:
    """All that came out of one upload."""

    traces: list[Trace] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
