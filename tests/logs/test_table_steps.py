"""Steps of tables: names, shapes, planned totals, rows written twice, rows without a step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foam_viz.logs.core.column_names import role_of
from foam_viz.logs.formats.table import READER
from foam_viz.trace import Trace
from tests.logs.reading import column, read, said, source, written


def one(folder: Path, text: str, name: str = "log.csv") -> Trace:
    (trace,) = read(READER, written(folder, name, text))
    return trace


@pytest.mark.parametrize(
    "name",
    [
        "current_steps",
        "training_iteration",
        "total_timesteps",
        "num_timesteps",
        "global_steps",
        "batch",
        "iter",
        "time/total_timesteps",
        "timesteps_total",
        "env_steps",
        "frames",
        "num_updates",
        "itr",
        "Iteration",
        "cur_iter",
        "n_iter",
        "minibatch",
        "update",
        "total_steps",
    ],
)
def test_names_of_steps(tmp_path: Path, name: str) -> None:
    trace = one(tmp_path, f"{name},loss\n" + "".join(f"{s},{4 - s / 100}\n" for s in range(10, 120, 10)))
    assert column(trace, "step") == list(range(10, 120, 10)) and source(trace, name)["target"] == "step"


def test_a_step_by_the_shape_of_its_values_is_a_guess_that_is_said(tmp_path: Path) -> None:
    trace = one(tmp_path, "n_seen,loss,size\n" + "".join(f"{s},{4 - s / 100},{s}\n" for s in range(64, 640, 64)))
    assert column(trace, "step")[:2] == [64, 128] and said(trace, "'n_seen'", "rise evenly", "guess")
    trace = one(tmp_path, "correct,loss\n" + "".join(f"{s * s},{4 - s / 100}\n" for s in range(9)))
    assert column(trace, "step") == list(range(1, 10)) and said(trace, "number of the row")


def test_planned_totals_are_no_steps(tmp_path: Path) -> None:
    text = "total_steps,current_steps,loss\n" + "".join(f"200,{s},{4 - s / 100}\n" for s in range(10, 120, 10))
    trace = one(tmp_path, text)
    assert column(trace, "step")[-1] == 110 and trace.manifest.config["steps_planned"] == 200
    assert said(trace, "'total_steps' is 200", "planned") and "total_steps" not in trace.steps.column_names
    trace = one(tmp_path, "batch,iter,loss\n" + "".join(f"32,{s},{4 - s / 100}\n" for s in range(50)))
    assert column(trace, "step") == list(range(50)) and column(trace, "batch")[0] == 32
    assert "steps_planned" not in trace.manifest.config


def test_the_total_of_a_run_is_not_that_of_an_epoch(tmp_path: Path) -> None:
    rows = [f"{e},{s},300,{4 - e / 10 - s / 1000}" for e in range(3) for s in range(0, 100, 20)]
    trace = one(tmp_path, "epoch,step,total_steps,loss\n" + "\n".join(rows))
    assert column(trace, "step") == list(range(0, 300, 20)) and trace.manifest.config["steps_planned"] == 300


def test_of_two_steps_the_one_that_counts_through_the_run_is_taken(tmp_path: Path) -> None:
    rows = [f"{s},{e * 100 + s},{4 - e / 10}" for e in range(3) for s in range(0, 100, 20)]
    trace = one(tmp_path, "iter,n_iter,loss\n" + "\n".join(rows))
    assert column(trace, "step") == list(range(0, 300, 20)) and said(trace, "'iter' could be the step too")


def test_rows_that_two_ranks_write_count_once(tmp_path: Path) -> None:
    rows = [
        {"current_steps": s, "loss": 4 - s / 50, "elapsed_time": f"0:0{s // 60}:{s % 60:02}"} for s in range(10, 90, 10)
    ]
    trace = one(tmp_path, "".join(2 * (json.dumps(row) + "\n") for row in rows), "log.jsonl")
    assert column(trace, "step") == list(range(10, 90, 10)) and said(trace, "8 of 16 rows repeat")
    assert column(trace, "total_seconds") == list(range(10, 90, 10))
    trace = one(tmp_path, "epoch,loss\n" + "".join(2 * f"{e},{4 - e / 5}\n" for e in range(6)))
    assert column(trace, "step") == [1, 2, 3, 4, 5, 6]
    trace = one(tmp_path, "loss,accuracy\n3,0\n2,0\n2,0\n2,0\n2,0\n1,0\n")
    assert len(trace.steps) == 6  # no step and no clock: equal values may be equal values


def test_an_evaluation_without_a_step_stands_beside_the_row_before_it(tmp_path: Path) -> None:
    text = "step,loss,val_loss\n10,3,\n20,2,\n,,2.5\n30,1.5,\n40,1.25,\n,,1.75\n,9,\n"
    trace = one(tmp_path, text)
    assert column(trace, "held_out_loss") == [None, 2.5, None, 1.75] and column(trace, "loss") == [3, 2, 1.5, 1.25]
    assert said(trace, "2 rows were put at the step beside them") and said(trace, "1 row was dropped")


def test_a_step_that_never_moves_numbers_the_rows(tmp_path: Path) -> None:
    trace = one(tmp_path, "step,loss\n" + "".join(f"0,{4 - s / 10}\n" for s in range(8)))
    assert column(trace, "step") == list(range(1, 9)) and said(trace, "'step' is 0 in every row")


@pytest.mark.parametrize(
    "name",
    [
        "samples/sec",
        "tokens/sec",
        "it/s",
        "steps_per_second",
        "train_samples_per_second",
        "tok/s",
        "images/s",
        "fps",
        "time/fps",
        "charts/SPS",
        "wps",
        "examples_per_sec",
        "tokens_per_second_per_gpu",
    ],
)
def test_rates_have_the_unit_of_rates_and_are_no_clock(tmp_path: Path, name: str) -> None:
    trace = one(tmp_path, f"step,loss,{name}\n" + "".join(f"{s},{4 - s / 50},{131.5 + s / 10}\n" for s in range(40)))
    assert trace.units[name] == "1/s" and not trace.has("steps", "total_seconds") and column(trace, name)[0] == 131.5
    unit = one(tmp_path, "step,loss,speed\n" + "".join(f"{s},{4 - s / 50},{131.5 + s / 10} it/s\n" for s in range(40)))
    assert unit.units["speed"] == "1/s"


@pytest.mark.parametrize(
    "name", ["iteration_time", "time_per_iter", "train_wall", "step_time_s", "s/it", "ms/step", "time_this_iter_s"]
)
def test_the_time_of_one_iteration_is_no_clock(tmp_path: Path, name: str) -> None:
    trace = one(tmp_path, f"step,loss,{name}\n" + "".join(f"{s},{4 - s / 50},{1 + s / 100}\n" for s in range(40)))
    assert not trace.has("steps", "total_seconds") and not trace.has("steps", "optimizer_seconds")
    assert trace.units[name] == ("ms" if name.startswith("ms") else "s")  # the unit of its name, and the log's numbers
    assert column(trace, name)[0] == 1.0


def test_the_time_of_each_epoch_is_no_clock(tmp_path: Path) -> None:
    trace = one(
        tmp_path, "epoch,train_loss,valid_loss,time\n0,3,3.1,00:12\n1,2,2.1,00:12\n2,1,1.1,00:13\n3,0.9,1,00:14\n"
    )
    assert not trace.has("steps", "total_seconds") and column(trace, "time") == [12, 12, 13, 14]
    trace = one(tmp_path, "epoch,train_loss,time\n0,3,12.5\n1,2,24.5\n2,1,37\n3,0.9,50\n")
    assert column(trace, "total_seconds") == [12.5, 24.5, 37, 50]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2026/11/26 14:00:01", "2026/11/26 14:01:31"),
        ("26/11/2026 14:00:01", "26/11/2026 14:01:31"),
        ("11/26/2026 2:00:01 PM", "11/26/2026 2:01:31 PM"),
        ("26.11.2026 14:00:01", "26.11.2026 14:01:31"),
        ("2026-11-26_14-00-01", "2026-11-26_14-01-31"),
        ("2026-11-26T14:00:01.000Z", "2026-11-26T14:01:31.000Z"),
    ],
)
def test_dates(tmp_path: Path, first: str, second: str) -> None:
    trace = one(tmp_path, f"step,loss,date\n1,3,{first}\n2,2,{second}\n")
    assert column(trace, "total_seconds") == [0, 90] and trace.manifest.created == "2026-11-26T14:00:01+00:00"


def test_one_day_after_the_twelfth_settles_the_order(tmp_path: Path) -> None:
    trace = one(tmp_path, "step,loss,date\n1,3,12/02/2026 10:00:00\n2,2,13/02/2026 10:00:00\n")
    assert column(trace, "total_seconds") == [0, 86400]
    trace = one(tmp_path, "step,loss,date\n1,3,01/02/2026 10:00:00\n2,2,01/03/2026 10:00:00\n")
    assert column(trace, "total_seconds") == [0, 86400] and said(trace, "month", "guess")


def test_the_total_loss_comes_before_parts_of_it(tmp_path: Path) -> None:
    trace = one(tmp_path, "total_timesteps,entropy_loss,value_loss,total_loss\n1024,-1.4,4,3.99\n2048,-1.39,3.8,3.79\n")
    assert column(trace, "loss") == [3.99, 3.79] and column(trace, "entropy_loss") == [-1.4, -1.39]
    for name in ("validation/lm loss value", "lm loss validation", "cv_loss", "loss_val", "heldout_loss"):
        assert role_of(name).kind == "held_out_loss", name
    assert role_of("value_loss").kind == role_of("losses/entropy").kind == ""
    assert role_of("cross_entropy_loss").kind == role_of("lm loss value").kind == "loss"


def test_a_header_that_stands_again(tmp_path: Path) -> None:
    text = "epoch,loss,val_loss\n0,4,4.1\n1,3.8,3.9\nepoch,loss,val_loss\n2,3.6,3.7\n3,3.4,3.5\n"
    trace = one(tmp_path, text)
    assert column(trace, "loss") == [4, 3.8, 3.6, 3.4] and column(trace, "epoch") == [0, 1, 2, 3]
    assert said(trace, "header stands again in line 4")
    trace = one(tmp_path, "epoch,loss\nepoch,loss\n0,3\n1,2\nepoch,loss\n")
    assert column(trace, "loss") == [3, 2]


def test_a_header_that_changes_keeps_the_row_numbers_right(tmp_path: Path) -> None:
    text = "step,loss\n1,3\n2,2.9\n3,2.8\nstep,loss,val_loss\n4,2.7,3.1\n5,2.6,3.0\nbad\n"
    text += "step,val_loss,loss\n6,2.9,2.5\n7,2.8,2.4\n"
    trace = one(tmp_path, text)
    assert column(trace, "loss") == [3, 2.9, 2.8, 2.7, 2.6, 2.5, 2.4]
    assert column(trace, "held_out_loss") == [None, None, None, 3.1, 3.0, 2.9, 2.8]
    assert said(trace, "changes in line 5", "'val_loss'") and said(trace, "1 row was dropped (line 8)")
    assert said(trace, "changes in line 9", "another order")


def test_a_header_again_in_a_large_file_is_found(tmp_path: Path) -> None:
    part = "step,loss,lr\n" + "".join(f"{s},{3 - s / 1e6},0.1\n" for s in range(30_000))
    more = "step,loss,lr\n" + "".join(f"{s},{3 - s / 1e6},0.1\n" for s in range(30_000, 60_000))
    trace = one(tmp_path, part + more)
    assert column(trace, "step") == list(range(60_000)) and said(trace, "header stands again in line 30,002")


@pytest.mark.parametrize(
    ("steps", "losses", "last"),
    [
        (["1.000", "2.000", "11.000"], ["3,8", "3,6", "1,25"], 11000),
        (["500", "1.000", "1.234.567"], ["3,8", "3,6", "1,25"], 1234567),
        (["1'000", "2'000", "11'000"], ["3.8", "3.6", "1.25"], 11000),
        (["1’000", "2’000", "11’000"], ["3,8", "3,6", "1,25"], 11000),
        (["1 000", "2 000", "11 000"], ["3,8", "3,6", "1,25"], 11000),
        (["1\u202f000", "2\u202f000", "11\u202f000"], ["3.8", "3.6", "1.25"], 11000),
        (["1000", "2000", "11000"], ["1.003,8", "3,6", "1,25"], 11000),
    ],
)
def test_thousands_and_decimal_commas(tmp_path: Path, steps: list[str], losses: list[str], last: int) -> None:
    trace = one(tmp_path, "step;loss\n" + "".join(f"{s};{x}\n" for s, x in zip(steps, losses, strict=True)))
    assert column(trace, "step")[-1] == last and column(trace, "loss")[1:] == [3.6, 1.25]


def test_decimal_points_beside_decimal_commas_stay(tmp_path: Path) -> None:
    trace = one(tmp_path, "step;loss;lr\n1;3,5;0.125\n2;2,5;0.25\n3;1,5;0.001\n")
    assert column(trace, "learning_rate") == [0.125, 0.25, 0.001]
