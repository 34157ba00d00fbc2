"""Points on interleaved spiral arms: two inputs, so that the decision boundary can be drawn."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from foam_viz.tasks.layers import perceptron
from foam_viz.tasks.task import Batch, Picture, Task, batch_generator, to_numpy

POINTS = 1000
# Arms end at this radius: inputs of about unit variance suit the default initialisation.
RADIUS = 2.0
_GRID_POINTS, _GRID_EDGE = 61, 1.25 * RADIUS


class Spirals(Task):
    """Tells which arm a point lies on; the loss is the cross-entropy in nats.

    The points of training and the held-out points are separate draws, 1000 each, from the same distribution, equal
    for all seeds. A drift burst exchanges the two coordinates, which turns the winding of the arms round.

    Args:
        seed: Seeds weights, batches and permutation.
        device: Where tensors live.
        batch_size: Points of a step, drawn with replacement.
        width: Size of the hidden layers.
        depth: Number of hidden layers.
        arms: Number of classes.
        turns: How often an arm winds round the centre.
        noise: Standard deviation of a point's distance from its arm; the arms end at radius 2.
        shift_at: First step with exchanged coordinates; 0 for never.
    """

    def __init__(
        self,
        *,
        seed: int,
        device: str = "cpu",
        batch_size: int = 128,
        width: int = 64,
        depth: int = 2,
        arms: int = 2,
        turns: float = 1.0,
        noise: float = 0.05,
        shift_at: int = 0,
    ) -> None:
        super().__init__(seed=seed, device=device, shift_at=shift_at)
        self.batch_size, self.width, self.depth, self.arms = batch_size, width, depth, arms
        self.points, self.labels = (part.to(self.device) for part in _spirals(arms, turns, noise))

    def architecture(self) -> nn.Module:
        """Return a perceptron from two coordinates to the arms."""
        return perceptron((2, *[self.width] * self.depth, self.arms))

    def coordinates(self) -> int:
        """Return 2."""
        return 2

    def draw(self, step: int) -> Batch:
        """Return points of training and their arms, drawn with replacement."""
        chosen = torch.randint(POINTS, (self.batch_size,), generator=batch_generator(self.seed, step)).to(self.device)
        return self.points[chosen], self.labels[chosen]

    def held_out(self, step: int) -> Batch:
        """Return the points never trained on."""
        return self.points[POINTS:], self.labels[POINTS:]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy in nats."""
        points, labels = batch
        return nn.functional.cross_entropy(model(points), labels)

    def picture(self, model: nn.Module, step: int) -> Picture:
        """The decision boundary, in the coordinates that the model sees at this step.

        Returns:
            ``x`` and ``y``, (61,): the axes of a grid. ``probability``, (arms, 61, 61): of each arm at a point of
            the grid, by row (y) and column (x). ``points``, (1000, 2), and ``labels``, (1000,): the points of
            training. ``held_out_points`` and ``held_out_labels``: the others.
        """
        axis = torch.linspace(-_GRID_EDGE, _GRID_EDGE, _GRID_POINTS, device=self.device, dtype=self.dtype)
        rows, columns = torch.meshgrid(axis, axis, indexing="ij")
        grid = torch.stack((columns, rows), dim=-1).view(-1, 2)
        with torch.no_grad():
            probability = model(grid).softmax(-1).T.reshape(self.arms, _GRID_POINTS, _GRID_POINTS)
        points, labels = self._shifted((self.points, self.labels), step)
        arrays = {
            "x": axis,
            "y": axis,
            "probability": probability,
            "points": points[:POINTS],
            "labels": labels[:POINTS],
            "held_out_points": points[POINTS:],
            "held_out_labels": labels[POINTS:],
        }
        return {name: to_numpy(array) for name, array in arrays.items()}


def _spirals(arms: int, turns: float, noise: float) -> tuple[Tensor, Tensor]:
    """Points (2000, 2) and the arms (2000,) they lie on."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(arms, (2 * POINTS,), generator=generator)
    # The square root spreads points evenly over the disc, so that the outer turns are as dense as the inner ones.
    along = torch.rand(2 * POINTS, generator=generator).sqrt()
    angle = 2 * math.pi * (turns * along + labels / arms)
    points = RADIUS * along[:, None] * torch.stack((angle.cos(), angle.sin()), dim=1)
    return points + noise * torch.randn(2 * POINTS, 2, generator=generator), labels
