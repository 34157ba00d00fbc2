"""Rows that are gathered between two flushes, and what a training loop may call a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from foam_viz.recording.observe.views import is_tensor
from foam_viz.trace.batches import record_batch
from foam_viz.trace.schema import table_schema

_WHOLE = frozenset(column.name for column in table_schema("steps").columns if pa.types.is_integer(column.type))


class Rows:
    """Rows of one table, as dictionaries until they are drained; names that begin with ``_`` are not stored."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        """Take a row, values by column; it may be changed until the next drain. None, or no value, is a missing one."""
        self._rows.append(row)

    def drain(self, units: Mapping[str, str] | None = None) -> pa.RecordBatch | None:
        """The rows since the last drain as one batch, None where there are none; they are forgotten.

        Raises:
            SchemaError: A value does not fit its column; the rows are forgotten all the same.
        """
        rows, self._rows = self._rows, []
        if not rows:
            return None
        names: dict[str, None] = {}
        for keys in dict.fromkeys(map(tuple, rows)):  # most rows have the same names
            names |= dict.fromkeys(name for name in keys if not name.startswith("_"))
        return record_batch(self._table, {name: [row.get(name) for row in rows] for name in names}, units)


class StepRows:
    """The rows of steps: calls for one step, one after another, share a row, which stays open until the next step.

    Args:
        rows: Takes the rows.
        complain: ``complain(kind, message, key)`` reports each (kind, key) once.

    Attributes:
        bad_since: First step of the NaN or infinite losses that the run ends with, None while the last loss is finite.
    """

    def __init__(self, rows: Rows, complain: Callable[..., None]) -> None:
        self._rows, self._complain = rows, complain
        self._open: dict[str, Any] | None = None
        self.bad_since: int | None = None

    def add(self, step: int, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        """Take the numbers of a step; report and drop other values. None is a missing value.

        Args:
            step: The step.
            values: Numbers by column.
            defaults: Numbers for columns that get none otherwise.
        """
        if self._open is not None and self._open["step"] != step:
            if step < self._open["step"]:
                self._complain("step-falls", f"the step falls from {self._open['step']} to {step}; rows are kept")
            self.settle()
        if self._open is None:
            self._open = {"step": step, **defaults}
        for name, value in values.items():
            if value is None:
                continue
            if name == "step" or not isinstance(name, str) or not name.strip():
                self._complain("bad-name", f"{name!r} is no name for a column; its values are left out", repr(name))
                continue
            try:
                self._open[name] = number(name, value)
            except (TypeError, ValueError) as error:
                self._complain("bad-value", f"{name} of step {step} is left out: {error}", name)

    def settle(self) -> None:
        """Close the row of the latest step."""
        row, self._open = self._open, None
        if row is None:
            return
        for name in [name for name, value in row.items() if is_tensor(value)]:
            try:
                row[name] = settled(name, row[name])
            except (TypeError, ValueError) as error:
                del row[name]
                self._complain("bad-value", f"{name} of step {row['step']} is left out: {error}", name)
        loss = row.get("loss")
        if loss is not None:
            first = row["step"] if self.bad_since is None else self.bad_since
            self.bad_since = None if math.isfinite(loss) else first
        self._rows.add(row)


def number(name: str, value: Any) -> Any:
    """A logged value as a number; a tensor on a device stays one, a copy, until :func:`settled`.

    Reading a tensor that lies on a device waits for it, so that is left for the next flush.

    Raises:
        TypeError: It is not a single real number, or not a whole one where the column needs that.
    """
    kind = type(value)
    if kind is float and name not in _WHOLE:
        return value
    if is_tensor(value):
        if value.numel() != 1:
            raise TypeError(f"a tensor of shape {tuple(value.shape)}, not a single number")
        value = value.detach()
        if value.device.type != "cpu":
            return value.clone()
        value = value.item()
    elif hasattr(value, "item") and getattr(value, "size", 0) == 1:  # numpy
        value = value.item()
    if not isinstance(value, int | float):
        raise TypeError(f"{type(value).__name__}, not a number")
    return _fitted(name, value)


def settled(name: str, value: Any) -> Any:
    """The number that :func:`number` left on a device."""
    return _fitted(name, value.item()) if is_tensor(value) else value


def _fitted(name: str, value: Any) -> Any:
    if name not in _WHOLE:
        return float(value)
    if value != value or value in (float("inf"), float("-inf")) or int(value) != value:
        raise TypeError(f"{value!r}, not a whole number")
    return int(value)
