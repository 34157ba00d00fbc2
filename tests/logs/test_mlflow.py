"""MLflow's file store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foam_viz.logs import LogError, Options, read, read_all
from foam_viz.logs.core.mask import MASKED
from tests.logs.examples import examples
from tests.logs.make_mlflow import EXPERIMENT, make_mlflow, make_run


def test_metrics_are_joined_by_step(tmp_path: Path) -> None:
    reading = read_all([make_mlflow(tmp_path)])
    (trace,) = reading.traces
    manifest = trace.manifest
    assert (manifest.name, manifest.run_id, manifest.format) == ("name of aaa", "aaa", "mlflow")
    assert (manifest.task, manifest.optimizer, manifest.created) == ("digits", "foam", "2026-11-21T22:57:15+00:00")
    np.testing.assert_array_equal(trace.values("steps", "step"), np.arange(1, 12))
    np.testing.assert_allclose(trace.values("steps", "loss"), [*(2 - i / 10 for i in range(1, 10)), 0.5, np.nan])
    accuracy = trace.steps["val_acc"].to_pylist()
    assert (accuracy[4], accuracy[9], accuracy[0]) == (5.0, 10.0, None)
    assert trace.unit("val_acc") == "%"
    seconds = trace.values("steps", "total_seconds")
    assert seconds[0] == 0.0
    assert seconds[-1] == pytest.approx(1.0)
    assert manifest.status == "diverged"
    assert manifest.diverged_step == 11
    assert "'train/loss': of several values for one step the last one was kept, 1 times" in manifest.notes
    assert {entry["source"]: entry["target"] for entry in manifest.source_columns}["train/loss"] == "loss"


def test_deleted_runs_are_skipped_aloud(tmp_path: Path) -> None:
    (problem,) = read_all([make_mlflow(tmp_path)]).problems
    assert problem.file.endswith("bbb/meta.yaml")
    assert "deleted" in problem.reason
    assert "mlflow runs restore --run-id bbb" in problem.remedy


def test_parameters_are_masked_unless_asked_for(tmp_path: Path) -> None:
    store = make_mlflow(tmp_path)
    (trace,) = read_all([store]).traces
    assert trace.manifest.config["params"] == {"lr": "0.01", "optimizer": "foam", "hub_token": MASKED}
    (trace,) = read_all([store], Options(show_secrets=True)).traces
    assert trace.manifest.config["params"]["hub_token"] == "hf_secret1"


def test_a_run_folder_alone_and_values_without_steps(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "run", {"loss": "1000 3.0 0\n2000 2.0 0\nrubbish\n3000 1.0 0\n"})
    (trace,) = read(folder)
    np.testing.assert_array_equal(trace.values("steps", "step"), [0, 1, 2])
    np.testing.assert_allclose(trace.values("steps", "loss"), [3.0, 2.0, 1.0])
    notes = " ".join(trace.manifest.notes)
    assert "'loss' was logged without steps" in notes
    assert "1 lines dropped, the first at line 3" in notes


def test_an_experiment_without_runs(tmp_path: Path) -> None:
    make_mlflow(tmp_path)
    with pytest.raises(LogError, match="experiment without runs"):
        read(tmp_path / "mlruns" / EXPERIMENT / "meta.yaml")


def test_references_in_yaml_are_not_unfolded(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "run", {"loss": "1000 3.0 0\n2000 2.0 1\n"})
    meta = folder / "meta.yaml"
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(40))
    meta.write_text(meta.read_text() + bomb)
    (trace,) = read(folder)
    assert (trace.manifest.run_id, trace.rows("steps")) == ("run", 2)


def test_a_real_store() -> None:
    (trace,) = read(examples("mlflow"))
    assert (trace.manifest.name, trace.manifest.task, trace.rows("steps")) == ("foam", "opt", 52)
    assert trace.has("steps", "loss")
    assert trace.has("steps", "val_acc")


def test_a_status_that_is_a_list(tmp_path: Path) -> None:
    store = make_mlflow(tmp_path)
    meta = store / EXPERIMENT / "aaa" / "meta.yaml"
    meta.write_text(meta.read_text().replace("status: 3", "status: [3]"))
    (trace,) = read_all([store]).traces
    assert trace.rows("steps") == 11
