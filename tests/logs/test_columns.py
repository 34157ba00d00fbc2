from __future__ import annotations

import numpy as np
import pytest

from foam_viz.logs.core.column_names import role_of
from foam_viz.logs.core.columns import Series, guess
from foam_viz.logs.core.reader import ColumnRule, Options
from foam_viz.logs.core.rows import run_starts, traces_from_columns
from foam_viz.trace import Manifest, Trace


def series(name: str, *values: float | None, unit: str = "") -> Series:
    missing = np.array([value is None for value in values])
    numbers = np.array([np.nan if value is None else value for value in values], float)
    return Series(name, numbers, missing if missing.any() else None, unit)


def traces(*columns: Series, split: bool = True, **rules: ColumnRule) -> list[Trace]:
    return traces_from_columns(columns, Manifest(run_id="r", name="n"), Options(columns=rules), split=split)


@pytest.mark.parametrize(
    ("kind", "names"),
    {
        "step": "step global_step _step iteration iter trainer/global_step Step train/global_step it",
        "loss": "loss train_loss train/loss objective trl training_loss trainLoss loss/train train_loss_step Loss "
        "cross_entropy training.loss train_losses lm_loss",
        "held_out_loss": "val_loss eval_loss validation/loss tel valid_loss val/ce dev_loss test/loss test_loss "
        "val_losses",
        "learning_rate": "lr learning_rate train/learning_rate lr-AdamW lr-AdamW/pg1 learning_rates",
        "gradient_norm": "grad_norm gradient_norm norm train/grad_norm grad_norm_total gnorm grad_2.0_norm_total",
        "epoch": "epoch train/epoch current_epoch",
        "tokens": "tokens tokens_seen num_tokens train/tokens total_tokens consumed_tokens num_input_tokens_seen",
        "optimizer_seconds": "train_time training_seconds accumulated_submission_time train_seconds",
        "total_seconds": "time elapsed elapsed_times total_duration _runtime wall_clock_seconds walltime_s",
        "timestamp": "timestamp _timestamp datetime",
        "duration": "step_time iter_time_ms step_avg eval_runtime time_per_step epoch_time dt",
        "accuracy": "val_acc accuracy test/accuracy top1 eval_accuracy",
        "": "weight_norm throughput tokens_per_second samples_per_sec grad_norm/layer1 loss_scale momentum perplexity "
        "validation/loss_of_teacher lr_scale min_loss kl_loss",
    }.items(),
)
def test_names_tell_their_quantity(kind: str, names: str) -> None:
    for name in names.split():
        assert role_of(name).kind == kind, name


@pytest.mark.parametrize(
    ("name", "scale"),
    [("time_ms", 1e-3), ("elapsed_min", 60), ("elapsed (h)", 3600), ("wall_s", 1), ("wall clock [ms]", 1e-3),
     ("train_minutes", 60), ("total_time_hours", 3600), ("elapsed", None), ("time_per_step_ms", 1e-3)],
)  # fmt: skip
def test_units_of_time_by_name(name: str, scale: float | None) -> None:
    assert role_of(name).scale == scale


def test_a_rule_for_each_column_with_three_samples() -> None:
    made = traces(
        series("iter", 1, 2, 3), series("trl", 3, 2, 1), series("time_ms", 0, 500, 1000), series("foo (GB)", 1, 2, 4)
    )
    (trace,) = made
    assert trace.steps["total_seconds"].to_pylist() == [0, 0.5, 1.0]
    assert trace.steps["foo (GB)"].to_pylist() == [1, 2, 4] and trace.units["foo (GB)"] == "GB"
    clock = trace.manifest.source_columns[2]
    assert clock == {
        "source": "time_ms", "target": "total_seconds", "unit": "s", "scale": 0.001, "guessed": True,
        "samples": ["0", "500", "1000"],
    }  # fmt: skip


def test_the_better_name_wins_and_the_other_keeps_its_own() -> None:
    (trace,) = traces(series("step", 1, 2), series("train_loss_epoch", 5, 6), series("loss", 1, 2),
                      series("test/loss", 7, 8),                       series("val_loss", 3, 4))  # fmt: skip
    assert trace.steps["loss"].to_pylist() == [1, 2] and trace.steps["held_out_loss"].to_pylist() == [3, 4]
    assert trace.steps["train_loss_epoch"].to_pylist() == [5, 6] and trace.steps["test/loss"].to_pylist() == [7, 8]
    notes = " ".join(trace.manifest.notes)
    assert "'train_loss_epoch' could be the training loss too; 'loss' was taken" in notes


