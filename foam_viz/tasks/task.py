"""What a task is, how a batch follows from (seed, step) alone, and the drift burst that every task can have."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

# Odd 32-bit constants with well-spread bits: torch's CPU generator keeps the low 32 bits of a seed, so seed and
# step are mixed into those.
_SEED_FACTOR, _STEP_FACTOR = 0x9E3779B1, 0x85EBCA77

# Steps count from 1, so the numbers below name streams of their own.
_PERMUTATION_STREAM, DATA_STREAM = -1, -2

Batch = tuple[Tensor, ...]
Picture = dict[str, np.ndarray]


def batch_generator(seed: int, step: int) -> torch.Generator:
    """A CPU generator that depends on ``(seed, step)`` alone, so that a batch needs no history."""
    return torch.Generator().manual_seed((seed * _SEED_FACTOR + step * _STEP_FACTOR) & 0xFFFFFFFF)


def coordinate_permutation(seed: int, count: int) -> Tensor:
    """A permutation of ``count`` coordinates that depends on the seed alone and is never the identity.

    Raises:
        ValueError: There is one coordinate, which nothing can permute.
    """
    if count < 2:
        raise ValueError(f"shift_at needs at least 2 input coordinates to permute, this task has {count}: set it to 0")
    order = torch.randperm(count, generator=batch_generator(seed, _PERMUTATION_STREAM))
    return order.roll(1) if torch.equal(order, torch.arange(count)) else order


class Task(ABC):
    """A dataset, a model and a loss; deterministic in ``(seed, step)``.

    A drift burst is the same for every task: from step ``shift_at`` on, the coordinates of the input - pixels,
    patches, characters, columns - are permuted, in training and in held-out data alike.

    Attributes:
        seed: Seeds the initial weights, the batches and the permutation.
        device: Where tensors live.
        dtype: Of weights and of numbers in batches. Both are drawn in float32, so that every precision starts equal.
        shift_at: First step with permuted coordinates; 0 for never.
        loss_floor: The expected loss of the best predictor there is, in the unit of the loss, where it is known
            exactly; None where it is not.
    """

    loss_floor: float | None = None
    dtype: torch.dtype = torch.float32

    def __init__(self, *, seed: int, device: str, shift_at: int = 0) -> None:
        self.seed = seed
        self.device = torch.device(device)
        self.shift_at = shift_at
        self._permutation: Tensor | None = None
        self._last_step = 0

    def model(self) -> nn.Module:
        """A new model with the initial weights of ``seed``: drawn on the CPU, so that every device starts equal."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.architecture().to(self.device, self.dtype)

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 1."""
        self._last_step = step
        return self._shifted(self.draw(step), step)

    def held_out_batch(self, step: int) -> Batch:
        """The examples never trained on, as they look at a step."""
        return self._shifted(self.held_out(step), step)

    def held_out_loss(self, model: nn.Module, step: int | None = None) -> Tensor:
        """The loss on examples never trained on, a scalar tensor without gradient.

        Args:
            model: The model.
            step: Decides whether coordinates are permuted; None stands for the step whose batch was drawn last.
        """
        with torch.no_grad():
            return self.loss(model, self.held_out_batch(self._last_step if step is None else step))

    def is_shifted(self, step: int) -> bool:
        """Whether coordinates are permuted at a step."""
        return 0 < self.shift_at <= step

    def permutation(self) -> Tensor:
        """The permutation of the drift burst: coordinate i then shows what coordinate ``permutation[i]`` showed."""
        if self._permutation is None:
            self._permutation = coordinate_permutation(self.seed, self.coordinates()).to(self.device)
        return self._permutation

    def _shifted(self, batch: Batch, step: int) -> Batch:
        shown = self.permute(batch, self.permutation()) if self.is_shifted(step) else batch
        return tuple(part.to(self.dtype) if part.is_floating_point() else part for part in shown)

    def permute(self, batch: Batch, permutation: Tensor) -> Batch:
        """The batch with permuted coordinates: by default, those of the last dimension of its first tensor."""
        return batch[0].index_select(-1, permutation), *batch[1:]

    def heads(self, model: nn.Module) -> tuple[nn.Module, ...]:
        """The modules that give the output: what practice leaves to AdamW when hidden matrices get a preconditioner."""
        return ()

    def picture(self, model: nn.Module, step: int) -> Picture | None:
        """What the model does at a step, as plain arrays on the host; None where no picture helps.

        The catalogue names the kind of a task's picture, and the method that overrides this one documents its arrays.
        """
        return None

    @abstractmethod
    def architecture(self) -> nn.Module:
        """The model, on the CPU, initialised from torch's global generator."""

    @abstractmethod
    def coordinates(self) -> int:
        """How many coordinates a drift burst permutes."""

    @abstractmethod
    def draw(self, step: int) -> Batch:
        """The batch of a step before any permutation."""

    @abstractmethod
    def held_out(self, step: int) -> Batch:
        """The examples never trained on, before any permutation."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar tensor."""


def to_numpy(tensor: Tensor) -> np.ndarray:
    """A picture's array: detached, on the host, float32 or an integer type."""
    array = tensor.detach().cpu().numpy()
    return array.astype(np.float32) if array.dtype.kind == "f" else array
