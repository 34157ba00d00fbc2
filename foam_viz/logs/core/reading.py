"""The way from files to runs: who claims which file, reading under guard, and what is left over."""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from foam_viz.logs.core import unknown
from foam_viz.logs.core.catalogue import READERS
from foam_viz.logs.core.mask import masked
from foam_viz.logs.core.reader import Group, LogError, LogFile, Options, Problem, Reader, Reading
from foam_viz.logs.core.same_run import united
from foam_viz.logs.formats import key_values, table
from foam_viz.logs.intake.files import gather
from foam_viz.logs.intake.limits import Limits
from foam_viz.logs.parsing.text_lines import looks_like_text, were
from foam_viz.trace import Trace
from foam_viz.trace.disk import strict_json
from foam_viz.trace.soundness import sound

Claim = tuple[Reader, Group]

_LISTED = 10
_LOOKED_INTO = 200
_PICKLED = re.compile(rb"PK\x03\x04.{26}[^/]{1,200}/(data\.pkl|\.format_version|\.data/)|\x80[\x02-\x05]", re.DOTALL)
_REPORT = "if it is a log, please report it with an example"
_SETTLED_FIELDS = (
    "run_id", "name", "task", "optimizer", "device", "created", "files", "config", "hardware", "software", "recorder",
    "source_columns", "extra",
)  # fmt: skip


def read(path: str | os.PathLike[str], *more: str | os.PathLike[str], options: Options = Options()) -> list[Trace]:  # noqa: B008
    """Read all runs in files, folders and archives, in this process.

    What could not be read is in the notes of the run that it lies beside, or comes as a Python warning when it lies
    beside none; :func:`read_all` returns it as data.

    Args:
        path: A file of any known format, a folder or an archive.
        more: Further ones; files that belong together may come apart.
        options: What is known about the files.

    Raises:
        FileNotFoundError: A path does not exist.
        LogError: No run at all could be read; it carries the first problem, and the others as notes.
    """
    paths = [Path(given) for given in (path, *more)]
    for given in paths:
        if not given.exists():
            raise FileNotFoundError(f"{given}: there is no such file or folder")
    reading = read_all(paths, options)
    if not reading.traces:
        first, *others = reading.problems or [Problem(str(path), "", "holds no file")]
        error = LogError(first)
        for problem in others:
            error.add_note(str(problem))
        raise error
    for problem in reading.problems:
        beside = [trace for trace in reading.traces if _belongs(problem, trace)]
        for trace in beside:
            trace.manifest = trace.manifest.with_notes([str(problem)])
        if not beside:
            warnings.warn(str(problem), stacklevel=2)
    return reading.traces


def read_all(
    paths: Sequence[str | os.PathLike[str]],
    options: Options = Options(),  # noqa: B008 - frozen
    limits: Limits = Limits(),  # noqa: B008
) -> Reading:
    """Read all runs in files, folders and archives, in this process; never raises for what is in them.

    Args:
        paths: As for :func:`foam_viz.logs.intake.files.gather`.
        options: What the user said about the files.
        limits: Those on files and unpacked bytes apply; time and memory need :mod:`foam_viz.logs.intake.safe`.
    """
    traces: list[Trace] = []
    with tempfile.TemporaryDirectory(prefix="foam_viz_logs_") as scratch:
        files, problems = gather(paths, Path(scratch), limits)
        claims, unclaimed = claim(files, line_pattern=options.line_pattern)
        for reader, group in claims:
            found, bad = read_group(reader, group, options)
            traces += found
            problems += bad
    return Reading(distinct(united(traces)), problems + unclaimed)


