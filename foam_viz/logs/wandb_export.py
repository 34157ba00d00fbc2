"""What leaves Weights & Biases as a table: exports of a panel, and ``run.history()`` saved as CSV or Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from foam_viz.logs.column_names import role_of
from foam_viz.logs.columns import Series
from foam_viz.logs.dialect import find_dialect
from foam_viz.logs.labels import Table
from foam_viz.logs.reader import Group, LogFile, Options, Reader
from foam_viz.logs.table import tables_of, traces_of_tables
from foam_viz.logs.table_files import parquet_names
from foam_viz.logs.text_lines import LogText, looks_like_text
from foam_viz.trace import Trace

_BETWEEN = " - "
_MIN, _MAX = "__MIN", "__MAX"


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim histories one by one, and the panels of one folder together: each holds one metric of the same runs."""
    panels: dict[str, list[LogFile]] = {}
    groups: list[Group] = []
    for file in files:
        names = _names(file)
        if _is_panel(names):
            panels.setdefault(file.folder, []).append(file)
        elif "_step" in names and ("_runtime" in names or "_timestamp" in names):
            groups.append((file,))
    return [*(tuple(group) for group in panels.values()), *groups]


def _names(file: LogFile) -> tuple[str, ...]:
    """Return the names of a table's columns; none when it is no table."""
    if file.head.startswith(b"PAR1"):
        return parquet_names(file)
    if not looks_like_text(file.head) or b"_" not in file.head:
        return ()
    text = LogText.of_head(file).text
    if text.lstrip()[:1] in ("{", "["):
        return ()
    first = text.lstrip().split("\n", 1)[0]
    if _BETWEEN not in first and "_step" not in first:
        return ()
    dialect = find_dialect(text)
    return dialect.names if dialect is not None else ()


def _is_panel(names: Sequence[str]) -> bool:
    known = set(names)
    return any(name.endswith(_MIN) and _BETWEEN in name and name.removesuffix(_MIN) + _MAX in known for name in names)


def read(group: Group, options: Options) -> list[Trace]:
    """Read one history, or the panels of a folder: a trace for each run in them.

    Raises:
        LogError: No file of the group can be read.
    """
    tables = [table for file in group for table in tables_of(file)]
    if not any(_BETWEEN in one.name for one in tables[0].series):
        for table in tables:  # seconds since the start, by W&B's own definition
            table.series = [replace(one, unit="s") if one.name == "_runtime" else one for one in table.series]
        return traces_of_tables(tables, group, READER.name, options)
    runs: dict[str, Table] = {}
    for table in tables:
        _take_panel(table, runs)
    traces: list[Trace] = []
    for name, table in runs.items():
        table.name = name
        traces += traces_of_tables([table], group, READER.name, options, name=name, split=False)
    for index, trace in enumerate(traces):
        trace.manifest = trace.manifest.with_(run_id=f"{trace.manifest.run_id}-{index + 1}")
    return traces


def _take_panel(table: Table, runs: dict[str, Table]) -> None:
    """Add the columns of one panel to the runs they belong to."""
    axis = next((one for one in table.series if _BETWEEN not in one.name), None)
    known = {one.name: one for one in table.series}
    shared = set(table.texts)
    for one in table.series:
        if one is axis or one.name.endswith((_MIN, _MAX)) and one.name[: -len(_MIN)] in known:
            continue
        # Names of runs hold " - " more often than names of metrics do.
        run, _, metric = one.name.rpartition(_BETWEEN)
        if not run:
            shared.add(one.name)
            continue
        limits = [known[one.name + end] for end in (_MIN, _MAX) if one.name + end in known]
        differing = [limit for limit in limits if _differs(one, limit)]
        own = [Series(metric, one.values, one.missing, one.unit)]
        own += [
            Series(metric + limit.name[-len(_MIN) :], limit.values, limit.missing, limit.unit) for limit in differing
        ]
        target = runs.setdefault(run, Table([], notes=list(table.notes)))
        if limits and not differing:
            target.notes.append(f"{metric!r}: its minimum and maximum columns repeat its values and were left out.")
        if own[0].count():
            _append(target, axis, own)
    for run in runs.values():
        if shared:
            run.notes.append(
                f"Left out: {', '.join(repr(name) for name in sorted(shared)[:8])}, which belong to no run."
            )


def _differs(one: Series, limit: Series) -> bool:
    both = np.ones(len(one.values), bool)
    for side in (one, limit):
        if side.missing is not None:
            both &= ~side.missing
    return not np.array_equal(one.values[both], limit.values[both], equal_nan=True)


def _append(table: Table, axis: Series | None, columns: Sequence[Series]) -> None:
    """Put the rows of one metric below those that a run has; rows of one step are united later."""
    present = np.flatnonzero(~columns[0].missing) if columns[0].missing is not None else slice(None)
    columns = [one.take(present) for one in columns]
    if axis is not None:
        # The axis of every panel is one column, whatever the panels call it, as long as it counts steps.
        name = "Step" if role_of(axis.name).kind == "step" else axis.name
        taken = axis.take(present)
        columns = [Series(name, taken.values, taken.missing, taken.unit), *columns]
    above = len(table.series[0].values) if table.series else 0
    below = len(columns[0].values)
    new = {one.name: one for one in columns}
    old = {one.name: one for one in table.series}
    table.series = [_stacked(name, old.get(name), new.get(name), above, below) for name in {**old, **new}]


def _stacked(name: str, old: Series | None, new: Series | None, above: int, below: int) -> Series:
    values, missing = [], []
    for one, rows in ((old, above), (new, below)):
        values.append(np.full(rows, np.nan) if one is None else one.values)
        missing.append(
            np.ones(rows, bool) if one is None else one.missing if one.missing is not None else np.zeros(rows, bool)
        )
    mask = np.concatenate(missing)
    return Series(name, np.concatenate(values), mask if mask.any() else None, (new or old).unit)  # type: ignore[union-attr]


READER = Reader(
    name="wandb-export",
    label="Weights & Biases export",
    summary="Exports of a panel (a run and metric a column) and saved run histories with _step and _runtime.",
    find=find,
    read=read,
)
