"""Shampoo whose eigenvalues are never stale: only the basis of the factors is kept, the scale is measured in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from foam_viz.optim import optimizer_fields
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.refresh import EveryCheck, Policy
from foam_viz.optim.rotated import RotatedGroup, RotatedShard
from foam_viz.optim.soap import checked_settings


class EigenvalueCorrectedShampoo(FactoredOptimizer):
    """Eigenvalue-corrected Shampoo (Eschenhagen et al. 2025, arXiv 2506.03595, "Purifying Shampoo").

    Factors, blocks and checks are Shampoo's. Of a decomposition only the basis Q_k is kept; the scale of each direction
    is a second moment kept in that basis at every step, after the check:

        V <- beta2 V + (1 - beta2) (Q_1^T G Q_2)^2
        W <- W - lr Q_1 [Q_1^T m_hat Q_2 / (sqrt(V / (1 - beta2^t)) + eps)] Q_2^T - lr wd W

    with the momentum m_hat of the gradient. A new basis takes V over as it is, largest eigenvalue first, and it adapts
    within about 1 / (1 - beta2) steps. Before the first decomposition Q is the identity and this is AdamW, as it is for
    parameters that ``precondition`` leaves out. There is neither grafting nor damping: factors have an ``epsilon`` of
    NaN, and that of the policy is not used.

    Args:
        params: Parameters, named parameters or parameter groups; a group may override every keyword below.
        lr: Learning rate.
        betas: Decay of the first moment, and of factor statistics and second moment (1 means a plain sum).
        eps: Added to the denominator.
        weight_decay: Decoupled decay, W <- W - lr wd W.
        refresh: ``EveryCheck`` or ``DiagonalizationResidual``.
        max_preconditioner_dim: Larger dimensions are cut into blocks of this size.
        merge_dims: Whether small neighbouring dimensions are merged first.
        precondition: ``"all"``, ``"matrices"`` or ``"none"``.

    Raises:
        FieldError: A keyword is outside its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        refresh: Policy = EveryCheck(period=10),  # noqa: B008 (frozen)
        max_preconditioner_dim: int = 1024,
        merge_dims: bool = False,
        precondition: str = "all",
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "refresh": refresh,
            "max_preconditioner_dim": max_preconditioner_dim, "merge_dims": merge_dims,
            "precondition": precondition,
        }  # fmt: skip
        super().__init__(params, defaults)

    @staticmethod
    def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
        return checked_settings(settings, optimizer_fields.CORRECTED_FIELDS, or_none=False)

    @staticmethod
    def _new_state(group: Mapping[str, Any], first_parameter: int, first_position: int) -> RotatedGroup[RotatedShard]:
        return RotatedGroup(group, first_parameter, first_position)
