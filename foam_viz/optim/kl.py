"""KL-Shampoo and KL-SOAP: factors that weigh the gradient by each other, with eigenvalues kept up at every step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from foam_viz.optim import linalg, optimizer_fields
from foam_viz.optim.basis_factor_stack import SoapFactorStack
from foam_viz.optim.block_stack import BlockStack, Scratch
from foam_viz.optim.factor_stack import FactorStack
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.gram import accumulate, complete
from foam_viz.optim.group import is_preconditioned
from foam_viz.optim.refresh import EveryCheck, Policy
from foam_viz.optim.rotated import RotatedBlockStack, RotatedShard
from foam_viz.optim.soap import SoapGroup, checked_settings

_FIRST_EIGENVALUE = 0.1
_LARGEST_ROOT = (10, 4000)


class KLShampoo(FactoredOptimizer):
    """KL-Shampoo (Lin et al. 2025, arXiv 2509.03378): Kronecker factors by minimal KL divergence.

    For a gradient G (m x n), bases Q_1 and Q_2 and eigenvalues l and r, with f the check period and n = 1, 2, ... the
    updates (the first gradient gives the factors G G^T / n and G^T G / m times 1 - beta2, their bases by falling
    eigenvalue, l = r = 0.1, and moves nothing):

        m <- beta1 m + (1 - beta1) G,    G' = Q_1^T G Q_2,    w_ij = (l_i r_j)^(-1/2),    w <- w / (1 + eps w)
        W <- W - lr Q_1 [(Q_1^T m Q_2) w] Q_2^T,    then W <- W - lr wd W
        L <- beta2 L + (1 - beta2) / n  G Q_2 diag(1/r) Q_2^T G^T,    R likewise with Q_1 and l
        l_i <- beta2 l_i + (1 - beta2) mean_j G'_ij^2 / r_j,          r likewise

    all from the old bases and eigenvalues. At a check each basis becomes the orthonormal factor of QR(L Q), its columns
    in their places. l^(-1/2) and r^(-1/2) count as at most max(10, min(rows, 4000)). So eigenvalues are never stale and
    bases are; and a stale Q_2 distorts L too. There is neither damping nor bias correction nor grafting.

    Parameters of two and more dimensions are seen as matrices (first dimension by the others). Vectors and scalars,
    matrices with a side of 1 or larger than ``max_preconditioner_dim``, and what ``precondition`` leaves out, are
    updated by Adam.

    Args:
        params: Parameters, named parameters or parameter groups; a group may override every keyword below.
        lr: Learning rate.
        betas: Decay of the first moment, and of factors and eigenvalues.
        eps: Added to the square roots of the eigenvalues' products.
        weight_decay: Decoupled decay, after the step.
        max_preconditioner_dim: Parameters with a larger side have no factors.
        precondition: ``all``, ``matrices`` or ``none``.
        refresh: ``EveryCheck`` or ``DiagonalizationResidual``; its period counts updates.

    Raises:
        FieldError: A keyword is outside its range.
    """

    _moves_before_check: ClassVar[bool] = True
    _adaptive: ClassVar[bool] = False

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        max_preconditioner_dim: int = 10000,
        precondition: str = "all",
        refresh: Policy = EveryCheck(period=10),  # noqa: B008 (frozen)
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "max_preconditioner_dim": max_preconditioner_dim, "precondition": precondition, "refresh": refresh,
            "adaptive": self._adaptive,
        }  # fmt: skip
        super().__init__(params, defaults)

    @staticmethod
    def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
        return checked_settings(settings, optimizer_fields.KL_FIELDS, or_none=False)

    @staticmethod
    def _new_state(group: Mapping[str, Any], first_parameter: int, first_position: int) -> KLGroup:
        return KLGroup(group, first_parameter, first_position)


class KLSOAP(KLShampoo):
    """KL-SOAP (Lin et al. 2025, arXiv 2509.03378): Adam in the bases of KL-Shampoo's factors.

    Factors, eigenvalues and bases are those of ``KLShampoo``; the eigenvalues serve the factors alone. The step is

        m <- beta1 m + (1 - beta1) G',    v <- beta2 v + (1 - beta2) G'^2
        W <- W - lr Q_1 [m / (sqrt(v) + eps)] Q_2^T,    then W <- W - lr wd W

    without bias correction. At a check m is rotated into the new bases and v stays. Arguments are those of
    ``KLShampoo``; ``eps`` is added to sqrt(v).
    """

    _adaptive: ClassVar[bool] = True


class KLFactorStack(SoapFactorStack):
    """Factors whose eigenvalues are kept up at every step, apart from the basis.

    Attributes:
        running: l, (N, n), in the order of the basis's columns.
    """

    _STACKS: ClassVar[tuple[str, ...]] = ("statistics", "basis", "running")

    def _allocate_roots(self) -> None:
        super()._allocate_roots()
        self.running = torch.full_like(self.statistics[..., 0], _FIRST_EIGENVALUE)

    def spectrum(self, rows: Sequence[int]) -> Tensor:
        """l of some rows, (N, n)."""
        return self.running[self.at(rows)]

    def _decompose(self, rows: list[int], epsilon: list[float], keep: bool) -> dict[int, linalg.Outcome]:
        if not self.factors[rows[0]].has_basis:
            return super()._decompose(rows, epsilon, keep)
        chosen = self.at(rows)
        basis = linalg.iterate_basis_in_place(complete(self.statistics[chosen]), self.basis[chosen])
        self._turn(rows, basis, None)
        return dict.fromkeys(rows, "plain")


class KLShard(RotatedShard):
    """A shard that knows the eigenvalues of its factors: ``sides`` holds l and r, (N, m) and (N, n), as views."""

    def __init__(self, block_stack: BlockStack, start: int, stop: int, preconditioned: bool) -> None:
        super().__init__(block_stack, start, stop, preconditioned)
        self.sides = [
            factor_stack.running[rows]
            for factor_stack, rows in filter(None, self._factors)
            if isinstance(factor_stack, KLFactorStack)
        ]

    def inverse_roots(self) -> list[Tensor]:
        """l^(-1/2) and r^(-1/2), bounded, (N, m) and (N, n)."""
        low, high = _LARGEST_ROOT
        return [side.rsqrt().clamp_(max=max(low, min(side.shape[-1], high))) for side in self.sides]

    def products(self, stack: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Q_1^T G, G Q_2 and Q_1^T G Q_2 of a stack (N, m, n); the stack itself where there is no basis."""
        left, right = self.matrices
        by_left = stack if left is None else left.mT @ stack
        by_right = stack if right is None else stack @ right
        return by_left, by_right, by_right if left is None else left.mT @ by_right


