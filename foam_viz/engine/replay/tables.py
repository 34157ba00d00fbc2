"""The tables of a replay: its checks, and the course of the errors at all recorded ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from foam_viz.analysis.replay import COURSE, ERRORS, NEAR, TABLE
from foam_viz.analysis.replay_setting import Setting
from foam_viz.engine.replay.errors import Errors, Held
from foam_viz.engine.replay.recorded_factors import RecordedStack
from foam_viz.engine.replay.tracks import REASONS, Tracks


def course(stack: RecordedStack, held: Held, errors: Errors) -> pa.Table:
    """Rows of ``analysis.replay.COURSE`` of one stack: what is held where its errors are known."""
    known = errors.known
    columns = [stack.steps[held.column[known]], _numbers(stack)[held.row[known]], *errors.values[known].T]
    return pa.table([_array(*one) for one in zip(columns, COURSE, strict=True)], schema=COURSE)


def checks(stack: RecordedStack, track: Tracks, held: Held, errors: Errors) -> pa.Table:
    """Rows of ``analysis.replay.TABLE`` of one stack.

    Args:
        stack: The factors.
        track: What one setting did at the checks of the stack, (1, T).
        held: After every recorded check.
        errors: Of what is held.
    """
    mine = track[0]
    columns = np.flatnonzero(mine.made)
    mine, row = mine[columns], stack.rows[columns]
    place = np.searchsorted(held.column, columns)
    decomposed = stack.steps[stack.starts[row] + np.maximum(mine.decomposed, 0)]
    unknown = ~errors.known[place]
    of_errors = zip(errors.values[place].T, ERRORS, strict=True)
    told = [
        pa.array(stack.steps[columns]),
        pa.array(_numbers(stack)[row]),
        pa.DictionaryArray.from_arrays(mine.reason, pa.array(REASONS)),
        pa.array(mine.before),
        pa.array(mine.epsilon),
        pa.array(mine.measure, mask=~mine.measured),
        pa.array(decomposed, mask=mine.decomposed < 0),
        *(_array(values, TABLE.field(name), unknown) for values, name in of_errors),
    ]
    return pa.table([one.cast(field.type) for one, field in zip(told, TABLE, strict=True)], schema=TABLE)


def in_order(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables of stacks as one, by step and factor."""
    table = pa.concat_tables(tables)
    return table.take(np.lexsort((table["factor"].to_numpy(), table["step"].to_numpy()))).combine_chunks()


def near_ties(setting: Setting, track: Tracks, steps: np.ndarray) -> int:
    """How many decisions hung on a number within ``analysis.replay.NEAR`` of its threshold.

    Args:
        setting: The setting.
        track: What it did, (T,).
        steps: Of the recorded checks, (T,).
    """
    mine = np.flatnonzero(track.made & track.measured)
    found = 0
    due = np.searchsorted([step for step, _, _ in setting.edits], steps[mine], "right")
    for edits in np.unique(due):
        chosen = mine[due == edits]
        policy = setting.at(int(steps[chosen[0]])).policy
        with np.errstate(all="ignore"):
            share = policy.threshold_share(track.before[chosen], track.measure[chosen])
        found += 0 if share is None else int((np.abs(share - 1) <= NEAR).sum())
    return found


def _array(values: np.ndarray, field: pa.Field, unknown: np.ndarray | None = None) -> pa.Array:
    if unknown is not None:
        values = np.where(unknown, 0, values)  # no number is no whole number
    if pa.types.is_integer(field.type):
        values = values.astype(np.int64)
    return pa.array(values, mask=unknown).cast(field.type)


def _numbers(stack: RecordedStack) -> np.ndarray:
    return np.array([factor.number for factor in stack.factors])
