from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from foam_viz.logs.core.reader import LogError
from foam_viz.logs.formats.algoperf import READER
from foam_viz.trace import Trace, summarize
from tests.logs.examples import examples
from tests.logs.make_algoperf import EVALUATIONS, MEASUREMENTS, make_algoperf
from tests.logs.make_tensorboard import content, event, write_events
from tests.logs.reading import column, folder_files, read, said, written

TRIAL = "shampoo/study_0/wmt_pytorch/trial_2"


def test_a_trial(tmp_path: Path) -> None:
    files = folder_files(make_algoperf(tmp_path))
    (trace,) = read(READER, *files)
    assert trace.manifest.name == "shampoo/wmt_pytorch/trial_2" and trace.manifest.format == "algoperf"
    assert sorted(trace.manifest.files) == [file.name for file in files]
    assert column(trace, "step") == [0, 1, 100, 150, 200, 250]
    assert column(trace, "loss") == [11.0, 10.75, 8.0, None, 7.5, None]
    assert column(trace, "gradient_norm") == [5.5, 5.0, 0.5, None, 0.25, None]
    assert column(trace, "held_out_loss") == [None, 10.25, None, 4.5, None, 2.5]
    assert column(trace, "train/loss") == [None, 10.5, None, 5.0, None, 3.0]
    assert column(trace, "validation/accuracy") == [None, 0.002, None, 0.375, None, 0.625]
    assert column(trace, "optimizer_seconds") == [None, 37.0, None, 300.0, None, 500.0]
    assert column(trace, "total_seconds") == [None, 929.0, None, 1500.0, None, 2000.0]
    assert trace.units["validation/accuracy"] == "fraction" and trace.units["accumulated_eval_time"] == "s"
    assert said(trace, "event files say what the tables say") and not said(trace, "last one was kept")
    assert summarize(trace)["final_loss"] == 7.5 and not summarize(trace)["diverged"]


def test_settings_and_machine(tmp_path: Path) -> None:
    (trace,) = read(READER, *folder_files(make_algoperf(tmp_path)))
    manifest = trace.manifest
    assert manifest.config["learning_rate"] == 0.002 and manifest.config["steps_planned"] == 133333
    assert manifest.config["workload"] == {
        "step_hint": 133333,
        "target_metric_name": "bleu",
        "validation_target_value": 30.8,
    }
    assert manifest.config["flags"]["rng_seed"] == 7  # type: ignore[index]
    assert (manifest.task, manifest.optimizer) == ("wmt", "shampoo")
    assert manifest.hardware["device_name"] == "Tesla V100-SXM2-16GB"
    assert (manifest.hardware["devices"], manifest.hardware["world_size"]) == (8, 8)
    assert manifest.software == {"framework": "pytorch", "python": "3.8.10", "platform": "Linux"}


@pytest.mark.parametrize(
    ("kept", "loss", "held_out"),
    [
        ("measurements.csv", [11.0, 10.75, 8.0, 7.5, None], [None, 10.25, None, None, 2.5]),
        ("eval_measurements.csv", None, [10.25, 4.5, 2.5]),
        ("events.out.tfevents.1700000000.host.1.v2 hparams.json", [11.0, 8.0, None], None),
    ],
)
def test_part_of_a_trial(tmp_path: Path, kept: str, loss: list[float] | None, held_out: list[float] | None) -> None:
    files = [file for file in folder_files(make_algoperf(tmp_path)) if file.base in kept.split()]
    (trace,) = read(READER, *files)
    for name, expected in (("loss", loss), ("held_out_loss", held_out)):
        assert not trace.has("steps", name) if expected is None else column(trace, name) == expected


def test_a_trial_without_its_folder_is_named_by_its_flags(tmp_path: Path) -> None:
    folder = make_algoperf(tmp_path) / TRIAL
    (trace,) = read(READER, *folder_files(folder))
    assert trace.manifest.name == "shampoo_submission/wmt"


def test_events_fill_what_the_tables_lack(tmp_path: Path) -> None:
    folder = make_algoperf(tmp_path)
    events = [event(content(1, step / 4, "<f", "learning_rate"), step=step) for step in (100, 175)]
    write_events(folder / TRIAL / "events.out.tfevents.1700000000.host.1.v2", *events)
    (trace,) = read(READER, *folder_files(folder))
    assert column(trace, "step") == [0, 1, 100, 150, 175, 200, 250]
    assert column(trace, "learning_rate") == [None, None, 25.0, None, 43.75, None, None]
    assert said(trace, "From event files", "'learning_rate'")


