"""Tables that were misread once: what ``inspect --json`` says of each, of inputs written here and of shared ones."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foam_viz import cli
from tests.logs.examples import ROOT
from tests.logs.make_neighbours import put

STEPS = range(0, 120, 10)


def loss(i: float) -> float:
    return round(4.0 - 0.2 * i, 6)


def write_epoch_step(folder: Path) -> None:
    rows = [(e, s, loss(e * 5 + s / 20)) for e in range(3) for s in range(0, 100, 20)]
    put(folder, "01_epoch_step.csv", "epoch,iter,loss\n" + "".join(f"{e},{s},{x}\n" for e, s, x in rows))
    put(folder, "01_epoch_step.jsonl",
        "".join(json.dumps({"epoch": e, "step": s, "loss": x}) + "\n" for e, s, x in rows))  # fmt: skip


def write_panel(folder: Path) -> None:
    ends = ("", "__MIN", "__MAX")
    names = [f"{run} - {metric}{end}" for run in ("run-a", "run-b") for metric in ("_step", "val/loss") for end in ends]
    lines = [["epoch_id", *names]]
    for i, s in enumerate(STEPS):
        lines.append([s, *[1 + 11 * i] * 3, *[loss(i)] * 3, *[2 + 11 * i] * 3, *[loss(i) + 0.5] * 3])
    text = "\n".join(",".join(f'"{cell}"' for cell in line) for line in lines)
    put(folder, "04_wandb_panel_custom_axis.csv", text + "\n")


def write_llama_factory(folder: Path) -> None:
    rows = [
        {"current_steps": s, "total_steps": 200, "loss": loss(i + 1), "lr": 1e-5, "epoch": s / 200, "percentage": s / 2,
         "elapsed_time": f"0:{2 * i + 2:02}:12", "remaining_time": "1 day, 0:08:23"}
        for i, s in enumerate(range(10, 120, 10))
    ]  # fmt: skip
    put(folder, "05_llama_factory_trainer_log.jsonl", "".join(2 * (json.dumps(row) + "\n") for row in rows))


def write_rl(folder: Path) -> None:
    rows = [f"{1024 * (i + 1)},{-1.4 + i / 100:.2f},{loss(i):.3f},{loss(i) - 0.01:.3f}" for i in range(12)]
    put(folder, "05_rl_timesteps.csv", "total_timesteps,entropy_loss,value_loss,total_loss\n" + "\n".join(rows) + "\n")


def write_rate(folder: Path) -> None:
    rows = [f"{s},{4 - s / 100:.3f},{50000 + 7 * (s % 9)}" for s in range(100)]
    put(folder, "07_rate_unit_seconds.csv", "step,loss,tokens/sec\n" + "\n".join(rows) + "\n")


def write_runs(folder: Path) -> None:
    names = ("baseline", "no_pos", "rope", "alibi", "swiglu", "rmsnorm")
    rows = [f"{name},42,5000,0.001,{1 + i / 10:.1f},{1.5 + i / 10:.1f},{900 + 7 * i}" for i, name in enumerate(names)]
    head = "run_name,seed,max_iters,learning_rate,final_train_loss,final_val_loss,training_time_sec\n"
    put(folder, "08_table_of_runs.csv", head + "\n".join(rows) + "\n")


def write_downloads(folder: Path) -> None:
    for tag, more in (("train_loss", 0.0), ("val_loss", 0.1)):
        rows = [f"{1.9e9 + 18 * i},{s},{loss(i) + more:.4f}" for i, s in enumerate(STEPS)]
        put(folder, f"09_tensorboard_csv/run-foam-tag-{tag}.csv", "Wall time,Step,Value\n" + "\n".join(rows) + "\n")


def write_header(folder: Path) -> None:
    rows = [f"{e},{loss(e):.4f},{loss(e) + 0.1:.4f}" for e in range(6)]
    head = "epoch,loss,val_loss"
    put(folder, "10_header_again.csv", "\n".join([head, *rows[:3], head, *rows[3:]]) + "\n")


def write_thousands(folder: Path) -> None:
    rows = [f"{i}.000;" + f"{loss(i):.4f}".replace(".", ",") for i in range(1, 12)]
    put(folder, "12_semicolon_thousands_dot.csv", "step;train_loss\n" + "\n".join(rows) + "\n")


def write_sacred(folder: Path) -> None:
    metrics = {
        "train.loss": {"steps": list(STEPS), "values": [loss(i) for i in range(12)]},
        "val.loss": {"steps": [0, 50, 110], "values": [4.1, 3.1, 1.9]},
    }
    put(folder, "12_sacred/1/metrics.json", metrics)


def epoch_step(runs: list[dict[str, Any]]) -> None:
    (run,) = runs
    assert (run["rows"], run["first_step"], run["last_step"]) == (15, 0, 280)
    assert run["metrics"]["loss"]["max"] == 4.0 and run["metrics"]["loss"]["last"] == run["metrics"]["loss"]["min"]


def panel(runs: list[dict[str, Any]]) -> None:
    assert [run["name"] for run in runs] == ["run-a", "run-b"]
    first = runs[0]
    assert (first["rows"], first["first_step"], first["last_step"]) == (12, 1, 122)
    assert first["metrics"]["held_out_loss"] == {"last": pytest.approx(1.8), "min": pytest.approx(1.8), "max": 4.0}
    assert first["metrics"]["epoch"]["max"] == 110


def llama_factory(runs: list[dict[str, Any]]) -> None:
    (run,) = runs
    assert (run["rows"], run["first_step"], run["last_step"]) == (11, 10, 110)
    assert run["metrics"]["loss"]["min"] == pytest.approx(1.8) and any(
        "200" in n and "planned" in n for n in run["notes"]
    )


def rl(runs: list[dict[str, Any]]) -> None:
    (run,) = runs
    assert (run["first_step"], run["last_step"]) == (1024, 12288)
    assert run["metrics"]["loss"]["max"] == 3.99 and run["metrics"]["loss"]["last"] == 1.79


def rate(runs: list[dict[str, Any]]) -> None:
    (run,) = runs
    assert run["rows"] == 100 and "total_seconds" not in run["columns"] and "tokens/sec" in run["columns"]


def table_of_runs(runs: list[dict[str, Any]]) -> None:
    (run,) = runs
    assert run["rows"] == 0 and len(run["table_of_runs"]) == 6 and "table of 6 runs" in " ".join(run["notes"])
    assert run["table_of_runs"][0]["final_val_loss"] == 1.5


def downloads(runs: list[dict[str, Any]]) -> None:
    (run,) = runs
    assert run["name"] == "foam" and run["rows"] == 12 and run["last_step"] == 110
    assert run["metrics"]["loss"]["last"] == 1.8 and run["metrics"]["held_out_loss"]["last"] == 1.9


def header(runs: list[dict[str, Any]]) -> None:
    (run,) = runs
    assert run["rows"] == 6 and run["metrics"]["loss"] == {"last": 3.0, "min": 3.0, "max": 4.0}
    assert run["metrics"]["epoch"]["last"] == 5


def thousands(runs: list[dict[str, Any]]) -> None:
    (run,) = runs
    assert (run["rows"], run["first_step"], run["last_step"]) == (11, 1000, 11000)
    assert run["metrics"]["loss"]["max"] == 3.8


def sacred(runs: list[dict[str, Any]]) -> None:
    (run,) = runs
    assert run["rows"] == 12 and run["metrics"]["loss"]["max"] == 4.0 and run["metrics"]["held_out_loss"]["last"] == 1.9


CASES: dict[str, tuple[Callable[[Path], None], Callable[[list[dict[str, Any]]], None]]] = {
    "01_epoch_step.csv": (write_epoch_step, epoch_step),
    "01_epoch_step.jsonl": (write_epoch_step, epoch_step),
    "04_wandb_panel_custom_axis.csv": (write_panel, panel),
    "05_llama_factory_trainer_log.jsonl": (write_llama_factory, llama_factory),
    "05_rl_timesteps.csv": (write_rl, rl),
    "07_rate_unit_seconds.csv": (write_rate, rate),
    "08_table_of_runs.csv": (write_runs, table_of_runs),
    "09_tensorboard_csv": (write_downloads, downloads),
    "10_header_again.csv": (write_header, header),
    "12_semicolon_thousands_dot.csv": (write_thousands, thousands),
    "12_sacred": (write_sacred, sacred),
}


def inspected(place: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    cli.main(["inspect", str(place), "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", CASES)
def test_what_inspect_says(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    write, check = CASES[name]
    write(tmp_path)
    check(inspected(tmp_path / name, capsys))


@pytest.mark.parametrize("name", CASES)
def test_what_inspect_says_of_the_shared_cases(capsys: pytest.CaptureFixture[str], name: str) -> None:
    place = Path(os.environ.get("FOAM_VIZ_CASES") or ROOT.parent / "shared" / "cases" / "logs") / name
    if not place.exists():
        pytest.skip(f"there is no {place}; set FOAM_VIZ_CASES")
    CASES[name][1](inspected(place, capsys))
