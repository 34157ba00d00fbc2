"""SPlus: the sign of the momentum in the eigenbasis, so that no eigenvalue can be stale and none needs damping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor

from foam_viz.optim import optimizer_fields
from foam_viz.optim.batch import add
from foam_viz.optim.block_stack import BlockStack, Scratch
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.group import is_preconditioned
from foam_viz.optim.refresh import EveryCheck, Policy
from foam_viz.optim.rotated import RotatedBlockStack, RotatedGroup, RotatedShard
from foam_viz.optim.soap import checked_settings

_UNSCALED = 1e-3  # the share of lr that parameters without two factors step with


class SPlus(FactoredOptimizer):
    """SPlus (Frans, Levine & Abbeel 2025, arXiv 2506.07254).

    For a matrix W (m x n) with the bases Q_1 and Q_2 of its factors, the identity at first:

        M <- beta1 M + (1 - beta1) G,    u = Q_1 sign(Q_1^T M Q_2) Q_2^T,    W <- W - lr 2 / (m + n) u
        L <- beta2 L + (1 - beta2) G G^T,    R <- beta2 R + (1 - beta2) G^T G
        ema <- c ema + (1 - c) W,    then W <- (1 - lr 2 / (m + n) wd) W

    The bases are eigenvectors of L and R, renewed after the step at steps 1 and every f. Each direction of the basis
    moves by one sign, whatever its eigenvalue: only the basis ages, and an update is bounded without damping.

    Parameters of other dimensions, and what ``precondition`` leaves out, step by sign(M); a side of
    ``max_preconditioner_dim`` or more has no basis. Both kinds step with lr / 1000 in place of 2 lr / (m + n).

    The model is evaluated with the mean weights ema / (1 - c^t): see ``evaluation_weights``.

    Args:
        params: Parameters, named parameters or parameter groups; a group may override every keyword below.
        lr: Learning rate.
        betas: Decay of the momentum and of the factors.
        ema: c, decay of the mean of the weights; 0 keeps none.
        weight_decay: Decoupled decay, after the step.
        max_preconditioner_dim: A side as large as this has no basis.
        precondition: ``all``, ``matrices`` or ``none``.
        refresh: ``EveryCheck`` or ``DiagonalizationResidual``.

    Raises:
        FieldError: A keyword is outside its range.
    """

    _moves_before_check: ClassVar[bool] = True
    _states: list[SPlusGroup]

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        ema: float = 0.999,
        weight_decay: float = 0.01,
        max_preconditioner_dim: int = 10000,
        precondition: str = "all",
        refresh: Policy = EveryCheck(period=100, start=1),  # noqa: B008 (frozen)
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "ema": ema, "weight_decay": weight_decay,
            "max_preconditioner_dim": max_preconditioner_dim, "precondition": precondition, "refresh": refresh,
        }  # fmt: skip
        super().__init__(params, defaults)

    @staticmethod
    def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
        return checked_settings(settings, optimizer_fields.SPLUS_FIELDS, or_none=False)

    @staticmethod
    def _new_state(group: Mapping[str, Any], first_parameter: int, first_position: int) -> SPlusGroup:
        return SPlusGroup(group, first_parameter, first_position)

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """Put the mean weights in place of the parameters within the block; parameters that never moved stay."""
        kept: list[tuple[Tensor, Tensor]] = []
        with torch.no_grad():
            for group, state in zip(self.param_groups, self._states, strict=True):
                kept += state.exchange(group)
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, value in kept:
                    parameter.copy_(value)


class SPlusShard(RotatedShard):
    """A shard with the running mean of its weights: ``means``, views of the blocks' shapes."""

    def __init__(self, block_stack: SPlusBlockStack, start: int, stop: int, preconditioned: bool) -> None:
        super().__init__(block_stack, start, stop, preconditioned)
        self.means = list(block_stack.mean[start:stop].unbind(0))


class SPlusBlockStack(RotatedBlockStack[SPlusShard]):
    """A block stack that keeps the running mean of its weights.

    Attributes:
        mean: ema, (N, *shape), from zero and without bias correction.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.mean = torch.zeros_like(self.momentum)

    def _shard(self, start: int, stop: int, preconditioned: bool) -> SPlusShard:
        return SPlusShard(self, start, stop, preconditioned)

    def state(self) -> dict[str, Any]:
        """As ``BlockStack.state``, with the mean."""
        return {**super().state(), "mean": self.mean}

    def load(self, state: dict[str, Any]) -> None:
        """As ``BlockStack.load``."""
        super().load(state)
        self.mean.copy_(state["mean"])


class SPlusGroup(RotatedGroup[SPlusShard]):
    """The state of a parameter group of ``SPlus``."""

    _block_stack_type: ClassVar[type[BlockStack[Any]]] = SPlusBlockStack
    block_stacks: list[SPlusBlockStack]

    def _layout(self, parameter: Tensor, group: Mapping[str, Any]) -> tuple[tuple[int, ...], list[Any], bool]:
        shape = tuple(parameter.shape)
        if len(shape) == 2 and parameter.numel() and is_preconditioned(parameter, group["precondition"]):
            return shape, [tuple(slice(0, size) for size in shape)], min(shape) < group["max_preconditioner_dim"]
        return shape, [()] if parameter.numel() else [], False

    def _has_factor(self, size: int, group: Mapping[str, Any]) -> bool:
        return size < group["max_preconditioner_dim"]

    def _has_second_moment(self, preconditioned: bool, group: Mapping[str, Any]) -> bool:
        return False

    def update(self, group: Mapping[str, Any]) -> None:
        """The part of a step in the basis: momentum, sign, new parameters, their mean, weight decay."""
        beta1, ema = group["betas"][0], group["ema"]
        for batch in self._batches():
            gradients = batch.by_shard([block.gradient(batch.momenta[0].dtype) for block in batch.blocks])
            scratch = Scratch(batch.shards)
            with batch.updating(1.0) as parts:
                for (shard, parameters), (_, mine) in zip(parts, gradients, strict=True):
                    shard.momentum.lerp_(shard.rotate(mine, scratch), 1 - beta1)
                    change = shard.rotate_back(shard.momentum.sign(), scratch)
                    # Both sides have a factor, or the step is not scaled by them.
                    scaled = len(shard.statistics) == 2
                    rate = group["lr"] * (2 / sum(shard.momentum.shape[1:]) if scaled else _UNSCALED)
                    add(parameters, change, -rate)
                    for mean, parameter in zip(shard.means, parameters, strict=True):
                        mean.lerp_(parameter.to(mean.dtype), 1 - ema)
                    torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])

    def exchange(self, group: Mapping[str, Any]) -> list[tuple[Tensor, Tensor]]:
        """Put ema / (1 - c^t) in place of the parameters that moved; returns them with their values before."""
        kept = []
        if group["ema"]:
            for block_stack in self.block_stacks:
                for mean, block in zip(block_stack.mean, block_stack.blocks, strict=True):
                    if block.steps:
                        kept.append((block.parameter, block.parameter.clone()))
                        block.parameter.copy_(mean / (1 - group["ema"] ** block.steps))
        return kept
