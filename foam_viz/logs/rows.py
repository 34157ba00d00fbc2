"""From columns of numbers to traces: which rows are one run, which are one step, and how the run ended.

**Several runs in one file or one that was resumed?** Where the step falls back to within one spacing of the first step
of the rows so far, after at least three different steps, a new run begins: that is what a program leaves that was
started again from nothing. Where it falls back to a later step, a checkpoint was resumed: the rows are one run, and
the later of two values for one step counts. Where steps fall more often than every third row, the rows are out of
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from foam_viz.logs.columns import LARGEST_STEP, Guess, Series, guess, is_clock_since_1970
from foam_viz.logs.epochs import Planned, global_steps, passes
from foam_viz.logs.reader import Options
from foam_viz.logs.text_lines import counted, were
from foam_viz.trace import Manifest, Trace
from foam_viz.trace.batches import record_batch

MOST_RUNS = 500
"""More falls of the step than this are rows out of order, not runs."""


def traces_from_columns(
    series: Sequence[Series],
    template: Manifest,
    options: Options,
    *,
    split: bool = True,
    total_seconds: float = 0.0,
    planned: Planned = Planned(),  # noqa: B008 - frozen
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

    Returns:
        A trace a run; none when no row has a step.
    """
    series, filler_notes = _without_filler(series)
    guessed = guess(series, options.columns, total_seconds=total_seconds)
    notes = [*filler_notes, *guessed.notes]
    by_name = {one.name: one for one in series}
    if guessed.step:
        rows, steps = _rows_with_step(by_name[guessed.step], guessed.rules[guessed.step].scale, guessed.step, notes)
        steps, total = _through_epochs(series, guessed, rows, steps, planned, notes)
        if total:
            template = template.with_(config={**template.config, "steps_planned": total})
        key = steps
    else:
        rows = np.arange(len(series[0].values) if series else 0)
        steps = rows + 1
        key = _order_without_step(series, guessed, notes)
    if not len(rows):
        return []
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


def run_starts(steps: np.ndarray) -> list[int]:
    """Return where in a column of steps (n,) a run begins, by the rule at the top of this module."""
    falls = np.flatnonzero(np.diff(steps) < 0) + 1
    if not len(falls) or len(falls) > len(steps) / 3:
        return [0]
    starts = [0]
    for fall in falls:
        segment = steps[starts[-1] : fall]
        distinct = np.unique(segment)
        spacing = float(np.median(np.diff(distinct))) if len(distinct) > 1 else 0.0
        restarts = steps[fall] <= segment[0] + spacing and segment[-1] - steps[fall] > spacing
        if len(distinct) >= 3 and restarts:
            starts.append(int(fall))
    return starts if len(starts) <= MOST_RUNS else [0]


def _rows_with_step(one: Series, scale: float, name: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    values = one.values if scale == 1.0 else np.round(one.values * scale)
    with np.errstate(invalid="ignore"):
        good = (values >= 0) & (values < LARGEST_STEP) & (values == np.floor(values))
    blank = 0
    if one.missing is not None:
        good &= ~one.missing
        blank = int(one.missing.sum())
    bad = len(values) - int(good.sum()) - blank
    if blank:
        notes.append(f"{were(blank, 'row')} dropped: no {name!r} in them.")
    if bad:
        notes.append(f"{were(bad, 'row')} dropped: their {name!r} is no whole number from 0.")
    rows = np.flatnonzero(good)
    return rows, values[rows].astype(np.int64)


def _through_epochs(
    series: Sequence[Series], guessed: Guess, rows: np.ndarray, steps: np.ndarray, planned: Planned, notes: list[str]
) -> tuple[np.ndarray, int]:
    """Return steps that count through all epochs, and how many the run was to make (0 where the log does not say)."""
    epochs = _values_of("epoch", series, guessed, rows)
    found = None
    if epochs is not None:
        found = global_steps(steps, epochs, planned.steps)
    elif planned.steps:
        loss = _values_of("loss", series, guessed, rows)
        numbers = None if loss is None else passes(steps, planned.steps, loss)
        if numbers is not None:
            notes.append("No epoch is logged; by the loss, the step starts again in each pass. This is a guess.")
            found = global_steps(steps, numbers, planned.steps)
    if found is None:
        return steps, planned.steps
    notes.append(found.note)
    return found.steps, found.per_epoch * planned.epochs


def _values_of(target: str, series: Sequence[Series], guessed: Guess, rows: np.ndarray) -> np.ndarray | None:
    """Return the values of the column that became a target, NaN where nothing was logged; None without one."""
    for one in series:
        if guessed.rules[one.name].target == target:
            values = one.values if one.missing is None else np.where(one.missing, np.nan, one.values)
            return values[rows]
    return None


def _order_without_step(series: Sequence[Series], guessed: Guess, notes: list[str]) -> np.ndarray:
    """Say that rows are numbered; epochs, which start anew with each run, tell runs apart."""
    notes.append("No column holds steps: the number of the row, from 1, stands for the step.")
    for one in series:
        if (
            guessed.rules[one.name].target == "epoch"
            and one.count() == len(one.values)
            and np.isfinite(one.values).all()
        ):
            return one.values
    return np.arange(len(series[0].values) if series else 0)


def _without_filler(series: Sequence[Series]) -> tuple[list[Series], list[str]]:
    """Take NaN for "not logged" in columns where it plainly fills rows of other metrics.

    A run that diverges reaches NaN and stays there; a column that returns from NaN to numbers again and again, more NaN
    than numbers, was written by a program that has no blank. NaN after the last number stays NaN where it goes on for
    longer than ever before.
    """
    kept, notes = [], []
    for one in series:
        nan = np.isnan(one.values) if one.missing is None else np.isnan(one.values) & ~one.missing
        numbers = np.flatnonzero(
            np.isfinite(one.values) if one.missing is None else np.isfinite(one.values) & ~one.missing
        )
        if len(numbers) < 2 or nan[: numbers[-1]].sum() <= len(numbers):
            kept.append(one)
            continue
        gaps = np.diff(numbers) - 1
        tail = len(one.values) - 1 - numbers[-1]
        filler = nan.copy()
        if (gaps > 0).sum() < min(3, len(numbers) - 1):
            kept.append(one)
            continue
        if tail > 2 * max(gaps.max(), numbers[0]):
            filler[numbers[-1] :] = False
        notes.append(f"{one.name!r}: NaN in {int(filler.sum()):,} rows between its values was taken for “not logged”.")
        missing = filler if one.missing is None else one.missing | filler
        kept.append(Series(one.name, one.values, missing, one.unit, one.three()))
    return kept, notes


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
            if repeated:
                twice[one.name] = repeated
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
    created = manifest.created or datetime.fromtimestamp(first, UTC).isoformat(timespec="seconds")
    return values - first, manifest.with_(created=created)


def _arrow(values: np.ndarray, missing: np.ndarray | None, target: str) -> pa.Array:
    mask = None if missing is None or not missing.any() else missing
    array = pa.array(values, pa.float64(), mask=mask, from_pandas=False)
    return array.cast(pa.int64()) if target == "decompositions" else array


def _clock_notes(columns: dict[str, object]) -> list[str]:
    notes = []
    for name in ("optimizer_seconds", "total_seconds"):
        clock = columns.get(name)
        if isinstance(clock, pa.Array):
            values = clock.drop_null().to_numpy()
            falls = int((np.diff(values) < 0).sum())
            if falls:
                notes.append(f"The clock {name} falls {falls:,} times, as after a resume; it stays as it was logged.")
    return notes


def _diverged(columns: dict[str, object]) -> int | None:
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
