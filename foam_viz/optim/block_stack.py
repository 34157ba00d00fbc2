"""Blocks of one shape, stacked: momentum, second moment, and the direction they give together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import torch
from torch import Tensor

from foam_viz.optim.gram import stripes

if TYPE_CHECKING:
    from foam_viz.optim.factor_stack import FactorStack

ShardT = TypeVar("ShardT", bound="Shard")


@dataclass(slots=True, eq=False)
class Block:
    """A block of a parameter.

    Attributes:
        parameter: The parameter.
        parameter_index: Its index over all parameter groups.
        number: Index of the block within the parameter.
        matrix_shape: Shape in which the parameter is cut into blocks.
        slices: Where the block lies in it; ``None`` for the whole parameter.
        steps: Gradients seen, t.
    """

    parameter: Tensor
    parameter_index: int
    number: int
    matrix_shape: tuple[int, ...]
    slices: tuple[slice, ...] | None
    steps: int = 0

    def gradient(self, dtype: torch.dtype) -> Tensor:
        """The block's gradient in its own shape and the dtype of the statistics.

        Raises:
            ValueError: The gradient is sparse.
        """
        gradient = self.parameter.grad
        assert gradient is not None  # a block without one is in no shard
        if gradient.layout != torch.strided:
            raise ValueError(f"the gradient of parameter {self.parameter_index} is {gradient.layout}: must be dense")
        if gradient.shape != self.matrix_shape:
            gradient = gradient.reshape(self.matrix_shape)
        if self.slices is not None:
            gradient = gradient[self.slices]
        return gradient if gradient.dtype == dtype else gradient.to(dtype)


class BlockStack(Generic[ShardT]):
    """Blocks of one shape, dtype and device of a parameter group, as stacks in which rows are blocks.

    Attributes:
        shape: Shape of each block.
        blocks: The N blocks.
        momentum: m, (N, *shape).
        second_moment: v of Adam grafting, (N, *shape); ``None`` where it is not used.
        factors: Per dimension the factor stack of the factors and the row of the first, or ``None`` for a dimension
            without factors; empty for blocks by AdamW.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        blocks: list[Block],
        factors: list[tuple[FactorStack, int] | None],
        second_moment: bool,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.shape, self.blocks, self.factors = shape, blocks, factors
        self.momentum = torch.zeros(len(blocks), *shape, dtype=dtype, device=device)
        self.second_moment = torch.zeros_like(self.momentum) if second_moment else None

    def shards(self) -> list[ShardT]:
        """The blocks that have a gradient now, as the longest runs of rows that can be treated alike."""
        alike: list[tuple[int, bool] | None] = [
            None if block.parameter.grad is None else (block.steps, self._is_preconditioned(row))
            for row, block in enumerate(self.blocks)
        ]
        found, start = [], 0
        for stop in range(1, len(alike) + 1):
            if stop == len(alike) or alike[stop] != alike[start]:
                kind = alike[start]
                if kind is not None:
                    found.append(self._shard(start, stop, kind[1]))
                start = stop
        return found

    def _shard(self, start: int, stop: int, preconditioned: bool) -> ShardT:
        return cast(ShardT, Shard(self, start, stop, preconditioned))  # a block stack of others overrides it

    def _is_preconditioned(self, row: int) -> bool:
        # A block whose factors partly failed uses those that it has; the others are the identity.
        present = [factors for factors in self.factors if factors is not None]
        return any(factor_stack.factors[first + row].has_basis for factor_stack, first in present)

    def state(self) -> dict[str, Any]:
        """The stacks (not copies) and the step counts, as plain values."""
        steps = [block.steps for block in self.blocks]
        return {"steps": steps, "momentum": self.momentum, "second_moment": self.second_moment}

    def require_fit(self, state: dict[str, Any]) -> None:
        """Checks a ``state`` before it is loaded.

        Raises:
            ValueError: It is the state of other blocks, or of another grafting.
        """
        for name in ("momentum", "second_moment"):
            mine, saved = getattr(self, name), state[name]
            if (mine is None) != (saved is None) or (mine is not None and mine.shape != saved.shape):
                raise ValueError(f"the saved {name} does not fit {len(self.blocks)} blocks of {self.shape}")

    def load(self, state: dict[str, Any]) -> None:
        """Copies a ``state`` in that fits, whatever device it lies on."""
        self.momentum.copy_(state["momentum"])
        if self.second_moment is not None:
            self.second_moment.copy_(state["second_moment"])
        for block, steps in zip(self.blocks, state["steps"], strict=True):
            block.steps = steps


