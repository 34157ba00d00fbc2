"""Logs of many programs, as whole uploads: what becomes of files that belong together."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from foam_viz.logs import read_all
from foam_viz.logs.formats.run_tables import table_of
from foam_viz.trace import Trace, summarize
from tests.logs import make_databases, make_neighbours
from tests.logs.make_neighbours import put
from tests.logs.make_tensorboard import START, event, simple, write_events
from tests.logs.reading import column, said

EVENTS = "events.out.tfevents.1900000000.host.1.0"


def runs(place: Path) -> dict[str, Trace]:
    reading = read_all([place])
    assert not reading.problems, reading.problems
    assert len({trace.manifest.name for trace in reading.traces}) == len(reading.traces)
    return {trace.manifest.name: trace for trace in reading.traces}


def only(place: Path) -> Trace:
    (trace,) = runs(place).values()
    return trace


def test_downloads_of_tensorboard_are_joined_by_run(tmp_path: Path) -> None:
    found = runs(make_neighbours.make_tensorboard_downloads(tmp_path))
    assert set(found) == {"foam", "soap"}
    foam = found["foam"]
    assert column(foam, "loss")[:2] == [4, 3.75] and column(foam, "held_out_loss")[:2] == [4.25, 4]
    assert column(foam, "step") == list(range(0, 60, 5)) and column(foam, "total_seconds")[1] == 5
    assert said(foam, "2 files of one metric each") and column(found["soap"], "loss")[8] == 3.6


@pytest.mark.parametrize(
    ("name", "run"),
    [("run-a-tag-loss.csv", "a"), ("run-a-tag-loss (1).csv", "a"), ("a_b-tag-train_loss.csv", "a_b"), ("loss.csv", "")],
)
def test_names_of_downloads(tmp_path: Path, name: str, run: str) -> None:
    put(tmp_path, name, "Wall time,Step,Value\n1900000000.5,0,4\n1900000001.5,5,3\n")
    trace = only(tmp_path)
    assert column(trace, "loss") == [4, 3] and (not run or trace.manifest.name == run)


def test_dvclive(tmp_path: Path) -> None:
    trace = only(make_neighbours.make_dvclive(tmp_path))
    assert column(trace, "loss") == [4, 3, 2] and column(trace, "held_out_loss") == [4.25, None, 2.25]
    assert trace.manifest.optimizer == "adam" and len(trace.manifest.files) == 4


def test_d3rlpy(tmp_path: Path) -> None:
    trace = only(make_neighbours.make_d3rlpy(tmp_path))
    assert column(trace, "step") == [1000, 2000, 3000, 4000] and column(trace, "loss") == [4, 3, 2, 1]
    assert column(trace, "epoch") == [1, 2, 3, 4] and trace.manifest.config["lr"] == 0.1


def test_sacred(tmp_path: Path) -> None:
    trace = only(make_neighbours.make_sacred(tmp_path))
    assert trace.manifest.name == "digits 7" and trace.manifest.status == "interrupted"
    assert column(trace, "loss") == [4, 3.9, 3.8, 3.7, 3.6] and column(trace, "held_out_loss")[4] == 3.5
    assert column(trace, "total_seconds") == [0, 1, 2, 3, 5] and trace.manifest.optimizer == "soap"
    assert said(trace, "cout.txt")


def test_episodes_of_a_monitor_stand_at_environment_steps(tmp_path: Path) -> None:
    trace = only(make_neighbours.make_monitor(tmp_path).parent)
    assert column(trace, "step") == [20, 50, 85, 125] and column(trace, "episode reward") == [20, 30, 35, 40]
    assert column(trace, "total_seconds") == [2, 3, 3.5, 4] and trace.manifest.config["env_id"] == "CartPole-v1"


def test_mlflow_database(tmp_path: Path) -> None:
    found = runs(make_databases.make_mlflow_database(tmp_path).parent)
    assert set(found) == {"parent", "parent/child"}
    trace = found["parent"]
    assert column(trace, "step") == sorted([*range(0, 50, 5), 1, 2]) and trace.manifest.task == "study"
    assert trace.manifest.optimizer == "soap" and trace.manifest.created.startswith("2030")
    assert [x for x in column(trace, "loss") if x is not None] == [4 - step / 20 for step in range(0, 50, 5)]
    assert [x for x in column(trace, "held_out_loss") if x is not None] == [4.5, 3.5, 2.5]
    odd = [x for x in column(trace, "odd") if x is not None]
    assert math.isnan(odd[0]) and odd[1] == math.inf
    assert said(trace, "1 run deleted") and said(trace, "'free'", "without steps") and said(trace, "system metrics")
    assert found["parent/child"].manifest.status == "interrupted"


def test_an_mlflow_database_is_not_written_to(tmp_path: Path) -> None:
    path = make_databases.make_mlflow_database(tmp_path)
    before = path.read_bytes()
    path.chmod(0o400)
    assert len(runs(path)) == 2 and path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_optuna_database(tmp_path: Path) -> None:
    found = runs(make_databases.make_optuna_database(tmp_path).parent)
    assert set(found) == {"tune", "tune trial 0", "tune trial 1"}
    rows = table_of(found["tune"].manifest)
    assert [row["opt"] for row in rows] == ["adam", "soap", "adam", "soap"] and rows[2]["value"] == 2.8
    assert column(found["tune trial 1"], "intermediate value") == [3, 2.9, 2.8, 2.7, 2.6]
    assert found["tune trial 1"].manifest.status == "interrupted"


@pytest.mark.parametrize(
    ("text", "identity", "count"),
    [
        ("run_name,seed,final_loss\na,1,1.5\nb,1,1.25\n", "run_name", 2),
        ("run_name,final_loss\na,1.5\n", "run_name", 1),
        ("seed,final_loss,acc\n0,1.5,0.5\n1,1.25,0.6\n2,1.75,0.4\n", "seed", 3),
        (",final_loss,acc\nadam,1.5,0.5\nsoap,1.25,0.6\n", "column 1", 2),
        ("Name,lr,loss\nx,0.1,2\ny,0.2,1\n", "Name", 2),
        ("optimizer,epochs,val_loss\nadam,10,2\nsoap,20,1\n", "optimizer", 2),
        ("trial_id,training_iteration,loss\nab1,10,2\nab2,20,1\nab3,30,1\n", "trial_id", 3),
        ('"Name","State","Created","lr","loss"\n"x","finished","2026-11-26T10:00:00.000Z","0.1","2"\n'
         '"x","crashed","2026-11-26T11:00:00.000Z","0.2","1"\n', "", 2),
        ("run_id,experiment_id,status,artifact_uri,start_time,metrics.loss,params.lr\n"
         "a1,0,FINISHED,file:///x,2026-11-26 10:00:00,1.5,0.1\na2,0,FINISHED,file:///x,2026-11-26 10:00:00,1.25,0.2\n",
         "run_id", 2),
        ("number,value,datetime_start,params_lr,state\n0,1.5,2026-11-26 10:00:00.5,0.1,COMPLETE\n"
         "1,,2026-11-26 10:02:00.5,0.2,PRUNED\n2,1.25,2026-11-26 10:04:00.5,0.3,COMPLETE\n", "", 3),
    ],
)  # fmt: skip
def test_a_table_with_one_row_a_run_has_no_steps(tmp_path: Path, text: str, identity: str, count: int) -> None:
    trace = only(put(tmp_path, "sweep.csv", text))
    rows = table_of(trace.manifest)
    assert trace.rows("steps") == 0 and len(rows) == count
    assert said(trace, f"table of {count}", "no curves", f"told apart by {identity!r}" if identity else "")
    assert summarize(trace)["table_of_runs"] == rows and set(rows[0]) >= {identity} - {""}


def test_what_is_no_table_of_runs(tmp_path: Path) -> None:
    for text in (
        "step,model,loss\n1,m1,3\n2,m2,2\n3,m3,1\n",
        "epoch,name,loss\n1,a,3\n2,b,2\n",
        "run,step,loss\n" + "".join(f"{run},{s},{3 - s / 10}\n" for run in "ab" for s in range(5)),
        "checkpoint,loss\nckpt-100,3\nckpt-200,2\n",
    ):
        reading = read_all([put(tmp_path, "log.csv", text)])
        assert all(trace.rows("steps") for trace in reading.traces) and reading.traces, text


def test_secrets_in_a_table_of_runs_are_masked(tmp_path: Path) -> None:
    trace = only(put(tmp_path, "sweep.csv", "run_name,api_key,loss\na,abcdefghijk1,1\nb,abcdefghijk2,2\n"))
    assert [row["api_key"] for row in table_of(trace.manifest)] == ["(masked)", "(masked)"]


@pytest.mark.parametrize(
    ("make", "columns"),
    [
        (make_neighbours.make_ray, {"step": [i * 4000 for i in range(1, 9)], "loss": [4 - i / 8 for i in range(1, 9)]}),
        (make_neighbours.make_ultralytics, {"step": list(range(1, 9)), "epoch": [float(e) for e in range(1, 9)]}),
        (make_neighbours.make_end_values, {"step": list(range(10, 100, 10)), "gradient_norm": [1.5] * 9}),
    ],
)
def test_two_files_of_one_run_are_one_run(
    tmp_path: Path, make: Callable[[Path], Path], columns: dict[str, list]
) -> None:
    trace = only(make(tmp_path))
    assert said(trace, "is the same run by its values") and len(trace.manifest.files) >= 2
    for name, values in columns.items():
        assert column(trace, name) == values


def test_files_of_different_runs_stay_apart(tmp_path: Path) -> None:
    put(tmp_path, "x/a.csv", "step,loss\n" + "".join(f"{s},{3 - s / 10}\n" for s in range(9)))
    put(tmp_path, "x/b.csv", "step,loss\n" + "".join(f"{s},{3 - s / 10}\n" for s in range(9)))
    put(tmp_path, "x/c.jsonl", "".join(json.dumps({"step": s, "loss": 3.5 - s / 9}) + "\n" for s in range(9)))
    put(tmp_path, "x/d.json", {"step": list(range(9)), "learning_rate": [0.1] * 9})
    assert len(runs(tmp_path)) == 4


def test_a_panel_over_another_axis_keeps_the_metric(tmp_path: Path) -> None:
    found = runs(make_neighbours.make_panels(tmp_path).parent)
    assert set(found) == {"adam", "soap"} and column(found["soap"], "step") == [t * 10 + 1 for t in range(9)]
    assert column(found["adam"], "loss")[:2] == [4, 3.9] and column(found["adam"], "total_seconds")[1] == 1.5


@pytest.mark.parametrize("axis", ["epoch", "epoch_id", "custom/progress", "Relative Time (Wall)"])
def test_panels_over_any_axis(tmp_path: Path, axis: str) -> None:
    head = f'"{axis}","a - b - val/loss","a - b - val/loss__MIN","a - b - val/loss__MAX"\n'
    trace = only(put(tmp_path, "p.csv", head + "".join(f'"{t}","{3 - t / 8}","{2 - t / 8}","4"\n' for t in range(6))))
    assert trace.manifest.name == "a - b" and column(trace, "held_out_loss") == [3 - t / 8 for t in range(6)]
    assert column(trace, "val/loss__MAX") == [4] * 6


def test_panels_without_limits_and_with_an_axis_for_each_run(tmp_path: Path) -> None:
    put(
        tmp_path,
        "one/p.csv",
        '"Step","a - loss","b - loss"\n' + "".join(f'"{t}","{3 - t}","{4 - t}"\n' for t in range(3)),
    )
    found = runs(tmp_path / "one")
    assert set(found) == {"a", "b"} and column(found["b"], "loss") == [4, 3, 2]
    ends = ("", "__MIN", "__MAX")
    head = [
        f"{run} - {metric}{end}" for run in ("a", "b") for metric in ("trainer/global_step", "loss") for end in ends
    ]
    rows = [[*[t * 5] * 3, *[3 - t / 8] * 3, *[t * 7] * 3, *[4 - t / 8] * 3] for t in range(4)]
    text = "\n".join(",".join(f'"{cell}"' for cell in row) for row in [head, *rows])
    put(tmp_path, "two/p.csv", text + "\n")
    found = runs(tmp_path / "two")
    assert column(found["a"], "step") == [0, 5, 10, 15] and column(found["b"], "step") == [0, 7, 14, 21]


def test_groups_of_runs_have_whole_steps(tmp_path: Path) -> None:
    names = [f"Group: opt: adam - {metric}{end}" for metric in ("_step", "loss") for end in ("", "__MIN", "__MAX")]
    rows = [[t, t * 10 + 0.5, t * 10, t * 10 + 1, 3 - t / 8, 2 - t / 8, 4 - t / 8] for t in range(5)]
    text = "\n".join(",".join(f'"{cell}"' for cell in row) for row in [["Relative Time (Process)", *names], *rows])
    trace = only(put(tmp_path, "p.csv", text))
    assert column(trace, "step") == [0, 10, 20, 30, 40] and said(trace, "means over a group")
    assert column(trace, "loss__MIN")[0] == 2


def test_event_files_without_steps(tmp_path: Path) -> None:
    bare = [event(simple("loss", 4 - i / 8), step=0, wall_time=START + i) for i in range(9)]
    write_events(tmp_path / "a" / EVENTS, *bare)
    trace = only(tmp_path / "a")
    assert column(trace, "step") == list(range(9)) and column(trace, "loss") == [4 - i / 8 for i in range(9)]
    assert said(trace, "without steps", "order")
    stepped = [event(simple("loss", 4 - i / 8), step=i * 10, wall_time=START + i) for i in range(9)]
    values = [event(simple("val_loss", 5 - i), step=0, wall_time=START + 3 * i + 0.5) for i in range(3)]
    write_events(tmp_path / "b" / EVENTS, *stepped, *values)
    trace = only(tmp_path / "b")
    assert {s: x for s, x in zip(column(trace, "step"), column(trace, "held_out_loss"), strict=True) if x} == {
        0: 5, 30: 4, 60: 3,
    }  # fmt: skip


def test_curves_of_megatron_over_samples(tmp_path: Path) -> None:
    pairs = [
        event(simple(tag, 4 - i / 8), step=step)
        for i in range(1, 9)
        for tag, step in (("lm loss", i * 10), ("lm loss vs samples", i * 160))
    ]
    write_events(tmp_path / EVENTS, *pairs)
    trace = only(tmp_path)
    assert column(trace, "step") == list(range(10, 90, 10)) and column(trace, "consumed samples")[-1] == 1280
    assert said(trace, "'lm loss' over samples")


def test_lists_of_different_lengths(tmp_path: Path) -> None:
    found = runs(make_neighbours.make_lists(tmp_path))
    trace = found["curves"]
    assert (
        len(column(trace, "loss")) == 60
        and column(trace, "held_out_loss")[9] == 4
        and column(trace, "held_out_loss")[59] == 3.5
    )
    assert said(trace, "'val_loss'", "end of 10 rows", "guess")
    assert column(found["scalars"], "held_out_loss") == [4.5, None, 2.5]
    steps = {
        "steps": list(range(0, 100, 10)),
        "loss": [4 - i / 8 for i in range(10)],
        "val_steps": [0, 50, 95],
        "val_loss": [4, 3, 2],
    }
    trace = only(put(tmp_path, "own/x.json", steps))
    assert column(trace, "step") == [*range(0, 100, 10), 95] and column(trace, "held_out_loss")[5] == 3
    found = runs(
        put(tmp_path, "odd/x.json", {"loss": [4, 3, 2, 1], "val_loss": [4, 3, 2], "odd": [1.5, 2, 3.5, 4, 5, 6, 7]})
    )
    assert len(found) == 2 and column(found["x"], "held_out_loss") == [4, 3, 2, None]


def test_the_notes_say_how_many_rows_were_used(tmp_path: Path) -> None:
    text = "step,loss,val_loss,x\n" + "".join(f"{s},{3 - s / 10},{4 if s % 4 == 0 else ''},\n" for s in range(9))
    trace = only(put(tmp_path, "log.csv", text + "9,,,1\n,5,,7\n"))
    assert said(trace, "10 of 11 rows were used", "training loss in 9", "held-out loss in 3", "other values only in 1")


def test_end_values_alone(tmp_path: Path) -> None:
    trace = only(put(tmp_path, "out/all_results.json", {"train_loss": 3.5, "epoch": 3.0}))
    assert trace.rows("steps") == 0 and table_of(trace.manifest) == [{"train_loss": 3.5, "epoch": 3}]


def test_nested_splits_are_columns_and_nested_runs_are_runs(tmp_path: Path) -> None:
    document = {"epochs": [1, 2, 3], "train": {"loss": [3, 2, 1]}, "val": {"loss": [3.5, 2.5, 1.5]}}
    trace = only(put(tmp_path, "curve.json", document))
    assert column(trace, "loss") == [3, 2, 1] and column(trace, "held_out_loss") == [3.5, 2.5, 1.5]
    history = {"loss": [3, 2, 1], "val_loss": [4, 3, 2]}
    assert len(runs(put(tmp_path, "both.json", {"adam": history, "soap": history}))) == 2
    ends = {"adam": {"final_loss": 1.5, "acc": 0.5}, "soap": {"final_loss": 1.25, "acc": 0.75}}
    trace = only(put(tmp_path, "ends.json", ends))
    assert [row["run"] for row in table_of(trace.manifest)] == ["adam", "soap"]


def test_one_metric_after_the_other_is_one_run(tmp_path: Path) -> None:
    rows = [{"metricName": "loss", "metricValue": str(4 - i / 8), "step": i * 10} for i in range(6)]
    rows += [{"metricName": "val_loss", "metricValue": str(5 - i / 8), "step": i * 20} for i in range(3)]
    trace = only(put(tmp_path, "comet.json", rows))
    assert column(trace, "loss") == [4 - i / 8 for i in range(6)]
    assert column(trace, "held_out_loss") == [5, None, 4.875, None, 4.75, None]
