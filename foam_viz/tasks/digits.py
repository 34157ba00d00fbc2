"""Handwritten digits (scikit-learn's copy of the UCI set: 1797 images of 8x8 pixels, 17 grey levels)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from foam_viz.tasks.layers import perceptron
from foam_viz.tasks.task import Batch, Picture, Task, batch_generator, to_numpy

TRAINING_EXAMPLES = 1400
SIDE, CLASSES = 8, 10
BOTTLENECK = 16
_PICTURED = 10


@lru_cache(maxsize=1)
def _digits() -> tuple[Tensor, Tensor]:
    """Pixels in [0, 1], (1797, 64) float32, and labels (1797,), in the split's order: training examples first."""
    bunch: Any = load_digits()
    pixels = torch.from_numpy(bunch.data).to(torch.float32) / 16
    labels = torch.from_numpy(bunch.target).to(torch.int64)
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    return pixels[order].contiguous(), labels[order].contiguous()


class Digits(Task):
    """Batches are drawn with replacement from the first 1400 examples of the split; the other 397 are held out.

    Args:
        seed: Seeds weights, batches and permutation.
        device: Where tensors live.
        batch_size: Examples of a step.
        width: Size of the hidden layers; the subclass says of which.
        depth: Number of hidden layers; the subclass says of which.
        shift_at: First step with permuted pixels; 0 for never.
    """

    def __init__(
        self,
        *,
        seed: int,
        device: str = "cpu",
        batch_size: int = 128,
        width: int = 128,
        depth: int = 2,
        shift_at: int = 0,
    ) -> None:
        super().__init__(seed=seed, device=device, shift_at=shift_at)
        self.batch_size, self.width, self.depth = batch_size, width, depth
        self.pixels, self.labels = (part.to(self.device) for part in _digits())

    def coordinates(self) -> int:
        """Return the number of pixels, 64."""
        return SIDE * SIDE

    def draw(self, step: int) -> Batch:
        """Return training pictures and labels, drawn with replacement."""
        generator = batch_generator(self.seed, step)
        chosen = torch.randint(TRAINING_EXAMPLES, (self.batch_size,), generator=generator).to(self.device)
        return self.pixels[chosen], self.labels[chosen]

    def held_out(self, step: int) -> Batch:
        """Return the pictures never trained on."""
        return self.pixels[TRAINING_EXAMPLES:], self.labels[TRAINING_EXAMPLES:]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy in nats."""
        pixels, labels = batch
        return nn.functional.cross_entropy(model(pixels), labels)

    def halving(self) -> tuple[int, ...]:
        """``depth`` hidden sizes, the first ``width``, each half of the one before."""
        return tuple(max(1, self.width >> layer) for layer in range(self.depth))


class DigitsAutoencoder(Digits):
    """64-128-64-16-64-128-64 with tanh; the loss is the squared error of an image, averaged over the batch.

    ``width`` and ``depth`` are those of the encoder, which halves its layers; the decoder mirrors it.
    """

    def architecture(self) -> nn.Module:
        """Return a perceptron that narrows to the bottleneck and widens again."""
        hidden = self.halving()
        return perceptron((SIDE * SIDE, *hidden, BOTTLENECK, *reversed(hidden), SIDE * SIDE))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Squared error summed over pixels, averaged over images."""
        pixels = batch[0]
        return ((model(pixels) - pixels) ** 2).sum(1).mean()

    def picture(self, model: nn.Module, step: int) -> Picture:
        """Held-out digits and what becomes of them, as the model sees them (so permuted after a drift burst).

        Returns:
            ``input`` and ``reconstruction``, both (10, 8, 8): images, rows, columns; grey levels, 0 to 1 in the input.
        """
        pixels = self.held_out_batch(step)[0][:_PICTURED]
        with torch.no_grad():
            images = {"input": pixels, "reconstruction": model(pixels)}
        return {name: to_numpy(image.view(-1, SIDE, SIDE)) for name, image in images.items()}


class DigitsClassifier(Digits):
    """64-128-64-10 with tanh; ``width`` is that of the first layer, the others halve."""

    def architecture(self) -> nn.Module:
        """Return a perceptron from pixels to classes."""
        return perceptron((SIDE * SIDE, *self.halving(), CLASSES))
