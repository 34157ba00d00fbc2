"""A step that starts again in each epoch, made into one that counts through the whole run.

Pure functions on arrays, used by every reader: ``global step = (epoch - first epoch) * steps per epoch + step``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from foam_viz.logs.core.columns import LARGEST_STEP

_MOSTLY = 2 / 3


class Planned(NamedTuple):
    """Totals that a log prints behind its counters, ``Epoch [1/30], Step [50/100]``; 0 where it prints none."""

    steps: int = 0
    epochs: int = 0


@dataclass(frozen=True, eq=False)
class EpochSteps:
    """Steps counted through all epochs.

    Attributes:
        steps: (n,) int64, the global step of each row.
        per_epoch: Steps of one epoch.
        note: What was done, for the notes of the run.
    """

    steps: np.ndarray
    per_epoch: int
    note: str


def global_steps(steps: np.ndarray, epochs: np.ndarray, planned: int = 0) -> EpochSteps | None:
    """Count steps through all epochs where they start again in each.

    A step starts again if, at most changes to a later epoch, it falls below the largest of the epoch before, or
    repeats the range of that epoch exactly (one line an epoch, always at its last step). Resumed runs are left to the
    caller: their global steps fall.

    Args:
        steps: (n,) whole numbers from 0, in order of logging.
        epochs: (n,) epochs; NaN where a row has none, which then belongs to the epoch before it.
        planned: Steps of an epoch where the log prints them, as in ``50/100``; 0 where it does not.

    Returns:
        The global steps, or None where the step counts through all epochs already or the epochs are not whole.
    """
    filled = _filled(epochs)
    if filled is None or len(filled) < 2:
        return None
    starts = np.flatnonzero(np.concatenate([[True], np.diff(filled) != 0]))
    low, high = np.minimum.reduceat(steps, starts), np.maximum.reduceat(steps, starts)
    later = np.diff(filled[starts]) > 0
    again = (low[1:] < high[:-1]) | (low[1:] == low[:-1]) & (high[1:] == high[:-1])
    if not later.any() or again[later].mean() < _MOSTLY:
        return None
    per_epoch, source = _per_epoch(steps, filled, planned)
    first = float(filled.min())
    if (float(filled.max()) - first + 1) * per_epoch >= LARGEST_STEP:
        return None
    counted = (filled - first).astype(np.int64) * per_epoch + steps.astype(np.int64)
    note = (
        f"The step starts again in each epoch; it was counted on: (epoch - {first:.0f}) x {per_epoch:,} + step, "
        f"with {per_epoch:,} steps an epoch {source}."
    )
    return EpochSteps(counted, per_epoch, note)


def passes(steps: np.ndarray, planned: int, loss: np.ndarray) -> np.ndarray | None:
    """Number the passes over the data, from 0, of a log that prints ``50/100`` again and again and no epoch.

    The same would be left by several runs in one file. The loss decides: a pass begins near the loss at which the
    pass before ended, a run begins near the loss at which the first began.

    Args:
        steps: (n,) whole numbers from 0, in order of logging.
        planned: The total behind the step.
        loss: (n,) training loss, NaN where none was logged.

    Returns:
        (n,) numbers of passes, or None where the rows are not several passes.
    """
    falls = np.flatnonzero(np.diff(steps) < 0) + 1
    if not planned or not len(falls) or len(falls) > len(steps) / 2:
        return None
    bounds = [0, *falls.tolist(), len(steps)]
    parts = [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
    spacing = _spacing(steps)
    if any(planned - steps[part].max() >= spacing for part in parts[:-1]):
        return None
    known = [loss[part][np.isfinite(loss[part])] for part in parts]
    if any(not len(values) for values in known):
        return None
    first = known[0][0]
    continued = [abs(own[0] - before[-1]) < abs(own[0] - first) for before, own in zip(known, known[1:], strict=False)]
    if not all(continued):
        return None
    return np.repeat(np.arange(float(len(parts))), np.diff(bounds))


def through_fractions(steps: np.ndarray, epochs: np.ndarray) -> EpochSteps | None:
    """Count steps on where they start again while the epoch, with a fraction, goes on: 0.75, 1.0, 1.25.

    How many steps an epoch has follows from how far step and epoch move together.

    Args:
        steps: (n,) whole numbers from 0, in order of logging.
        epochs: (n,) epochs; NaN where a row has none.

    Returns:
        None where epochs are whole or fall, or the step does not start again.
    """
    moves = np.diff(steps)
    falls = np.concatenate([[0], np.cumsum(moves < 0)])
    if not falls.any() or not np.isfinite(epochs).all() or (np.diff(epochs) < 0).any():
        return None
    if (epochs == np.floor(epochs)).all() or falls[-1] > epochs[-1] - epochs[0] + 1:
        return None
    together = (moves > 0) & (np.diff(epochs) > 0)
    if not together.any():
        return None
    per_epoch = int(np.round(np.median(moves[together] / np.diff(epochs)[together])))
    if per_epoch < steps.max() or float(falls[-1] + 1) * per_epoch >= LARGEST_STEP:
        return None
    note = f"The step starts again in each epoch; it was counted on: by its fractions {per_epoch:,} steps an epoch."
    return EpochSteps(falls.astype(np.int64) * per_epoch + steps.astype(np.int64), per_epoch, note)


def _filled(epochs: np.ndarray) -> np.ndarray | None:
    """Give rows without an epoch that of the row before, the first ones that of the row behind; None if not whole."""
    known = np.flatnonzero(np.isfinite(epochs))
    if not len(known) or (epochs[known] != np.floor(epochs[known])).any() or np.abs(epochs[known]).max() > LARGEST_STEP:
        return None
    last = np.full(len(epochs), known[0])
    last[known] = known
    return epochs[np.maximum.accumulate(last)]


def _per_epoch(steps: np.ndarray, epochs: np.ndarray, planned: int) -> tuple[int, str]:
    highest = int(steps.max())
    if planned and planned >= highest:
        return planned, "as the log says"
    if steps.min() > 0:
        return highest, "by the largest step seen"
    # Counted from 0, the largest step is not the last: the next logged step would be the first of the next epoch.
    same = np.diff(epochs) == 0
    return highest + _spacing(steps, same), "by the largest step seen and the distance of steps"


def _spacing(steps: np.ndarray, same: np.ndarray | None = None) -> int:
    """Typical distance of neighbouring steps, at least 1."""
    changes = np.diff(steps)
    changes = changes[(changes > 0) if same is None else (changes > 0) & same]
    return max(1, int(np.median(changes))) if len(changes) else 1
