"""MLflow's database, the default of its third version (``mlflow.db``): every run of every experiment.

Tables ``experiments``, ``runs``, ``metrics`` (key, value, timestamp in milliseconds, step, is_nan), ``params`` and
``tags``. Infinity is kept there as the largest double, and NaN as 0 with a mark.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import numpy as np

from foam_viz.logs.core.mask import masked
from foam_viz.logs.core.metric_points import Points, side_by_side
from foam_viz.logs.core.naming import optimizer_of
from foam_viz.logs.core.reader import ColumnRule, Group, LogFile, Options, Reader
from foam_viz.logs.core.records import certain
from foam_viz.logs.core.rows import traces_from_columns
from foam_viz.logs.parsing.dates import iso_date
from foam_viz.logs.parsing.sqlite_files import columns_of, damaged, databases, opened, tables_in
from foam_viz.logs.parsing.text_lines import counted
from foam_viz.trace import Manifest, Trace

MOST_RUNS, MOST_VALUES = 2_000, 10_000_000
"""Runs of one database that are read, the newest, and values of their metrics together."""

_TABLES = {"experiments", "runs", "metrics"}
_STATUSES = {"RUNNING": "running", "SCHEDULED": "running", "FAILED": "interrupted", "KILLED": "interrupted"}
_LARGEST = np.finfo(np.float64).max
_MOST_TEXT = 4096
_PARENT, _NAME = "mlflow.parentRunId", "mlflow.runName"
_SYSTEM = "system/"


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim SQLite files with MLflow's tables."""
    return [group for group in databases(files) if tables_in(group) >= _TABLES]


def read(group: Group, options: Options) -> list[Trace]:
    """Read every run that was not deleted.

    Raises:
        LogError: It is damaged, or holds no run.
    """
    file = group[0]
    try:
        with opened(group) as database:
            traces = _traces(database, group, options)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise damaged(file, error) from error
    if not traces:
        raise file.problem("", "is an MLflow database without runs", "log a run to it, or give the store that has them")
    return traces


def _traces(database: sqlite3.Connection, group: Group, options: Options) -> list[Trace]:
    names = columns_of(database, "runs")
    if not {"run_uuid", "experiment_id"} <= names or not {"key", "value", "run_uuid"} <= columns_of(
        database, "metrics"
    ):
        raise group[0].problem("", "is an MLflow database of a layout that is not known")
    wanted = ["run_uuid", "experiment_id", "name", "status", "start_time", "lifecycle_stage"]
    columns = ", ".join(name if name in names else "NULL" for name in wanted)
    order = "start_time DESC" if "start_time" in names else "rowid"
    runs = database.execute(f"SELECT {columns} FROM runs ORDER BY {order} LIMIT {MOST_RUNS + 1}").fetchall()
    notes: list[str] = []
    if len(runs) > MOST_RUNS:
        notes.append(f"The database holds more than {MOST_RUNS:,} runs; the newest {MOST_RUNS:,} were read")
        runs = runs[:MOST_RUNS]
    kept = [run for run in runs if run[5] != "deleted"]
    if len(kept) < len(runs):
        notes.append(
            f"{counted(len(runs) - len(kept), 'run')} deleted in MLflow left out; `mlflow runs restore` undoes that"
        )
    tasks = {
        str(identity): str(name)
        for identity, name in database.execute("SELECT experiment_id, name FROM experiments LIMIT 10000")
    }
    tags = _texts(database, "tags")
    parameters = _texts(database, "params")
    titles = {str(run[0]): str(tags.get(str(run[0]), {}).get(_NAME) or run[2] or run[0]) for run in kept}
    traces: list[Trace] = []
    left = MOST_VALUES
    for run in reversed(kept):
        identity = str(run[0])
        points, count, told = _points(database, identity, left)
        left -= count
        own = tags.get(identity, {})
        parent = str(own.get(_PARENT, ""))
        name = f"{titles[parent]}/{titles[identity]}" if parent in titles else titles[identity]
        config: Mapping[str, object] = {"params": parameters.get(identity, {}), "tags": own}
        hidden: list[str] = []
        if not options.show_secrets:
            config, hidden = masked(config)
        manifest = Manifest(
            run_id=identity,
            name=name[:300],
            format=READER.name,
            created=iso_date(run[4], per_second=1000),
            task=tasks.get(str(run[1]), ""),
            optimizer=optimizer_of(parameters.get(identity, {})),
            config=config,
            files=tuple(member.name for member in group),
            notes=(*notes, *told, *hidden),
            status=_STATUSES.get(str(run[3]), "finished"),
        )
        traces += _trace(points, manifest, options)
    return traces


def _trace(points: Mapping[str, Points], manifest: Manifest, options: Options) -> list[Trace]:
    remarks: list[str] = []
    series = side_by_side(points, remarks)
    manifest = manifest.with_notes(remarks)
    if not series:
        return [Trace(manifest.with_notes(["the run logged no metrics"]))]
    rules = certain(options, step=ColumnRule(target="step", unit="step"))
    traces = traces_from_columns(series, manifest, rules, split=False)
    for trace in traces:
        if manifest.status != "finished" and trace.manifest.status == "finished":
            trace.manifest = trace.manifest.with_(status=manifest.status)
    return traces


def _points(database: sqlite3.Connection, run: str, most: int) -> tuple[dict[str, Points], int, list[str]]:
    """The metrics of one run in order of logging, how many values they are, and what was left out."""
    names = columns_of(database, "metrics")
    extra = ", ".join(name if name in names else "0" for name in ("step", "timestamp", "is_nan"))
    order = " ORDER BY timestamp, rowid" if "timestamp" in names else ""
    query = f"SELECT key, value, {extra} FROM metrics WHERE run_uuid = ?{order} LIMIT {max(most, 0) + 1}"
    gathered: dict[str, tuple[list[float], list[float], list[float]]] = {}
    count, system, bad = 0, 0, 0
    notes: list[str] = []
    for key, value, step, time, is_nan in database.execute(query, (run,)):
        if count >= most:
            notes.append(f"More than {MOST_VALUES:,} values are in the database; those behind them were left out")
            break
        count += 1
        if str(key).startswith(_SYSTEM):
            system += 1
            continue
        if not isinstance(value, int | float) or not isinstance(step, int | float):
            bad += 1
            continue
        steps, values, times = gathered.setdefault(str(key)[:300], ([], [], []))
        number = np.nan if is_nan else float(value)
        values.append(np.copysign(np.inf, number) if abs(number) >= _LARGEST else number)
        steps.append(float(step))
        times.append(time / 1000.0 if isinstance(time, int | float) else np.nan)
    if system:
        notes.append(f"{system:,} values of system metrics are left out: they have steps of their own")
    if bad:
        notes.append(f"{bad:,} values dropped: they are no numbers")
    arrays = {key: Points(*map(np.array, parts)) for key, parts in gathered.items()}
    return arrays, count, notes


def _texts(database: sqlite3.Connection, table: str) -> dict[str, dict[str, object]]:
    """Parameters or tags by run."""
    if not {"key", "value", "run_uuid"} <= columns_of(database, table):
        return {}
    found: dict[str, dict[str, object]] = {}
    for run, key, value in database.execute(f"SELECT run_uuid, key, value FROM {table} LIMIT 1000000"):
        found.setdefault(str(run), {})[str(key)] = str(value)[:_MOST_TEXT]
    return found


READER = Reader(
    name="mlflow-database",
    label="MLflow database (SQLite)",
    summary="mlflow.db, the default of MLflow 3: every run with parameters, tags and metrics; opened read-only.",
    find=find,
    read=read,
)
