"""Columns of a source before it is known what they mean, put below each other or spread out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from foam_viz.logs.core.columns import Series


@dataclass
class Table:
    """Columns of a source before it is known what they mean.

    Attributes:
        series: Numeric columns, of one length.
        texts: Text columns, object arrays of str and None, of that length.
        notes: What was assumed or dropped to get them.
        config: What the file says of the run besides columns.
        name: Name of the run where the source has one.
        length: Seconds the run took, where the source says so outside the columns, else 0.
    """

    series: list[Series]
    texts: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    config: dict[str, object] = field(default_factory=dict)
    name: str = ""
    length: float = 0.0

    def with_rows(self, rows: np.ndarray) -> Table:
        """Return the table with some of its rows."""
        texts = {name: cells[rows] for name, cells in self.texts.items()}
        series = [one.take(rows) for one in self.series]
        return Table(series, texts, list(self.notes), dict(self.config), self.name, self.length)


def stacked(tables: Sequence[Table]) -> Table:
    """Put the rows of tables below each other: a column for each name, blank where a table has none."""
    sizes = [len(table.series[0].values) if table.series else len(next(iter(table.texts.values()), ()))
             for table in tables]  # fmt: skip
    numeric = {one.name: one for table in reversed(tables) for one in table.series}
    order = list(dict.fromkeys(one.name for table in tables for one in table.series))
    series = []
    for name in order:
        values, missing = [], []
        for table, size in zip(tables, sizes, strict=True):
            one = next((one for one in table.series if one.name == name), None)
            values.append(np.full(size, np.nan) if one is None else one.values)
            absent = np.full(size, one is None) if one is None or one.missing is None else one.missing
            missing.append(absent)
        mask = np.concatenate(missing)
        units = {one.unit for table in tables for one in table.series if one.name == name}
        unit = numeric[name].unit if len(units) == 1 else ""
        series.append(Series(name, np.concatenate(values), mask if mask.any() else None, unit))
    texts = {}
    for name in dict.fromkeys(name for table in tables for name in table.texts if name not in numeric):
        cells = [table.texts.get(name, np.full(size, None, object)) for table, size in zip(tables, sizes, strict=True)]
        texts[name] = np.concatenate(cells)
    config = {key: value for table in reversed(tables) for key, value in table.config.items()}
    return Table(
        series, texts, list(dict.fromkeys(note for table in tables for note in table.notes)), config, tables[0].name
    )


def _blocks(step: Series) -> np.ndarray:
    """Number neighbouring rows of one step alike, from 0."""
    return np.concatenate([[0], np.cumsum(np.diff(step.values) != 0)])


def pivot(
    table: Table, step: Series, drop: Sequence[str], codes: np.ndarray, targets: Mapping[tuple[str, int], str]
) -> Table:
    """Spread metrics over columns: ``targets`` names the column of each metric under each label."""
    block = _blocks(step)
    size = int(block[-1]) + 1
    moved = {name for name, _ in targets}
    spread_out: dict[str, Series] = {}
    for one in table.series:
        present = np.ones(len(codes), bool) if one.missing is None else ~one.missing
        if one.name not in moved:
            if one.name not in drop:
                spread_out[one.name] = _placed(one, one.name, np.flatnonzero(present), block, size, spread_out)
            continue
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(int(codes.max()) + 2))
        for code in range(int(codes.max()) + 1):
            target = targets.get((one.name, code))
            rows = np.sort(order[bounds[code] : bounds[code + 1]])
            rows = rows[present[rows]]
            if target is not None and len(rows):
                spread_out[target] = _placed(one, target, rows, block, size, spread_out)
    texts = {name: cells for name, cells in table.texts.items() if name not in drop}
    last = np.flatnonzero(np.diff(block, append=size) != 0)
    return Table(
        list(spread_out.values()),
        {name: cells[last] for name, cells in texts.items()},
        table.notes,
        table.config,
        table.name,
        table.length,
    )


def _placed(
    one: Series, name: str, rows: np.ndarray, block: np.ndarray, size: int, others: Mapping[str, Series]
) -> Series:
    """Put values in the row of their block; the last of several stays. An earlier column of the name is kept below."""
    before = others.get(name)
    values = np.full(size, np.nan) if before is None else before.values.copy()
    missing = np.ones(size, bool)
    if before is not None:
        missing = np.zeros(size, bool) if before.missing is None else before.missing.copy()
    values[block[rows]], missing[block[rows]] = one.values[rows], False
    return Series(name, values, missing if missing.any() else None, one.unit)


def means(table: Table, step: Series, drop: Sequence[str], metrics: Sequence[str]) -> Table:
    """Return a table with one row a step: means of `metrics`, the last value of others; `drop` is left out."""
    block = _blocks(step)
    size = int(block[-1]) + 1
    series = []
    for one in table.series:
        rows = np.arange(len(block)) if one.missing is None else np.flatnonzero(~one.missing)
        if one.name in metrics:
            counts = np.bincount(block[rows], minlength=size)
            with np.errstate(invalid="ignore"):
                values = np.bincount(block[rows], weights=one.values[rows], minlength=size) / counts
            series.append(Series(f"{one.name}/mean", values, counts == 0, one.unit))
        elif one.name not in drop:
            series.append(_placed(one, one.name, rows, block, size, {}))
    return Table(series, {}, table.notes, table.config, table.name, table.length)
