"""From columns of numbers to traces: which rows are one run, which are one step, and how the run ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from foam_viz.logs.core.columns import Guess, Series, guess, is_clock_since_1970
from foam_viz.logs.core.epochs import Planned
from foam_viz.logs.core.reader import Options
from foam_viz.logs.core.row_steps import run_starts, steps_of_rows, without_repeats
from foam_viz.logs.core.row_values import without_filler
from foam_viz.logs.parsing.dates import iso_date
from foam_viz.logs.parsing.text_lines import counted
from foam_viz.trace import Manifest, Trace
from foam_viz.trace.batches import record_batch


def traces_from_columns(
    series: Sequence[Series],
    template: Manifest,
    options: Options,
    *,
    split: bool = True,
    total_seconds: float = 0.0,
    planned: Planned = Planned(),  # noqa: B008 - frozen
    count_rows: bool = False,
) -> list[Trace]:
    """Make the traces of one source out of its columns.

    Args:
        series: Columns of one length, names unlike.
        template: Manifest of the source: name, format, files, configuration. Notes, source columns, status and, for
            several runs, names and identities are filled in here.
        options: What the user said of columns.
        split: Whether falling steps may begin another run.
        total_seconds: Length of the run where the source tells it elsewhere, else 0.
        planned: Totals of the step and the epoch where the source prints them.
        count_rows: Whether a note says how many rows were used, and what they hold: for rows that a person can count.

    Returns:
        A trace a run; none when no row has a step.
    """
    size = len(series[0].values) if series else 0
    series, notes = without_filler(series)
    series, repeated = without_repeats(series)
    notes += repeated
    guessed = guess(series, options.columns, total_seconds=total_seconds)
    notes += guessed.notes
    found = steps_of_rows(series, guessed, planned, notes)
    rows, steps, key = found.rows, found.steps, found.key
    if found.planned:
        template = template.with_(config={**template.config, "steps_planned": found.planned})
    if not len(rows):
        return []
    if count_rows:
        notes.append(_used(series, guessed, rows, size))
    starts = run_starts(key) if split else [0]
    if len(starts) > 1:
        notes.append(
            f"The step falls back to its start {counted(len(starts) - 1, 'time')}: {len(starts)} runs in one file."
        )
    template = template.with_(source_columns=guessed.source_columns(series)).with_notes(notes)
    traces = []
    for index, (start, end) in enumerate(zip(starts, [*starts[1:], len(rows)], strict=True)):
        manifest = template
        if len(starts) > 1:
            identity = f"{template.run_id}-{index + 1}"
            manifest = template.with_(name=f"{template.name} (run {index + 1})", run_id=identity)
        own_steps = steps[start:end] if guessed.step else np.arange(1, end - start + 1)
        traces.append(_one_run(series, guessed, rows[start:end], own_steps, manifest))
    return traces


def _used(series: Sequence[Series], guessed: Guess, rows: np.ndarray, size: int) -> str:
    """How many rows were used, by what they hold."""
    losses = np.zeros((2, len(rows)), bool)
    for one in series:
        place = {"loss": 0, "held_out_loss": 1}.get(guessed.rules[one.name].target)
        if place is not None:
            losses[place] = True if one.missing is None else ~one.missing[rows]
    kinds = ((losses[0], "training loss"), (losses[1], "held-out loss"), (~losses.any(axis=0), "other values only"))
    told = ", ".join(f"{words} in {int(mask.sum()):,}" for mask, words in kinds if mask.any())
    return f"{len(rows):,} of {counted(size, 'row')} were used: {told}."


def _one_run(
    series: Sequence[Series], guessed: Guess, rows: np.ndarray, steps: np.ndarray, manifest: Manifest
) -> Trace:
    notes: list[str] = []
    order: np.ndarray | None = None
    group: np.ndarray | None = None
    whole = len(rows) == len(series[0].values)
    changes = np.diff(steps)
    if (changes < 0).any():
        order = np.argsort(steps, kind="stable")
        notes.append(_falls_note(changes, steps))
    if (changes <= 0).any():
        steps, group = np.unique(steps if order is None else steps[order], return_inverse=True)
    columns: dict[str, object] = {"step": steps}
    units: dict[str, str] = {}
    twice: dict[str, int] = {}
    for one in series:
        rule = guessed.rules[one.name]
        if not rule.target or one.name == guessed.step:
            continue
        part = one if whole else one.take(rows)
        part = part if order is None else part.take(order)
        values, missing = part.values, part.missing
        if group is not None:
            values, missing, repeated = _merged(values, missing, group, len(steps))
            if repeated and not (rule.target == "total_seconds" and one.unit == "date"):
                twice[one.name] = repeated  # two lines of one step never have the same date
        if rule.scale != 1.0:
            values = values * rule.scale
        if rule.target == "total_seconds" and is_clock_since_1970(one, rule):
            values, manifest = _from_first(values, missing, manifest)
        columns[rule.target] = _arrow(values, missing, rule.target)
        units[rule.target] = rule.unit
    if twice:
        worst = ", ".join(f"{name!r} {count:,} times" for name, count in list(twice.items())[:5])
        notes.append(
            f"Of several values for one step the last one was kept: {worst}{' and others' if len(twice) > 5 else ''}."
        )
    notes += _clock_notes(columns)
    status = _diverged(columns)
    if status is not None:
        manifest = manifest.with_(status="diverged", diverged_step=status)
    batch = record_batch("steps", columns, units)
    return Trace(manifest.with_notes(notes), steps=pa.Table.from_batches([batch]))


def _falls_note(changes: np.ndarray, steps: np.ndarray) -> str:
    falls = np.flatnonzero(changes < 0)
    if len(falls) > len(steps) / 3:
        return "The rows were out of order; they were sorted by step."
    first = falls[0]
    return (
        f"The step falls back {counted(len(falls), 'time')}, first from {steps[first]:,} to {steps[first + 1]:,}, "
        "as after a resume: one run, the later value of a step counts."
    )


def _merged(
    values: np.ndarray, missing: np.ndarray | None, group: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Unite the rows of each step; returns values, mask, and how often a value was replaced by another."""
    where = np.arange(len(values)) if missing is None else np.flatnonzero(~missing)
    out, absent = np.full(size, np.nan), np.ones(size, bool)
    last = np.full(size, -1, np.int64)
    last[group[where]] = where  # with repeated indices the last assignment stays
    filled = last >= 0
    out[filled], absent[filled] = values[last[filled]], False
    before, after = values[where], out[group[where]]
    replaced = int(((before != after) & ~(np.isnan(before) & np.isnan(after))).sum())
    return out, absent, replaced


