"""Runs of FOAM's artifact in the threshold lab: their factor snapshots stand for the checks of a factor stream."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from foam_viz.logs.core.reader import Options
from foam_viz.logs.intake import safe
from foam_viz.trace import Trace
from foam_viz.ui.run_logs import reading
from foam_viz.ui.server import hub
from foam_viz.ui.session.open_logs import Source

_FORMAT = "foam-artifact"
_FOLDER = "streams"
_IDENTITY = re.compile(r"[0-9a-f]{20}(-[0-9]+)?")
"""As the reader of the artifact names runs."""
_LEAST = 2
"""Snapshots that a replay needs: the first decomposes under every setting."""
_REMEDY = "Let the artifact train for two epochs or more with factor_snapshot_interval: 1, and upload its directory."


def _is_read(trace: Trace) -> bool:
    """Whether our reader made the trace of an artifact's run: a bundle may call itself one, and name any path."""
    return trace.manifest.format == _FORMAT and bool(_IDENTITY.fullmatch(trace.manifest.run_id))


def steps_of(trace: Trace) -> list[int]:
    """The steps of the snapshots of an artifact's run, rising; none of other runs."""
    if not _is_read(trace) or not trace.has("snapshots", "step"):
        return []
    return sorted(set(trace.values("snapshots", "step").tolist()))


def is_enough(trace: Trace) -> bool:
    """Whether a replay can decide anything about the snapshots of a run."""
    return len(steps_of(trace)) >= _LEAST


def why_not(trace: Trace) -> str:
    """Why the snapshots of an artifact's run are no use, and what to do; empty where they are, and for other runs."""
    if not _is_read(trace) or is_enough(trace):
        return ""
    if not trace.manifest.factors:
        return "it has no factors: its optimizer decomposes nothing, or its diagnostics were not uploaded."
    if found := steps_of(trace):
        return f"its factor snapshots are of step {found[0]:,} alone, and the first check always decomposes. {_REMEDY}"
    return f"it holds no factor snapshots, so it cannot be replayed. {_REMEDY}"


def remark(trace: Trace) -> str:
    """What a reader should know of a replay of snapshots."""
    found, period = steps_of(trace), trace.manifest.config.get("precondition_frequency")
    steps = ", ".join(f"{step:,}" for step in found[:4]) + (f" and {len(found) - 4:,} more" if len(found) > 4 else "")
    own = f", where the run checked every {period:,} steps" if isinstance(period, int) else ""
    return (
        f"The checks are the {len(found):,} factor snapshots, at steps {steps}{own}. What its factors were in between "
        "is not known, so its own decisions are not replayed."
    )


def target(source: Source, trace: Trace) -> Path | None:
    """Where the stream of an upload lies once it is made; None for a folder of the server, which is only read."""
    return source.folder / _FOLDER / trace.manifest.run_id if source.folder is not None else None


def make(source: Source, place: Path, stop: Callable[[], bool]) -> str:
    """Make the stream, in the process that reads uploads, under its limits; returns why not, empty where it is there.

    Args:
        source: The upload.
        place: Its ``target``.
        stop: Says that nobody waits for it any more.
    """
    if place.exists():
        return ""
    try:
        place.parent.mkdir(exist_ok=True)
        found = safe.read(source.paths, Options(streams=str(place.parent)), reading.limits_of(hub().settings), stop)
    except OSError as error:
        return f"The snapshots could not be written: {error.strerror or error}. Free some disk, then choose it again."
    if place.exists():
        return ""
    if stop():
        return "The preparation was stopped. Try again to go on."
    reasons = "; ".join(str(problem) for problem in found.problems[:3])
    return (
        f"The snapshots could not be read again: {reasons or 'they hold no factor that can be used'}. Upload them anew."
    )
