"""A small trackio project."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

_SCHEMA = """
CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL,
    run_name TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL, log_id TEXT, space_id TEXT);
CREATE TABLE configs (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, run_name TEXT NOT NULL,
    config TEXT NOT NULL, created_at TEXT NOT NULL, UNIQUE(run_id));
CREATE TABLE system_metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL,
    run_name TEXT NOT NULL, metrics TEXT NOT NULL);
"""


def open_project(path: Path) -> sqlite3.Connection:
    """Create an empty project and leave it open."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(_SCHEMA)
    return database


def log(database: sqlite3.Connection, run: str, step: int, metrics: dict[str, object]) -> None:
    stamp = f"2026-11-21T22:{step // 60:02d}:{step % 60:02d}.500000+00:00"
    blob = json.dumps(metrics).encode()
    database.execute(
        "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?, ?)",
        (f"id-{run}", stamp, run, step, blob),
    )


def log_system(database: sqlite3.Connection, run: str, second: int) -> None:
    database.execute(
        "INSERT INTO system_metrics (run_id, timestamp, run_name, metrics) VALUES (?, ?, ?, ?)",
        (f"id-{run}", f"2026-11-21T22:00:{second:02d}+00:00", run, json.dumps({"gpu": second * 2.0})),
    )


def make_trackio(folder: Path) -> Path:
    """Write a project of two runs."""
    path = folder / "digits.db"
    database = open_project(path)
    for run, rate in (("foam", 0.5), ("adamw", 0.25)):
        for step in range(6):
            metrics: dict[str, object] = {"train/loss": 3.0 - rate * step, "note": "text"}
            if step == 5:
                metrics = {"train/loss": "NaN", "spike": "Infinity", "table": {"_type": "trackio.table"}}
            log(database, run, step, metrics)
        config = {"lr": rate, "optimizer": run, "api_key": "abcdefgh", "_Created": "2026-11-21T22:00:00+00:00"}
        database.execute(
            "INSERT INTO configs (run_id, run_name, config, created_at) VALUES (?, ?, ?, ?)",
            (f"id-{run}", run, json.dumps(config), ""),
        )
    log_system(database, "foam", 1)
    database.commit()
    database.close()
    return path
