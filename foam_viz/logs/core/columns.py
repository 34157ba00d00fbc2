"""From columns of a source to columns of ``steps``: the one mechanism by which all readers guess, aloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from foam_viz.logs.core.column_names import COUNTS, SECONDS, Role, bracketed_unit, role_of, unit_of_rate, words
from foam_viz.logs.core.reader import ColumnRule
from foam_viz.logs.core.step_column import LARGEST_STEP, can_be_steps, choose_step, step_scale
from foam_viz.trace.schema import STEPS

__all__ = ["LARGEST_STEP", "Guess", "Series", "can_be_steps", "guess", "is_clock_since_1970", "own_name"]

_PLAIN_TIMES = (["time"], ["seconds"], ["secs"], ["sec"], ["duration"])
_UNITS = {column.name: column.unit for column in STEPS.columns}
_TARGET_WORDS = {
    "loss": "the training loss",
    "held_out_loss": "the held-out loss",
    "learning_rate": "the learning rate",
    "gradient_norm": "the gradient norm",
    "epoch": "the epoch",
    "tokens": "the tokens seen",
    "decompositions": "the count of decompositions",
    "optimizer_seconds": "the training clock",
    "total_seconds": "the wall clock",
    "step": "the step",
}
_GROWING = ("tokens", "optimizer_seconds", "total_seconds", "decompositions")
_UNIT_WORDS = {1e-9: "ns", 1e-6: "µs", 1e-3: "ms", 1.0: "s", 60.0: "minutes", 3600.0: "hours", 86400.0: "days"}


@dataclass(frozen=True, eq=False)
class Series:
    """One numeric column of a source.

    Attributes:
        name: Its name there.
        values: (n,) float64. NaN and infinity are values of the run.
        missing: (n,) bool, true where nothing was logged (a blank cell, null, no such key); None when all is there.
        unit: Unit that stood with the values, ``"ms"`` of ``"12.5ms"``; ``"date"`` for seconds since 1970.
        samples: Three values as they stood in the source; made from the values when empty.
    """

    name: str
    values: np.ndarray
    missing: np.ndarray | None = None
    unit: str = ""
    samples: tuple[str, ...] = ()

    def present(self) -> np.ndarray:
        """Return the values that were logged."""
        return self.values if self.missing is None else self.values[~self.missing]

    def count(self) -> int:
        """Return how many values were logged."""
        return len(self.values) - (0 if self.missing is None else int(self.missing.sum()))

    def take(self, rows: np.ndarray | slice) -> Series:
        """Return the same column with some of the rows."""
        missing = None if self.missing is None else self.missing[rows]
        return Series(self.name, self.values[rows], missing, self.unit, self.samples or self.three())

    def three(self) -> tuple[str, ...]:
        """Return up to three values as text: first, middle and last."""
        if self.samples:
            return self.samples
        where = np.arange(len(self.values)) if self.missing is None else np.flatnonzero(~self.missing)
        picked = dict.fromkeys((0, len(where) // 2, len(where) - 1)) if len(where) else ()
        return tuple(f"{self.values[where[i]]:.10g}" for i in picked)


@dataclass(frozen=True)
class Guess:
    """How the columns of one source become those of a trace.

    Attributes:
        step: Name of the column that holds the step; empty when none does.
        rules: A rule for each column, by name.
        said: Names whose rule the user gave.
        notes: What was assumed, and where something else was possible.
        planned: Steps that the run was to make, where a column repeats them in every row; else 0.
    """

    step: str
    rules: Mapping[str, ColumnRule]
    said: frozenset[str]
    notes: tuple[str, ...]
    planned: int = 0

    def source_columns(self, series: Sequence[Series]) -> tuple[dict[str, object], ...]:
        """Return what the manifest keeps of it, one object a column."""
        return tuple(
            {
                "source": one.name,
                "target": rule.target,
                "unit": rule.unit,
                "scale": rule.scale,
                "guessed": one.name not in self.said,
                "samples": list(one.three()),
            }
            for one in series
            for rule in (self.rules[one.name],)
        )


@dataclass
class _Draft:
    """A guess in the making."""

    series: Mapping[str, Series]
    said: Mapping[str, ColumnRule]
    roles: dict[str, Role]
    rules: dict[str, ColumnRule] = field(default_factory=dict)
    won: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def guess(
    series: Sequence[Series], said: Mapping[str, ColumnRule] | None = None, *, total_seconds: float = 0.0
) -> Guess:
    """Guess what each column holds, by its name and its values.

    Args:
        series: The columns; their names differ.
        said: Rules by the user, which replace the guess. The target ``step`` makes a column the step.
        total_seconds: Length of the run, where the source tells it elsewhere; settles the unit of a clock without one.
    """
    by_name = {one.name: one for one in series}
    given = {name: rule for name, rule in (said or {}).items() if name in by_name}
    draft = _Draft(by_name, given, {one.name: role_of(one.name) for one in series})
    draft.notes += [
        f"No column is called {name!r}; what was said of it has no effect."
        for name in said or {}
        if name not in by_name
    ]
    draft.rules.update(given)
    for name, rule in given.items():
        if rule.target in _UNITS:
            draft.won.setdefault(rule.target, name)
    for one in series:
        if not one.count() and one.name not in given:
            draft.rules[one.name] = ColumnRule(target="")
            draft.notes.append(f"{one.name!r} was left out: it holds no value.")
    step, planned = draft.won.get("step", ""), 0
    if not step:
        step, planned = _take_step(draft, series)
    for target in _TARGET_WORDS:
        if target != "step" and target not in draft.won:
            _contest(draft, target, total_seconds)
    for one in series:
        if one.name not in draft.rules:
            draft.rules[one.name] = _own_rule(draft, one)
    _part(draft, series)
    return Guess(step, draft.rules, frozenset(given), tuple(dict.fromkeys(draft.notes)), planned)


def _take_step(draft: _Draft, series: Sequence[Series]) -> tuple[str, int]:
    choice = choose_step(series, draft.roles, draft.rules)
    draft.notes += choice.notes
    draft.notes += [f"{name!r} could be the step too; {choice.name!r} was taken." for name in choice.others]
    draft.rules.update({name: ColumnRule(target="") for name in choice.plans})
    if choice.name:
        scale = step_scale(draft.series[choice.name])
        draft.rules[choice.name] = ColumnRule(target="step", unit="step", scale=scale)
        if scale != 1:
            draft.notes.append(f"{choice.name!r} is written in units of {scale:,.0f} steps.")
        draft.won["step"] = choice.name
    return choice.name, choice.planned


def _contest(draft: _Draft, target: str, total_seconds: float) -> None:
    """Give a column of the schema to the best of the columns that may hold it."""
    able: list[str] = []
    for name, role in draft.roles.items():
        if name in draft.rules or not _suggests(role, draft.series[name], target):
            continue
        if target in _GROWING and not _grows(draft.series[name]):
            continue
        if target.endswith("_seconds") and _is_per_row(draft, name):
            draft.notes.append(f"{name!r} is about the same in every row: the time of one row, no clock.")
            continue
        able.append(name)
    if not able:
        return
    order = list(draft.series)
    best = min(able, key=lambda name: (draft.roles[name].penalty, -draft.series[name].count(), order.index(name)))
    draft.won[target] = best
    draft.rules[best] = ColumnRule(target=target, unit=_UNITS[target], scale=_scale(draft, best, target, total_seconds))
    for name in able:
        if name != best:
            draft.notes.append(f"{name!r} could be {_TARGET_WORDS[target]} too; {best!r} was taken.")


def _suggests(role: Role, one: Series, target: str) -> bool:
    if one.unit == "date" or role.kind == "timestamp":
        return target == "total_seconds"
    if target == "decompositions":
        values = one.present()
        return role.kind == target and bool(np.all(np.isfinite(values) & (values == np.floor(values))))
    return role.kind == target


def _grows(one: Series) -> bool:
    """Say whether a column can be cumulative: it ends above its start and hardly ever falls."""
    values = one.present()
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return len(values) == 1
    falls = int((np.diff(values) < 0).sum())
    allowed = max(3, 0.02 * len(values)) if len(values) >= 30 else max(1, 0.1 * len(values))
    return falls <= allowed and float(values.max()) > float(values.min())


def _is_per_row(draft: _Draft, name: str) -> bool:
    """Say whether a column called just ``time`` holds the time of each row, as where an epoch takes 12 s or 13 s.

    A clock that runs since the start of training has grown manifold after a few rows.
    """
    one = draft.series[name]
    values = one.present()
    called = words(name)
    since_1970 = one.unit == "date" or len(values) > 0 and abs(values[0]) > 1e8
    if called[-1:] not in _PLAIN_TIMES or len(called) > 2 or since_1970 or len(values) < 2:
        return False
    begins = [
        _begins(counter.present())
        for counter in draft.series.values()
        if counter.count() and (draft.roles[counter.name].kind == "epoch" or counter.name == draft.won.get("step"))
    ]
    return any(begins) and bool(np.isfinite(values).all()) and float(values.max()) < 1.5 * float(values[0])


def _begins(counter: np.ndarray) -> bool:
    """Say whether the first value of a counter is the first of all: at most 1, or no further than its own steps."""
    apart = np.diff(counter)
    return float(counter[0]) <= max(1.0, float(np.median(apart[apart > 0])) if (apart > 0).any() else 0.0)


def _scale(draft: _Draft, name: str, target: str, total_seconds: float) -> float:
    """Factor from the source's values to the unit of a column of the schema."""
    one, role = draft.series[name], draft.roles[name]
    if not target.endswith("_seconds"):
        return role.scale or COUNTS.get(one.unit.lower(), 1.0) if target == "tokens" else 1.0
    if one.unit == "date":
        draft.notes.append(f"{name!r} holds dates; the wall clock counts from the first of them.")
        return 1.0
    if one.unit in SECONDS:
        return SECONDS[one.unit]
    values = np.abs(one.present())
    typical = float(np.median(values[np.isfinite(values)])) if np.isfinite(values).any() else 0.0
    for scale in (1.0, 1e-3, 1e-6, 1e-9):
        if 8e8 < typical * scale < 5e9:
            draft.notes.append(
                f"{name!r} holds seconds since 1970 by the size of its values; the wall clock counts from the first."
            )
            return scale
    if role.scale is not None:
        return role.scale
    last = float(np.nanmax(values)) if len(values) else 0.0
    for scale in (1.0, 60.0, 3600.0, 1e-3):
        if total_seconds > 0 and abs(last * scale - total_seconds) <= 0.02 * total_seconds:
            draft.notes.append(
                f"{name!r} has no unit in its name; {_UNIT_WORDS[scale]} fit the length of the run told elsewhere."
            )
            return scale
    whole = bool(np.all(values[np.isfinite(values)] == np.floor(values[np.isfinite(values)])))
    scale = 1e-3 if whole and last >= 1e5 and last / max(len(values), 1) >= 20 else 1.0
    draft.notes.append(
        f"{name!r} has no unit in its name; by its size it was taken for {_UNIT_WORDS[scale]}. This is a guess."
    )
    return scale


