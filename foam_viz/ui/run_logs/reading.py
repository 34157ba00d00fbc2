"""Reading logs for a session without holding up anybody: a few at a time, each in a worker process of its own."""

from __future__ import annotations

import atexit
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from foam_viz.logs.core.reader import Options, Problem, Reading
from foam_viz.logs.intake import safe
from foam_viz.logs.intake.limits import Limits
from foam_viz.settings import Settings
from foam_viz.trace import Trace
from foam_viz.ui.fair import FairQueue
from foam_viz.ui.session.corrections import Rules, Shape

AT_ONCE, PATIENCE_SECONDS, MOST_AT_ONCE = 2, 5.0, 4
"""Uploads read at a time on the whole server; one that takes longer makes place for another, up to the last number."""
PREVIEW_SECONDS = 10.0
_MOST_SHAPES = 8
_TEXT_LOG = "key-value"

queue = FairQueue(AT_ONCE, PATIENCE_SECONDS, MOST_AT_ONCE)
"""Readings of all visitors: one at a time of each."""
_closing = threading.Event()
atexit.register(_closing.set)


def limits_of(settings: Settings) -> Limits:
    """The limits that the installation sets."""
    return Limits.of(
        seconds=settings.log_seconds,
        memory_mb=settings.log_memory_mb,
        unpacked_mb=settings.log_unpacked_mb,
        result_mb=settings.log_kept_mb,
    )


def start(visitor: str, paths: Sequence[Path], **how: Any) -> Future[Reading]:
    """Begin to read when it is the visitor's turn; see :func:`read`."""
    return queue.submit(visitor, partial(read, paths, **how))


def read(
    paths: Sequence[Path],
    *,
    pattern: str,
    show_secrets: bool,
    rules: Callable[[Trace], Rules],
    limits: Limits,
    stop: Callable[[], bool] = lambda: False,
) -> Reading:
    """Read everything, and again what the user corrected.

    What a correction or a pattern cannot read keeps the reading without it, with the problem beside it.

    Args:
        paths: Files and folders.
        pattern: Of the lines of text logs; empty for the built-in one.
        show_secrets: Do not mask what looks like a secret.
        rules: Gives the corrections of a run's columns.
        limits: Of the reading; its time is that of everything together, read again or not.
        stop: Says that nobody waits for it any more.
    """
    end = time.monotonic() + limits.total_seconds

    def once(paths: Sequence[Path], options: Options) -> Reading:
        left = replace(limits, total_seconds=max(1.0, end - time.monotonic()))
        return safe.read(paths, options, left, stop=lambda: stop() or _closing.is_set())

    found = once(paths, Options(show_secrets=show_secrets))
    if pattern:
        found = _with_pattern(found, once(paths, Options(show_secrets=show_secrets, line_pattern=pattern)))
    corrected: dict[Shape, Rules] = {}
    for shape, trace in {Shape.of(trace): trace for trace in found.traces}.items():
        if len(corrected) < _MOST_SHAPES and (known := rules(trace)):
            corrected[shape] = known
    for shape, known in corrected.items():
        mine = [trace for trace in found.traces if Shape.of(trace) == shape]
        text = pattern if mine[0].manifest.format == _TEXT_LOG else ""
        options = Options(columns=known, line_pattern=text, show_secrets=show_secrets)
        again = once(_paths_of(paths, mine), options)
        found = _with_correction(found, again, shape)
    return _public(found, paths)


def preview(paths: Sequence[Path], pattern: str, settings: Settings) -> tuple[list[Trace], list[Problem]]:
    """Text logs read with a pattern, under limits that fit somebody who waits."""
    quick = replace(limits_of(settings), seconds=PREVIEW_SECONDS, total_seconds=2 * PREVIEW_SECONDS)
    reading = _public(safe.read(paths, Options(line_pattern=pattern, show_matches=True), quick), paths)
    texts = [trace for trace in reading.traces if trace.manifest.format == _TEXT_LOG]
    return texts, reading.problems


def _with_pattern(plain: Reading, patterned: Reading) -> Reading:
    """Text logs as the pattern reads them; where it takes no line of one, as they were read without."""
    texts = [trace for trace in patterned.traces if trace.manifest.format == _TEXT_LOG]
    replaced = {trace.manifest.files for trace in texts}
    kept = [
        trace for trace in plain.traces if not (trace.manifest.format == _TEXT_LOG and trace.manifest.files in replaced)
    ]
    known = {name for files in replaced for name in files} | {name for t in kept for name in t.manifest.files}
    problems = [problem for problem in plain.problems if problem.file not in known]
    about = {problem.file for problem in problems}
    problems = [problem for problem in patterned.problems if problem.file in about] or problems
    missing = [problem for problem in plain.problems if problem.file not in known | {p.file for p in problems}]
    return Reading(kept + texts, problems + missing)


def _with_correction(plain: Reading, again: Reading, shape: Shape) -> Reading:
    fixed = [trace for trace in again.traces if Shape.of(trace) == shape]
    if not fixed:
        return Reading(plain.traces, [*plain.problems, *(p for p in again.problems if p not in plain.problems)])
    position = next(index for index, trace in enumerate(plain.traces) if Shape.of(trace) == shape)
    before = plain.traces[:position]
    after = [trace for trace in plain.traces[position:] if Shape.of(trace) != shape]
    new = [problem for problem in again.problems if problem not in plain.problems and _concerns(problem, fixed)]
    return Reading([*before, *fixed, *after], [*plain.problems, *new])


def _concerns(problem: Problem, traces: Iterable[Trace]) -> bool:
    return any(problem.file in trace.manifest.files for trace in traces)


def _paths_of(paths: Sequence[Path], traces: Sequence[Trace]) -> list[Path]:
    """The given paths that some traces came from: their names begin with the last component of one."""
    tops = {name.partition("/")[0] for trace in traces for name in trace.manifest.files}
    needed = [path for path in paths if path.name in tops]
    # Names are relative to the folder that all paths share: with paths from several folders nothing can be told.
    return needed if needed and len({path.parent for path in paths}) == 1 else list(paths)


def _public(reading: Reading, paths: Sequence[Path]) -> Reading:
    """Without the places on the server where files lie."""
    # A path is longer than its parents, so the whole one goes first.
    homes = sorted({f"{path.parent}/" for path in paths} | {f"{tempfile.gettempdir()}/"}, key=len, reverse=True)
    inside = re.compile("|".join(rf"{re.escape(home)}(?:foam_viz_logs_\w+/(?:unpacked-\d+/\d+/)?)?" for home in homes))

    def clean(text: str) -> str:
        return inside.sub("", text)

    for trace in reading.traces:
        if any(inside.search(note) for note in trace.manifest.notes):
            trace.manifest = trace.manifest.with_(notes=tuple(map(clean, trace.manifest.notes)))
    problems = [Problem(*map(clean, (p.file, p.place, p.reason, p.remedy))) for p in reading.problems]
    return Reading(reading.traces, problems)