def test_the_test_loss_is_the_held_out_one_without_validation() -> None:
    (trace,) = traces(series("step", 1, 2), series("test/loss", 7, 8))
    assert trace.steps["held_out_loss"].to_pylist() == [7, 8]


def test_a_second_column_of_a_schema_name_is_renamed() -> None:
    (trace,) = traces(series("global_step", 10, 20), series("step", 0, 1), series("tokens", 512, 512))
    assert trace.steps["step"].to_pylist() == [10, 20]
    assert trace.steps["step (as logged)"].to_pylist() == [0, 1]
    assert trace.steps["tokens (as logged)"].to_pylist() == [512, 512] and not trace.has("steps", "tokens")


def test_what_the_user_said_replaces_the_guess() -> None:
    columns = [series("n", 1, 2), series("loss", 3, 4), series("a", 5, 6), series("t", 60, 120)]
    rules = {"n": ColumnRule(target="step", unit="step", scale=100), "a": ColumnRule(target="loss"),
             "t": ColumnRule(target="total_seconds", unit="s", scale=60)}  # fmt: skip
    (trace,) = traces(*columns, **rules)
    assert trace.steps["step"].to_pylist() == [100, 200] and trace.steps["loss"].to_pylist() == [5, 6]
    assert trace.steps["loss (as logged)"].to_pylist() == [3, 4]
    assert trace.steps["total_seconds"].to_pylist() == [3600, 7200]
    assert [entry["guessed"] for entry in trace.manifest.source_columns] == [False, True, False, False]
    (trace,) = traces(*columns, a=ColumnRule(target=""), zzz=ColumnRule(target="loss"))
    assert "a" not in trace.steps.column_names and "No column is called 'zzz'" in " ".join(trace.manifest.notes)


def test_accuracy_is_percent_or_fraction_by_its_values() -> None:
    (trace,) = traces(
        series("step", 1, 2),
        series("val_acc", 12.5, 50),
        series("test_acc", 0.5, 0.75),
        series("acc_percent", 0.1, 0.2),
    )
    assert [trace.units[name] for name in ("val_acc", "test_acc", "acc_percent")] == ["%", "fraction", "%"]
    assert trace.steps["val_acc"].to_pylist() == [12.5, 50]


def test_dates_become_a_clock_from_the_first() -> None:
    (trace,) = traces(series("step", 1, 2), series("timestamp", 1.7e9, 1.7e9 + 90))
    assert trace.steps["total_seconds"].to_pylist() == [0, 90] and trace.manifest.created == "2023-11-14T22:13:20+00:00"
    (trace,) = traces(series("step", 1, 2), series("time", 1.7e12, 1.7e12 + 90))
    assert trace.steps["total_seconds"].to_pylist() == pytest.approx([0, 0.09], rel=1e-4)
    assert "since 1970" in " ".join(trace.manifest.notes)


def test_a_clock_without_a_unit_is_said_to_be_a_guess() -> None:
    (trace,) = traces(series("step", *range(100)), series("elapsed", *[200000 * i for i in range(100)]))
    assert trace.steps["total_seconds"][99].as_py() == pytest.approx(19800)
    assert any("'elapsed'" in note and "ms" in note and "guess" in note for note in trace.manifest.notes)


def test_a_duration_is_no_clock() -> None:
    (trace,) = traces(series("step", 1, 2, 3, 4), series("time", 5, 3, 6, 2), series("step_time", 1, 2, 3, 4))
    assert not trace.has("steps", "total_seconds") or trace.steps["total_seconds"].to_pylist() != [1, 2, 3, 4]
    assert trace.units["step_time"] == "s"


def test_without_steps_rows_are_numbered() -> None:
    (trace,) = traces(series("epoch", 0, 1, 2), series("loss", 3, 2, 1))
    assert trace.steps["step"].to_pylist() == [1, 2, 3] and "number of the row" in " ".join(trace.manifest.notes)
    made = traces(series("epoch", 0, 1, 2, 0, 1, 2), series("loss", 3, 2, 1, 6, 5, 4))
    assert [trace.steps["loss"].to_pylist() for trace in made] == [[3, 2, 1], [6, 5, 4]]
    assert [trace.steps["step"].to_pylist() for trace in made] == [[1, 2, 3], [1, 2, 3]]