class KLBlockStack(RotatedBlockStack[RotatedShard]):
    """A block stack whose shards know the eigenvalues of their factors."""

    def _shard(self, start: int, stop: int, preconditioned: bool) -> RotatedShard:
        kind = KLShard if self.factors else RotatedShard
        return kind(self, start, stop, preconditioned)


class KLGroup(SoapGroup):
    """The state of a parameter group of ``KLShampoo`` or ``KLSOAP``."""

    _factor_stack_type: ClassVar[type[FactorStack]] = KLFactorStack
    _block_stack_type: ClassVar[type[BlockStack[Any]]] = KLBlockStack

    def _layout(self, parameter: Tensor, group: Mapping[str, Any]) -> tuple[tuple[int, ...], list[Any], bool]:
        whole = tuple(parameter.shape)
        if len(whole) > 1 and parameter.numel() and is_preconditioned(parameter, group["precondition"]):
            shape = (whole[0], parameter.numel() // whole[0])
            if min(shape) > 1 and max(shape) <= group["max_preconditioner_dim"]:
                return shape, [tuple(slice(0, size) for size in shape)], True
        return whole, [()] if parameter.numel() else [], False

    def _has_factor(self, size: int, group: Mapping[str, Any]) -> bool:
        return True

    def _has_second_moment(self, preconditioned: bool, group: Mapping[str, Any]) -> bool:
        return group["adaptive"] or not preconditioned

    def _factor_beta(self, group: Mapping[str, Any]) -> float:
        return group["betas"][1]

    def accumulate(self, group: Mapping[str, Any]) -> None:
        """The factors of the first gradient; later ones need the bases and come with the update."""
        beta = group["betas"][1]
        for factor_stack in self.factor_stacks:
            factor_stack.beta = beta
        for batch in self._batches():
            if batch.steps == 0:
                gradients = [block.gradient(batch.momenta[0].dtype) for block in batch.blocks]
                for shard, mine in batch.by_shard(gradients):
                    for dim, statistics, rows in shard.statistics:
                        scale = mine[0].shape[1 - dim] ** -0.5
                        accumulate(statistics, rows, [gradient * scale for gradient in mine], dim, beta)
            for block in batch.blocks:
                block.steps += 1

    def _move(
        self, shard: RotatedShard, gradients: list[Tensor], group: Mapping[str, Any], scratch: Scratch
    ) -> Tensor | None:
        if not isinstance(shard, KLShard):
            return None
        beta1, beta2 = group["betas"]
        stack = torch.stack(gradients)
        by_left, by_right, rotated = shard.products(stack)
        left, right = shard.inverse_roots()
        shard.momentum.lerp_(rotated, 1 - beta1)
        if shard.second_moment is None:
            weight = left.unsqueeze(-1) * right.unsqueeze(-2)
            direction = shard.momentum * weight.div_(weight * group["eps"] + 1)
        else:
            shard.second_moment.mul_(beta2).addcmul_(rotated, rotated, value=1 - beta2)
            direction = shard.momentum / (shard.second_moment.sqrt() + group["eps"])
        rows, columns = stack.shape[1:]
        weighed = by_right * (right * columns**-0.5).unsqueeze(-2), by_left * (left * rows**-0.5).unsqueeze(-1)
        for (dim, statistics, views), part in zip(shard.statistics, weighed, strict=True):
            accumulate(statistics, views, list(part.unbind(0)), dim, beta2)
        squares = rotated.square_()
        means = (squares * right.square().unsqueeze(-2)).mean(-1), (squares * left.square().unsqueeze(-1)).mean(-2)
        for side, mean in zip(shard.sides, means, strict=True):
            side.lerp_(mean, 1 - beta2)
        return shard.rotate_back(direction, scratch)
