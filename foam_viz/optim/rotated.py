"""Adam in the eigenbasis of the factors: moments that live in the basis and follow it when it turns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, cast

import torch
from torch import Tensor

from foam_viz.optim import linalg
from foam_viz.optim.basis_factor_stack import BasisFactorStack, Turn
from foam_viz.optim.batch import add
from foam_viz.optim.block_stack import BlockStack, Scratch, Shard, contract
from foam_viz.optim.factor_stack import FactorStack
from foam_viz.optim.gram import accumulate
from foam_viz.optim.group import GroupState
from foam_viz.optim.moments import advance, advance_to_units, can_fuse


class RotatedShard(Shard):
    """A shard whose moments are those of the rotated gradient; without any basis yet, of the gradient."""

    def _views(self) -> list[Tensor | None]:
        if not self.preconditioned:
            return [None] * len(self._factors)
        return [None if factors is None else factors[0].bases(factors[1]) for factors in self._factors]

    def rotate(self, gradients: list[Tensor], scratch: Scratch) -> Tensor:
        """Q_1^T ... G contracted along every dimension, (N, *shape), in the scratch, new, or the gradient itself."""
        if len(gradients) == 1:
            stack = gradients[0].unsqueeze(0)
        else:
            stack = torch.stack(gradients, out=scratch.next(self.momentum.shape))
        return contract(stack, self.matrices, scratch)

    def advance(self, rotated: Tensor, beta1: float, beta2: float, epsilon: float, scratch: Scratch) -> Tensor:
        """Advances both moments by the rotated gradient; returns m / (sqrt(v) + eps), in the scratch or new."""
        second_moments = [] if self.second_moment is None else [self.second_moment]
        if can_fuse(self.second_moment, beta2):
            unit = scratch.zeros(rotated.shape)
            advance_to_units([unit], [self.momentum], second_moments, [rotated], beta1, beta2, epsilon)
            return unit
        advance([self.momentum], second_moments, [rotated], beta1, beta2)
        return self.unit(epsilon, scratch)

    def rotate_back(self, stack: Tensor, scratch: Scratch) -> Tensor:
        """The inverse of ``rotate`` on (N, *shape), in the scratch or new; the stack itself where there is no basis."""
        return contract(stack, [None if basis is None else basis.mT for basis in self.matrices], scratch)


RotatedShardT = TypeVar("RotatedShardT", bound=RotatedShard)


class RotatedBlockStack(BlockStack[RotatedShardT]):
    """A block stack whose momentum and second moment are kept in the bases of its factors.

    m is linear in the gradients, so it is rotated when a basis turns and never in between: the same numbers, up to
    rounding, as m kept in the coordinates of the parameter and rotated there and back at every step.
    """

    def _shard(self, start: int, stop: int, preconditioned: bool) -> RotatedShardT:
        return cast(RotatedShardT, RotatedShard(self, start, stop, preconditioned))  # others override it

    def follow(self, factor_stack: BasisFactorStack, turn: Turn) -> None:
        """Rotates m into the new bases and permutes v to their order; v is not rotated.

        Args:
            factor_stack: The factor stack whose bases turned.
            turn: Which, and what they were.
        """
        for dim, factors in enumerate(self.factors):
            if factors is None or factors[0] is not factor_stack:
                continue
            mine = [
                (i, row - factors[1]) for i, row in enumerate(turn.rows) if 0 <= row - factors[1] < len(self.blocks)
            ]
            if not mine:
                continue
            source, target = factor_stack.at([i for i, _ in mine]), factor_stack.at([row for _, row in mine])
            new = factor_stack.basis[factor_stack.at([turn.rows[i] for i, _ in mine])]
            momentum = self.momentum[target].movedim(dim + 1, 1)
            turned = new.mT @ (turn.old[source] @ momentum.reshape(*momentum.shape[:2], -1))
            self.momentum[target] = turned.view(momentum.shape).movedim(1, dim + 1)
            if turn.order is not None and self.second_moment is not None:
                rows = self.second_moment[target].movedim(dim + 1, 1)
                moved = linalg.reorder(rows.reshape(*rows.shape[:2], -1), turn.order[source])
                self.second_moment[target] = moved.view(rows.shape).movedim(1, dim + 1)


class RotatedGroup(GroupState[RotatedShardT]):
    """A parameter group of an optimizer that is Adam in the eigenbasis.

    What the algorithms do differently is told by class attributes: how many gradients of a block move nothing, whether
    the correction of v's bias covers Adam's eps too (m_hat / (sqrt(v_hat) + eps)) or not, and whether weight decay
    comes before the step or after it.
    """

    _factor_stack_type: ClassVar[type[BasisFactorStack]] = BasisFactorStack
    _block_stack_type: ClassVar[type[BlockStack[Any]]] = RotatedBlockStack
    block_stacks: list[RotatedBlockStack[RotatedShardT]]
    _idle_gradients: ClassVar[int] = 0
    _corrects_eps: ClassVar[bool] = True
    _decays_last: ClassVar[bool] = False

    def _new_factor_stack(self, size: int, root: int, group: Mapping[str, Any]) -> FactorStack:
        return self._factor_stack_type(size, root)

    def _root(self, shape: tuple[int, ...], group: Mapping[str, Any]) -> int:
        return 2

    def _first_epsilon(self, group: Mapping[str, Any]) -> float:
        return math.nan

    def _has_second_moment(self, preconditioned: bool, group: Mapping[str, Any]) -> bool:
        return True

    def _factor_beta(self, group: Mapping[str, Any]) -> float:
        return group["betas"][1]

    def after_check(self, factor_stack: FactorStack, first: bool) -> None:
        """Lets the moments follow the bases that turned."""
        assert isinstance(factor_stack, BasisFactorStack)  # the only kind that this group makes
        for turn in factor_stack.drain_turns():
            for block_stack in self.block_stacks:
                block_stack.follow(factor_stack, turn)
        super().after_check(factor_stack, first)

    def accumulate(self, group: Mapping[str, Any]) -> None:
        """The part of a step that needs no basis: factor statistics."""
        beta = self._factor_beta(group)
        for factor_stack in self.factor_stacks:
            factor_stack.beta = beta
        for batch in self._batches():
            dtype = batch.momenta[0].dtype
            if any(shard.statistics for shard in batch.shards):
                gradients = [block.gradient(dtype) for block in batch.blocks]
                for shard, mine in batch.by_shard(gradients):
                    for dim, statistics, rows in shard.statistics:
                        accumulate(statistics, rows, mine, dim, beta)
            for block in batch.blocks:
                block.steps += 1

    def update(self, group: Mapping[str, Any]) -> None:
        """The part of a step in the basis: moments, direction, weight decay, new parameters."""
        beta1, beta2 = group["betas"]
        decay = 1 - group["lr"] * group["weight_decay"]
        for batch in self._batches():
            steps = batch.steps - self._idle_gradients
            if steps < 1:
                continue
            gradients = batch.by_shard([block.gradient(batch.momenta[0].dtype) for block in batch.blocks])
            correction = math.sqrt(1 - beta2**steps) if beta2 < 1 else 1.0
            scale = -group["lr"] * correction / (1 - beta1**steps)
            scratch = Scratch(batch.shards)
            with batch.updating(decay) as parts:
                for (shard, parameters), (_, mine) in zip(parts, gradients, strict=True):
                    own = self._move(shard, mine, group, scratch)
                    if own is not None:
                        add(parameters, own, -group["lr"] * (decay if self._decays_last else 1.0))
                        continue
                    rotated = shard.rotate(mine, scratch)
                    epsilon = group["eps"] * (correction if self._corrects_eps else 1.0)
                    unit = shard.advance(rotated, beta1, beta2, epsilon, scratch)
                    change = shard.rotate_back(unit, scratch)
                    add(parameters, change, scale * decay if self._decays_last else scale)

    def _move(
        self, shard: RotatedShardT, gradients: list[Tensor], group: Mapping[str, Any], scratch: Scratch
    ) -> Tensor | None:
        """The direction of a shard by a rule of its own, (N, *shape), to be multiplied by -lr; None means Adam's."""
        return None
