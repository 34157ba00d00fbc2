"""Optuna's storage in SQLite: a study is a table of runs, and a trial that reported on its way is a run with a curve.

Parameters are kept as numbers; ``distribution_json`` tells the choices that they stand for.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

import numpy as np

from foam_viz.logs.core.metric_points import Points, side_by_side
from foam_viz.logs.core.naming import run_id
from foam_viz.logs.core.reader import ColumnRule, Group, LogFile, Options, Reader
from foam_viz.logs.core.records import certain
from foam_viz.logs.core.rows import traces_from_columns
from foam_viz.logs.formats.run_tables import trace_of_runs
from foam_viz.logs.parsing.json_tables import table_of_records
from foam_viz.logs.parsing.sqlite_files import columns_of, damaged, databases, opened, tables_in
from foam_viz.trace import Manifest, Trace

MOST_TRIALS, MOST_CURVES, MOST_VALUES = 20_000, 500, 5_000_000

_TABLES = {"studies", "trials", "trial_params"}
_FAILED = {"FAIL", "PRUNED", "WAITING"}


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim SQLite files with Optuna's tables."""
    return [group for group in databases(files) if tables_in(group) >= _TABLES]


def read(group: Group, options: Options) -> list[Trace]:
    """Read every study.

    Raises:
        LogError: It is damaged, or holds no trial.
    """
    try:
        with opened(group) as database:
            traces = _traces(database, group, options)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise damaged(group[0], error) from error
    if not traces:
        raise group[0].problem("", "is an Optuna storage without trials", "give the storage that the study wrote to")
    return traces


def _traces(database: sqlite3.Connection, group: Group, options: Options) -> list[Trace]:
    names = columns_of(database, "trials")
    if not {"trial_id", "study_id"} <= names:
        raise group[0].problem("", "is an Optuna storage of a layout that is not known")
    wanted = ["trial_id", "study_id", "number", "state", "datetime_start", "datetime_complete", "value"]
    columns = ", ".join(name if name in names else "NULL" for name in wanted)
    rows = database.execute(f"SELECT {columns} FROM trials ORDER BY trial_id LIMIT {MOST_TRIALS}").fetchall()
    studies = {key: str(name) for key, name in database.execute("SELECT study_id, study_name FROM studies LIMIT 10000")}
    parameters = _parameters(database)
    values = _values(database)
    curves = _curves(database)
    traces: list[Trace] = []
    files = tuple(member.name for member in group)
    for study, name in studies.items():
        trials = [row for row in rows if row[1] == study]
        records = [_record(row, parameters.get(row[0], {}), values.get(row[0], {})) for row in trials]
        if not records:
            continue
        manifest = Manifest(
            run_id=run_id(group, len(traces)), name=name[:300], format=READER.name, files=files, task=name[:300]
        )
        traces.append(trace_of_runs(table_of_records(records, name), "number", manifest))
        told = [row for row in trials if len(curves.get(row[0], ((), ()))[0]) > 1]
        for row in told[:MOST_CURVES]:
            steps, reported = curves[row[0]]
            traces += _curve(row, name, steps, reported, parameters.get(row[0], {}), group, len(traces), options)
        if len(told) > MOST_CURVES:
            note = (
                f"Of {len(told):,} trials that reported on their way the first {MOST_CURVES:,} are runs of their own."
            )
            traces[-1].manifest = traces[-1].manifest.with_notes([note])
    return traces


def _record(row: Sequence[object], parameters: Mapping[str, object], values: Mapping[str, object]) -> dict[str, object]:
    _, _, number, state, start, end, value = row
    own = values or ({"value": value} if value is not None else {})
    return {"number": number, "state": str(state), **own, **parameters, "started": start, "completed": end}


def _curve(
    row: Sequence[object],
    study: str,
    steps: Sequence[float],
    values: Sequence[float],
    parameters: Mapping[str, object],
    group: Group,
    index: int,
    options: Options,
) -> list[Trace]:
    state = str(row[3])
    notes = ["The values are those that the trial reported on its way (report)."]
    series = side_by_side({"intermediate value": Points(np.array(steps), np.array(values))}, notes)
    manifest = Manifest(
        run_id=run_id(group, index),
        name=f"{study} trial {row[2]}"[:300],
        format=READER.name,
        task=study[:300],
        config={"params": dict(parameters), "state": state},
        files=tuple(member.name for member in group),
        notes=tuple(notes),
        status="running" if state == "RUNNING" else "interrupted" if state in _FAILED else "finished",
    )
    rules = certain(options, step=ColumnRule(target="step", unit="step"))
    return traces_from_columns(series, manifest, rules, split=False)


def _parameters(database: sqlite3.Connection) -> dict[object, dict[str, object]]:
    found: dict[object, dict[str, object]] = {}
    query = f"SELECT trial_id, param_name, param_value, distribution_json FROM trial_params LIMIT {MOST_VALUES}"
    for trial, name, value, told in database.execute(query):
        found.setdefault(trial, {})[str(name)] = _choice(value, told)
    return found


def _choice(value: object, told: object) -> object:
    """The value that a parameter had: choices are kept as their place in the list of choices."""
    try:
        distribution = json.loads(str(told))
        choices = distribution["attributes"].get("choices")
        return choices[int(value)] if choices else value  # type: ignore[call-overload]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError):
        return value


def _values(database: sqlite3.Connection) -> dict[object, dict[str, object]]:
    if not {"trial_id", "value"} <= (names := columns_of(database, "trial_values")):
        return {}
    place, kind = ("objective" if "objective" in names else "0"), ("value_type" if "value_type" in names else "NULL")
    found: dict[object, dict[str, object]] = {}
    query = f"SELECT trial_id, {place}, value, {kind} FROM trial_values LIMIT {MOST_VALUES}"
    for trial, objective, value, word in database.execute(query):
        name = "value" if not objective else f"value {objective + 1 if isinstance(objective, int) else objective}"
        found.setdefault(trial, {})[name] = _number(value, word)
    return found


def _curves(database: sqlite3.Connection) -> dict[object, tuple[list[float], list[float]]]:
    names = columns_of(database, "trial_intermediate_values")
    if not {"trial_id", "step", "intermediate_value"} <= names:
        return {}
    kind = "intermediate_value_type" if "intermediate_value_type" in names else "NULL"
    found: dict[object, tuple[list[float], list[float]]] = {}
    query = (
        f"SELECT trial_id, step, intermediate_value, {kind} FROM trial_intermediate_values "
        f"ORDER BY trial_id, step LIMIT {MOST_VALUES}"
    )
    for trial, step, value, word in database.execute(query):
        if isinstance(step, int):
            steps, values = found.setdefault(trial, ([], []))
            steps.append(float(step))
            values.append(_number(value, word))
    return found


def _number(value: object, word: object) -> float:
    """A value; infinity and NaN stand in a column of their own."""
    special = {"INF_POS": np.inf, "INF_NEG": -np.inf, "NAN": np.nan}.get(str(word))
    if special is not None:
        return special
    return float(value) if isinstance(value, int | float) else np.nan


READER = Reader(
    name="optuna-database",
    label="Optuna storage (SQLite)",
    summary="Studies as tables of their trials; trials that reported on their way as runs with a curve.",
    find=find,
    read=read,
)
