from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from foam_viz.logs.core.reader import LogError
from foam_viz.logs.formats.huggingface import READER
from tests.logs.examples import examples
from tests.logs.make_huggingface import make_huggingface
from tests.logs.reading import column, folder_files, log_file, read, said, written


def test_a_run_and_its_checkpoints(tmp_path: Path) -> None:
    traces = {trace.manifest.name: trace for trace in read(READER, *folder_files(make_huggingface(tmp_path)))}
    assert set(traces) == {"finetune", "stopped"}
    run = traces["finetune"]
    assert column(run, "step") == list(range(10, 101, 10)) and column(run, "loss")[-1] == 1.0
    assert column(run, "held_out_loss") == [*[None] * 4, 2.5, *[None] * 4, 1.5] and run.units["eval_runtime"] == "s"
    assert math.isnan(column(run, "gradient_norm")[1]) and column(run, "epoch")[0] == 0.2
    assert run.manifest.config["steps_planned"] == 100 and run.manifest.config["batch_size"] == 8
    assert run.manifest.config["summary"]["train_runtime"] == 60.5 and run.manifest.status == "finished"
    assert "train_loss" not in run.steps.column_names and 9.0 not in column(run, "loss")
    assert said(run, "1 earlier checkpoint") and len(run.manifest.files) == 2
    stopped = traces["stopped"].manifest
    assert stopped.status == "interrupted" and any("step 60 of 100" in note for note in stopped.notes)


def test_checkpoints_that_went_apart_are_two_runs(tmp_path: Path) -> None:
    for step, loss in ((2, 5.0), (3, 7.0)):
        rows = [{"step": s, "loss": loss + s} for s in range(1, step + 1)]
        written(tmp_path, f"checkpoint-{step}/trainer_state.json", json.dumps({"log_history": rows}))
    traces = read(READER, *folder_files(tmp_path))
    assert sorted(column(trace, "loss") for trace in traces) == [[6, 7], [8, 9, 10]]


def test_bad_states_say_what_is_wrong(tmp_path: Path) -> None:
    cases = {
        '{"log_history": [{"step": 1, "lo': "not valid JSON",
        '{"log_history": {}}': "no list log_history",
        '{"log_history": []}': "no row of training",
    }
    for text, reason in cases.items():
        with pytest.raises(LogError, match=reason):
            read(READER, written(tmp_path, "trainer_state.json", text))


def test_real_states() -> None:
    (made,) = read(READER, log_file(examples("hf_trainer", "made_trainer_state.json")))
    assert (
        column(made, "loss") == [2.4, 2.3, 2.2, 2.1, 2.0, 1.9, 1.8, 1.7, 1.6, 1.5]
        and made.manifest.status == "finished"
    )
    assert math.isnan(column(made, "gradient_norm")[6]) and made.units["eval_accuracy"] == "fraction"
    (whisper,) = read(READER, log_file(examples("hf_trainer", "whisper_trainer_state.json")))
    assert len(whisper.steps) == 200 and column(whisper, "loss")[0] == 0.3048 and column(whisper, "step")[-1] == 5000
    assert column(whisper, "held_out_loss")[-1] == 0.4200145900249481
    assert whisper.manifest.config["summary"]["train_runtime"] == 77350.9963
