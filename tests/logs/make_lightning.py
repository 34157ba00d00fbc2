"""A small log of Lightning's CSVLogger."""

from __future__ import annotations

from pathlib import Path


def make_lightning(folder: Path) -> Path:
    place = folder / "digits" / "version_3"
    place.mkdir(parents=True)
    (place / "hparams.yaml").write_text(
        "lr: 0.01\noptimizer: adamw\nbatch_size: 64\nmodel: !!python/object:a.B {x: 1}\n"
    )
    (place / "metrics.csv").write_text(
        "epoch,lr-AdamW,step,train_loss,val_acc,val_loss\n"
        "0,0.01,0,2.5,,\n0,,0,,12.5,2.6\n0,0.01,5,2.25,,\n1,0.01,10,2.0,,\n1,,10,,50.0,2.1\n"
    )
    return folder
