"""One parameter group: its block stacks and factor stacks, and the parts of a step before and after the check."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Generic

import torch
from torch import Tensor

from foam_viz.optim.batch import Batch, add, graft_together, lengths_of
from foam_viz.optim.block_stack import Block, BlockStack, Scratch, ShardT, contract
from foam_viz.optim.blocks import cut, matrix_shape
from foam_viz.optim.factor_stack import Factor, FactorStack
from foam_viz.optim.gram import accumulate
from foam_viz.optim.moments import advance, can_fuse


class GroupState(Generic[ShardT]):
    """The state that belongs to one parameter group of ``Shampoo``; other optimizers override what differs.

    Structure (blocks, roots, whether there is a second moment) is fixed when the group is added; lr, betas, weight
    decay and the refresh policy are read from the group at every step, so that schedulers and users may change them.

    Attributes:
        factors: The factors, by parameter, block and dimension.
        factor_stacks: The factors by size.
        block_stacks: The blocks by shape.
    """

    def __init__(self, group: Mapping[str, Any], first_parameter: int, first_position: int) -> None:
        self.factors: list[Factor] = []
        self.factor_stacks: list[FactorStack] = []
        self.block_stacks: list[BlockStack[ShardT]] = []
        self._plan: list[Batch[ShardT]] = []
        self._pattern: list[bool] | None = None
        self._parameters: list[Tensor] = list(group["params"])
        self._build(group, first_parameter, first_position)

    def _build(self, group: Mapping[str, Any], first_parameter: int, first_position: int) -> None:
        shelves: dict[tuple[Any, ...], list[Block]] = {}
        for index, parameter in enumerate(self._parameters, first_parameter):
            dtype = torch.float64 if parameter.dtype == torch.float64 else torch.float32
            shape, pieces, preconditioned = self._layout(parameter, group)
            for number, slices in enumerate(pieces):
                block = Block(parameter, index, number, shape, slices if len(pieces) > 1 else None)
                block_shape = tuple(s.stop - s.start for s in slices) if preconditioned else shape
                shelves.setdefault((block_shape, preconditioned, dtype, parameter.device), []).append(block)
        factor_stacks: dict[tuple[Any, ...], FactorStack] = {}
        by_dimension: list[list[tuple[FactorStack, int] | None]] = []
        for (shape, preconditioned, dtype, device), blocks in shelves.items():
            by_dimension.append([])
            for dim, size in enumerate(shape if preconditioned else ()):
                if not self._has_factor(size, group):
                    by_dimension[-1].append(None)
                    continue
                root = self._root(shape, group)
                factor_stack = factor_stacks.setdefault(
                    (size, root, dtype, device), self._new_factor_stack(size, root, group)
                )
                by_dimension[-1].append((factor_stack, len(factor_stack.factors)))
                for block in blocks:
                    name = f"{block.parameter_index}.block_{block.number}.{dim}"
                    identity = (name, block.parameter_index, block.number, dim, len(shape), size, root)
                    factor_stack.add(Factor(*identity, epsilon=self._first_epsilon(group)), block)
        self.factor_stacks = list(factor_stacks.values())
        self.factors = sorted(
            (factor for factor_stack in self.factor_stacks for factor in factor_stack.factors),
            key=lambda f: (f.parameter, f.block, f.dim),
        )
        positions = {factor.id: i for i, factor in enumerate(self.factors, first_position)}
        for (_, _, dtype, device), factor_stack in factor_stacks.items():
            factor_stack.allocate(positions, dtype, device)
        for (key, blocks), factors in zip(shelves.items(), by_dimension, strict=True):
            shape, preconditioned, dtype, device = key
            adaptive = self._has_second_moment(preconditioned, group)
            self.block_stacks.append(self._block_stack_type(shape, blocks, factors, adaptive, dtype, device))

    _block_stack_type: ClassVar[type[BlockStack[Any]]] = BlockStack

    def _new_factor_stack(self, size: int, root: int, group: Mapping[str, Any]) -> FactorStack:
        return FactorStack(size, root, group["eigenvalues"])

    def _layout(self, parameter: Tensor, group: Mapping[str, Any]) -> tuple[tuple[int, ...], list[Any], bool]:
        """The shape in which a parameter is seen, the slices of its blocks, and whether it is preconditioned."""
        if not is_preconditioned(parameter, group["precondition"]):
            return tuple(parameter.shape), [()] if parameter.numel() else [], False
        limit = group["max_preconditioner_dim"]
        shape = matrix_shape(tuple(parameter.shape), limit, group["merge_dims"])
        return shape, cut(shape, limit), True

    def _has_factor(self, size: int, group: Mapping[str, Any]) -> bool:
        return True

    def _root(self, shape: tuple[int, ...], group: Mapping[str, Any]) -> int:
        return group["root"] or 2 * len(shape)

    def _first_epsilon(self, group: Mapping[str, Any]) -> float:
        return group["refresh"].epsilon

    def _has_second_moment(self, preconditioned: bool, group: Mapping[str, Any]) -> bool:
        return group["grafting"] == "adam" or not preconditioned

    def after_check(self, factor_stack: FactorStack, first: bool) -> None:
        """Called once a factor stack has carried out decisions.

        Args:
            factor_stack: The factor stack.
            first: Whether the factors had no basis before.
        """
        if first:  # which blocks can be treated alike has changed
            self._pattern = None

    def state(self) -> dict[str, Any]:
        """The state of factor stacks and block stacks as plain values and tensors (not copies)."""
        return {
            "factor_stacks": [b.state() for b in self.factor_stacks],
            "block_stacks": [b.state() for b in self.block_stacks],
        }

    def require_fit(self, state: dict[str, Any]) -> None:
        """Checks a ``state`` before it is loaded.

        Raises:
            ValueError: It is the state of other factors or blocks.
        """
        state = _as_named_now(state)
        if (len(state["factor_stacks"]), len(state["block_stacks"])) != (
            len(self.factor_stacks),
            len(self.block_stacks),
        ):
            raise ValueError("the saved state is one of parameters of other shapes")
        for factor_stack, saved in zip(self.factor_stacks, state["factor_stacks"], strict=True):
            factor_stack.require_fit(saved)
        for block_stack, saved in zip(self.block_stacks, state["block_stacks"], strict=True):
            block_stack.require_fit(saved)

    def load(self, state: dict[str, Any]) -> None:
        """Copies a ``state`` in that fits."""
        state = _as_named_now(state)
        for factor_stack, saved in zip(self.factor_stacks, state["factor_stacks"], strict=True):
            factor_stack.load(saved)
        for block_stack, saved in zip(self.block_stacks, state["block_stacks"], strict=True):
            block_stack.load(saved)
        self._pattern = None

    def __getstate__(self) -> dict[str, Any]:
        # The plan holds views, which a copy or a pickle would tear from their stacks.
        return {**self.__dict__, "_plan": [], "_pattern": None}

    def _batches(self) -> list[Batch[ShardT]]:
        # Step counts grow together, so a plan holds as long as the same parameters have gradients.
        pattern = [parameter.grad is not None for parameter in self._parameters]
        if pattern != self._pattern:
            alike: dict[tuple[Any, ...], list[ShardT]] = {}
            for block_stack in self.block_stacks:
                for shard in block_stack.shards():
                    adaptive = shard.second_moment is not None
                    key = (shard.blocks[0].steps, adaptive, shard.momentum.dtype, shard.momentum.device)
                    alike.setdefault(key, []).append(shard)
            self._plan = [Batch(shards) for shards in alike.values()]
            self._pattern = pattern
        return self._plan

    def accumulate(self, group: Mapping[str, Any]) -> None:
        """The part of a step before the check: factor statistics, momentum, grafting statistics."""
        beta1, beta2 = group["betas"]
        beta = _grafting_beta(group)
        for factor_stack in self.factor_stacks:
            factor_stack.beta = beta2
        for batch in self._batches():
            dtype = batch.momenta[0].dtype
            gradients = [block.gradient(dtype) for block in batch.blocks]
            for shard, mine in batch.by_shard(gradients):
                for dim, statistics, parts in shard.statistics:
                    accumulate(statistics, parts, mine, dim, beta2)
            for block in batch.blocks:
                block.steps += 1
            if group["grafting"] == "adam" and can_fuse(batch.shards[0].second_moment, beta):
                epsilon = group["grafting_epsilon"] * math.sqrt(1 - beta**batch.steps)
                batch.lengths = batch.advance_to_lengths(gradients, beta1, beta, epsilon)
            else:
                batch.lengths = None
                advance(batch.momenta, batch.second_moments, gradients, beta1, beta)

    def update(self, group: Mapping[str, Any]) -> None:
        """The part of a step after the check: direction, grafting, weight decay, new parameters.

        Bias corrections and the factors of grafting are numbers, kept out of the elementwise work: with
        a = 1 - beta1^t and c = sqrt(1 - beta_g^t), m_hat / (sqrt(v_hat) + eps_g) = (c / a) m / (sqrt(v) + c eps_g).
        """
        for batch in self._batches():
            correction = 1 - group["betas"][0] ** batch.steps
            beta = _grafting_beta(group) if batch.second_moments else 1.0
            unit_correction = math.sqrt(1 - beta**batch.steps) if beta < 1 else 1.0
            unit_scale = -group["lr"] * unit_correction / correction
            epsilon = group["grafting_epsilon"] * unit_correction
            scratch = Scratch(batch.shards)
            with batch.updating(1 - group["lr"] * group["weight_decay"]) as parts:
                if batch.is_small and group["grafting"] == "adam":
                    graft_together(list(parts), batch.lengths, epsilon, correction, unit_scale)
                    continue
                lengths = batch.lengths_by_shard()
                for (shard, parameters), length in zip(parts, lengths, strict=True):
                    # Grafting may be edited away from Adam's while the run trains; its second moment goes on, unused.
                    plain = shard.has_factors and group["grafting"] != "adam"
                    scale = -group["lr"] / correction if plain else unit_scale
                    if not shard.preconditioned:
                        add(parameters, shard.momentum if plain else shard.unit(epsilon, scratch), scale)
                    elif group["grafting"] is None:
                        add(parameters, shard.precondition(scratch), scale)
                    else:
                        direction = shard.precondition(scratch)
                        if length is None:
                            length = lengths_of(shard.momentum if plain else shard.unit(epsilon, scratch))
                        # The guard 1e-16 belongs to the norm of the direction with its bias correction, here without.
                        ratios = length / lengths_of(direction).add_(1e-16 * correction)
                        add(parameters, direction, scale, ratios)

    def direction_lengths(self, group: Mapping[str, Any], parameter: int, number: int) -> tuple[float, float] | None:
        """|| d ||_F of one block, before and after grafting; None where it is not of this group, or has no gradient."""
        for shard in (shard for batch in self._batches() for shard in batch.shards):
            for row, block in enumerate(shard.blocks):
                if (block.parameter_index, block.number) != (parameter, number):
                    continue
                correction = 1 - group["betas"][0] ** block.steps
                momentum = shard.momentum[row : row + 1] / correction
                matrices = [None if matrix is None else matrix[row : row + 1] for matrix in shard.matrices]
                before = float(torch.linalg.vector_norm(contract(momentum, matrices)))
                if group["grafting"] is None:
                    return before, before
                unit = momentum
                if group["grafting"] == "adam" and shard.second_moment is not None:
                    beta = _grafting_beta(group)
                    corrected = shard.second_moment[row : row + 1] / (1 - beta**block.steps if beta < 1 else 1.0)
                    unit = momentum / (corrected.sqrt() + group["grafting_epsilon"])
                return before, float(torch.linalg.vector_norm(unit))
        return None


def is_preconditioned(parameter: Tensor, precondition: str) -> bool:
    """Whether Shampoo preconditions a parameter; AdamW takes the others.

    Args:
        parameter: The parameter.
        precondition: ``all``, ``none``, or ``matrices``: those with two or more dimensions larger than 1.
    """
    return precondition == "all" or (precondition == "matrices" and sum(size > 1 for size in parameter.shape) >= 2)


def _grafting_beta(group: Mapping[str, Any]) -> float:
    beta = group["grafting_beta2"]
    return group["betas"][1] if beta is None else beta


def _as_named_now(state: dict[str, Any]) -> dict[str, Any]:
    """A saved state; those of the first releases call the stacks banks and bundles."""
    return {{"banks": "factor_stacks", "bundles": "block_stacks"}.get(key, key): value for key, value in state.items()}
