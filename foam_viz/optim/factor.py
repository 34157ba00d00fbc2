"""One factor as the outside sees it: its counters, the events it lived through, and what a check observed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Literal

from torch import Tensor

from foam_viz.optim.refresh import Decision, Reason

EventKind = Literal["eigh-retry-float64", "eigh-jitter", "eigh-kept"]


@dataclass(frozen=True, slots=True)
class FactorEvent:
    """A numerical failure that was survived.

    Attributes:
        step: Optimizer step, counted from 1.
        position: Index into ``Shampoo.factors()``.
        kind: What was done: decomposed in float64, decomposed with jitter, or the old basis kept.
        message: One sentence.
    """

    step: int
    position: int
    kind: EventKind
    message: str


@dataclass(slots=True)
class Factor:
    """One factor as the outside sees it; updated in place at checks.

    Attributes:
        id: ``<parameter index>.block_<block>.<dim>``.
        parameter: Index of the parameter over all parameter groups.
        block: Index of the block within the parameter.
        dim: Dimension of the block that this factor belongs to.
        order: Number of dimensions of the block.
        size: n, the factor is n x n.
        root: p.
        epsilon: Damping in force; eps0 before the first decomposition.
        proxy: h of the last check; NaN where it measured none.
        relative_condition: RC of the last check; NaN where it measured none.
        alpha: alpha of the last check; NaN where it measured none.
        residual: r of the last check; NaN where it measured none.
        checks: Checks so far: decompositions, reuses and failures.
        decompositions: Decompositions that succeeded.
        reuses: Checks that kept the basis by decision.
        cap_refreshes: Decompositions because eps_max was exceeded.
        failures: Checks whose decomposition failed, so that the old basis was kept.
        last_decomposition_step: Step of the basis in force; ``None`` before the first.
        last_check_step: Step of the last check; ``None`` before the first.
        reason: Reason of the last decision; ``None`` before the first.
        keeps_basis: Whether Q of the last decomposition was kept, for a policy that measures or for an observer.
    """

    id: str
    parameter: int
    block: int
    dim: int
    order: int
    size: int
    root: int
    epsilon: float
    proxy: float = math.nan
    relative_condition: float = math.nan
    alpha: float = math.nan
    residual: float = math.nan
    checks: int = 0
    decompositions: int = 0
    reuses: int = 0
    cap_refreshes: int = 0
    failures: int = 0
    last_decomposition_step: int | None = None
    last_check_step: int | None = None
    reason: Reason | None = None
    keeps_basis: bool = False
    seen: int = field(default=0, repr=False)  # steps of the block at the last check
    reported: bool = field(default=False, repr=False)  # that the statistics are not finite, since they were last finite

    @property
    def has_basis(self) -> bool:
        """Whether the factor was ever decomposed."""
        return self.last_decomposition_step is not None


_IDENTITY = ("id", "parameter", "block", "dim", "order", "size", "root")
STATE_FIELDS = tuple(f.name for f in fields(Factor) if f.name not in _IDENTITY)  # what training changes


@dataclass(frozen=True, slots=True)
class CheckObservation:
    """What a check saw and did, for N factors of one factor stack.

    Tensors may be views of the optimizer's state, which later steps change: clone what is kept beyond the callback.

    Attributes:
        step: Optimizer step, counted from 1.
        positions: Indices into ``Shampoo.factors()``.
        root: p.
        current: A, bias-corrected, (N, n, n).
        rotated: B = Q^T A Q with the basis before the decision, (N, n, n); ``None`` where the policy did not need it.
        basis_before: Q before the decision, (N, n, n); ``None`` at the first decomposition.
        eigenvalues_before: D before the decision and before any floor, (N, n); ``None`` at the first decomposition.
        epsilon_before: Damping before the decision, per factor.
        proxy: h per factor; ``None`` where not measured. Likewise the three below.
        relative_condition: RC.
        alpha: alpha.
        residual: r.
        decisions: What was carried out, per factor.
        basis: Q after, (N, n, n).
        eigenvalues: D after, before any floor, (N, n).
        epsilon: Damping after, per factor.
        floor: Floor of D wherever it is damped, as a share of lambda_max; ``None`` where there is none.
    """

    step: int
    positions: tuple[int, ...]
    root: int
    current: Tensor
    rotated: Tensor | None
    basis_before: Tensor | None
    eigenvalues_before: Tensor | None
    epsilon_before: tuple[float, ...]
    proxy: tuple[float | None, ...]
    relative_condition: tuple[float | None, ...]
    alpha: tuple[float | None, ...]
    residual: tuple[float | None, ...]
    decisions: tuple[Decision, ...]
    basis: Tensor
    eigenvalues: Tensor
    epsilon: tuple[float, ...]
    floor: float | None
