"""trackio's SQLite files: a project each, with the metrics of every run as JSON."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.mask import masked
from foam_viz.logs.core.naming import optimizer_of, run_id
from foam_viz.logs.core.reader import ColumnRule, Group, LogFile, Options, Reader
from foam_viz.logs.core.records import Records, certain
from foam_viz.logs.core.rows import traces_from_columns
from foam_viz.logs.parsing.sqlite_files import columns_of, damaged, databases, opened
from foam_viz.trace import Manifest, Trace

_REMEDY = "give trackio's project file (~/.cache/huggingface/trackio/<project>.db), or export the metrics as CSV"


def _find(files: Sequence[LogFile]) -> list[Group]:
    return databases(files)


def _read(group: Group, options: Options) -> list[Trace]:
    file = group[0]
    try:
        with opened(group) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not {"metrics", "system_metrics"} & tables or "run_name" not in columns_of(database, "metrics"):
                found = f"its tables are {', '.join(sorted(tables)[:20])}" if tables else "it has no tables"
                reason = f"is an SQLite database of no program that is known: {found}"
                raise file.problem("", reason, _REMEDY)
            traces = _traces(database, tables, group, options)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # names in a damaged schema are decoded strictly
        raise damaged(file, error) from error
    if not traces:
        raise file.problem("", "is a trackio project in which no run logged anything")
    return traces


def _traces(database: sqlite3.Connection, tables: set[str], group: Group, options: Options) -> list[Trace]:
    project = group[0].base.removesuffix(".db")
    configs = _configs(database, tables)
    logged = _runs(database, "metrics", tables)
    system = _runs(database, "system_metrics", tables)
    traces = []
    for index, key in enumerate(dict.fromkeys([*logged, *system])):
        name, own_project, identity = key
        records = logged.get(key) or system[key]
        notes = []
        if key not in logged:
            notes.append("the run logged only system metrics, which have no steps: their rows are numbered")
        elif key in system:
            notes.append(f"{system[key].rows:,} rows of system metrics are left out: they have no steps")
        config: Mapping[str, object] = configs.get(identity) or configs.get(name, {})
        if not options.show_secrets:
            config, hidden = masked(config)
            notes += hidden
        columns, remarks = records.series()
        manifest = Manifest(
            run_id=identity if identity != name else run_id(group, index),
            name=name,
            format=READER.name,
            created=str(config.get("_Created") or ""),
            task=own_project or project,
            optimizer=optimizer_of(config),
            config=config,
            files=tuple(file.name for file in group),
            notes=(*notes, *records.notes(), *remarks),
        )
        rules = certain(options, step=ColumnRule(target="step", unit="step")) if key in logged else options
        traces += traces_from_columns([*records.own_columns(), *columns], manifest, rules, split=False)
    return traces


class _Run(Records):
    """The rows of one run, with their steps and times."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: list[float] = []
        self._times: list[float] = []
        self._bad = 0

    def row(self, step: object, time: object, text: object) -> None:
        try:
            record = json.loads(text) if isinstance(text, str | bytes) else None
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            self._bad += 1
            return
        # A metric of one of these names would collide with the row's own.
        self.add({f"{key} (metric)" if key in ("step", "timestamp") else key: value for key, value in record.items()})
        self._steps.append(float(step) if isinstance(step, int) else np.nan)
        self._times.append(_seconds(time))

    def notes(self) -> list[str]:
        return [f"{self._bad:,} rows dropped: their metrics are no JSON object"] if self._bad else []

    def own_columns(self) -> list[Series]:
        """Columns of step, where the table has them, and of time."""
        steps, times = np.array(self._steps), np.array(self._times)
        columns = [] if np.isnan(steps).all() else [Series("step", steps, np.isnan(steps))]
        if not np.isnan(times).all():
            columns.append(Series("timestamp", times, np.isnan(times), "date"))
        return columns


def _runs(database: sqlite3.Connection, table: str, tables: set[str]) -> dict[tuple[str, str, str], _Run]:
    """Rows by run: name, project where one file holds several, and identity."""
    if table not in tables:
        return {}
    names = columns_of(database, table)
    wanted = ["run_name", "project_name", "run_id", "step", "timestamp", "metrics"]
    columns = ", ".join(name if name in names else "NULL" for name in wanted)
    runs: dict[tuple[str, str, str], _Run] = {}
    for name, project, identity, step, time, text in database.execute(f"SELECT {columns} FROM {table} ORDER BY rowid"):
        key = (str(name), str(project or ""), str(identity or name))
        runs.setdefault(key, _Run()).row(step, time, text)
    return {key: run for key, run in runs.items() if run.rows}


def _configs(database: sqlite3.Connection, tables: set[str]) -> dict[str, dict[str, object]]:
    if "configs" not in tables:
        return {}
    names = columns_of(database, "configs")
    identity = "run_id" if "run_id" in names else "run_name"
    configs = {}
    for key, text in database.execute(f"SELECT {identity}, config FROM configs"):
        try:
            config = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            continue
        if isinstance(config, dict):
            configs[str(key)] = config
    return configs


def _seconds(time: object) -> float:
    try:
        date = datetime.fromisoformat(str(time))
    except ValueError:
        return np.nan
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


READER = Reader(
    name="trackio",
    label="trackio projects (SQLite)",
    summary="The project's .db file, with -wal where there is one: every run with its configuration.",
    find=_find,
    read=_read,
)
