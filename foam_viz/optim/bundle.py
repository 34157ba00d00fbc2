"""Blocks of one shape, stacked: momentum, second moment, and the direction they give together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from foam_viz.optim.bank import Bank


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
        if gradient.layout != torch.strided:
            raise ValueError(f"the gradient of parameter {self.parameter_index} is {gradient.layout}: must be dense")
        if gradient.shape != self.matrix_shape:
            gradient = gradient.reshape(self.matrix_shape)
        if self.slices is not None:
            gradient = gradient[self.slices]
        return gradient if gradient.dtype == dtype else gradient.to(dtype)


class Bundle:
    """Blocks of one shape, dtype and device of a parameter group, as stacks in which rows are blocks.

    Attributes:
        shape: Shape of each block.
        blocks: The N blocks.
        momentum: m, (N, *shape).
        second_moment: v of Adam grafting, (N, *shape); ``None`` where it is not used.
        factors: Per dimension the bank of the factors and the row of the first; empty for blocks by AdamW.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        blocks: list[Block],
        factors: list[tuple[Bank, int]],
        second_moment: bool,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.shape, self.blocks, self.factors = shape, blocks, factors
        self.momentum = torch.zeros(len(blocks), *shape, dtype=dtype, device=device)
        self.second_moment = torch.zeros_like(self.momentum) if second_moment else None

    def segments(self) -> list[Segment]:
        """The blocks that have a gradient now, as the longest runs of rows that can be treated alike."""
        alike: list[tuple[int, bool] | None] = [
            None if block.parameter.grad is None else (block.steps, self._is_preconditioned(row))
            for row, block in enumerate(self.blocks)
        ]
        found, start = [], 0
        for stop in range(1, len(alike) + 1):
            if stop == len(alike) or alike[stop] != alike[start]:
                if alike[start] is not None:
                    found.append(Segment(self, start, stop, alike[start][1]))
                start = stop
        return found

    def _is_preconditioned(self, row: int) -> bool:
        # A block whose factors partly failed uses those that it has; the others are the identity.
        return any(bank.factors[first + row].has_basis for bank, first in self.factors)

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


class Segment:
    """Rows of a bundle that have a gradient, one step count, and a basis or none: views, made once and kept.

    Attributes:
        blocks: The N blocks.
        momentum: m, (N, *shape).
        second_moment: v, (N, *shape), or ``None``.
        statistics: Per dimension L, (N, n, n), and its rows as a list.
        inverse_roots: Per dimension X, (N, n, n).
        preconditioned: Whether any factor of these blocks has a basis.
    """

    def __init__(self, bundle: Bundle, start: int, stop: int, preconditioned: bool) -> None:
        self.blocks = bundle.blocks[start:stop]
        self.momentum = bundle.momentum[start:stop]
        self.second_moment = None if bundle.second_moment is None else bundle.second_moment[start:stop]
        self.preconditioned = preconditioned
        places = [(bank, slice(first + start, first + stop)) for bank, first in bundle.factors]
        statistics = [bank.statistics[place] for bank, place in places]
        self.statistics = [(stack, list(stack.unbind(0))) for stack in statistics]
        self.inverse_roots = [bank.inverse_root[place] for bank, place in places]
        if self.inverse_roots:
            self._first_unfolding = self.momentum.view(stop - start, bundle.shape[0], -1)

    def precondition(self) -> Tensor:
        """The momentum contracted with X_k along every dimension, a new tensor (N, *shape).

        Each product takes the first dimension off and puts it back last, d <- d_(0)^T X_k, so that after the last one
        the dimensions are in order again, whatever their number, without a permuting copy.
        """
        first, *others = self.inverse_roots
        direction = torch.bmm(self._first_unfolding.mT, first)
        for root in others:
            if len(others) > 1:
                direction = direction.view(len(root), root.shape[-1], -1)
            direction = torch.bmm(direction.mT, root)
        return direction if len(others) == 1 else direction.view(self.momentum.shape)
