"""What a task is, and how a batch follows from (seed, step) alone."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

# Odd 32-bit constants with well-spread bits: torch's CPU generator keeps the low 32 bits of a seed, so seed and
# step are mixed into those.
_SEED_FACTOR, _STEP_FACTOR = 0x9E3779B1, 0x85EBCA77


def batch_generator(seed: int, step: int) -> torch.Generator:
    """A CPU generator that depends on ``(seed, step)`` alone, so that a batch needs no history."""
    return torch.Generator().manual_seed((seed * _SEED_FACTOR + step * _STEP_FACTOR) & 0xFFFFFFFF)


class Task(ABC):
    """A dataset, a model and a loss; deterministic in ``(seed, step)``.

    Attributes:
        seed: Seeds the initial weights and the batches.
        device: Where tensors live.
    """

    def __init__(self, *, seed: int, device: str) -> None:
        self.seed = seed
        self.device = torch.device(device)

    def model(self) -> nn.Module:
        """A new model with the initial weights of ``seed``: drawn on the CPU, so that every device starts equal."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.architecture().to(self.device)

    @abstractmethod
    def architecture(self) -> nn.Module:
        """The model, on the CPU, initialised from torch's global generator."""

    @abstractmethod
    def batch(self, step: int) -> tuple[Tensor, ...]:
        """The batch of a step, counted from 1."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """The loss of a batch, a scalar tensor."""

    @abstractmethod
    def held_out_loss(self, model: nn.Module) -> Tensor:
        """The same loss on examples never trained on, a scalar tensor without gradient."""
