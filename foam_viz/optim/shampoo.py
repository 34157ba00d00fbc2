"""Shampoo with a refresh policy per parameter group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from foam_viz.optim import optimizer_fields
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.fields import FieldError, require
from foam_viz.optim.group import GroupState
from foam_viz.optim.refresh import Foam, Policy


class Shampoo(FactoredOptimizer):
    """Shampoo (Gupta, Koren & Singer 2018) whose factors are decomposed when a policy says so (Nam & Ahn 2026).

    A block of order o with gradient G keeps L_k <- beta2 L_k + (1 - beta2) G_(k) G_(k)^T for each dimension k and moves
    along the momentum contracted with X_k = (L_k / (1 - beta2^t) + eps)^(-1/p) on every dimension. At a check, the
    policy decides for each factor whether to decompose it again or to keep its basis.

    Until its first decomposition a block takes the grafting direction, or the momentum without grafting. Parameters
    that ``precondition`` leaves out are updated by AdamW with the group's lr, betas (or ``grafting_beta2``),
    ``grafting_epsilon`` and weight decay. A parameter without gradient is left alone and counts no step; its factors
    are checked only while their statistics are newer than their last check.

    State is float32, or float64 for float64 parameters. lr, betas, weight decay and policy may be changed in
    ``param_groups`` between steps, and grafting from Adam's to another and back; what shapes the state (root,
    ``eigenvalues``, block size, ``precondition``) may not. ``optim.editing`` says what each does at its step.

    Args:
        params: Parameters, named parameters or parameter groups; a group may override every keyword below.
        lr: Learning rate.
        betas: Decay of the first moment, and of the factor statistics (1 means a plain sum).
        weight_decay: Decoupled decay, W <- W - lr wd W.
        root: p; ``None`` means twice the order of the block.
        eigenvalues: What becomes of the smallest computed eigenvalues, which are rounding: ``"floor"`` raises each to
            machine epsilon of the state times the largest, ``"shift"`` lifts all by the most negative one, as the
            FOAM reference does. See ``FactorStack``.
        refresh: The refresh policy, which also holds the damping.
        grafting: ``None``, ``"sgd"`` or ``"adam"``: whose length the step takes.
        grafting_beta2: Decay of Adam grafting's second moment; ``None`` means ``betas[1]``.
        grafting_epsilon: Added to Adam grafting's denominator.
        max_preconditioner_dim: Larger dimensions are cut into blocks of this size.
        merge_dims: Whether small neighbouring dimensions are merged first.
        precondition: ``"all"``, ``"matrices"`` (those with two or more dimensions larger than 1) or ``"none"``. A
            tensor does not tell whether it is an embedding or a head: ``hidden_matrices`` makes groups without them.

    Raises:
        FieldError: A keyword is outside its range.
    """

    _once: ClassVar[Mapping[str, Any]] = {"eigenvalues": "shift"}

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        root: int | None = 2,
        eigenvalues: str = "floor",
        refresh: Policy = Foam(period=10, tau=0.75, epsilon=1e-9, epsilon_max=3e-7),  # noqa: B008 (frozen)
        grafting: str | None = "adam",
        grafting_beta2: float | None = None,
        grafting_epsilon: float = 1e-8,
        max_preconditioner_dim: int = 1024,
        merge_dims: bool = False,
        precondition: str = "all",
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "weight_decay": weight_decay, "root": root, "eigenvalues": eigenvalues,
            "refresh": refresh, "grafting": grafting, "grafting_beta2": grafting_beta2,
            "grafting_epsilon": grafting_epsilon, "max_preconditioner_dim": max_preconditioner_dim,
            "merge_dims": merge_dims, "precondition": precondition,
        }  # fmt: skip
        super().__init__(params, defaults)

    @staticmethod
    def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a group in their own types; FieldError for the first that is refused."""
        if not isinstance(settings["refresh"], Policy):
            raise FieldError("refresh", settings["refresh"], "a policy of foam_viz.optim.refresh")
        try:
            beta1, beta2 = settings["betas"]
        except (TypeError, ValueError):
            raise FieldError("betas", settings["betas"], "a pair of numbers") from None
        given = {
            field.name: settings[field.name] for field in optimizer_fields.SHAMPOO_FIELDS if field.name in settings
        }
        checked = require(optimizer_fields.SHAMPOO_FIELDS, {**given, "beta1": beta1, "beta2": beta2})
        betas = (checked.pop("beta1"), checked.pop("beta2"))
        return {**checked, "betas": betas, "refresh": settings["refresh"]}

    def direction_lengths(self, parameter: int, block: int) -> tuple[float, float] | None:
        """The length of the direction that a block takes, || d ||_F, before and after grafting; for those who look.

        To be called after a step, or within it when the check is done.

        Args:
            parameter: Index of the parameter.
            block: Number of the block.

        Returns:
            Both lengths, with bias corrections; None where the block has no gradient.
        """
        for group, state in zip(self.param_groups, self._states, strict=True):
            if (found := state.direction_lengths(group, parameter, block)) is not None:
                return found
        return None

    @staticmethod
    def _new_state(group: Mapping[str, Any], first_parameter: int, first_position: int) -> GroupState:
        return GroupState(group, first_parameter, first_position)
