"""Local W&B folders: the binary log is read, and what is no log is refused with the command that exports it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from foam_viz.logs import LogError, read, read_all
from foam_viz.logs.core.mask import MASKED
from foam_viz.logs.formats.wandb_log import parse
from tests.logs.make_wandb import datastore, make_wandb, records


def test_a_finished_run(tmp_path: Path) -> None:
    (trace,) = read(make_wandb(tmp_path))
    manifest = trace.manifest
    assert (manifest.name, manifest.run_id, manifest.format) == ("foam-run", "abc123", "wandb")
    assert (manifest.task, manifest.optimizer, manifest.created) == ("digits", "foam", "2026-11-21T22:57:15+00:00")
    assert manifest.config == {"lr": 0.001, "optimizer": "foam", "hf_token": MASKED}
    assert manifest.hardware == {"device_name": "NVIDIA H100", "devices": 8}
    np.testing.assert_array_equal(trace.values("steps", "step"), 2 * np.arange(50))
    np.testing.assert_allclose(trace.values("steps", "loss")[:-1], 2.0 - np.arange(49) / 100)
    assert np.isnan(trace.values("steps", "loss")[-1])
    np.testing.assert_allclose(trace.values("steps", "total_seconds"), np.arange(50) / 2)
    np.testing.assert_allclose(trace.values("steps", "epoch"), np.arange(50))
    assert manifest.status == "diverged"
    notes = " ".join(manifest.notes)
    assert "1 records of system metrics are left out" in notes
    assert "'t' 50 times" in notes
    assert "me@example.org" not in str(manifest)
    assert len(manifest.files) == 4


@pytest.mark.parametrize(("code", "status"), [(0, "finished"), (1, "interrupted"), (None, "running")])
def test_how_a_run_ended(tmp_path: Path, code: int | None, status: str) -> None:
    path = tmp_path / "run-abc123.wandb"
    path.write_bytes(datastore(records(exit_code=code)[:-3] + records(exit_code=code)[-1:]))
    (trace,) = read(path)
    assert trace.manifest.status == status


def test_a_log_that_is_still_written(tmp_path: Path) -> None:
    data = datastore(records(steps=2000, exit_code=None))
    path = tmp_path / "run-abc123.wandb"
    path.write_bytes(data[: len(data) - 40])
    (trace,) = read(path)
    assert trace.rows("steps") in (1998, 1999)
    assert any("cut off" in note for note in trace.manifest.notes)


def test_a_damaged_block_costs_its_records() -> None:
    data = bytearray(datastore(records(steps=3000)))
    data[40_000] ^= 0xFF
    log = parse(bytes(data))
    assert 2500 < log.history.rows < 3000
    assert "1 blocks are damaged" in log.notes[0]
    assert log.exit_code == 0


def test_a_run_without_history_says_how_to_export(tmp_path: Path) -> None:
    path = tmp_path / "run-abc123.wandb"
    path.write_bytes(datastore(records(steps=0, padding=10)))
    with pytest.raises(LogError, match=r"its summary has best = 1.5.*wandb\.Api\(\)\.run\('ENTITY/PROJECT/abc123'\)"):
        read(path)


def test_a_folder_without_its_log_is_refused_with_its_summary(tmp_path: Path) -> None:
    files = tmp_path / "run-20261121_225600-xyz789" / "files"
    files.mkdir(parents=True)
    (files / "wandb-summary.json").write_text(json.dumps({"loss": 0.25, "_step": 9, "api_key": "abcdefgh"}))
    (files / "config.yaml").write_text("lr:\n  value: 0.1\napi_key:\n  value: abcdefgh\n")
    (files / "output.log").write_text("hello\n")
    reading = read_all([tmp_path])
    assert reading.traces == []
    (problem,) = reading.problems
    assert "its summary says loss = 0.25" in problem.reason
    assert "ENTITY/PROJECT/xyz789" in problem.remedy
    assert "abcdefgh" not in str(problem)
