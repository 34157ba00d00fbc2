"""Two files of one run - a CSV and its event file, ``result.json`` and ``progress.csv`` - become one run.

Files are of one run where they lie in one folder, or one below the other, are of different kinds, have names that may
be those of one run (:func:`_may_be_one`), and hold a curve in common, at most of the steps of the shorter one. The run
keeps the steps of the file that has steps, and columns of both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from foam_viz.trace import Trace
from foam_viz.trace.schema import STEPS, make_field, unit_of

_WHOLE = frozenset(
    {"foam_viz", "foam-artifact", "algoperf", "mlflow", "mlflow-database", "optuna-database", "trackio", "wandb"}
)
"""Formats of which one run is all there is of it."""

_NO_PROOF = frozenset(
    {"step", "epoch", "tokens", "optimizer_seconds", "total_seconds", "learning_rate", "decompositions"}
)
_FEWEST, _AGREE, _NEAR = 3, 0.95, 1e-3
_KINDS_OF_FILES = frozenset(
    {"metrics", "metric", "progress", "result", "results", "history", "log", "logs", "events", "scalars", "train",
     "training", "trainer", "state", "output", "stdout", "stderr", "summary", "all", "eval", "monitor", "stats", "data"}
)  # fmt: skip
_WORD = re.compile(r"[a-z0-9]+")
_MOST_OF = 0.5
"""So large a part of the steps of the shorter file must be in both."""
_NUMBERED = "the number of the row"
_LEVELS = 2
_MOST_IN_FOLDER = 24
"""A folder with more runs than this holds runs, not the files of one."""


def united(traces: Sequence[Trace]) -> list[Trace]:
    """Join the traces that are one run; the others, and their order, stay as they are."""
    slots: list[Trace | None] = list(traces)
    folders: dict[str, list[int]] = {}
    for position, trace in enumerate(traces):
        if trace.manifest.format not in _WHOLE and trace.rows("steps") >= _FEWEST and trace.manifest.files:
            folders.setdefault(trace.manifest.files[0].rpartition("/")[0], []).append(position)
    for folder, places in folders.items():
        above, below = folder, list(places)
        for _ in range(_LEVELS):
            above = above.rpartition("/")[0]
            below += folders.get(above, []) if above else []
        if 2 <= len(below) <= _MOST_IN_FOLDER:
            _join(sorted(below), slots)
    return [trace for trace in slots if trace is not None]


def _join(places: Sequence[int], slots: list[Trace | None]) -> None:
    for position, first in enumerate(places):
        for other in places[position + 1 :]:
            one, two = slots[first], slots[other]
            if one is None or two is None or _kind(one) == _kind(two):
                continue
            main, added = _ordered(one, two)
            rows = _rows_in_common(main, added) if _may_be_one(one, two) else None
            if rows is not None:
                slots[first], slots[other] = _merged(main, added, rows), None


def _kind(trace: Trace) -> tuple[str, str]:
    """What tells two files of one run from two runs: their format, and how their names end."""
    base = trace.manifest.files[0].rpartition("/")[2]
    return trace.manifest.format, base.rpartition(".")[2].lower() if trace.manifest.format == "table" else ""


def _may_be_one(first: Trace, other: Trace) -> bool:
    """Say whether two files may be of one run by their names: alike, or one of them says only what kind of file it is.

    Runs of a sweep lie beside each other as ``adam.csv`` and ``foam.jsonl``, and begin alike where they share a seed.
    """
    stems = [_stem(trace) for trace in (first, other)]
    return not all(stems) or stems[0] == stems[1] or any(b.startswith(f"{a}_") for a, b in (stems, stems[::-1]))


def _stem(trace: Trace) -> str:
    """The words of a file's name, without its endings and those that only say what kind of file it is."""
    base = trace.manifest.files[0].rpartition("/")[2].lower()
    if "tfevents" in base:
        return ""
    return "_".join(word for word in _WORD.findall(base.partition(".")[0]) if word not in _KINDS_OF_FILES)


def _ordered(first: Trace, other: Trace) -> tuple[Trace, Trace]:
    """The one with steps goes first, then the longer one."""

    def worth(trace: Trace) -> tuple[bool, int]:
        return _has_steps(trace), trace.rows("steps")

    return (first, other) if worth(first) >= worth(other) else (other, first)


def _has_steps(trace: Trace) -> bool:
    """Say whether the log told steps; otherwise the rows were numbered."""
    return any(column.get("target") == "step" for column in trace.manifest.source_columns)


