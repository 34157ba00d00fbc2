"""A user's table of numbers: one column predicted from the others."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from torch import Tensor, nn

from foam_viz.optim.fields import FieldError
from foam_viz.tasks.layers import perceptron
from foam_viz.tasks.table import read_table
from foam_viz.tasks.task import Batch, Task, batch_generator

TRAINED_SHARE = 0.8


class CsvRegression(Task):
    """Predicts the target column by tanh layers; the loss is the squared error in units of the target's variance.

    Columns are brought to mean 0 and variance 1 by what the training rows say; a column that is constant there counts
    as 0. Four fifths of the rows, by a fixed shuffle, are for training, the others are held out; rows that are equal
    in all input columns stay on one side. A drift burst permutes the input columns.

    Args:
        seed: Seeds weights, batches and permutation.
        device: Where tensors live.
        batch_size: Rows of a step, drawn with replacement.
        width: Size of the hidden layers.
        depth: Number of hidden layers.
        shift_at: First step with permuted columns; 0 for never.
        table: Path of the table; None for the diabetes study that scikit-learn carries (442 rows, 10 inputs).
        target: Name of the column to predict; None for the last.
        columns: Names of the input columns, separated by commas (in quotes where a name has one); None for all others.

    Raises:
        FieldError: The table or the target cannot be used; the message says where and what would help.
    """

    def __init__(
        self,
        *,
        seed: int,
        device: str = "cpu",
        batch_size: int = 64,
        width: int = 64,
        depth: int = 2,
        shift_at: int = 0,
        table: str | None = None,
        target: str | None = None,
        columns: str | None = None,
    ) -> None:
        super().__init__(seed=seed, device=device, shift_at=shift_at)
        self.batch_size, self.width, self.depth = batch_size, width, depth
        names, values = _diabetes() if table is None else read_table("table", table)
        target = names[-1] if target is None else target
        if target not in names:
            raise FieldError("target", target, f"the name of a column: {', '.join(names[:20])}")
        if columns is not None:
            names, values = _chosen(names, values, columns, target)
        position = names.index(target)
        self.names = tuple(name for name in names if name != target)
        if shift_at and len(self.names) < 2:
            raise FieldError("shift_at", shift_at, "0 for a table with one input column: there is nothing to permute")
        order, self.training_rows = _split(np.delete(values, position, axis=1))
        values = values[order]
        trained = values[: self.training_rows]
        if np.ptp(trained[:, position]) == 0:
            words = f"a column that varies; {target!r} is {trained[0, position]:g} in every row for training"
            raise FieldError("target", target, words)
        # By the largest value first, so that the square of a very large or small column neither overflows nor vanishes.
        largest = np.abs(trained).max(axis=0)
        scaled = values / np.where(largest > 0, largest, 1)
        centred = scaled - scaled[: self.training_rows].mean(axis=0)
        spread = centred[: self.training_rows].std(axis=0)
        varies = np.ptp(trained, axis=0) > 0
        standard = np.where(varies, centred / np.where(varies, spread, 1), 0)
        numbers = torch.from_numpy(standard).to(torch.float32)
        self.outputs = numbers[:, position].to(self.device)
        self.inputs = torch.cat((numbers[:, :position], numbers[:, position + 1 :]), dim=1).to(self.device)

    def architecture(self) -> nn.Module:
        """Return a perceptron from the columns to the target."""
        return perceptron((len(self.names), *[self.width] * self.depth, 1))

    def coordinates(self) -> int:
        """Return the number of input columns."""
        return len(self.names)

    def draw(self, step: int) -> Batch:
        """Return rows of the training part, drawn with replacement."""
        generator = batch_generator(self.seed, step)
        chosen = torch.randint(self.training_rows, (self.batch_size,), generator=generator).to(self.device)
        return self.inputs[chosen], self.outputs[chosen]

    def held_out(self, step: int) -> Batch:
        """Return the rows never trained on."""
        return self.inputs[self.training_rows :], self.outputs[self.training_rows :]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Squared error, averaged over rows; 1 is what the mean of the training rows reaches."""
        inputs, outputs = batch
        return ((model(inputs).squeeze(1) - outputs) ** 2).mean()


def _chosen(
    names: tuple[str, ...], values: np.ndarray, columns: str, target: str
) -> tuple[tuple[str, ...], np.ndarray]:
    """The columns that are named, and the target last.

    Raises:
        FieldError: A name is no other column of the table.
    """
    wanted = list(dict.fromkeys(name.strip() for name in next(csv.reader([columns]), [])))
    others = [name for name in names if name != target]
    for name in wanted:
        if name not in others:
            allowed = f"names of columns other than the target, separated by commas; {name!r} is none"
            raise FieldError("columns", columns, f"{allowed}: choose from {', '.join(others[:20])}")
    kept = (*wanted, target)
    return kept, values[:, [names.index(name) for name in kept]]


def _split(inputs: np.ndarray) -> tuple[np.ndarray, int]:
    """An order of the rows, those for training first, and how many those are; equal rows stay on one side.

    Raises:
        FieldError: All rows are equal.
    """
    _, group = np.unique(inputs, axis=0, return_inverse=True)
    group = group.reshape(-1)
    groups = int(group.max()) + 1
    if groups < 2:
        raise FieldError("table", "(all rows)", "a table whose input columns vary; all rows have the same inputs")
    shuffled = torch.randperm(groups, generator=torch.Generator().manual_seed(0)).numpy()
    trained = shuffled[group] < min(groups - 1, max(1, int(TRAINED_SHARE * groups)))
    order = np.argsort(~trained, kind="stable")
    return order, int(trained.sum())


def _diabetes() -> tuple[tuple[str, ...], np.ndarray]:
    bunch: Any = load_diabetes(scaled=False)
    return (*bunch.feature_names, "progression"), np.column_stack((bunch.data, bunch.target))
