"""Handwritten digits (scikit-learn's copy of the UCI set: 1797 images of 8x8 pixels, 17 grey levels)."""

from __future__ import annotations

from functools import lru_cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from foam_viz.tasks.task import Task, batch_generator

TRAINING_EXAMPLES = 1400


@lru_cache(maxsize=1)
def _digits() -> tuple[Tensor, Tensor]:
    """Pixels in [0, 1], (1797, 64) float32, and labels (1797,), in the split's order: training examples first."""
    bunch = load_digits()
    pixels = torch.from_numpy(bunch.data).to(torch.float32) / 16
    labels = torch.from_numpy(bunch.target).to(torch.int64)
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    return pixels[order].contiguous(), labels[order].contiguous()


class _Digits(Task):
    """Batches are drawn with replacement from the first 1400 examples of the split; the other 397 are held out."""

    def __init__(self, *, seed: int, device: str = "cpu", batch_size: int = 128) -> None:
        super().__init__(seed=seed, device=device)
        self.batch_size = batch_size
        self.pixels, self.labels = (part.to(self.device) for part in _digits())

    def batch(self, step: int) -> tuple[Tensor, ...]:
        chosen = torch.randint(
            TRAINING_EXAMPLES, (self.batch_size,), generator=batch_generator(self.seed, step)
        ).to(self.device)
        return self.pixels[chosen], self.labels[chosen]

    def held_out_loss(self, model: nn.Module) -> Tensor:
        with torch.no_grad():
            return self.loss(model, (self.pixels[TRAINING_EXAMPLES:], self.labels[TRAINING_EXAMPLES:]))


def _layers(sizes: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with torch's default initialisation, tanh between them and none after the last."""
    modules: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        modules += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*modules[:-1])


class DigitsAutoencoder(_Digits):
    """64-128-64-16-64-128-64 with tanh; the loss is the squared error of an image, averaged over the batch."""

    def architecture(self) -> nn.Module:
        return _layers((64, 128, 64, 16, 64, 128, 64))

    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        pixels = batch[0]
        return ((model(pixels) - pixels) ** 2).sum(1).mean()


class DigitsClassifier(_Digits):
    """64-128-64-10 with tanh; the loss is the cross-entropy in nats."""

    def architecture(self) -> nn.Module:
        return _layers((64, 128, 64, 10))

    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        pixels, labels = batch
        return nn.functional.cross_entropy(model(pixels), labels)
