"""Rows of named values, as JSON has them, gathered into columns of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.reader import ColumnRule, Options

MOST_KEYS = 2_000
"""More columns than this are not made: the rarest keys are left out, aloud."""

_WORDS = {"NaN": np.nan, "nan": np.nan, "Infinity": np.inf, "-Infinity": -np.inf, "inf": np.inf, "-inf": -np.inf}
_DEEPEST = 6
_LISTED = 5


class Records:
    """Collects records one by one; what is no number is left out and counted."""

    def __init__(self) -> None:
        self.rows = 0
        self._where: dict[str, list[int]] = {}
        self._values: dict[str, list[float]] = {}
        self._left: Counter[str] = Counter()

    def add(self, record: Mapping[str, object]) -> None:
        """Add a row; nested mappings become keys with ``/``, the words NaN and Infinity become numbers."""
        for key, value in _flat(record, "", 0):
            if value is None:
                continue
            number = _number(value)
            if number is None:
                self._left[key] += 1
                continue
            self._where.setdefault(key, []).append(self.rows)
            self._values.setdefault(key, []).append(number)
        self.rows += 1

    def series(self) -> tuple[list[Series], list[str]]:
        """Return the columns in order of appearance, and notes on what was left out."""
        keys = list(self._values)
        notes = []
        if len(keys) > MOST_KEYS:
            keys = sorted(sorted(keys, key=lambda key: -len(self._values[key]))[:MOST_KEYS], key=keys.index)
            notes.append(f"{len(self._values) - MOST_KEYS:,} metrics with the fewest values are left out: too many")
        only_text = [key for key in self._left if key not in self._values]
        if self._left:
            listed = ", ".join(f"{key!r} {self._left[key]:,} times" for key in list(self._left)[:_LISTED])
            more = f" and {len(self._left) - _LISTED} more" if len(self._left) > _LISTED else ""
            what = "left out, being no numbers" if only_text else "values that are no numbers are left out"
            notes.append(f"{what}: {listed}{more}")
        result = []
        for key in keys:
            values, missing = np.full(self.rows, np.nan), np.ones(self.rows, bool)
            where = np.asarray(self._where[key])
            values[where], missing[where] = self._values[key], False
            result.append(Series(key, values, missing if missing.any() else None))
        return result, notes


def certain(options: Options, **targets: ColumnRule) -> Options:
    """Return options in which columns whose meaning the format fixes are no guess; what the user says goes first."""
    said = {rule.target for rule in options.columns.values()}
    known = {name: rule for name, rule in targets.items() if rule.target not in said and name not in options.columns}
    return Options(
        columns={**options.columns, **known}, line_pattern=options.line_pattern, show_secrets=options.show_secrets
    )


def _flat(record: Mapping[str, object], prefix: str, depth: int) -> Iterator[tuple[str, object]]:
    for key, value in record.items():
        name = f"{prefix}/{key}" if prefix else str(key)
        if isinstance(value, Mapping) and "_type" not in value and depth < _DEEPEST:
            yield from _flat(value, name, depth + 1)
        else:
            yield name, value


def _number(value: object) -> float | None:
    if isinstance(value, str):
        return _WORDS.get(value)
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return np.inf if value > 0 else -np.inf
    return None
