"""Logs of odd programs and broken runs, each with the reading that a person would give."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from foam_viz.logs import read_all
from foam_viz.trace import Trace
from foam_viz.trace import manifest as manifests
from foam_viz.trace.disk import strict_json
from tests.logs.reading import said

ROWS = range(12)


def loss(i: int) -> float:
    return round(4.0 - 0.2 * i, 3)


def held_out(i: int) -> float:
    return round(4.1 - 0.2 * i, 3)


def only(folder: Path, name: str, text: str) -> Trace:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    (trace,) = read_all([folder / name]).traces
    return trace


def curve(trace: Trace, name: str) -> dict[int, float]:
    steps, values = trace.steps["step"].to_pylist(), trace.steps[name].to_pylist()
    return {step: pytest.approx(value) for step, value in zip(steps, values, strict=True) if value is not None}


@pytest.mark.parametrize("first", [0, 1])
def test_epoch_and_step_in_one_bracket(tmp_path: Path, first: int) -> None:
    text = "".join(f"[{e + first}, {b:5d}] loss: {loss(4 * e + b // 100 - 1)}\n" for e in range(3) for b in (100, 200))
    trace = only(tmp_path, "a.log", text + "Finished Training\n")
    assert list(curve(trace, "loss")) == [100, 200, 300, 400, 500, 600]


@pytest.mark.parametrize(
    "line", ["iter {i} loss {v} gnorm {g}", "iter {i}: gnorm {g} loss {v}", "iter={i} loss={v} gnorm={g}"]
)
def test_a_loss_that_is_not_finite_is_a_value(tmp_path: Path, line: str) -> None:
    values = ["4.0", "3.8", "inf", "nan", "NaN", "-inf"]
    text = "".join(line.format(i=10 * i, v=v, g="nan" if i > 1 else "1.5") + "\n" for i, v in enumerate(values))
    trace = only(tmp_path, "a.log", text)
    found = trace.steps["loss"].to_pylist()
    assert found[:3] == [4.0, 3.8, math.inf] and math.isnan(found[3]) and found[5] == -math.inf
    assert trace.manifest.status == "diverged"


@pytest.mark.parametrize("column", ["type", "split", "phase"])
def test_rows_of_training_evaluation_and_settings_stay_apart(tmp_path: Path, column: str) -> None:
    rows: list[dict[str, object]] = [{column: "config", "lr": 0.1, "seed": 3}]
    for i in ROWS:
        rows.append({column: "train", "step": 10 * i, "loss": loss(i)})
        rows += [{column: "eval", "step": 10 * i, "loss": held_out(i)}] if i % 3 == 0 else []
    trace = only(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert curve(trace, "loss") == {10 * i: loss(i) for i in ROWS}
    assert curve(trace, "held_out_loss") == {10 * i: held_out(i) for i in ROWS if i % 3 == 0}
    assert not said(trace, "the last one was kept")


def test_sacred_metrics_without_steps_stay_in_the_run(tmp_path: Path) -> None:
    metrics = {
        "train.loss": {"steps": [10 * i for i in ROWS], "timestamps": [], "values": [loss(i) for i in ROWS]},
        "val.loss": {"steps": [None] * 3, "timestamps": [], "values": [held_out(i) for i in range(3)]},
    }
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "config.json").write_text('{"lr": 0.1}')
    (tmp_path / "1" / "metrics.json").write_text(json.dumps(metrics))
    (trace,) = read_all([tmp_path]).traces
    assert curve(trace, "loss") == {10 * i: loss(i) for i in ROWS}
    assert curve(trace, "held_out_loss") == {i: held_out(i) for i in range(3)}
    assert said(trace, "'val.loss'", "without steps")


@pytest.mark.parametrize(
    "steps", [["0.2k", "0.4k", "0.6k", "0.8k"], ["200", "400", "600", "0.8k"], ["1.2k", "1.4k", "1.6k", "1.8k"]]
)
@pytest.mark.parametrize("form", ["step {s} | loss {v}", "{s},{v}"])
def test_steps_in_thousands(tmp_path: Path, steps: list[str], form: str) -> None:
    head = "step,loss\n" if "," in form else ""
    text = head + "".join(form.format(s=s, v=loss(i)) + "\n" for i, s in enumerate(steps))
    trace = only(tmp_path, "a.csv" if head else "a.log", text)
    expected = [round(1000 * float(s[:-1])) if s.endswith("k") else int(s) for s in steps]
    assert list(curve(trace, "loss")) == expected


def test_steps_with_underscores(tmp_path: Path) -> None:
    trace = only(tmp_path, "a.log", "".join(f"step=1_{i:03d} loss={loss(i)}\n" for i in ROWS))
    assert list(curve(trace, "loss")) == [1000 + i for i in ROWS]


@pytest.mark.parametrize("elapsed", ["elapsed=0:{m:02d}:00", "elapsed: 00:{m:02d}:00", "elapsed 0:{m:02d}:00.5"])
def test_elapsed_time_as_a_clock(tmp_path: Path, elapsed: str) -> None:
    lines = (f"[00:{i:02d}:00] iter={10 * i} {elapsed.format(m=i)} eta=1:00:00 loss={loss(i)}\n" for i in ROWS)
    trace = only(tmp_path, "a.log", "".join(lines))
    seconds = trace.steps["total_seconds"].to_pylist()
    assert seconds[1] - seconds[0] == 60 and trace.rows("steps") == 12


def test_a_table_in_markdown(tmp_path: Path) -> None:
    rows = (f"| {500 * i} | {loss(i)} | {'No log' if i % 2 else held_out(i)} |\n" for i in ROWS)
    trace = only(tmp_path, "a.md", "| Step | Training Loss | Validation Loss |\n|:---|---:|---|\n" + "".join(rows))
    assert curve(trace, "loss") == {500 * i: loss(i) for i in ROWS}
    assert curve(trace, "held_out_loss") == {500 * i: held_out(i) for i in ROWS if i % 2 == 0}
    assert not said(trace, "dropped") and not said(trace, "left out")


def test_two_losses_of_two_networks_are_no_training_loss(tmp_path: Path) -> None:
    lines = (f"[Epoch 0/3] [Batch {10 * i}/200] [D loss: {loss(i)}] [G loss: {held_out(i)}]\n" for i in ROWS)
    trace = only(tmp_path, "a.log", "".join(lines))
    assert curve(trace, "D loss") == {10 * i: loss(i) for i in ROWS}
    assert curve(trace, "G loss") == {10 * i: held_out(i) for i in ROWS} and not trace.has("steps", "loss")


def test_detection_is_evaluated_at_the_end_of_each_epoch(tmp_path: Path) -> None:
    epoch = (
        "      Epoch    GPU_mem   box_loss   cls_loss   dfl_loss  Instances       Size\n"
        "        {e}/5      2.1G      {v}      2.0      1.0         42        640: 100%|##| 8/8 [00:02<00:00,  3it/s]\n"
        "                 Class     Images  Instances      Box(P          R      mAP50  mAP50-95): 100%|##| 4/4 "
        "[00:01<00:00,  3.1it/s]\n"
        "                   all        128        929      0.6{e}       0.5{e}       0.3{e}      0.2{e}\n\n"
    )
    trace = only(tmp_path, "a.log", "".join(epoch.format(e=e, v=loss(e)) for e in range(1, 6)))
    assert curve(trace, "box_loss") == {e: loss(e) for e in range(1, 6)}
    assert trace.steps["mAP50"].to_pylist() == [0.31, 0.32, 0.33, 0.34, 0.35]
    assert trace.steps["mAP50_95"].to_pylist() == [0.21, 0.22, 0.23, 0.24, 0.25]


def test_a_bar_around_the_bars_of_epochs(tmp_path: Path) -> None:
    text = "".join(
        f"Epochs:  {25 * e}%|##    | {e}/4 [00:0{e}<00:05,  1.0s/it]\n"
        + "".join(f"\r Train: {50 * b}%|###| {b}/2 [00:00<00:00, 9.9it/s, loss={loss(2 * e + b)}]" for b in (1, 2))
        + f"\n\r Val: 100%|###| 2/2 [00:00<00:00, 9.9it/s, loss={held_out(2 * e + 2)}]\n"
        for e in range(4)
    )
    trace = only(tmp_path, "a.log", text)
    assert curve(trace, "loss") == {i: loss(i) for i in range(1, 9)}
    assert curve(trace, "held_out_loss") == {i: held_out(i) for i in (2, 4, 6, 8)}


def test_sentences(tmp_path: Path) -> None:
    sentence = "After {s} iterations the training loss is {a} and the validation loss is {b}.\n"
    trace = only(tmp_path, "a.log", "".join(sentence.format(s=100 * i, a=loss(i), b=held_out(i)) for i in ROWS))
    assert curve(trace, "loss") == {100 * i: loss(i) for i in ROWS}
    assert curve(trace, "held_out_loss") == {100 * i: held_out(i) for i in ROWS}


def test_lines_of_a_trainer_before_the_state_of_its_bar(tmp_path: Path) -> None:
    line = "{{'loss': {v}, 'learning_rate': 1e-05, 'epoch': {e:.2f}}}\n {p}%|##| {s}/110 [00:01<00:02, 3.1it/s]\n"
    text = "".join(line.format(v=loss(i), e=i / 4, p=i * 9, s=10 * i) for i in range(1, 12))
    trace = only(tmp_path, "a.log", text)
    assert curve(trace, "loss") == {10 * i: loss(i) for i in range(1, 12)}
    assert not said(trace, "the last one was kept")


def test_a_number_that_is_too_long_is_kept_as_text_and_said(tmp_path: Path) -> None:
    state = {"global_step": 30, "log_history": [{"step": 10 * i, "loss": loss(i)} for i in ROWS]}
    digits = "9" * 400
    text = json.dumps(state)[:-1] + f', "train_batch_size": {digits}, "max_steps": 200}}'
    trace = only(tmp_path, "trainer_state.json", text)
    assert manifests.loads(manifests.dumps(trace.manifest)) is not None
    assert digits in strict_json.dumps(trace.manifest.config) and said(
        trace, "too long for a number", "train_batch_size"
    )


def _pair(folder: Path, first: str, second: str, differs_from: int = 12) -> int:
    table = "step,loss\n" + "".join(f"{10 * i},{loss(i)}\n" for i in ROWS)
    rows = ({"step": 10 * i, "loss": loss(i) if i < differs_from else 9.5 - i, "lr": 0.1 / (i + 1)} for i in ROWS)
    for name, text in ((first, table), (second, "".join(json.dumps(row) + "\n" for row in rows))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return len(read_all([folder]).traces)


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [
        ("x/progress.csv", "x/result.json", 1),
        ("x/foam.csv", "x/foam.jsonl", 1),
        ("x/foam_metrics.csv", "x/foam.jsonl", 1),
        ("x/adam.csv", "x/foam.jsonl", 2),
        ("x/seed_1.csv", "x/seed_2.jsonl", 2),
        ("x/metrics.csv", "y/metrics.jsonl", 2),
    ],
)
def test_files_are_joined_only_where_their_names_allow_it(tmp_path: Path, first: str, second: str, count: int) -> None:
    assert _pair(tmp_path, first, second) == count


def test_files_that_are_equal_at_a_few_steps_stay_apart(tmp_path: Path) -> None:
    assert _pair(tmp_path, "x/metrics.csv", "x/result.jsonl", differs_from=3) == 2


@pytest.mark.parametrize("prefix", ["[rank{r}]: ", "{r}: ", "(RANK {r}) ", "2026-01-01 12:00:00 [rank={r}] "])
def test_of_several_processes_the_first_counts(tmp_path: Path, prefix: str) -> None:
    lines = [f"{prefix.format(r=r)}step {10 * i} loss {loss(i) + r:.3f}\n" for i in ROWS for r in (3, 1, 0, 2)]
    trace = only(tmp_path, "a.log", "".join(lines))
    assert curve(trace, "loss") == {10 * i: loss(i) for i in ROWS}
    assert said(trace, "4 processes", "rank 0", "36 lines")


@pytest.mark.parametrize("tokens", ["{i}.5M", "{i}500000"])
def test_tokens_alone_tell_the_place(tmp_path: Path, tokens: str) -> None:
    lines = (f"tokens: {tokens.format(i=i)}, loss: {loss(i)}, lr: 3.0e-4\n" for i in range(1, 10))
    trace = only(tmp_path, "a.log", "".join(lines))
    assert trace.steps["tokens"].to_pylist() == [1e6 * i + 5e5 for i in range(1, 10)]
    assert trace.steps["loss"].to_pylist() == [loss(i) for i in range(1, 10)]


def test_a_step_that_starts_again_in_epochs_with_fractions(tmp_path: Path) -> None:
    text = "epoch,step,loss\n" + "".join(f"{0.25 * i},{25 * (i % 4)},{loss(i)}\n" for i in range(1, 12))
    assert curve(only(tmp_path, "a.csv", text), "loss") == {25 * i: loss(i) for i in range(1, 12)}


def test_a_total_in_words(tmp_path: Path) -> None:
    trace = only(tmp_path, "a.log", "".join(f"Iteration {100 * i} of 1200, train loss = {loss(i)}\n" for i in ROWS))
    assert curve(trace, "loss") == {100 * i: loss(i) for i in ROWS}
    assert trace.manifest.config["steps_planned"] == 1200 and not trace.has("steps", "of")


def test_the_whole_loss_goes_before_a_part(tmp_path: Path) -> None:
    rows = ({"iteration": i, "losses": {"ce": loss(i) - 1, "total_loss": loss(i)}} for i in ROWS)
    trace = only(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert curve(trace, "loss") == {i: loss(i) for i in ROWS}


@pytest.mark.parametrize("digits", [1, 3, 4])
def test_decimal_commas_in_lines_of_text(tmp_path: Path, digits: int) -> None:
    lines = (f"step {10 * i}: loss {loss(i):.{digits}f} lr 0.1\n".replace(".", ",") for i in ROWS)
    trace = only(tmp_path, "a.log", "".join(lines))
    assert curve(trace, "loss") == {10 * i: loss(i) for i in ROWS}
    assert trace.steps["learning_rate"].to_pylist() == [0.1] * 12 and said(trace, "decimal comma")


def test_thousands_with_commas_in_lines_of_text(tmp_path: Path) -> None:
    lines = (f"step {1000 * i:,} loss {loss(i)} tokens {2_000_000 * i:,}\n" for i in range(1, 12))
    trace = only(tmp_path, "a.log", "".join(lines))
    assert curve(trace, "loss") == {1000 * i: loss(i) for i in range(1, 12)}


def test_a_counter_in_brackets(tmp_path: Path) -> None:
    trace = only(tmp_path, "a.log", "".join(f"[{10 * i}/1000] train_loss={loss(i)}, dt={i}.5ms\n" for i in ROWS))
    assert curve(trace, "loss") == {10 * i: loss(i) for i in ROWS}
    assert trace.manifest.config["steps_planned"] == 1000


def test_a_loss_among_metrics(tmp_path: Path) -> None:
    document = {"steps": [10 * i for i in ROWS], "metrics": {"loss": [loss(i) for i in ROWS]}}
    assert curve(only(tmp_path, "a.json", json.dumps(document)), "loss") == {10 * i: loss(i) for i in ROWS}
