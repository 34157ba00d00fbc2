from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from foam_viz.logs.core.reader import ColumnRule, LogError
from foam_viz.logs.formats import tensorboard
from foam_viz.logs.formats.tensorboard import READER
from tests.logs.examples import examples
from tests.logs.make_tensorboard import (
    START,
    chunk,
    event,
    make_tensorboard,
    record,
    simple,
    tensor,
    version,
    write_events,
)
from tests.logs.reading import column, folder_files, read, said, source, written

NAME = "events.out.tfevents.1700000000.host.1.0"


def test_runs_of_a_folder(tmp_path: Path) -> None:
    foam, keras = sorted(read(READER, *folder_files(make_tensorboard(tmp_path))), key=lambda t: t.manifest.name)
    assert (foam.manifest.name, keras.manifest.name) == ("foam", "keras")
    assert foam.manifest.format == "tensorboard" and len(foam.manifest.files) == 3
    assert column(foam, "step") == list(range(50))
    assert column(foam, "loss") == [2.0 - step / 64 for step in range(30)] + [1.0] * 20
    assert column(foam, "learning_rate") == [0.5] * 40 + [None] * 10
    assert column(foam, "val/acc") == [25.0 if step % 8 == 0 and step < 40 else None for step in range(50)]
    assert column(foam, "hparam/best") == [75.0] + [None] * 49
    assert column(foam, "total_seconds")[1:30] == list(range(1, 30)) and column(foam, "total_seconds")[45] == 145
    assert foam.manifest.config == {"lr": 0.5, "optimizer": "foam", "nesterov": True}
    assert foam.manifest.optimizer == "foam" and foam.manifest.created == "2023-11-14T22:13:20+00:00"
    assert said(foam, "'train/loss' 10", "last was kept") and said(foam, "1 text") and said(foam, "3 event files")
    assert source(foam, "train/loss")["target"] == "loss" and source(foam, "train/loss")["guessed"]
    assert column(keras, "loss") == [3.0 - step / 8 for step in range(10)]
    assert column(keras, "held_out_loss") == [4.0 - step / 8 if step % 3 == 0 else None for step in range(10)]


def test_splits_at_the_top(tmp_path: Path) -> None:
    for name, value in (("train", 2.0), ("validation", 3.0)):
        write_events(tmp_path / name / NAME, event(simple("epoch_loss", value), step=1))
    (trace,) = read(READER, *folder_files(tmp_path))
    assert column(trace, "loss") == [2.0] and column(trace, "held_out_loss") == [3.0]
    write_events(tmp_path / "a" / NAME, event(simple("loss", 4.0), step=1))
    write_events(tmp_path / "a" / "eval" / NAME, event(simple("loss", 5.0), step=1))
    (trace,) = read(READER, *(file for file in folder_files(tmp_path) if file.name.startswith("a/")))
    assert column(trace, "loss") == [4.0] and column(trace, "held_out_loss") == [5.0]


def test_add_scalars_joins_its_run(tmp_path: Path) -> None:
    write_events(tmp_path / "run" / NAME, event(simple("lr", 0.5), step=1))
    for curve, value in (("train", 2.0), ("val", 3.0)):
        write_events(tmp_path / "run" / f"group_loss_{curve}" / NAME, event(simple("group/loss", value), step=1))
    (trace,) = read(READER, *folder_files(tmp_path))
    assert column(trace, "group/loss/train") == [2.0] and column(trace, "group/loss/val") == [3.0]
    assert column(trace, "learning_rate") == [0.5] and trace.manifest.name == "run"


def test_a_user_says_what_a_tag_is(tmp_path: Path) -> None:
    file = written(tmp_path, NAME, b"".join(record(event(simple("cost", 500.0 * i), step=i)) for i in (1, 2)))
    (trace,) = read(READER, file, columns={"cost": ColumnRule(target="optimizer_seconds", unit="s", scale=0.001)})
    assert column(trace, "optimizer_seconds") == [0.5, 1.0] and not source(trace, "cost")["guessed"]