def _from_first(values: np.ndarray, missing: np.ndarray | None, manifest: Manifest) -> tuple[np.ndarray, Manifest]:
    present = values[np.isfinite(values) & (True if missing is None else ~missing)]
    if not len(present):
        return values, manifest
    first = float(present[0])
    created = manifest.created or iso_date(first)
    return values - first, manifest.with_(created=created)


def _arrow(values: np.ndarray, missing: np.ndarray | None, target: str) -> pa.Array:
    mask = None if missing is None or not missing.any() else missing
    array = pa.array(values, pa.float64(), mask=mask, from_pandas=False)
    return array.cast(pa.int64()) if target == "decompositions" else array


def _clock_notes(columns: Mapping[str, Any]) -> list[str]:
    notes = []
    for name in ("optimizer_seconds", "total_seconds"):
        clock = columns.get(name)
        if clock is not None and isinstance(clock, pa.Array):
            values = clock.drop_null().to_numpy()
            falls = int((np.diff(values) < 0).sum())
            if falls:
                notes.append(f"The clock {name} falls {falls:,} times, as after a resume; it stays as it was logged.")
    return notes


def _diverged(columns: Mapping[str, Any]) -> int | None:
    """Return the step at which the loss became NaN or inf for good, else None. Blanks after it say nothing."""
    loss = columns.get("loss", columns.get("held_out_loss"))
    if not isinstance(loss, pa.Array):
        return None
    steps = np.asarray(columns["step"])
    present = np.flatnonzero(np.asarray(loss.is_valid()))
    values = loss.drop_null().to_numpy()
    if not len(values) or np.isfinite(values[-1]):
        return None
    finite = np.flatnonzero(np.isfinite(values))
    first = finite[-1] + 1 if len(finite) else 0
    return int(steps[present[first]])
