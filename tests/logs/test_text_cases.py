"""Text logs that were misread once, with the reading each must get: of small inputs, and of the files if present."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from foam_viz.logs import read_all
from foam_viz.logs.formats.block_catalogue import BLOCKS
from foam_viz.logs.formats.key_values import READER
from foam_viz.logs.parsing.block_records import Records
from foam_viz.logs.parsing.text_lines import LogText
from tests.logs.examples import ROOT
from tests.logs.reading import column, read, said, written


def _cases() -> Path:
    folder = Path(os.environ.get("FOAM_VIZ_LOG_CASES") or ROOT.parent / "shared" / "cases" / "logs")
    if not folder.exists():
        pytest.skip(f"no cases at {folder}; set FOAM_VIZ_LOG_CASES")
    return folder


def _inspected(path: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "foam_viz", "inspect", str(path), "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _curve(path: Path, name: str) -> dict[int, float]:
    (trace,) = read_all([path]).traces
    pairs = zip(column(trace, "step"), column(trace, name), strict=True)
    return {step: value for step, value in pairs if value is not None}


READINGS: dict[str, dict[str, Any]] = {
    "01_epoch_step_text.log": {"rows": 15, "steps": (20, 300), "loss": (3.9, 1.5)},
    "01_epoch_step_few_lines.log": {"rows": 60, "steps": (50, 3000), "loss": (3.975, 1.05)},
    "02_tqdm_train_and_val_bars.log": {
        "rows": 30, "steps": (10, 300), "held_out_loss": {100: 3.6, 200: 2.6, 300: 1.6},
    },
    "03_block_epoch_print.log": {"rows": 7, "epoch": (1, 7), "loss": (3.8, 2.6), "held_out": (3.9, 2.7)},
    "03_block_keras.log": {"rows": 6, "epoch": (1, 6), "loss": (4.0, 3.0), "held_out": (4.1, 3.1)},
    "03_block_olmo.log": {"rows": 11, "steps": (10, 110), "loss": (3.8, 1.8), "tokens": (1e6, 11e6)},
    "03_val_line_without_step.log": {
        "rows": 12, "held_out_loss": {0: 4.1, 500: 3.7, 1000: 3.3, 1500: 2.9, 2000: 2.5, 2500: 2.1},
    },
    "06_bare_counter.log": {
        "rows": 12, "steps": (0, 5500), "loss": (4.0, 1.8), "held_out_loss": {0: 4.02, 2000: 3.22, 4000: 2.42},
        "optimizer_seconds": (0, 528),
    },
    "07_rate_taken_for_clock.log": {"rows": 5, "total_seconds": (0, 20)},
    "07_fairseq_train_wall.log": {"rows": 6, "total_seconds": (0, 300)},
    "11_megatron.log": {"rows": 11, "held_out_loss": {40: 3.3, 80: 2.5}, "consumed samples": (160, 1760)},
    "12_steps_percent_bar.log": {"rows": 12, "steps": (0, 110), "loss": (4.0, 1.8)},
}  # fmt: skip


@pytest.mark.parametrize("name", READINGS)
def test_the_file_of_a_case_gets_its_reading(name: str) -> None:
    path = _cases() / name
    (run,) = _inspected(path)
    expected = dict(READINGS[name])
    assert run["rows"] == expected.pop("rows")
    for key, value in expected.items():
        curve = _curve(path, {"steps": "step", "held_out": "held_out_loss"}.get(key, key))
        if isinstance(value, dict):
            assert curve == pytest.approx(value)
        else:
            values = list(curve.values())
            assert (values[0], values[-1]) == pytest.approx(value)
    notes = " ".join(run["notes"])
    assert "lines hold values" in notes and "resume" not in notes and "was kept" not in notes


def test_plans_and_prose_of_the_cases() -> None:
    (trace,) = read_all([_cases() / "11_megatron.log"]).traces
    assert trace.manifest.config["steps_planned"] == 1000
    reading = read_all([_cases() / "12_prose.md"])
    assert not reading.traces
    assert "4 of 305 lines look like values: not taken as a log" in str(reading.problems[0])


def test_prose_and_settings_are_no_logs(tmp_path: Path) -> None:
    prose = "# Notes\n" + "Some words.\n" * 300 + "".join(f"- at step {10 * i} we saw loss {4 - i}\n" for i in range(4))
    (tmp_path / "notes.md").write_text(prose)
    (tmp_path / "settings.txt").write_text(
        "steps: 1000\nlearning_rate: 0.001\nepochs: 3\nwarmup_steps: 100\nbatch: 32\nmax_steps = 500\nval_loss: none\n"
    )
    reading = read_all([tmp_path])
    assert not reading.traces and len(reading.problems) == 2
    assert "4 of 305 lines look like values: not taken as a log" in " ".join(map(str, reading.problems))


def test_a_line_kept_for_its_summary_wins_over_the_bar(tmp_path: Path) -> None:
    text = "".join(
        "".join(f"\rEpoch {e}:  {s}%|#| {s}/100 [00:01<00:09, 9.0it/s, loss={4 - e - s / 200:.3f}]" for s in (50, 100))
        + "".join(f"\rValidation:  {s}%|#| {s}/2 [00:01<00:09, 9.0it/s, val_loss=9.0]" for s in (1, 2))
        + f"\nEpoch {e + 1}/3\nValid Loss: {3.6 - e:.4f}\n"
        for e in range(3)
    )
    (trace,) = read(READER, written(tmp_path, "x.log", text))
    assert column(trace, "held_out_loss") == [None, 3.6, None, 2.6, None, 1.6]
    assert column(trace, "val_loss") == [None, 9.0, None, 9.0, None, 9.0]
    assert said(trace, "3 × state of an evaluation bar") and said(trace, "3 earlier left out")


@pytest.mark.parametrize(
    ("prefix", "seconds"),
    [
        ("I0101 12:00:{s:02d}.000000 12345 train.py:99] ", 5),
        ("W20300101 12:00:{s:02d}.000000 12345 train.cc:99] ", 5),
        ("2030/01/01 12:00:{s:02d} ", 5),
        ("01/31/2030 12:00:{s:02d} - INFO - __main__ - ", 5),
        ("31/01/2030 12:00:{s:02d} ", 5),
        ("[01/31 12:00:{s:02d} d2.utils.events]: ", 5),
        ("Jan 31 12:00:{s:02d} node1 ", 5),
        ("Thu Jan 31 12:00:{s:02d} 2030 ", 5),
        ("2030-01-01T12:00:{s:02d}+01:00 ", 5),
        ("[2030.01.01 12:00:{s:02d}][rank0] ", 5),
    ],
)
def test_dates_of_loggers_are_the_clock(tmp_path: Path, prefix: str, seconds: float) -> None:
    lines = (
        f"{prefix.format(s=i)}step {i + 1} loss {4 - i / 10:.2f} 12.3it/s samples/sec: 130.{i}\n" for i in range(6)
    )
    (trace,) = read(READER, written(tmp_path, "x.log", "".join(lines)))
    assert column(trace, "total_seconds")[-1] == seconds and column(trace, "step") == list(range(1, 7))
    names = set(trace.steps.column_names)
    assert not names & {"I0101", "rank", "train.py", "node1"} and trace.units["samples/sec"] == "1/s"


def test_dates_without_a_year_go_on_over_new_year(tmp_path: Path) -> None:
    days = ("1231 23:59:58", "1231 23:59:59", "0101 00:00:01")
    lines = "".join(f"I{day}.000000 1 a.py:9] step {i} loss {4 - i}\n" for i, day in enumerate(days))
    (trace,) = read(READER, written(tmp_path, "x.log", lines))
    assert column(trace, "total_seconds") == [0, 1, 3] and not trace.manifest.created and said(trace, "no year")


def test_a_few_values_in_much_other_text_are_said_to_be_few(tmp_path: Path) -> None:
    noise = "loading shard of the data\n" * 990
    lines = "".join(f"step {i} loss {4 - i / 10:.2f}\n" for i in range(12))
    (trace,) = read(READER, written(tmp_path, "x.log", noise + lines))
    assert len(trace.steps) == 12 and said(trace, "12 of 1,002 lines hold values")


@pytest.mark.parametrize("piece", [" ", "=", "─ ", "1/", "| a ", "[1", "a's ", "validation ", "1,", "a."])
def test_no_line_is_slow_to_read(piece: str) -> None:
    text = "[step=1]\n" + (piece * (9_900 // len(piece)) + "x\n") * 2 + "Validation results:\n" + piece * 900 + "x\n"
    assert list(Records(BLOCKS).of(LogText(text)))  # quadratic expressions took two minutes
