"""Where a run is from: the files that it was read from, else the word for its origin."""

from __future__ import annotations

from collections.abc import Sequence

from foam_viz.trace.visible import shortened
from foam_viz.ui.session.logs import Run

MOST_FILES = 6
"""Names of files that an explanation lists; of more the number is told."""


def origin_of(run: Run) -> tuple[str, str]:
    """Return where a run is from in a word or two, and all of it in a sentence."""
    files = run.trace.manifest.files
    if not files:
        return shortened(run.origin), f"From {run.origin}."
    inside = "" if run.origin in files else f"; opened as {run.origin}"
    return brief(files), f"Read from {listed(files)}{inside}."


def origin_of_group(runs: Sequence[Run]) -> tuple[str, str]:
    """Return the same of several runs that stand in one row."""
    files = list(dict.fromkeys(name for run in runs for name in run.trace.manifest.files or (run.origin,)))
    return brief(files), f"Read from {listed(files)}."


def brief(files: Sequence[str]) -> str:
    """Return the first file's name, and how many more there are."""
    more = f" + {len(files) - 1:,}" if len(files) > 1 else ""
    return f"{shortened(files[0].rpartition('/')[2] or files[0], 32)}{more}"


def listed(files: Sequence[str], most: int = MOST_FILES) -> str:
    """Return the names of the files, of very many the first ones and the number of the others."""
    more = f" and {len(files) - most:,} more" if len(files) > most else ""
    return ", ".join(files[:most]) + more