def test_rows_without_a_step_are_dropped_and_counted() -> None:
    (trace,) = traces(series("step", *range(20), None, -1, 2.5), series("loss", *range(23)))
    assert trace.steps["step"].to_pylist() == list(range(20))
    notes = " ".join(trace.manifest.notes)
    assert "1 row was dropped: no 'step'" in notes and "2 rows were dropped: their 'step' is no whole number" in notes


def test_rows_of_training_and_evaluation_become_one_row_a_step() -> None:
    (trace,) = traces(
        series("step", 0, 0, 5, 5), series("loss", 2, None, 1, None), series("val_loss", None, 3, None, 4)
    )
    assert trace.steps["step"].to_pylist() == [0, 5]
    assert trace.steps["loss"].to_pylist() == [2, 1] and trace.steps["held_out_loss"].to_pylist() == [3, 4]
    assert not any("last one was kept" in note for note in trace.manifest.notes)


def test_a_new_run_begins_where_steps_fall_back_to_their_start() -> None:
    steps, losses = [10, 20, 30, 40, 10, 20, 30, 5, 10, 15], list(range(10))
    made = traces(series("step", *steps), series("loss", *losses))
    assert [trace.steps["step"].to_pylist() for trace in made] == [[10, 20, 30, 40], [10, 20, 30], [5, 10, 15]]
    assert [trace.steps["loss"].to_pylist() for trace in made] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert len({trace.manifest.run_id for trace in made}) == 3 and made[1].manifest.name == "n (run 2)"
    assert any("3 runs in one file" in note for note in made[0].manifest.notes)


def test_a_resume_is_one_run_and_the_later_value_counts() -> None:
    (trace,) = traces(series("step", 0, 10, 20, 30, 40, 20, 30, 40, 50), series("loss", 9, 8, 7, 6, 5, 70, 60, 50, 40))
    assert trace.steps["step"].to_pylist() == [0, 10, 20, 30, 40, 50]
    assert trace.steps["loss"].to_pylist() == [9, 8, 70, 60, 50, 40]
    notes = " ".join(trace.manifest.notes)
    assert "falls back 1 time, first from 40 to 20" in notes and "'loss' 3 times" in notes


def test_rows_out_of_order_are_sorted() -> None:
    (trace,) = traces(series("step", 5, 4, 3, 2, 1), series("loss", 1, 2, 3, 4, 5))
    assert trace.steps["loss"].to_pylist() == [5, 4, 3, 2, 1] and "out of order" in " ".join(trace.manifest.notes)


def test_an_evaluation_that_lags_a_step_is_no_new_run() -> None:
    assert run_starts(np.array([0, 1, 0, 2, 3, 2, 4, 5, 6])) == [0]
    assert run_starts(np.array([0, 10, 20, 30, 0, 10, 20])) == [0, 4]


def test_blank_after_inf_stays_null_and_the_run_diverged() -> None:
    (trace,) = traces(series("step", 1, 2, 3, 4, 5), series("loss", 1, np.inf, np.nan, None, None))
    assert trace.manifest.status == "diverged" and trace.manifest.diverged_step == 2
    values = trace.steps["loss"].to_pylist()
    assert values[1] == np.inf and np.isnan(values[2]) and values[3:] == [None, None]
    (trace,) = traces(series("step", 1, 2, 3), series("loss", 1, np.nan, 2))
    assert trace.manifest.status == "finished" and trace.manifest.diverged_step is None


def test_nan_that_fills_rows_of_other_metrics_is_not_logged() -> None:
    evaluations = [3.0 if step % 5 == 0 else np.nan for step in range(21)]
    (trace,) = traces(series("step", *range(21)), series("loss", *range(21)), series("val_loss", *evaluations))
    assert trace.steps["held_out_loss"].null_count == 16 and trace.manifest.status == "finished"
    assert any("'val_loss'" in note and "16 rows" in note for note in trace.manifest.notes)
    (trace,) = traces(series("step", *range(9)), series("loss", 1, 2, 3, *[np.nan] * 6))
    assert trace.steps["loss"].null_count == 0 and trace.manifest.diverged_step == 3


def test_empty_columns_are_left_out_and_said() -> None:
    rules = guess([series("step", 1, 2), series("nothing", None, None)])
    assert rules.rules["nothing"].target == "" and "'nothing' was left out: it holds no value." in rules.notes
