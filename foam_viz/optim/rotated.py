"""Adam in the eigenbasis of the factors: moments that live in the basis and follow it when it turns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, cast

import torch
from torch import Tensor

from foam_viz.optim import linalg
from foam_viz.optim.bank import Bank
from foam_viz.optim.basis_bank import BasisBank, Turn
from foam_viz.optim.bundle import Bundle, Scratch, Segment, contract
from foam_viz.optim.gram import accumulate
from foam_viz.optim.group import GroupState, add
from foam_viz.optim.moments import advance, advance_to_units, can_fuse


class RotatedSegment(Segment):
    """A segment whose moments are those of the rotated gradient; without any basis yet, of the gradient."""

    def _views(self) -> list[Tensor | None]:
        if not self.preconditioned:
            return [None] * len(self._places)
        return [None if place is None else place[0].bases(place[1]) for place in self._places]

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


RotatedSegmentT = TypeVar("RotatedSegmentT", bound=RotatedSegment)


class RotatedBundle(Bundle[RotatedSegmentT]):
    """A bundle whose momentum and second moment are kept in the bases of its factors.

    m is linear in the gradients, so it is rotated when a basis turns and never in between: the same numbers, up to
    rounding, as m kept in the coordinates of the parameter and rotated there and back at every step.
    """

    def _segment(self, start: int, stop: int, preconditioned: bool) -> RotatedSegmentT:
        return cast(RotatedSegmentT, RotatedSegment(self, start, stop, preconditioned))  # others override it

    def follow(self, bank: BasisBank, turn: Turn) -> None:
        """Rotates m into the new bases and permutes v to their order; v is not rotated.

        Args:
            bank: The bank whose bases turned.
            turn: Which, and what they were.
        """
        for dim, place in enumerate(self.factors):
            if place is None or place[0] is not bank:
                continue
            mine = [(i, row - place[1]) for i, row in enumerate(turn.rows) if 0 <= row - place[1] < len(self.blocks)]
            if not mine:
                continue
            source, target = bank.at([i for i, _ in mine]), bank.at([row for _, row in mine])
            new = bank.basis[bank.at([turn.rows[i] for i, _ in mine])]
            momentum = self.momentum[target].movedim(dim + 1, 1)
            turned = new.mT @ (turn.old[source] @ momentum.reshape(*momentum.shape[:2], -1))
            self.momentum[target] = turned.view(momentum.shape).movedim(1, dim + 1)
            if turn.order is not None and self.second_moment is not None:
                rows = self.second_moment[target].movedim(dim + 1, 1)
                moved = linalg.reorder(rows.reshape(*rows.shape[:2], -1), turn.order[source])
                self.second_moment[target] = moved.view(rows.shape).movedim(1, dim + 1)


class RotatedGroup(GroupState[RotatedSegmentT]):
    """A parameter group of an optimizer that is Adam in the eigenbasis.

    What the algorithms do differently is told by class attributes: how many gradients of a block move nothing, whether
    the correction of v's bias covers Adam's eps too (m_hat / (sqrt(v_hat) + eps)) or not, and whether weight decay
    comes before the step or after it.
    """

    _bank_type: ClassVar[type[BasisBank]] = BasisBank
    _bundle_type: ClassVar[type[Bundle[Any]]] = RotatedBundle
    bundles: list[RotatedBundle[RotatedSegmentT]]
    _idle_gradients: ClassVar[int] = 0
    _corrects_eps: ClassVar[bool] = True
    _decays_last: ClassVar[bool] = False

    def _new_bank(self, size: int, root: int, group: Mapping[str, Any]) -> Bank:
        return self._bank_type(size, root)

    def _root(self, shape: tuple[int, ...], group: Mapping[str, Any]) -> int:
        return 2

    def _first_epsilon(self, group: Mapping[str, Any]) -> float:
        return math.nan

    def _has_second_moment(self, preconditioned: bool, group: Mapping[str, Any]) -> bool:
        return True

    def _factor_beta(self, group: Mapping[str, Any]) -> float:
        return group["betas"][1]

    def after_check(self, bank: Bank, first: bool) -> None:
        """Lets the moments follow the bases that turned."""
        assert isinstance(bank, BasisBank)  # the only kind that this group makes
        for turn in bank.drain_turns():
            for bundle in self.bundles:
                bundle.follow(bank, turn)
        super().after_check(bank, first)

    def accumulate(self, group: Mapping[str, Any]) -> None:
        """The part of a step that needs no basis: factor statistics."""
        beta = self._factor_beta(group)
        for bank in self.banks:
            bank.beta = beta
        for cohort in self._cohorts():
            dtype = cohort.momenta[0].dtype
            if any(segment.statistics for segment in cohort.segments):
                gradients = [block.gradient(dtype) for block in cohort.blocks]
                for segment, mine in cohort.by_segment(gradients):
                    for dim, statistics, rows in segment.statistics:
                        accumulate(statistics, rows, mine, dim, beta)
            for block in cohort.blocks:
                block.steps += 1

    def update(self, group: Mapping[str, Any]) -> None:
        """The part of a step in the basis: moments, direction, weight decay, new parameters."""
        beta1, beta2 = group["betas"]
        decay = 1 - group["lr"] * group["weight_decay"]
        for cohort in self._cohorts():
            steps = cohort.steps - self._idle_gradients
            if steps < 1:
                continue
            gradients = cohort.by_segment([block.gradient(cohort.momenta[0].dtype) for block in cohort.blocks])
            correction = math.sqrt(1 - beta2**steps) if beta2 < 1 else 1.0
            scale = -group["lr"] * correction / (1 - beta1**steps)
            scratch = Scratch(cohort.segments)
            with cohort.updating(decay) as parts:
                for (segment, parameters), (_, mine) in zip(parts, gradients, strict=True):
                    own = self._move(segment, mine, group, scratch)
                    if own is not None:
                        add(parameters, own, -group["lr"] * (decay if self._decays_last else 1.0))
                        continue
                    rotated = segment.rotate(mine, scratch)
                    epsilon = group["eps"] * (correction if self._corrects_eps else 1.0)
                    unit = segment.advance(rotated, beta1, beta2, epsilon, scratch)
                    change = segment.rotate_back(unit, scratch)
                    add(parameters, change, scale * decay if self._decays_last else scale)

    def _move(
        self, segment: RotatedSegmentT, gradients: list[Tensor], group: Mapping[str, Any], scratch: Scratch
    ) -> Tensor | None:
        """The direction of a segment by a rule of its own, (N, *shape), to be multiplied by -lr; None means Adam's."""
        return None