def claim(
    files: Sequence[LogFile],
    *,
    skip: frozenset[str] = frozenset(),
    watch: Callable[[Reader], None] = lambda reader: None,
    line_pattern: str = "",
) -> tuple[list[Claim], list[Problem]]:
    """Ask the readers in order which files are theirs.

    Args:
        files: All files of an upload.
        skip: Names of readers that are not asked.
        watch: Called with each reader before it looks.
        line_pattern: What the user said of lines: text files that nobody recognises are read with it.

    Returns:
        Readers with the files of one run each, and a problem for each file that nobody claims.
    """
    left = {file.name: file for file in files}
    claims: list[Claim] = []
    defects: dict[str, Problem] = {}
    for reader in READERS:
        if reader.name in skip or not left:
            continue
        watch(reader)
        groups, bad = _find(reader, list(left.values()))
        defects.update({problem.file: problem for problem in bad})
        claims += [(reader, group) for group in groups]
        for file in (file for group in groups for file in group):
            left.pop(file.name, None)
    if line_pattern and key_values.READER.name not in skip:
        texts = [file for file in left.values() if looks_like_text(file.head)]
        claims += [(key_values.READER, (file,)) for file in texts]
        for file in texts:
            del left[file.name]
    # What one reader stumbled over another may have recognised; then nothing is lost.
    stumbled = [problem for name, problem in defects.items() if name in left or not name]
    return claims, stumbled + _unclaimed([file for name, file in left.items() if name not in defects])


def read_group(reader: Reader, group: Group, options: Options) -> tuple[list[Trace], list[Problem]]:
    """Read the files of one run; whatever goes wrong becomes a problem."""
    try:
        traces = [_settled(trace, options) for trace in reader.read(group, options)]
        return (traces if _tells_a_loss(traces) else _as_text(reader, group, options) or traces), []
    except LogError as error:
        texts = _as_text(reader, group, options)
        if texts:
            return texts, []
        return [], [error.problem]
    except MemoryError:
        reason = f"needs more memory than allowed to read as {reader.label}"
        return [], [Problem(_names(group), "", reason, "raise log_memory_mb, or give a shorter log")]
    except Exception as error:  # a defect of a reader must not cost the user the other files
        return [], [_defect(reader, _names(group), error)]


def _tells_a_loss(traces: Sequence[Trace]) -> bool:
    return any(trace.has("steps", name) for trace in traces for name in ("loss", "held_out_loss"))


def _as_text(reader: Reader, group: Group, options: Options) -> list[Trace]:
    """Lines of a text log may look like rows of a table, parted by bars or blanks; read so they must tell a loss."""
    if reader.name != table.READER.name or not looks_like_text(group[0].head) or not key_values.READER.find(group):
        return []
    try:
        traces = [_settled(trace, options) for trace in key_values.READER.read(group, options)]
    except LogError:
        return []
    return traces if _tells_a_loss(traces) else []


def distinct(traces: Sequence[Trace]) -> list[Trace]:
    """Give runs of one name the part of their folder that tells them apart, and runs of one identity another."""
    alike: dict[str, list[Trace]] = {}
    for trace in traces:
        alike.setdefault(trace.manifest.name, []).append(trace)
    names: dict[int, str] = {}
    for name, group in alike.items():
        names.update(zip(map(id, group), _told_apart(name, group) if len(group) > 1 else [name], strict=True))
    taken: set[str] = set()
    identities: set[str] = set()
    for trace in traces:
        manifest = trace.manifest
        name, run_id = _numbered(names[id(trace)], taken), _numbered(manifest.run_id, identities)
        if run_id != manifest.run_id:
            note = "another run of the same upload has the same identity: the same files twice, or a copy of its folder"
            manifest = manifest.with_notes([note])
        if (name, run_id) != (manifest.name, trace.manifest.run_id):
            trace.manifest = manifest.with_(name=name, run_id=run_id)
    return list(traces)


def _told_apart(name: str, group: Sequence[Trace]) -> list[str]:
    """The name behind as many folders, from the first in which the runs differ, as single each one out."""
    folders = [trace.manifest.files[0].split("/")[:-1] if trace.manifest.files else [] for trace in group]
    shared = len(os.path.commonprefix(folders))
    rests = [[part for part in folder[shared:] if part != name] for folder in folders]
    result = []
    for rest in rests:
        depths = range(1, len(rest) + 1)
        alone = (depth for depth in depths if sum(other[:depth] == rest[:depth] for other in rests) == 1)
        result.append("/".join([*rest[: next(alone, len(rest))], name]))
    return result


