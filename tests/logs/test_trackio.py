"""trackio's SQLite projects."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from foam_viz.logs import LogError, read
from foam_viz.logs.core.mask import MASKED
from tests.logs.examples import examples
from tests.logs.make_trackio import log, log_system, make_trackio, open_project


def test_every_run_with_its_configuration(tmp_path: Path) -> None:
    path = make_trackio(tmp_path)
    before = path.read_bytes()
    foam, adamw = read(path)
    assert [trace.manifest.name for trace in (foam, adamw)] == ["foam", "adamw"]
    assert foam.manifest.run_id == "id-foam"
    assert (foam.manifest.format, foam.manifest.task, foam.manifest.optimizer) == ("trackio", "digits", "foam")
    assert foam.manifest.config["api_key"] == MASKED
    assert foam.manifest.config["lr"] == 0.5
    np.testing.assert_array_equal(foam.values("steps", "step"), np.arange(6))
    np.testing.assert_allclose(foam.values("steps", "loss"), [3.0, 2.5, 2.0, 1.5, 1.0, np.nan])
    np.testing.assert_allclose(adamw.values("steps", "loss")[:3], [3.0, 2.75, 2.5])
    assert foam.steps["spike"].to_pylist() == [None] * 5 + [np.inf]
    assert foam.values("steps", "total_seconds")[-1] == 5.0
    assert foam.manifest.status == "diverged"
    notes = " ".join(foam.manifest.notes)
    assert "1 rows of system metrics are left out" in notes
    assert "'note' 5 times" in notes
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["digits.db"]


def test_rows_that_are_only_in_the_write_ahead_log(tmp_path: Path) -> None:
    database = open_project(tmp_path / "live.db")
    for step in range(3):
        log(database, "r", step, {"loss": 1.0 / (step + 1)})
    database.commit()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("live.db", "live.db-wal", "live.db-shm"):
        shutil.copy(tmp_path / name, copy / name)
    database.close()
    (trace,) = read(copy)
    np.testing.assert_allclose(trace.values("steps", "loss"), [1, 1 / 2, 1 / 3])
    assert len(trace.manifest.files) == 3


def test_a_project_with_only_system_metrics(tmp_path: Path) -> None:
    database = open_project(tmp_path / "p.db")
    for second in range(4):
        log_system(database, "r", second)
    database.commit()
    database.close()
    (trace,) = read(tmp_path / "p.db")
    np.testing.assert_allclose(trace.values("steps", "gpu"), [0, 2, 4, 6])
    np.testing.assert_array_equal(trace.values("steps", "step"), [1, 2, 3, 4])
    assert any("only system metrics" in note for note in trace.manifest.notes)


def test_bad_rows_and_later_values_of_a_step(tmp_path: Path) -> None:
    database = open_project(tmp_path / "p.db")
    for step, loss in ((0, 3.0), (1, 2.0), (1, 1.5), (2, 1.0)):
        log(database, "r", step, {"loss": loss})
    insert = "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES ('id-r', 'x', 'r', 3, ?)"
    for blob in ("[1, 2]", b"\xff\xfe{", "{" * 10_000):
        database.execute(insert, (blob,))
    database.commit()
    database.close()
    (trace,) = read(tmp_path / "p.db")
    np.testing.assert_allclose(trace.values("steps", "loss"), [3.0, 1.5, 1.0])
    assert any("3 rows dropped" in note for note in trace.manifest.notes)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("CREATE TABLE people (name TEXT)", "no program that is known: its tables are people"),
        ("CREATE TABLE experiments (a); CREATE TABLE latest_metrics (a); CREATE TABLE metrics (key)", "latest_metrics"),
    ],
)
def test_other_databases_are_refused_by_what_they_hold(tmp_path: Path, schema: str, words: str) -> None:
    database = sqlite3.connect(tmp_path / "other.db")
    database.executescript(schema)
    database.close()
    with pytest.raises(LogError, match=words):
        read(tmp_path / "other.db")


def test_a_damaged_file(tmp_path: Path) -> None:
    path = make_trackio(tmp_path)
    data = bytearray(path.read_bytes())
    data[200:] = b"\xff" * (len(data) - 200)
    path.write_bytes(data)
    with pytest.raises(LogError, match=r"digits\.db.*damaged"):
        read(path)


def test_a_real_project() -> None:
    (trace,) = read(examples("trackio"))
    assert (trace.manifest.name, trace.rows("steps")) == ("foam", 50)
    assert trace.values("steps", "loss")[:2].tolist() == [2.0, 1.98]
