"""Every log format that is read, in the order in which the readers are asked: the most certain first.

A file belongs to the first reader that claims it, so formats with a mark of their own come before tables, and tables
before text in which any line may be a log line.
"""

from __future__ import annotations

from foam_viz.logs.core.reader import Reader
from foam_viz.logs.formats import (
    algoperf,
    bundles,
    foam_artifact,
    huggingface,
    key_values,
    lightning,
    llmc,
    metric_files,
    mlflow,
    mlflow_database,
    monitor,
    nanogpt,
    optuna_database,
    sacred,
    table,
    tensorboard,
    trackio,
    wandb,
    wandb_export,
)

READERS: tuple[Reader, ...] = (
    bundles.READER,
    foam_artifact.READER,
    algoperf.READER,
    mlflow.READER,
    mlflow_database.READER,
    optuna_database.READER,
    trackio.READER,
    wandb.READER,
    sacred.READER,
    metric_files.READER,
    huggingface.READER,
    nanogpt.READER,
    llmc.READER,
    wandb_export.READER,
    monitor.READER,
    lightning.READER,
    tensorboard.READER,
    table.READER,
    key_values.READER,
)


def find(name: str) -> Reader:
    """Return the reader of a format.

    Raises:
        KeyError: There is no such format.
    """
    for reader in READERS:
        if reader.name == name:
            return reader
    raise KeyError(f"no format {name!r}: there are {', '.join(reader.name for reader in READERS)}")