class Shard:
    """Rows of a block stack that have a gradient, one step count, and a basis or none: views, made once and kept.

    Attributes:
        blocks: The N blocks.
        momentum: m, (N, *shape).
        second_moment: v, (N, *shape), or ``None``.
        statistics: Per dimension with factors the dimension, L, (N, n, n), and its stripes.
        has_factors: Whether these blocks have factors; those without are AdamW's.
        preconditioned: Whether any factor of these blocks has a basis.
        matrices: Per dimension what the momentum is contracted with, (N, n, n), or ``None`` for the identity.
    """

    def __init__(self, block_stack: BlockStack, start: int, stop: int, preconditioned: bool) -> None:
        self.blocks = block_stack.blocks[start:stop]
        self.momentum = block_stack.momentum[start:stop]
        self.second_moment = None if block_stack.second_moment is None else block_stack.second_moment[start:stop]
        self.preconditioned = preconditioned
        self.has_factors = any(factors is not None for factors in block_stack.factors)
        self._factors = [
            None if factors is None else (factors[0], slice(factors[1] + start, factors[1] + stop))
            for factors in block_stack.factors
        ]
        self.statistics: list[tuple[int, Tensor, list[list[Tensor]]]] = []
        for dim, factors in enumerate(self._factors):
            if factors is not None:
                stack = factors[0].statistics[factors[1]]
                self.statistics.append((dim, stack, stripes(stack)))
        self.matrices = self._views()

    def _views(self) -> list[Tensor | None]:
        """What is contracted with along each dimension: here X, (N, n, n)."""
        return [None if factors is None else factors[0].inverse_root[factors[1]] for factors in self._factors]

    def precondition(self, scratch: Scratch) -> Tensor:
        """The momentum contracted with X_k along every dimension, (N, *shape), in the scratch or new."""
        return contract(self.momentum, self.matrices, scratch)

    def unit(self, epsilon: float, scratch: Scratch | None) -> Tensor:
        """What the length of a step is taken from, up to a number: m, or m / (sqrt(v) + eps), (N, *shape).

        In the scratch or new, or the momentum itself where there is no second moment.
        """
        if self.second_moment is None:
            return self.momentum
        unit = torch.sqrt(self.second_moment, out=scratch and scratch.next(self.second_moment.shape))
        return torch.div(self.momentum, unit.add_(epsilon), out=unit)


SMALL = 2**16  # entries of a model whose step is made of calls, not of arithmetic
_SMALL = 2**14  # entries


class Scratch:
    """Two buffers for what lives no longer than a part of a step, handed out in turns.

    A step that allocates and frees temporaries of the size of the model makes the host's allocator give pages back and
    fault them in again, at up to a fifth of its time; two buffers as large as the largest shard stay in the caches.
    Small tensors come from memory that is at hand anyway: for them making views would cost more than it saves.

    Args:
        shards: The shards that are worked on, of one dtype and device.
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        size = max((shard.momentum.numel() for shard in shards), default=0)
        self._like = shards[0].momentum
        self._buffers = [self._like.new_empty(size) for _ in range(2)] if size > _SMALL else []

    def next(self, shape: Sequence[int]) -> Tensor | None:
        """Where a result may be written, for ``out=``: what was handed out two calls before is lost. None: anywhere."""
        if not self._buffers:
            return None
        self._buffers.reverse()
        return self._buffers[0][: math.prod(shape)].view(shape)

    def zeros(self, shape: Sequence[int]) -> Tensor:
        """As ``next``, with zeros; new where anywhere would do."""
        into = self.next(shape)
        return self._like.new_zeros(shape) if into is None else into.zero_()


def contract(stack: Tensor, matrices: Sequence[Tensor | None], scratch: Scratch | None = None) -> Tensor:
    """Contracts every dimension with a matrix of its own, d_(k) <- M_k^T d_(k).

    Each product takes the first dimension off and puts it back last, d <- d_(0)^T M_k, so that after the last one the
    dimensions are in order again, whatever their number, without a permuting copy.

    Args:
        stack: d, (N, *shape).
        matrices: Per dimension M_k, (N, n_k, n_k), or ``None`` for the identity.
        scratch: Where products are written; the stack may be what it handed out last. New tensors without it.

    Returns:
        (N, *shape); the stack itself where all are the identity.
    """
    shape, result = stack.shape, stack
    if all(matrix is None for matrix in matrices):
        return stack
    for size, matrix in zip(shape[1:], matrices, strict=True):
        unfolded = result.reshape(shape[0], size, -1).mT
        if matrix is None:
            result = unfolded
        else:
            result = torch.bmm(unfolded, matrix, out=None if scratch is None else scratch.next(unfolded.shape))
    return result.reshape(shape)
