"""The step of each row, and where in a file another run begins.

**Several runs in one file or one that was resumed?** Where the step falls back to within one spacing of the first step
of the rows so far, after at least three different steps, a new run begins: that is what a program leaves that was
started again from nothing. Where it falls back to a later step, a checkpoint was resumed: the rows are one run, and
the later of two values for one step counts. Where steps fall more often than every third row, the rows are out of
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foam_viz.logs.core.column_names import role_of
from foam_viz.logs.core.columns import LARGEST_STEP, Guess, Series
from foam_viz.logs.core.epochs import Planned, global_steps, passes, through_fractions
from foam_viz.logs.parsing.text_lines import were

MOST_RUNS = 500
"""More falls of the step than this are rows out of order, not runs."""

_SHARED = frozenset(
    {"step", "epoch", "tokens", "learning_rate", "optimizer_seconds", "total_seconds", "decompositions", ""}
)
_AXES = frozenset({"step", "epoch", "timestamp", "tokens"})
_OFTEN = 0.3
"""So large a share of rows that repeat the row before is no chance."""


@dataclass(frozen=True, eq=False)
class RowSteps:
    """Rows that have a step.

    Attributes:
        rows: (n,) places in the source.
        steps: (n,) int64.
        key: (n,) what falls where another run begins: the step, or the epoch where rows are numbered.
        planned: Steps that the run was to make; 0 where the log does not say.
    """

    rows: np.ndarray
    steps: np.ndarray
    key: np.ndarray
    planned: int = 0


def steps_of_rows(series: Sequence[Series], guessed: Guess, planned: Planned, notes: list[str]) -> RowSteps:
    """Return the rows that have a step, with it.

    Args:
        series: Columns of one length.
        guessed: What they hold.
        planned: Totals of the step and the epoch where the source prints them.
        notes: What was done is added.
    """
    if not guessed.step:
        rows = np.arange(len(series[0].values) if series else 0)
        return RowSteps(rows, rows + 1, _order_without_step(series, guessed, notes), guessed.planned or planned.steps)
    rows, steps = _rows_with_step(series, guessed, notes)
    if guessed.planned and not planned.steps and len(steps):
        # The total of a run, or that of an epoch where the step starts again in each.
        reached = guessed.planned <= 1.1 * float(steps.max()) + 1
        if not reached:
            steps, _ = _through_epochs(series, guessed, rows, steps, planned, notes)
            return RowSteps(rows, steps, steps, guessed.planned)
        planned = Planned(guessed.planned, planned.epochs)
    steps, total = _through_epochs(series, guessed, rows, steps, planned, notes)
    return RowSteps(rows, steps, steps, total)


def without_repeats(series: Sequence[Series]) -> tuple[list[Series], list[str]]:
    """Leave out rows that are the row before once more, where they are too many for a chance."""
    size = len(series[0].values) if series else 0
    if size < 4 or not any(role_of(one.name).kind in _AXES or one.unit == "date" for one in series):
        return list(series), []  # without a step or a clock equal rows may well be equal values
    again = np.ones(size - 1, bool)
    for one in series:
        values = one.values
        same = (values[1:] == values[:-1]) | np.isnan(values[1:]) & np.isnan(values[:-1])
        if one.missing is not None:
            same = np.where(one.missing[1:] | one.missing[:-1], one.missing[1:] == one.missing[:-1], same)
        again &= same
        if again.sum() < _OFTEN * size:
            return list(series), []
    if again.all():
        return list(series), []
    kept = np.flatnonzero(np.concatenate([[True], ~again]))
    note = (
        f"{int(again.sum()):,} of {size:,} rows repeat the row before them, as where several processes write the same "
        "line; each counts once."
    )
    return [one.take(kept) for one in series], [note]


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


def _rows_with_step(series: Sequence[Series], guessed: Guess, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    name = guessed.step
    one = next(one for one in series if one.name == name)
    scale = guessed.rules[name].scale
    values = one.values if scale == 1.0 else np.round(one.values * scale)
    with np.errstate(invalid="ignore"):
        good = (values >= 0) & (values < LARGEST_STEP) & (values == np.floor(values))
    blank = np.zeros(0, np.int64)
    if one.missing is not None:
        good &= ~one.missing
        blank = np.flatnonzero(one.missing)
    bad = len(values) - int(good.sum()) - len(blank)
    if len(blank) and good.any():
        placed, anchors = _beside(series, guessed, blank, np.flatnonzero(good))
        if len(placed):
            notes.append(f"{were(len(placed), 'row')} put at the step beside them: no {name!r} in them.")
            values = values.copy()
            values[placed], good[placed] = values[anchors], True
        if len(placed) < len(blank):
            notes.append(f"{were(len(blank) - len(placed), 'row')} dropped: no {name!r} in them.")
    elif len(blank):
        notes.append(f"{were(len(blank), 'row')} dropped: no {name!r} in them.")
    if bad:
        notes.append(f"{were(bad, 'row')} dropped: their {name!r} is no whole number from 0.")
    rows = np.flatnonzero(good)
    return rows, values[rows].astype(np.int64)


def _beside(
    series: Sequence[Series], guessed: Guess, blank: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find rows without a step that complete the row before them, the first ones that behind: an evaluation's.

    Returns:
        (k,) such rows, and (k,) the rows whose step is theirs.
    """
    place = np.searchsorted(known, blank) - 1
    anchor = known[np.maximum(place, 0)]
    useful, conflict = np.zeros(len(blank), bool), np.zeros(len(blank), bool)
    for one in series:
        if guessed.rules[one.name].target in _SHARED:
            continue
        present = np.ones(len(one.values), bool) if one.missing is None else ~one.missing
        useful |= present[blank]
        conflict |= present[blank] & present[anchor]
    kept = useful & ~conflict
    return blank[kept], anchor[kept]


def _through_epochs(
    series: Sequence[Series], guessed: Guess, rows: np.ndarray, steps: np.ndarray, planned: Planned, notes: list[str]
) -> tuple[np.ndarray, int]:
    """Return steps that count through all epochs, and how many the run was to make (0 where the log does not say)."""
    epochs = _values_of("epoch", series, guessed, rows)
    found = None
    if epochs is not None:
        found = global_steps(steps, epochs, planned.steps) or through_fractions(steps, epochs)
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
