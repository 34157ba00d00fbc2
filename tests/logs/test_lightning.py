from __future__ import annotations

from pathlib import Path

from foam_viz.logs.formats.lightning import READER
from tests.logs.examples import examples
from tests.logs.make_lightning import make_lightning
from tests.logs.reading import column, folder_files, read, said, written


def test_a_version(tmp_path: Path) -> None:
    (trace,) = read(READER, *folder_files(make_lightning(tmp_path)))
    assert trace.manifest.name == "digits/version_3" and trace.manifest.format == "lightning"
    assert column(trace, "step") == [0, 5, 10] and column(trace, "loss") == [2.5, 2.25, 2.0]
    assert column(trace, "held_out_loss") == [2.6, None, 2.1] and column(trace, "val_acc") == [12.5, None, 50.0]
    assert column(trace, "learning_rate") == [0.01] * 3 and trace.units["val_acc"] == "%"
    config = trace.manifest.config
    assert (config["lr"], config["optimizer"], config["batch_size"]) == (0.01, "adamw", 64)
    assert (
        config["model"] == {"": "tag:yaml.org,2002:python/object:a.B", "x": 1} and trace.manifest.optimizer == "adamw"
    )


def test_hyperparameters_that_cannot_be_read_cost_only_themselves(tmp_path: Path) -> None:
    head = "epoch,step,loss\n0,0,1\n0,1,2\n"
    bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
    )
    for name, text in (("broken", "a: [1"), ("bomb", bomb), ("list", "- 1\n"), ("big", "a: " + "x" * 300_000)):
        files = [written(tmp_path, f"{name}/metrics.csv", head), written(tmp_path, f"{name}/hparams.yaml", text)]
        (trace,) = read(READER, *files)
        assert column(trace, "loss") == [1, 2] and trace.manifest.config == {} and said(trace, "hparams.yaml")


def test_a_table_elsewhere_is_left_to_others(tmp_path: Path) -> None:
    assert READER.find([written(tmp_path, "metrics.csv", "epoch,step,loss\n0,0,1\n0,1,2\n")]) == []


def test_a_real_version() -> None:
    (trace,) = read(READER, *folder_files(examples("lightning")))
    assert trace.manifest.name == "foam/version_0" and trace.manifest.config == {"lr": 0.001, "optimizer": "foam"}
    assert len(trace.steps) == 20 and column(trace, "loss")[0] == 2.0 and column(trace, "loss")[-1] == 1.05
    assert column(trace, "held_out_loss")[5] == 1.85 and column(trace, "step")[-1] == 95
    assert [value for value in column(trace, "val_acc") if value is not None] == [0, 12.5, 25, 37.5]
