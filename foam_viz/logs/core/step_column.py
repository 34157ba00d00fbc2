"""Which column holds the step: by its name, and where no name tells, by the shape of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from foam_viz.logs.core.column_names import COUNTS, STEP_NAMES, Role, words

if TYPE_CHECKING:
    from foam_viz.logs.core.columns import Series

LARGEST_STEP = 2**53
_BATCHES = STEP_NAMES.index("batch")
"""From here on a name may as well mean a size or a total."""
_ENOUGH = 4
"""So many rows are needed to go by the shape of values."""
_CLOCKS = frozenset({"timestamp", "total_seconds", "optimizer_seconds", "duration"})
_NEVER_STEPS = frozenset(
    {"memory", "mem", "bytes", "mb", "gb", "kb", "mib", "gib", "flops", "params", "parameters", "seed", "pid", "rank",
     "gpu", "cpu", "disk", "power", "temp", "temperature", "network", "correct", "best", "port", "year", "day", "size",
     "length", "allocated", "reserved", "bits", "loss", "score"}
)  # fmt: skip


@dataclass
class StepChoice:
    """The column of steps and what goes with it.

    Attributes:
        name: Name of the column; empty when none holds steps.
        planned: Steps that the run was to make, where a column repeats them in every row; else 0.
        plans: Names of the columns that do.
        others: Names that could be the step too.
        notes: What decided.
    """

    name: str = ""
    planned: int = 0
    plans: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def can_be_steps(one: Series) -> bool:
    """Say whether nearly all values of a column are whole numbers from 0, as steps are."""
    values = one.present() * step_scale(one)
    if not len(values):
        return False
    with np.errstate(invalid="ignore"):
        good = (values >= 0) & (values < LARGEST_STEP) & (np.abs(values - np.round(values)) < 1e-6)
    return bool(good.mean() >= 0.9) and (not one.unit or step_scale(one) > 1)


def step_scale(one: Series) -> float:
    """Return how many steps one of a column's is: 1,000 where they are written ``1.2k``."""
    return COUNTS.get(one.unit.lower(), 1.0)


def choose_step(series: Sequence[Series], roles: Mapping[str, Role], settled: Mapping[str, object]) -> StepChoice:
    """Choose the step.

    Args:
        series: All columns.
        roles: What their names say.
        settled: Names of columns that are taken for something else already.
    """
    choice = StepChoice()
    by_name = {one.name: one for one in series}
    named = [name for name, role in roles.items() if role.kind == "step" and name not in settled]
    whole = [name for name in named if can_be_steps(by_name[name])]
    choice.notes += [f"{name!r} is no step: its values are not whole numbers." for name in named if name not in whole]
    moving = [name for name in whole if _moves(by_name[name])]
    if not moving and any(role.kind == "epoch" and _moves(by_name[name]) for name, role in roles.items()):
        # One row an epoch, always at its last step.
        moving = [name for name in whole if roles[name].penalty < _BATCHES]
    if not moving:
        _by_shape(series, roles, settled, whole, choice)
        return choice
    most = max(by_name[name].count() for name in moving)
    full = [name for name in moving if by_name[name].count() >= 0.9 * most]
    order = list(by_name)
    choice.name = min(full, key=lambda name: (_starts_again(by_name[name], full, by_name), roles[name].penalty,
                                              order.index(name)))  # fmt: skip
    highest = float(np.nanmax(by_name[choice.name].present()))
    for name in whole:
        if name == choice.name:
            continue
        fixed = float(by_name[name].present()[0])
        if name in moving:
            choice.others.append(name)
        elif fixed >= highest:
            choice.plans.append(name)
            choice.planned = max(choice.planned, int(fixed))
            choice.notes.append(f"{name!r} is {fixed:,.0f} in every row: the steps planned.")
    return choice


def _moves(one: Series) -> bool:
    """Say whether a column holds more than one value, or is too short to tell."""
    values = one.present()
    return len(values) < 2 or bool((values != values[0]).any())


def _starts_again(one: Series, rivals: Sequence[str], by_name: Mapping[str, Series]) -> bool:
    """Say whether a column falls back time and again while another one counts through the whole run."""
    return _falls(one) > 1 and any(not _falls(by_name[name]) for name in rivals)


def _falls(one: Series) -> int:
    return int((np.diff(one.present()) < 0).sum())


def _by_shape(
    series: Sequence[Series],
    roles: Mapping[str, Role],
    settled: Mapping[str, object],
    constant: Sequence[str],
    choice: StepChoice,
) -> None:
    """Take a column of whole numbers that rise from row to row, by the same amount in most rows."""
    rising = [
        one
        for one in series
        if not roles[one.name].kind
        and not roles[one.name].unit
        and one.name not in settled
        and not _NEVER_STEPS & set(words(one.name))
        and _rises_evenly(one)
    ]
    values = [one for one in series if one not in rising and roles[one.name].kind not in _CLOCKS and one.count()]
    if rising and values:
        choice.name = rising[0].name
        choice.others = [one.name for one in rising[1:]]
        choice.notes.append(
            f"No column is called a step; {choice.name!r} holds whole numbers that rise evenly and was taken for it. "
            "This is a guess."
        )
    elif constant:
        name = min(constant, key=lambda name: roles[name].penalty)
        fixed = next(one for one in series if one.name == name).present()[0]
        choice.notes.append(f"{name!r} is {fixed:,.0f} in every row, so it tells no steps apart.")


def _rises_evenly(one: Series) -> bool:
    values = one.present()
    if len(values) < max(_ENOUGH, 0.9 * len(one.values)) or not can_be_steps(one) or not np.isfinite(values).all():
        return False
    changes = np.diff(values)
    if (changes <= 0).any():
        return False
    _, counts = np.unique(changes, return_counts=True)
    return bool(counts.max() >= 0.5 * len(changes))
