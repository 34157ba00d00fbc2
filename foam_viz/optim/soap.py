"""SOAP: Adam in the eigenbasis of Shampoo's factors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from torch import Tensor

from foam_viz.optim import optimizer_fields
from foam_viz.optim.basis_factor_stack import SoapFactorStack
from foam_viz.optim.blocks import cut
from foam_viz.optim.factor_stack import FactorStack
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.fields import Field, FieldError, require
from foam_viz.optim.group import is_preconditioned
from foam_viz.optim.refresh import EveryCheck, Policy
from foam_viz.optim.rotated import RotatedGroup, RotatedShard


class SOAP(FactoredOptimizer):
    """SOAP (Vyas et al. 2024, arXiv 2409.11321): Adam in the eigenbasis of Shampoo's factors.

    The first gradient of a parameter gives L_k = (1 - sb) G_(k) G_(k)^T and its eigenbasis Q_k, and moves nothing. Each
    later one, n = 1, 2, ..., is rotated, g' = Q_1^T G Q_2 for a matrix, and Adam's moments are kept of g':

        m <- b1 m + (1 - b1) g'        v <- b2 v + (1 - b2) g'^2
        W <- W - lr sqrt(1 - b2^n) / (1 - b1^n) Q_1 [m / (sqrt(v) + eps)] Q_2^T        W <- W - lr wd W

    Then L_k <- sb L_k + (1 - sb) G_(k) G_(k)^T, and at a check, n mod f = 0, each basis is renewed: columns sorted by
    falling diag(Q^T L Q), v with them, and Q <- the orthonormal factor of QR(L Q). m is rotated into the new basis, v
    is not. A factor's ``decompositions`` count these renewals too, though only the first of them is one by ``eigh``.

    Scalars, and vectors unless ``precondition_1d``, are updated by plain Adam; so is a group with
    ``"precondition": "none"``. A dimension larger than ``max_preconditioner_dim`` is not rotated.

    There is no damping of factors: their ``epsilon`` is NaN. Without basis, after a failed first decomposition, a
    parameter is updated by Adam until a check succeeds. State is float32, or float64 for float64 parameters. lr, betas,
    weight decay, period and policy may be changed in ``param_groups`` between steps.

    Args:
        params: Parameters, named parameters or parameter groups; a group may override every keyword below.
        lr: Learning rate.
        betas: Decay of the moments, b1 and b2.
        shampoo_beta: Decay of the factors, sb; ``None`` means b2.
        eps: Added to the denominator.
        weight_decay: Decoupled decay, after the step.
        period: f; every f-th update renews every basis. Not used where ``refresh`` is given.
        max_preconditioner_dim: Larger dimensions have no factor.
        precondition_1d: Whether vectors have a factor too.
        precondition: ``all``, ``matrices`` or ``none``; Adam takes what is left out.
        refresh: A policy that decides when each factor's basis is renewed, and has a period of its own, in updates n:
            ``DiagonalizationResidual``, or ``EveryCheck``. ``None`` means ``EveryCheck(period=period)``.

    Raises:
        FieldError: A keyword is outside its range.
    """

    _moves_before_check: ClassVar[bool] = True

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        shampoo_beta: float | None = None,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        period: int = 10,
        max_preconditioner_dim: int = 10000,
        precondition_1d: bool = False,
        precondition: str = "all",
        refresh: Policy | None = None,
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "shampoo_beta": shampoo_beta, "eps": eps, "weight_decay": weight_decay,
            "period": period, "max_preconditioner_dim": max_preconditioner_dim, "precondition_1d": precondition_1d,
            "precondition": precondition, "refresh": refresh,
        }  # fmt: skip
        super().__init__(params, defaults)

    @staticmethod
    def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
        return checked_settings(settings, optimizer_fields.SOAP_SETTINGS, or_none=True)

    @staticmethod
    def _policy(group: Mapping[str, Any]) -> Policy:
        return group["refresh"] or EveryCheck(period=group["period"])

    @staticmethod
    def _new_state(group: Mapping[str, Any], first_parameter: int, first_position: int) -> SoapGroup:
        return SoapGroup(group, first_parameter, first_position)


class SoapGroup(RotatedGroup[RotatedShard]):
    """The state of a parameter group of ``SOAP``."""

    _factor_stack_type: ClassVar[type[FactorStack]] = SoapFactorStack
    _idle_gradients: ClassVar[int] = 1
    _corrects_eps: ClassVar[bool] = False
    _decays_last: ClassVar[bool] = True

    def _layout(self, parameter: Tensor, group: Mapping[str, Any]) -> tuple[tuple[int, ...], list[Any], bool]:
        shape, limit = tuple(parameter.shape), group["max_preconditioner_dim"]
        wanted = len(shape) > 1 or (len(shape) == 1 and group["precondition_1d"])
        wanted = wanted and is_preconditioned(parameter, group["precondition"]) and any(size <= limit for size in shape)
        if not wanted:
            return shape, [()] if parameter.numel() else [], False
        return shape, cut(shape, max(shape)), True  # never cut, but empty parameters have no block

    def _has_factor(self, size: int, group: Mapping[str, Any]) -> bool:
        return size <= group["max_preconditioner_dim"]

    def _factor_beta(self, group: Mapping[str, Any]) -> float:
        return group["betas"][1] if group["shampoo_beta"] is None else group["shampoo_beta"]


def checked_settings(settings: Mapping[str, Any], fields: tuple[Field, ...], or_none: bool) -> dict[str, Any]:
    """The settings of a group without damping, in their own types.

    Args:
        settings: The settings, with ``betas`` as a pair.
        fields: Their fields, with ``beta1`` and ``beta2``.
        or_none: Whether there may be no policy.

    Raises:
        FieldError: The first that is refused.
    """
    policy = settings["refresh"]
    fits = or_none if policy is None else isinstance(policy, Policy) and policy.measures != "proxy"
    if not fits:
        allowed = "EveryCheck or DiagonalizationResidual, since no damping could adapt"
        raise FieldError("refresh", policy, allowed + (", or none" if or_none else ""))
    try:
        beta1, beta2 = settings["betas"]
    except (TypeError, ValueError):
        raise FieldError("betas", settings["betas"], "a pair of numbers") from None
    given = {field.name: settings[field.name] for field in fields if field.name in settings}
    checked = require(fields, {**given, "beta1": beta1, "beta2": beta2})
    return {**checked, "betas": (checked.pop("beta1"), checked.pop("beta2")), "refresh": policy}
