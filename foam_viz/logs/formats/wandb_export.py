"""What leaves Weights & Biases as a table: exports of a panel, and ``run.history()`` saved as CSV or Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from foam_viz.logs.core.column_names import role_of
from foam_viz.logs.core.columns import Series, can_be_steps
from foam_viz.logs.core.reader import Group, LogFile, Options, Reader
from foam_viz.logs.formats.table import tables_of, traces_of_tables
from foam_viz.logs.parsing.arrow_columns import parquet_names
from foam_viz.logs.parsing.dialect import find_dialect
from foam_viz.logs.parsing.table_model import Table, stacked
from foam_viz.logs.parsing.text_lines import LogText, looks_like_text
from foam_viz.trace import Trace

_BETWEEN = " - "
_MIN, _MAX = "__MIN", "__MAX"
_STEP = " - _step"
_AXES = frozenset({"Step", "_step", "Relative Time (Process)", "Relative Time (Wall)", "Wall Time", "epoch"})


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
    if not looks_like_text(file.head):
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
    if any(name.endswith(_MIN) and _BETWEEN in name and name.removesuffix(_MIN) + _MAX in known for name in names):
        return True
    # Without the columns of limits: an axis as W&B calls it, and nothing but runs beside it.
    own = [name for name in names if _BETWEEN not in name]
    return len(own) == 1 < len(names) and own[0] in _AXES


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
    panels: dict[str, list[Table]] = {}
    for table in tables:
        for name, part in _runs_of(table).items():
            panels.setdefault(name, []).append(part)
    traces: list[Trace] = []
    for name, parts in panels.items():
        for table in _joined(parts):
            own = f"{name} over {table.name}" if table.name else name
            table.name = own
            traces += traces_of_tables([table], group, READER.name, options, name=own, split=False)
    for index, trace in enumerate(traces):
        trace.manifest = trace.manifest.with_(run_id=f"{trace.manifest.run_id}-{index + 1}")
    return traces


def _joined(parts: Sequence[Table]) -> list[Table]:
    """Put the panels of one run together that have steps; one over another axis and without steps stays alone."""
    stepped = [part for part in parts if _has_step(part)]
    others = [part for part in parts if not _has_step(part)]
    alike: dict[str, list[Table]] = {}
    for part in others:
        alike.setdefault(part.series[0].name, []).append(part)
    tables = [stacked(stepped)] if stepped else []
    for axis, own in alike.items():
        table = stacked(own)
        table.name = axis if stepped or len(alike) > 1 else ""
        tables.append(table)
    return tables


def _has_step(table: Table) -> bool:
    return any(role_of(one.name).kind == "step" and can_be_steps(one) for one in table.series)


def _runs_of(table: Table) -> dict[str, Table]:
    """Return the columns of one panel by run: its axis, the step of each value where the panel has it, and metrics."""
    axis = next((one for one in table.series if _BETWEEN not in one.name), None)
    known = {one.name: one for one in table.series}
    names = sorted((name.removesuffix(_STEP) for name in known if name.endswith(_STEP)), key=len, reverse=True)
    shared = set(table.texts) - {""}
    columns: dict[str, list[Series]] = {}
    notes: dict[str, list[str]] = {}
    for one in table.series:
        if one is axis or one.name.endswith((_MIN, _MAX)) and one.name[: -len(_MIN)] in known:
            continue
        run, metric = _parts(one.name, names)
        if not run:
            shared.add(one.name)
            continue
        own, said = columns.setdefault(run, []), notes.setdefault(run, [])
        own.append(replace(one, name=metric))
        limits = [known[one.name + end] for end in (_MIN, _MAX) if one.name + end in known]
        differing = [limit for limit in limits if metric != "_step" and _differs(one, limit)]
        own += [replace(limit, name=metric + limit.name[-len(_MIN) :]) for limit in differing]
        if limits and not differing:
            said.append(f"{metric!r}: its minimum and maximum columns repeat its values and were left out.")
    runs = {}
    for run, own in columns.items():
        taken = _with_axis(axis, own, notes[run])
        if taken:
            runs[run] = Table(taken, notes=[*table.notes, *notes[run]])
            if shared:
                listed = ", ".join(repr(name) for name in sorted(shared)[:8])
                runs[run].notes.append(f"Left out: {listed}, which belong to no run.")
    return runs


def _parts(name: str, runs: Sequence[str]) -> tuple[str, str]:
    """Split the name of a column into run and metric; names of runs hold " - " more often than those of metrics."""
    run = next((run for run in runs if name.startswith(run + _BETWEEN)), "")
    if run:
        return run, name[len(run) + len(_BETWEEN) :]
    run, _, metric = name.rpartition(_BETWEEN)
    return run, metric


def _with_axis(axis: Series | None, own: Sequence[Series], notes: list[str]) -> list[Series]:
    """Return the rows of a run in which a metric stands, its step first."""
    size = len(own[0].values)
    present = np.zeros(size, bool)
    for one in own:
        if one.name != "_step" and one.count():
            present |= True if one.missing is None else ~one.missing
    rows = np.flatnonzero(present)
    if not len(rows):
        return []
    columns = [one.take(rows) for one in own if one.count()]
    if axis is not None:
        first = axis.take(rows)
        if role_of(axis.name).kind == "step":
            # The axis of every panel is one column, whatever the panels call it, as long as it counts steps.
            columns = [replace(first, name="Step"), *(one for one in columns if one.name != "_step")]
        else:
            unit = "s" if axis.name.startswith("Relative Time") else axis.unit
            columns = [replace(first, unit=unit), *columns]
    return [_step_of_group(one, notes) if one.name == "_step" else one for one in columns]


def _step_of_group(one: Series, notes: list[str]) -> Series:
    """Return the steps; of a group of runs W&B gives the mean, which need not be whole."""
    whole = np.floor(one.values)
    if (whole[~np.isnan(whole)] != one.values[~np.isnan(whole)]).any():
        notes.append("The steps are means over a group of runs; they were rounded down.")
    return replace(one, name="Step", values=whole, samples=())


def _differs(one: Series, limit: Series) -> bool:
    both = np.ones(len(one.values), bool)
    for side in (one, limit):
        if side.missing is not None:
            both &= ~side.missing
    return not np.array_equal(one.values[both], limit.values[both], equal_nan=True)


READER = Reader(
    name="wandb-export",
    label="Weights & Biases export",
    summary="Exports of a panel (a run and metric a column) and saved run histories with _step and _runtime.",
    find=find,
    read=read,
)
