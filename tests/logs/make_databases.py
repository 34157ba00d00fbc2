"""Small databases as MLflow and Optuna write them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_MLFLOW = """
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name VARCHAR(256), artifact_location VARCHAR(256),
    lifecycle_stage VARCHAR(32));
CREATE TABLE runs (run_uuid VARCHAR(32) PRIMARY KEY, name VARCHAR(250), source_type VARCHAR(20), user_id VARCHAR(256),
    status VARCHAR(9), start_time BIGINT, end_time BIGINT, lifecycle_stage VARCHAR(20), artifact_uri VARCHAR(200),
    experiment_id INTEGER);
CREATE TABLE metrics (key VARCHAR(250), value DOUBLE, timestamp BIGINT, run_uuid VARCHAR(32), step BIGINT DEFAULT '0',
    is_nan BOOLEAN DEFAULT '0');
CREATE TABLE latest_metrics (key VARCHAR(250), value DOUBLE, timestamp BIGINT, step BIGINT, is_nan BOOLEAN,
    run_uuid VARCHAR(32));
CREATE TABLE params (key VARCHAR(250), value VARCHAR(8000), run_uuid VARCHAR(32));
CREATE TABLE tags (key VARCHAR(250), value VARCHAR(8000), run_uuid VARCHAR(32));
"""
_OPTUNA = """
CREATE TABLE studies (study_id INTEGER PRIMARY KEY, study_name VARCHAR(512));
CREATE TABLE trials (trial_id INTEGER PRIMARY KEY, number INTEGER, study_id INTEGER, state VARCHAR(8),
    datetime_start DATETIME, datetime_complete DATETIME);
CREATE TABLE trial_params (param_id INTEGER PRIMARY KEY, trial_id INTEGER, param_name VARCHAR(512), param_value FLOAT,
    distribution_json TEXT);
CREATE TABLE trial_values (trial_value_id INTEGER PRIMARY KEY, trial_id INTEGER, objective INTEGER, value FLOAT,
    value_type VARCHAR(7));
CREATE TABLE trial_intermediate_values (trial_intermediate_value_id INTEGER PRIMARY KEY, trial_id INTEGER, step INTEGER,
    intermediate_value FLOAT, intermediate_value_type VARCHAR(7));
"""
START = 1_900_000_000_000


def make_mlflow_database(folder: Path) -> Path:
    path = folder / "mlflow.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(_MLFLOW)
        database.execute("INSERT INTO experiments VALUES (1, 'study', '', 'active')")
        for place, (run, name, status, stage) in enumerate(
            (("a" * 32, "parent", "FINISHED", "active"), ("b" * 32, "child", "FAILED", "active"),
             ("c" * 32, "gone", "FINISHED", "deleted"))
        ):  # fmt: skip
            row = (run, name, "LOCAL", "someone", status, START + place, None, stage, "", 1)
            database.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            database.execute("INSERT INTO params VALUES ('optimizer', 'soap', ?)", (run,))
            database.execute("INSERT INTO tags VALUES ('mlflow.runName', ?, ?)", (name, run))
            metrics = [("train/loss", 4 - step / 20, START + step * 100, run, step, 0) for step in range(0, 50, 5)]
            metrics += [
                ("val/loss", 4.5 - step / 20, START + step * 100 + 1, run, step, 0) for step in range(0, 50, 20)
            ]
            metrics += [("odd", 0.0, START, run, 5, 1), ("odd", 1.7976931348623157e308, START, run, 10, 0)]
            metrics += [("free", 1.0 + step, START + step, run, 0, 0) for step in range(3)]
            metrics += [("system/gpu", 1.0, START, run, 0, 0)]
            database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", metrics)
        database.execute("INSERT INTO tags VALUES ('mlflow.parentRunId', ?, ?)", ("a" * 32, "b" * 32))
        database.commit()
    return path


def make_optuna_database(folder: Path) -> Path:
    path = folder / "optuna.db"
    choices = '{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "soap"]}}'
    with closing(sqlite3.connect(path)) as database:
        database.executescript(_OPTUNA)
        database.execute("INSERT INTO studies VALUES (1, 'tune')")
        for trial in range(4):
            state = ("COMPLETE", "PRUNED", "COMPLETE", "RUNNING")[trial]
            date = f"2026-11-26 10:0{trial}:00.500000"
            database.execute("INSERT INTO trials VALUES (?, ?, 1, ?, ?, ?)", (trial + 1, trial, state, date, date))
            more = [(trial + 1, "lr", 0.1 * trial, "{}"), (trial + 1, "opt", trial % 2, choices)]
            database.executemany(
                "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)",
                more,
            )
            database.execute(
                "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, 'FINITE')",
                (trial + 1, 3 - trial / 10),
            )
            if trial < 2:
                database.executemany(
                    "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, "
                    "intermediate_value_type) VALUES (?, ?, ?, 'FINITE')",
                    [(trial + 1, step, 3 - step / 10) for step in range(5)],
                )
        database.commit()
    return path