@pytest.mark.parametrize("word", ["inf", "nan", "-inf"])
def test_blank_after_inf_is_divergence(tmp_path: Path, word: str) -> None:
    text = MEASUREMENTS.replace("100,0.5,8.0,", f"100,0.5,{word},").replace("200,0.25,7.5,", "200,0.25,,")
    (trace,) = read(READER, written(tmp_path, f"{TRIAL}/measurements.csv", text))
    assert trace.manifest.status == "diverged" and trace.manifest.diverged_step == 100
    assert column(trace, "loss")[3:] == [None, None] and not math.isfinite(column(trace, "loss")[2] or 0.0)
    assert said(trace, "loss is not finite from step 100", "no gap in logging")


def test_inf_that_passes_and_divergence_of_the_validation(tmp_path: Path) -> None:
    (trace,) = read(READER, written(tmp_path, "measurements.csv", MEASUREMENTS.replace(",8.0,", ",inf,")))
    assert trace.manifest.status == "finished" and trace.manifest.diverged_step is None
    text = EVALUATIONS.replace(",4.5,", ",inf,").replace(",2.5,", ",,")
    (trace,) = read(READER, written(tmp_path, "eval_measurements.csv", text))
    assert trace.manifest.diverged_step == 150


def test_bad_files_cost_only_themselves(tmp_path: Path) -> None:
    folder = make_algoperf(tmp_path)
    (folder / TRIAL / "hparams.json").write_text('{"learning_rate": ')
    (folder / TRIAL / "meta_data_0.json").write_text("[1]")
    (folder / TRIAL / "measurements.csv").write_text(MEASUREMENTS + "260,0.1\n")
    (trace,) = read(READER, *folder_files(folder))
    assert column(trace, "step")[-1] == 250 and trace.manifest.software["framework"] == "pytorch"
    assert said(trace, "hparams.json could not be read") and said(trace, "meta_data_0.json")
    assert said(trace, "measurements.csv", "1 rows dropped", "line 9")


def test_nothing_to_read(tmp_path: Path) -> None:
    header = MEASUREMENTS.splitlines()[0] + "\n"
    with pytest.raises(LogError, match="no row with a step"):
        read(READER, written(tmp_path, "trial_1/measurements.csv", header))
    assert READER.find([written(tmp_path, "other/measurements.csv", "global_step,loss\n1,2\n")]) == []
    assert READER.find([written(tmp_path, "other/hparams.json", "{}")]) == []


def _at(trace: Trace, name: str, step: int) -> float | None:
    return column(trace, name)[column(trace, "step").index(step)]


def test_the_real_trials() -> None:
    traces = {trace.manifest.name: trace for trace in read(READER, *folder_files(examples("algoperf")))}
    nadamw = traces["baseline_nadamw/wmt_jax/trial_1"]
    schedule_free = traces["schedule_free_adamw/imagenet_vit_pytorch/trial_1"]
    shampoo = traces["shampoo/wmt_pytorch/trial_1"]
    assert len(traces) == 3
    assert _at(nadamw, "loss", 133300) == 2.6763813 and _at(nadamw, "gradient_norm", 0) == 5.0723386
    assert _at(nadamw, "validation/bleu", 133333) == 30.86924377390636
    assert _at(nadamw, "optimizer_seconds", 133333) == 46548.72388243675
    assert nadamw.manifest.software["framework"] == "jax" and nadamw.manifest.hardware["devices"] == 8
    assert not schedule_free.has("steps", "loss") and not schedule_free.has("steps", "gradient_norm")
    assert _at(schedule_free, "held_out_loss", 185572) == 1.3773240625
    assert _at(schedule_free, "validation/accuracy", 1021) == 0.0632
    assert _at(shampoo, "loss", 1) == 11.673952102661133 and _at(shampoo, "held_out_loss", 110987) == 1.396956582218447
    for trace in traces.values():
        steps = np.array(column(trace, "step"))
        assert (np.diff(steps) > 0).all() and trace.manifest.status == "finished"
        evaluated = np.array(column(trace, "held_out_loss"), float)
        assert np.isfinite(evaluated).sum() >= 52