def is_clock_since_1970(one: Series, rule: ColumnRule) -> bool:
    """Say whether a clock shows dates, so that its first value has to be taken off."""
    if one.unit == "date":
        return True
    values = one.present() * rule.scale
    values = values[np.isfinite(values)]
    return bool(len(values)) and 8e8 < float(np.median(values)) < 5e9


def _own_rule(draft: _Draft, one: Series) -> ColumnRule:
    """Rule of a column that keeps its name."""
    role, target = draft.roles[one.name], own_name(one.name)
    if role.kind == "accuracy":
        return ColumnRule(target=target, unit=role.unit or one.unit or _accuracy_unit(draft, one))
    if role.kind == "timestamp" or one.unit == "date":
        return ColumnRule(target=target, unit="s since 1970", scale=role.scale or 1.0)
    if role.kind in ("duration", "optimizer_seconds", "total_seconds"):
        scale = SECONDS.get(one.unit)
        if scale is None and role.scale is not None:  # the name says ms: the numbers under it must be ms too
            return ColumnRule(target=target, unit=_UNIT_WORDS[role.scale])
        if scale is None:
            draft.notes.append(f"{one.name!r} has no unit in its name; it was taken for seconds. This is a guess.")
        return ColumnRule(target=target, unit="s", scale=scale or 1.0)
    return ColumnRule(target=target, unit=role.unit or unit_of_rate(one.unit) or bracketed_unit(one.name))