def _rows_in_common(main: Trace, added: Trace) -> np.ndarray | None:
    """Return the step of ``main`` for each row of ``added``, or None where they are not the same run."""
    steps = np.asarray(added.values("steps", "step"))
    shared = [name for name in main.steps.column_names if name not in _NO_PROOF and name in added.steps.column_names]
    curves = [name for name in shared if main.has("steps", name) and added.has("steps", name)]
    if not _has_steps(added):
        for name in curves:
            found = _in_order(main, added, name)
            if found is not None and _agree(main, added, found, curves):
                return found
    return steps if _agree(main, added, steps, curves) else None


def _in_order(main: Trace, added: Trace, name: str) -> np.ndarray | None:
    """Steps for numbered rows where both files hold as many values of a curve."""
    own, theirs = _present(added, name), _present(main, name)
    if len(own) != len(theirs) or len(own) < added.rows("steps"):
        return None
    return np.asarray(main.values("steps", "step"))[theirs]


def _present(trace: Trace, name: str) -> np.ndarray:
    return np.flatnonzero(np.isfinite(np.asarray(trace.values("steps", name), float)))


def _agree(main: Trace, added: Trace, steps: np.ndarray, curves: Sequence[str]) -> bool:
    """Say whether curves have the same values at the same steps: one that varies, and none that differs."""
    common, ours, theirs = np.intersect1d(np.asarray(main.values("steps", "step")), steps, return_indices=True)
    if len(common) < max(_FEWEST, _MOST_OF * min(len(steps), main.rows("steps"))):
        return False
    proven = False
    for name in curves:
        a = np.asarray(main.values("steps", name), float)[ours]
        b = np.asarray(added.values("steps", name), float)[theirs]
        both = np.isfinite(a) & np.isfinite(b)
        if both.sum() < _FEWEST:
            continue
        scale = np.maximum(np.maximum(np.abs(a[both]), np.abs(b[both])), 1e-9)
        if (np.abs(a[both] - b[both]) <= _NEAR * scale).mean() < _AGREE:
            return False
        proven |= len(np.unique(np.round(a[both], 9))) >= _FEWEST
    return proven


def _merged(main: Trace, added: Trace, steps: np.ndarray) -> Trace:
    """Return a trace with the rows and columns of both."""
    own = np.asarray(main.values("steps", "step"))
    union = np.union1d(own, steps)
    ours, theirs = np.searchsorted(union, own), np.searchsorted(union, steps)
    columns: dict[str, pa.Array] = {"step": pa.array(union, pa.int64())}
    fields = [STEPS.arrow().field("step")]
    new = []
    for name in dict.fromkeys([*main.steps.column_names, *added.steps.column_names]):
        mine, more = main.has("steps", name), added.has("steps", name)
        if name == "step" or not (mine or more):
            continue
        values, missing = np.full(len(union), np.nan), np.ones(len(union), bool)
        for trace, there, where in ((added, more, theirs), (main, mine, ours)):
            if there:
                present = np.asarray(trace.steps[name].is_valid())
                values[where[present]] = np.asarray(trace.values("steps", name), float)[present]
                missing[where[present]] = False
        source = (main if mine else added).steps.schema.field(name)
        kind = pa.int64() if name == "decompositions" else pa.float64()
        columns[name] = pa.array(values, pa.float64(), mask=missing, from_pandas=False).cast(kind)
        fields.append(make_field(name, kind, unit_of(source)))
        if not mine:
            new.append(name)
    table = pa.table(list(columns.values()), schema=pa.schema(fields))
    names = ", ".join(added.manifest.files[:3])
    came = f"; from it come {', '.join(map(repr, new[:6]))}{' and others' if len(new) > 6 else ''}" if new else ""
    said = f"{names} is the same run by its values at {len(np.intersect1d(own, steps)):,} steps and was joined{came}."
    manifest = main.manifest.with_(
        files=(*main.manifest.files, *added.manifest.files),
        source_columns=(*main.manifest.source_columns, *_others(main, added)),
        config={**added.manifest.config, **main.manifest.config},
        optimizer=main.manifest.optimizer or added.manifest.optimizer,
        created=main.manifest.created or added.manifest.created,
        status="diverged" if "diverged" in (main.manifest.status, added.manifest.status) else main.manifest.status,
    )

    def told(note: str) -> bool:
        return note not in main.manifest.notes and _NUMBERED not in note

    notes = [f"{added.manifest.files[0]}: {note}" for note in added.manifest.notes if told(note)]
    return Trace(manifest.with_notes([said, *notes]), steps=table)


def _others(main: Trace, added: Trace) -> list[dict[str, object]]:
    known = {column.get("source") for column in main.manifest.source_columns}
    return [dict(column) for column in added.manifest.source_columns if column.get("source") not in known]