def _numbered(text: str, taken: set[str]) -> str:
    unique, count = text, 1
    while unique in taken:
        count += 1
        unique = f"{text} ({count})"
    taken.add(unique)
    return unique


def folded(problems: Sequence[Problem]) -> list[Problem]:
    """Put problems of one place, reason and remedy together: their files are listed, ten at most."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for problem in problems:
        alike.setdefault((problem.place, problem.reason, problem.remedy), []).append(problem.file)
    return [
        Problem(_listed(list(dict.fromkeys(files))), place, reason, remedy)
        for (place, reason, remedy), files in alike.items()
    ]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _find(reader: Reader, files: list[LogFile]) -> tuple[list[Group], list[Problem]]:
    try:
        return reader.find(files), []
    except Exception:  # one file at a time, then, to learn which is at fault
        problems = []
        good = []
        for file in files:
            try:
                reader.find([file])
                good.append(file)
            except Exception as error:
                problems.append(_defect(reader, file.name, error))
        try:
            return reader.find(good), problems
        except Exception as error:
            return [], [*problems, _defect(reader, "", error)]


def _defect(reader: Reader, name: str, error: Exception) -> Problem:
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Problem(name, "", f"the reader for {reader.label} failed on it with {what[:300]}", _REPORT)


def _names(group: Group) -> str:
    return group[0].name if len(group) == 1 else f"{group[0].name} and {len(group) - 1} more of this run"


def _settled(trace: Trace, options: Options) -> Trace:
    """The last word on every run, whoever read it: secrets masked, texts that can be shown, values in their ranges."""
    manifest = trace.manifest
    notes: list[str] = []
    long: list[str] = []
    changes: dict[str, Any] = {}
    for name in _SETTLED_FIELDS:
        value = _plain(getattr(manifest, name), long)
        if not options.show_secrets:
            value, hidden = masked(value)
            notes += hidden
        changes[name] = tuple(value) if isinstance(value, list) else value
    if long:
        which = ", ".join(dict.fromkeys(long[:3])) + (" and others" if len(long) > 3 else "")
        notes.append(f"{were(len(long), 'whole number')} too long for a number and kept as text: {which}.")
    trace.manifest = manifest.with_(**changes).with_notes(notes)
    return sound(trace)


def _plain(value: Any, long: list[str], key: str = "(no name)") -> Any:
    """The same as JSON has it: null for NaN, words for what it has no form for; ``long`` gets keys of long numbers."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {_plain(str(key), long): _plain(item, long, str(key)[:60]) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, long, key) for item in value]
    if isinstance(value, int) and strict_json.is_too_long(value):
        long.append(repr(key))
    try:
        return strict_json.plain(value)
    except TypeError:
        return str(value)


def _unclaimed(files: list[LogFile]) -> list[Problem]:
    looked_for = f"looked for {', '.join(reader.label for reader in READERS)}"
    pickled = [file for file in files if _PICKLED.match(file.head)]
    known: list[Problem] = []
    others: list[LogFile] = []
    for file in (file for file in files if file not in pickled):
        # A look into each of thousands would cost more than it tells.
        found = _problem_of(file) if len(known) < _LOOKED_INTO else None
        known += [found] if found else []
        others += [] if found else [file]
    return [
        *folded(known),
        *_each(pickled, "holds pickled objects (weights, a checkpoint), which are never loaded", ""),
        *_each(others, "is not a log of a known kind", looked_for),
    ]


def _problem_of(file: LogFile) -> Problem | None:
    try:
        return unknown.problem_of(file)
    except (OSError, ValueError, RecursionError, MemoryError):
        return None


def _each(files: list[LogFile], reason: str, remedy: str) -> list[Problem]:
    if len(files) <= _LISTED:
        return [Problem(file.name, "", reason, remedy) for file in files]
    names = ", ".join(file.name for file in files[:_LISTED])
    return [Problem(f"{names} and {len(files) - _LISTED:,} more", f"{len(files):,} files", f"each {reason}", remedy)]


def _belongs(problem: Problem, trace: Trace) -> bool:
    folders = {name.rpartition("/")[0] for name in trace.manifest.files} - {""}
    return problem.file in trace.manifest.files or problem.file.rpartition("/")[0] in folders