def _accuracy_unit(draft: _Draft, one: Series) -> str:
    values = one.present()
    finite = values[np.isfinite(values)]
    unit = "%" if len(finite) and float(finite.max()) > 1.0 else "fraction"
    draft.notes.append(f"{one.name!r} was taken for {'percent' if unit == '%' else 'a fraction'} by its values.")
    return unit


def own_name(name: str) -> str:
    """Return the name under which a column goes into steps when it is none of the schema's: its own, of fair length."""
    name = name.strip() or "(no name)"
    return name if len(name) <= 200 else name[:199] + "…"


def _part(draft: _Draft, series: Sequence[Series]) -> None:
    """Make targets differ; a column of the schema is only for the column that won it."""
    used = set(draft.won)
    for one in series:
        rule = draft.rules[one.name]
        if not rule.target or draft.won.get(rule.target) == one.name:
            continue
        target = f"{rule.target} (as logged)" if rule.target in _UNITS else rule.target
        plain, count = target, 1
        while target in used:
            count += 1
            target = f"{plain} ({count})"
        if target != rule.target:
            draft.notes.append(f"{one.name!r} goes under {target!r}: {rule.target!r} is another column.")
            draft.rules[one.name] = ColumnRule(target=target, unit=rule.unit, scale=rule.scale)
        used.add(target)
