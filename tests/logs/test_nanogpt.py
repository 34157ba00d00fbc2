from __future__ import annotations

import math
from pathlib import Path

import pytest

from foam_viz.logs.formats.nanogpt import READER
from tests.logs.examples import examples
from tests.logs.make_nanogpt import PRELUDE, make_nanogpt, run_of_2024
from tests.logs.reading import column, folder_files, read, said, written


def test_both_styles_and_two_runs(tmp_path: Path) -> None:
    traces = {trace.manifest.name: trace for trace in read(READER, *folder_files(make_nanogpt(tmp_path)))}
    assert set(traces) == {"old", "track", "two (run 1)", "two (run 2)"}
    old = traces["old"]
    assert column(old, "step") == list(range(41)) and column(old, "loss")[1] == 10.9 and column(old, "loss")[0] is None
    assert column(old, "held_out_loss")[40] == 7.5 and old.manifest.config["steps_planned"] == 40
    # The clock is set back after step 10: before, compilation ran.
    assert column(old, "optimizer_seconds")[9:12] == [None, None, 0.25] and said(old, "step 11", "compilation")
    assert (
        math.isnan(column(old, "step_avg")[5])
        and column(old, "step_avg")[11] == 0.25
        and old.manifest.status == "finished"
    )
    assert old.manifest.config["batch_size"] == 512 and old.manifest.config["learning_rate"] == 0.0036
    assert "width" not in old.manifest.config and said(old, "1 line was passed over", "script")
    assert old.manifest.hardware == {"device_name": "NVIDIA H100 80GB HBM3", "devices": 2}
    assert old.manifest.software == {
        "framework": "torch",
        "torch": "2.6.0.dev20241126+cu124",
        "cuda": "12.4",
        "python": "3.12.7",
    }
    assert column(traces["track"], "optimizer_seconds") == [0, 18.75, 37.5, 56.25, 75.0]
    second = traces["two (run 2)"]
    assert len(second.steps) == 21 and second.manifest.config["steps_planned"] == 60
    assert second.manifest.status == "interrupted" and said(second, "step 20 of 60") and said(second, "2 runs")
    assert second.manifest.run_id != traces["two (run 1)"].manifest.run_id


def test_a_long_script_before_the_log(tmp_path: Path) -> None:
    script = "import torch\n" + "# a line of the script that stands above\n" * 4000
    (trace,) = read(READER, written(tmp_path, "long.txt", script + "=" * 100 + "\n" + run_of_2024(20, 20)))
    assert len(trace.steps) == 21


def test_a_script_alone_is_not_claimed(tmp_path: Path) -> None:
    text = PRELUDE.replace("step:7/9", " step:7/9")
    assert READER.find([written(tmp_path, "train.py", text), written(tmp_path, "x.log", "s:0 trl:2.0\n" * 5)]) == []


def test_a_cut_last_line_and_divergence(tmp_path: Path) -> None:
    text = run_of_2024(12, 40) + "step:13/40 train_loss:nan train_time:750ms step_avg:250ms\nstep:14/40 train_lo"
    (trace,) = read(READER, written(tmp_path, "x.txt", text))
    assert column(trace, "step")[-1] == 13 and (trace.manifest.status, trace.manifest.diverged_step) == ("diverged", 13)


def test_real_logs() -> None:
    folder = examples("modded_nanogpt")
    traces = {trace.manifest.name: trace for trace in read(READER, *folder_files(folder))}
    assert len(traces) == 15
    soap = traces["2024-10-09_SOAP"]
    assert (
        len(soap.steps) == 6001 and column(soap, "loss")[1] == 11.0091 and column(soap, "held_out_loss")[-1] == 3.2763
    )
    assert column(soap, "optimizer_seconds")[10:12] == [None, 1.539]
    assert (
        column(soap, "optimizer_seconds")[-1] == pytest.approx(2176.424)
        and soap.manifest.config["steps_planned"] == 6000
    )
    muon = traces["Muon_r1"]
    assert (
        len(muon.steps) == 30
        and column(muon, "held_out_loss")[0] == 10.82584
        and column(muon, "held_out_loss")[-1] == 3.27765
    )
    assert column(muon, "optimizer_seconds")[-1] == 553.294 and column(muon, "step")[-1] == 3600
    assert all(trace.manifest.status == "finished" for trace in traces.values())
