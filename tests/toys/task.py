"""A toy task: a linear map is learned from noisy outputs. A real one stands in ``foam_viz/tasks``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from foam_viz.tasks.outline import Outline, Parameter
from foam_viz.tasks.shared_fields import BATCH_SIZE, SHIFT_AT, WIDTH
from foam_viz.tasks.spec import TaskSpec
from foam_viz.tasks.task import Batch, Task, batch_generator

HELD_OUT = 64


class LinearMap(Task):
    """Learns ``y = A x``; the loss is the mean squared error.

    Args:
        seed: Seeds weights, batches and permutation.
        device: Where tensors live.
        batch_size: Inputs of a step.
        width: Inputs and outputs of the map.
        shift_at: First step with permuted inputs; 0 for never.
    """

    def __init__(
        self, *, seed: int, device: str = "cpu", batch_size: int = 16, width: int = 8, shift_at: int = 0
    ) -> None:
        super().__init__(seed=seed, device=device, shift_at=shift_at)
        self.batch_size, self.width = batch_size, width
        self.map = torch.randn(width, width, generator=torch.Generator().manual_seed(0)).to(self.device)

    def architecture(self) -> nn.Module:
        return nn.Linear(self.width, self.width, bias=False)

    def coordinates(self) -> int:
        return self.width

    def draw(self, step: int) -> Batch:
        return self._pairs(self.batch_size, step)

    def held_out(self, step: int) -> Batch:
        return self._pairs(HELD_OUT, 0)

    def _pairs(self, count: int, step: int) -> Batch:
        inputs = torch.randn(count, self.width, generator=batch_generator(self.seed, step)).to(self.device)
        return inputs, inputs @ self.map.T

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        inputs, outputs = batch
        return nn.functional.mse_loss(model(inputs), outputs)


def outline(settings: Mapping[str, Any]) -> Outline:
    """What the settings ask of a machine."""
    width, batch = settings["width"], settings["batch_size"]
    return Outline((Parameter((width, width)),), float(batch * width * width), 2.0 * batch * width)


ENTRY = TaskSpec(
    name="linear-map",
    label="Linear map",
    summary="Learns a matrix from its products with random vectors.",
    factory="tests.toys.task:LinearMap",
    fields=(BATCH_SIZE, WIDTH, SHIFT_AT),
    loss_unit="squared output",
    outline=outline,
)
