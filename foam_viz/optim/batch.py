"""Blocks that take a step together: what is elementwise is one call for all of them, Adam grafting included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic

import torch
from torch import Tensor

from foam_viz.optim.block_stack import SMALL, Scratch, Shard, ShardT, contract
from foam_viz.optim.gram import on_host
from foam_viz.optim.moments import advance_to_units


class Batch(Generic[ShardT]):
    """Shards of one step count, kind, dtype and device: what is elementwise is one call for all of them.

    Attributes:
        shards: The shards; either all have a second moment or none.
        blocks: Their blocks, in order.
        momenta: m as views, one a block, in order.
        second_moments: v as views, one a block, in order; empty where there is none.
        whole: Whether no parameter is cut into blocks.
        is_small: Whether all its moments fit into the caches, so that calls cost more than what they compute.
        lengths: || m / (sqrt(v) + eps) ||_F of each block, (N,); ``None`` where this step did not measure them yet.
    """

    def __init__(self, shards: list[ShardT]) -> None:
        self.shards = shards
        self.blocks = [block for shard in shards for block in shard.blocks]
        self.momenta = [view for shard in shards for view in shard.momentum.unbind(0)]
        stacks = [shard.second_moment for shard in shards if shard.second_moment is not None]
        self.second_moments = [view for stack in stacks for view in stack.unbind(0)]
        self.whole = all(block.slices is None for block in self.blocks)
        size = sum(shard.momentum.numel() for shard in shards)
        self.is_small = size <= SMALL
        self.lengths: Tensor | None = None
        # Of a small model kept from step to step, with its views: making them costs as much as what is computed.
        self._units = shards[0].momentum.new_empty(size if self.is_small else 0)
        self._unit_views = (
            [
                part.view(view.shape)
                for part, view in zip(
                    self._units.split([view.numel() for view in self.momenta]), self.momenta, strict=True
                )
            ]
            if self.is_small
            else []
        )

    @property
    def steps(self) -> int:
        """t of every block."""
        return self.blocks[0].steps

    def by_shard(self, tensors: list[Tensor]) -> Iterator[tuple[ShardT, list[Tensor]]]:
        """Each shard with what belongs to its blocks, gradients or parameters, out of that of all blocks in order."""
        first = 0
        for shard in self.shards:
            yield shard, tensors[first : first + len(shard.blocks)]
            first += len(shard.blocks)

    def advance_to_lengths(self, gradients: list[Tensor], beta1: float, beta2: float, epsilon: float) -> Tensor:
        """Advances both moments by the gradients of all blocks and measures ``lengths``, in one pass.

        Args:
            gradients: Of all blocks in order.
            beta1: Decay of m.
            beta2: Decay of v, below 1.
            epsilon: Added to the square root of v.
        """
        if self.is_small:
            self._units.zero_()
            advance_to_units(self._unit_views, self.momenta, self.second_moments, gradients, beta1, beta2, epsilon)
            return torch.stack(torch._foreach_norm(self._unit_views))
        lengths, scratch, first = [], Scratch(self.shards), 0
        for shard in self.shards:
            stop = first + len(shard.blocks)
            units = scratch.zeros(shard.momentum.shape)
            moments = self.momenta[first:stop], self.second_moments[first:stop]
            advance_to_units(list(units.unbind(0)), *moments, gradients[first:stop], beta1, beta2, epsilon)
            lengths.append(lengths_of(units))
            first = stop
        return torch.cat(lengths)

    def lengths_by_shard(self) -> list[Tensor | None]:
        """``lengths`` of each shard; ``None`` where they are not known."""
        if self.lengths is None:
            return [None] * len(self.shards)
        return list(self.lengths.split([len(shard.blocks) for shard in self.shards]))

    @contextmanager
    def updating(self, decay: float) -> Iterator[Iterator[tuple[ShardT, list[Tensor]]]]:
        """W <- decay W, then each shard with its blocks of W, to which changes are added in place.

        A parameter that is cut is seen as a matrix, which is a copy for one in another memory format: written back at
        the end. All blocks of a parameter are in one batch.
        """
        owners = {block.parameter_index: block for block in self.blocks}
        parameters = [owner.parameter for owner in owners.values()]
        if decay != 1:
            torch._foreach_mul_(parameters, decay)
        if self.whole:
            yield self.by_shard(parameters)
            return
        matrices = {index: owner.parameter.contiguous().view(owner.matrix_shape) for index, owner in owners.items()}
        views = [
            matrices[b.parameter_index] if b.slices is None else matrices[b.parameter_index][b.slices]
            for b in self.blocks
        ]
        yield self.by_shard(views)
        for index, owner in owners.items():
            if matrices[index].data_ptr() != owner.parameter.data_ptr():
                owner.parameter.copy_(matrices[index].view(owner.parameter.shape))


def graft_together(
    parts: list[tuple[Shard, list[Tensor]]],
    lengths: Tensor | None,
    epsilon: float,
    correction: float,
    scale: float,
) -> None:
    """Adam grafting of all shards at once: for small models calls cost more than what they compute.

    The same numbers as shard by shard, up to the rounding of norms.

    Args:
        parts: Shards, each with its blocks of parameters.
        lengths: Of m / (sqrt(v) + eps) of all blocks, where they are known.
        epsilon: Added to the square root of v.
        correction: 1 - beta1^t, of the momentum.
        scale: What the direction is multiplied by.
    """
    changes, grafted, norms = [], [], []
    known = None if lengths is None else lengths.unbind(0)
    for shard, _ in parts:
        if shard.preconditioned:
            direction = list(contract(shard.momentum, shard.matrices).unbind(0))
            grafted += direction
            # Rows are picked one by one: an index would be sent to a device, which waits for it.
            norms += (
                torch._foreach_norm(list(shard.unit(epsilon, None).unbind(0)))
                if known is None
                else known[len(changes) : len(changes) + len(direction)]
            )
            changes += direction
        else:
            changes += shard.unit(epsilon, None).unbind(0)
    if grafted:
        # The guard 1e-16 belongs to the norm of the direction with its bias correction, here without.
        ratios = torch.stack(norms) / torch.stack(torch._foreach_norm(grafted)).add_(1e-16 * correction)
        torch._foreach_mul_(grafted, list(ratios.unbind(0)))
    parameters = [parameter for _, mine in parts for parameter in mine]
    shaped = [change.view(parameter.shape) for change, parameter in zip(changes, parameters, strict=True)]
    torch._foreach_add_(parameters, shaped, alpha=scale)


def lengths_of(stack: Tensor) -> Tensor:
    """The Frobenius norm of each block of a stack, (N,)."""
    return torch.linalg.vector_norm(stack.flatten(1), dim=1)


def add(parameters: list[Tensor], change: Tensor, scale: float, ratios: Tensor | None = None) -> None:
    """W <- W + scale ratio change for the blocks W of a shard, seen in any shape.

    Args:
        parameters: W of N blocks.
        change: (N, *shape); lost where ratios are given.
        scale: One number for all.
        ratios: One number a block, (N,), or ``None`` for 1.
    """
    shaped = [row.view(parameter.shape) for row, parameter in zip(change.unbind(0), parameters, strict=True)]
    if ratios is None:
        torch._foreach_add_(parameters, shaped, alpha=scale)
    elif on_host(change):
        for parameter, row, ratio in zip(parameters, shaped, ratios.unbind(0), strict=True):
            parameter.addcmul_(row, ratio, value=scale)
    else:
        torch._foreach_mul_(shaped, list(ratios.unbind(0)))
        torch._foreach_add_(parameters, shaped, alpha=scale)