def test_truncated_damaged_and_whole_files(tmp_path: Path) -> None:
    events = [record(event(simple("loss", float(i)), step=i, wall_time=START + i)) for i in range(1, 9)]
    whole = record(version()) + b"".join(events)
    (trace,) = read(READER, written(tmp_path, f"a/{NAME}", whole[:-5]))
    assert column(trace, "loss") == [1, 2, 3, 4, 5, 6, 7] and said(
        trace, "ends within a record", f"byte {len(whole) - len(events[-1]):,}"
    )
    broken = bytearray(whole)
    place = len(record(version())) + 3 * len(events[0])
    broken[place + 20] ^= 1
    (trace,) = read(READER, written(tmp_path, f"b/{NAME}", bytes(broken)))
    assert column(trace, "loss") == [1, 2, 3] and said(trace, NAME, "record 4", f"byte {place:,}", "check sum")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"not a record of events at all", "byte 0"),
        (record(version()), "1 records"),
        (record(version()) + record(event(tensor("t", 7, chunk(8, b"x"), "text", (1,)))), "1 text"),
        (record(version())[:9], "ends within a record"),
    ],
)
def test_files_without_scalars_say_so(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(LogError, match="holds no scalars") as caught:
        read(READER, written(tmp_path, NAME, content))
    assert words in str(caught.value) and caught.value.problem.file == NAME


def test_content_decides_and_other_files_are_left(tmp_path: Path) -> None:
    plain = written(tmp_path, "renamed.bin", record(version()) + record(event(simple("loss", 1.0), step=1)))
    others = [
        written(tmp_path, "a.csv", "step,loss\n1,2\n"),
        written(tmp_path, "dataset.tfrecord", record(b"\x0a\x03abc") + record(b"\x0a\x03abd")),
        written(tmp_path, "b.tfevents.1", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"),
    ]
    assert READER.find([plain, *others]) == [(plain,)]


def test_diverged_and_secret(tmp_path: Path) -> None:
    from tests.logs.make_tensorboard import hparams

    events = [event(simple("loss", x), step=i + 1) for i, x in enumerate((1.0, math.nan, 2.0, math.inf, math.nan))]
    write_events(tmp_path / "run" / NAME, event(hparams(api_key="sk-abcdefghijklmnopqrstuvwxyz")), *events)
    (trace,) = read(READER, *folder_files(tmp_path))
    assert trace.manifest.status == "diverged" and trace.manifest.diverged_step == 4
    assert trace.manifest.config == {"api_key": "(masked)"}
    (trace,) = read(READER, *folder_files(tmp_path), show_secrets=True)
    assert trace.manifest.config == {"api_key": "sk-abcdefghijklmnopqrstuvwxyz"}


def test_curves_at_steps_unlike_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "MOST_CELLS", 100)
    events = [event(simple(f"m{i}", 1.0), step=i * 100 + step) for i in range(5) for step in range(1, 21 + i)]
    write_events(tmp_path / NAME, *events)
    (trace,) = read(READER, *folder_files(tmp_path))
    assert trace.has("steps", "m4") and "m0" not in trace.steps.column_names and said(trace, "3 of 5 curves", "'m0'")


def test_negative_steps_are_dropped_aloud(tmp_path: Path) -> None:
    write_events(tmp_path / NAME, event(simple("loss", 1.0), step=-5), event(simple("loss", 2.0), step=5))
    (trace,) = read(READER, *folder_files(tmp_path))
    assert column(trace, "step") == [5] and said(trace, "1 row", "dropped")


def test_torch_writes_what_we_read(tmp_path: Path) -> None:
    writers = pytest.importorskip("torch.utils.tensorboard")
    with writers.SummaryWriter(tmp_path / "run") as writer:
        for step in range(30):
            writer.add_scalar("train/loss", 3 - step / 16, step, walltime=START + step)
            writer.add_scalar("tensor", step / 4, step, new_style=True, walltime=START + step)
            writer.add_scalar("double", step + 0.1, step, new_style=True, double_precision=True, walltime=START + step)
        writer.add_scalars("two/curves", {"a": 1.0, "b": 2.0}, 5)
        writer.add_histogram("weights", np.arange(9.0), 3)
        writer.add_text("text", "hello")
        writer.add_hparams({"lr": 0.5, "opt": "foam"}, {"hparam/acc": 0.75})
    (trace,) = read(READER, *folder_files(tmp_path))
    assert column(trace, "loss") == [3 - step / 16 for step in range(30)]
    assert column(trace, "tensor") == [step / 4 for step in range(30)]
    assert column(trace, "double") == [step + 0.1 for step in range(30)]
    assert column(trace, "two/curves/a")[5] == 1.0 and column(trace, "two/curves/b")[5] == 2.0
    assert column(trace, "hparam/acc")[0] == 0.75 and trace.manifest.config == {"lr": 0.5, "opt": "foam"}
    assert said(trace, "1 histograms", "1 text")


def test_the_real_runs() -> None:
    traces = {trace.manifest.name: trace for trace in read(READER, *folder_files(examples("tensorboard")))}
    assert sorted(traces) == ["run_foam", "run_shampoo"]
    foam = traces["run_foam"]
    assert column(foam, "step") == list(range(260)) and column(foam, "loss")[150:] == [9.0] * 110
    assert column(foam, "learning_rate")[0] == pytest.approx(1e-3) and foam.manifest.config == {
        "opt": "foam",
        "lr": 0.001,
    }
    assert said(foam, "'train/loss' 52") and foam.manifest.optimizer == "foam"
    assert column(traces["run_shampoo"], "loss")[99] == pytest.approx(1.31)
