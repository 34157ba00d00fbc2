from __future__ import annotations

import time
from pathlib import Path

import pytest

from foam_viz.logs.core.column_names import role_of
from foam_viz.logs.core.reader import LogError
from foam_viz.logs.formats.key_values import READER, preview
from foam_viz.logs.parsing.line_bars import bar_of
from foam_viz.logs.parsing.line_pairs import values_of
from foam_viz.logs.parsing.line_prefix import split_prefix
from tests.logs.examples import examples
from tests.logs.make_key_values import make_key_values
from tests.logs.reading import column, folder_files, log_file, read, said, written


def pairs_of(line: str) -> dict[str, str]:
    """What a whole line says: a date before it as ``timestamp``, the place of a progress bar as ``step``."""
    date, rest = split_prefix(line)
    bar = bar_of(rest)
    found = {"timestamp": date} if date else {}
    found.update(values_of(rest if bar is None else bar.rest).values)
    if bar is not None and not any(role_of(name).kind == "step" for name in found):
        found["step"] = f"{bar.place}/{bar.total}" if bar.total else str(bar.place)
    return found


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ("step=10 loss=2.5 lr=1e-3", {"step": "10", "loss": "2.5", "lr": "1e-3"}),
        ("Epoch [3/100], Step [10/500], Loss: 2.5", {"Epoch": "3/100", "Step": "10/500", "Loss": "2.5"}),
        ("iter 10: loss 2.5, time 123.45ms, mfu 3.20%",
         {"iter": "10", "loss": "2.5", "time": "123.45ms", "mfu": "3.20%"}),
        ("step 250: train loss 2.1, val loss nan", {"step": "250", "train loss": "2.1", "val loss": "nan"}),
        ("{'loss': 2.5, 'learning_rate': 5e-05, 'epoch': '0.2'}",
         {"loss": "2.5", "learning_rate": "5e-05", "epoch": "0.2"}),
        (" iteration 10/ 1000 | elapsed time per iteration (ms): 1234.5 | lm loss: 1.5E+01 |",
         {"iteration": "10/1000", "elapsed time per iteration (ms)": "1234.5", "lm loss": "1.5E+01"}),
        ("2024-01-01 10:00:00,123 INFO - step 1,000 loss tensor(2.5)",
         {"timestamp": "2024-01-01 10:00:00.123", "step": "1,000", "loss": "2.5"}),
        ("[eval] step 100 loss 2.5 acc 50%", {"step": "100", "eval/loss": "2.5", "eval/acc": "50%"}),
        ("epoch 3 train: loss 2.5 acc 0.5 | val: loss 3.5 acc 0.4",
         {"epoch": "3", "loss": "2.5", "acc": "0.5", "val/loss": "3.5", "val/acc": "0.4"}),
        ("step 7 loss -inf v1.2.3 at 10:11:12", {"step": "7", "loss": "-inf"}),
    ],
)  # fmt: skip
def test_pairs_of_a_line(line: str, pairs: dict[str, str]) -> None:
    assert pairs_of(line) == pairs


def test_logs_of_several_programs(tmp_path: Path) -> None:
    traces = {trace.manifest.name: trace for trace in read(READER, *folder_files(make_key_values(tmp_path)))}
    assert set(traces) == {"equals", "nanogpt", "colours", "bar", "dicts"}
    equals = traces["equals"]
    assert column(equals, "step") == list(range(1, 30)) and column(equals, "loss")[0] == 1.99
    assert column(equals, "epoch")[0] == 1 and "steps_planned" not in equals.manifest.config
    nanogpt = traces["nanogpt"]
    assert len(nanogpt.steps) == 40 and column(nanogpt, "held_out_loss")[10] == pytest.approx(3.9)
    assert column(nanogpt, "mfu")[0] == 3.2 and nanogpt.units["mfu"] == "%" and nanogpt.units["time"] == "s"
    assert column(nanogpt, "time")[0] == pytest.approx(0.12345)
    colours = traces["colours"]
    assert (
        column(colours, "loss")[-1] == pytest.approx(3 - 59 / 60, abs=1e-4)
        and column(colours, "gradient_norm")[0] == 1.5
    )
    assert column(colours, "total_seconds")[-1] == 59 and colours.manifest.config["steps_planned"] == 60
    assert colours.manifest.created.startswith("2024-03-01T10:00:00")
    assert len(traces["bar"].steps) == 100 and column(traces["bar"], "loss")[0] == 1.99
    assert column(traces["dicts"], "loss") == [1.9, 1.8, 1.7, 1.6, 1.5, 1.4, 1.3, 1.2] and said(
        traces["dicts"], "number of the row"
    )


PATTERN = r"<(?P<step>\d+)> (?P<train_loss>\S+)"


def test_a_pattern_of_the_user(tmp_path: Path) -> None:
    file = written(tmp_path, "x.log", "start\n" + "".join(f"<{s}> {s / 2}\n" for s in range(30)))
    assert preview(file, PATTERN)[:2] == [
        (2, {"step": "0", "train_loss": "0.0"}),
        (3, {"step": "1", "train_loss": "0.5"}),
    ]
    assert len(preview(file, PATTERN)) == 20 and preview(file, "") == []
    from foam_viz.logs.core.reader import Options

    (trace,) = READER.read((file,), Options(line_pattern=PATTERN))
    assert column(trace, "loss") == [s / 2 for s in range(30)] and said(trace, "30 of 31 lines")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("(?P<step", "cannot be compiled"), (r"(?P<loss>\d+)", "no group for the step: its groups are loss"),
     (r"\d+", "no named group")],
)  # fmt: skip
def test_a_pattern_of_no_use_is_named(tmp_path: Path, pattern: str, reason: str) -> None:
    file = written(tmp_path, "x.log", "a\n")
    with pytest.raises(LogError, match=reason) as error:
        preview(file, pattern)
    assert pattern in str(error.value)


def test_prose_and_code_are_not_claimed(tmp_path: Path) -> None:
    prose = "We took 3 steps.\nIn 1999 the loss was high.\nEpoch 3 began.\n" * 9
    assert READER.find([written(tmp_path, "a.txt", prose), written(tmp_path, "b.bin", bytes(range(256)) * 9)]) == []
    with pytest.raises(LogError, match="no line holds a step"):
        from foam_viz.logs.core.reader import Options

        READER.read((written(tmp_path, "a.txt", prose),), Options())


def test_long_lines_are_passed_over_and_cost_no_time(tmp_path: Path) -> None:
    lines = "".join(f"step={s} loss={s}\n" for s in range(5))
    start = time.process_time()
    (trace,) = read(
        READER, written(tmp_path, "x", lines + "a" * 300_000 + "\n" + ("word " * 1999 + "\n") * 5 + "x_" * 4999 + "\n")
    )
    assert time.process_time() - start < 2 and len(trace.steps) == 5 and said(trace, "1 line was passed over", "line 6")


def test_a_real_standard_output() -> None:
    (trace,) = read(READER, log_file(examples("foam_artifact", "foam", "stdout.txt")))
    assert len(trace.steps) == 60 and column(trace, "loss")[0] == 2.2263 and column(trace, "loss")[-1] == 2.24736
    assert column(trace, "learning_rate")[-1] == 1.218e-06 and column(trace, "epoch")[-1] == 2
