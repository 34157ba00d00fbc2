from __future__ import annotations

import math
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest

from foam_viz.logs.formats.wandb_export import READER
from tests.logs.make_wandb_export import make_wandb_export
from tests.logs.reading import column, folder_files, log_file, read, said


def test_panels_of_one_folder_are_united_by_run(tmp_path: Path) -> None:
    traces = {trace.manifest.name: trace for trace in read(READER, *folder_files(make_wandb_export(tmp_path)))}
    assert set(traces) == {"adam - big", "soap", "history"}
    adam, soap = traces["adam - big"], traces["soap"]
    assert column(adam, "step") == [0, 10, 20, 30, 40] and column(adam, "loss") == [3, 2.8, 2.6, 2.4, 2.2]
    assert column(adam, "held_out_loss") == [6, 5.6, 5.2, 4.8, 4.4] and "train/loss__MIN" not in adam.steps.column_names
    assert column(soap, "step") == [0, 10, 30, 40]
    assert column(soap, "train/loss__MIN") == pytest.approx([1.5, 1.3, 0.9, 0.7])
    assert said(adam, "'train/loss'", "minimum and maximum") and adam.manifest.run_id != soap.manifest.run_id
    assert set(adam.manifest.files) == {"panel_train_loss.csv", "panel_val_loss.csv"}


def test_a_history(tmp_path: Path) -> None:
    make_wandb_export(tmp_path)
    (trace,) = read(READER, log_file(tmp_path / "history" / "history.csv"))
    assert trace.manifest.format == "wandb-export" and column(trace, "step") == [0, 1, 2, 3]
    assert column(trace, "total_seconds") == [1.5, 2.5, 4.5, 6.5] and column(trace, "eval/accuracy") == [
        None,
        0.5,
        None,
        None,
    ]
    assert (
        trace.manifest.status == "diverged"
        and trace.manifest.diverged_step == 2
        and math.isnan(column(trace, "loss")[3])
    )
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(tmp_path / "history" / "history.csv"), tmp_path / "h.parquet")
    (again,) = read(READER, log_file(tmp_path / "h.parquet"))
    assert column(again, "total_seconds") == column(trace, "total_seconds") and again.manifest.format == "wandb-export"
