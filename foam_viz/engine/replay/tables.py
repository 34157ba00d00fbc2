"""The tables of a replay: its checks, and the course of the errors at all recorded ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from foam_viz.analysis.replay import COURSE, ERRORS, NEAR, TABLE, Setting
from foam_viz.engine.replay.errors import Errors, Held
from foam_viz.engine.replay.recording import RecordedFactor, RecordedStack
from foam_viz.engine.replay.walk import Row


def course(stack: RecordedStack, held: Held, errors: Errors) -> pa.Table:
    """Rows of ``analysis.replay.COURSE`` of one stack: what is held where its errors are known."""
    known = errors.known
    step, factor = _steps(stack)[held.row, held.check], _numbers(stack)[held.row]
    columns = [step[known], factor[known], *errors.values[known].T]
    return pa.table([_array(*one) for one in zip(columns, COURSE, strict=True)], schema=COURSE)


def checks(stack: RecordedStack, tracks: Sequence[Sequence[Row]], held: Held, errors: Errors) -> pa.Table:
    """Rows of ``analysis.replay.TABLE`` of one stack.

    Args:
        stack: The factors.
        tracks: By factor: its checks.
        held: After every recorded check.
        errors: Of what is held.
    """
    rows = [row for track in tracks for row in track]
    columns = list(zip(*rows, strict=True)) or [()] * len(Row._fields)
    check, reason, before, epsilon, measure, decomposed, _ = columns
    row = np.repeat(np.arange(len(tracks)), [len(track) for track in tracks])
    check, decomposed = np.array(check, int), np.array(decomposed, int)
    # What is held of a factor begins at its first check and leaves none out.
    place = np.searchsorted(held.row, row) + check
    if len(row):
        place -= np.array([track[0].check if track else 0 for track in tracks])[row]
    steps, unknown = _steps(stack), ~errors.known[place]
    of_errors = zip(errors.values[place].T, ERRORS, strict=True)
    told = [
        pa.array(steps[row, check]),
        pa.array(_numbers(stack)[row]),
        pa.array(reason, pa.string()),
        pa.array(before, pa.float64()),
        pa.array(epsilon, pa.float64()),
        pa.array(measure, pa.float64()),
        pa.array(steps[row, decomposed], mask=decomposed < 0),
        *(_array(values, TABLE.field(name), unknown) for values, name in of_errors),
    ]
    return pa.table([one.cast(field.type) for one, field in zip(told, TABLE, strict=True)], schema=TABLE)


def in_order(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables of stacks as one, by step and factor."""
    table = pa.concat_tables(tables)
    return table.take(np.lexsort((table["factor"].to_numpy(), table["step"].to_numpy()))).combine_chunks()


def near_ties(setting: Setting, factors: Sequence[RecordedFactor], tracks: Sequence[Sequence[Row]]) -> int:
    """How many decisions hung on a number within ``analysis.replay.NEAR`` of its threshold."""
    near = 0
    for factor, track in zip(factors, tracks, strict=True):
        policy = setting.policy
        for row in track:
            if row.measure is not None:
                if setting.edits:
                    policy = setting.at(factor.steps[row.check]).policy
                share = policy.threshold_share(row.epsilon_before, row.measure)
                near += share is not None and abs(share - 1) <= NEAR
    return near


def _array(values: np.ndarray, field: pa.Field, unknown: np.ndarray | None = None) -> pa.Array:
    if unknown is not None:
        values = np.where(unknown, 0, values)  # no number is no whole number
    if pa.types.is_integer(field.type):
        values = values.astype(np.int64)
    return pa.array(values, mask=unknown).cast(field.type)


def _steps(stack: RecordedStack) -> np.ndarray:
    """The step of each check of each factor, (factors, most checks)."""
    most = max(len(factor.steps) for factor in stack.factors)
    return np.array([factor.steps + [0] * (most - len(factor.steps)) for factor in stack.factors])


def _numbers(stack: RecordedStack) -> np.ndarray:
    return np.array([factor.number for factor in stack.factors])
