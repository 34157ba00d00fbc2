"""Refresh policies: what to do with a factor's eigenbasis at a check, decided from measured numbers alone.

A policy is a pure function. The same object drives training, replay and the decision card. Sources: FOAM is
Nam & Ahn 2026 (arXiv 2606.02365); the diagonalization residual is the criterion of Eschenhagen et al. 2025
(arXiv 2506.03595).

Symbols: eps0 (``epsilon``) the damping of a fresh decomposition, eps the damping in force, eps_max
(``epsilon_max``) the largest damping before a new decomposition, tau the tolerance, h the staleness proxy,
r the diagonalization residual. eps has the unit of gradient^2; tau, h and r have none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from foam_viz.optim.fields import Constraint, Field, FieldError, require, unknown_key
from foam_viz.optim.refresh_fields import DAMPING_ORDER, EPSILON, EPSILON_MAX, PERIOD, STAGGER, START, TAU

Reason = Literal["first", "reuse", "cadence", "cap", "threshold", "failure"]
Measure = Literal["proxy", "residual"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with one factor at one check.

    Attributes:
        decompose: Whether to decompose the current factor and replace basis and eigenvalues.
        epsilon: Damping in force after the check; NaN for an optimizer that does not damp.
        reason: Why.
        refresh_eigenvalues: Without a decomposition, whether the eigenvalues become diag(Q^T A Q), clamped at 0.
    """

    decompose: bool
    epsilon: float
    reason: Reason
    refresh_eigenvalues: bool = False


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What all policies share: when to check, and the damping of a fresh decomposition.

    Attributes:
        period: Steps between checks, f.
        start: Step of the first check; ``None`` means ``period``.
        epsilon: eps0 > 0.

    Raises:
        FieldError: A value is outside its range.
    """

    period: int = PERIOD.default
    start: int | None = START.default
    epsilon: float = EPSILON.default

    measures: ClassVar[Measure | None] = None
    refreshes_eigenvalues: ClassVar[bool] = False
    renewal: ClassVar[Reason] = "threshold"
    fields: ClassVar[tuple[Field, ...]] = (PERIOD, START, EPSILON)
    constraints: ClassVar[tuple[Constraint, ...]] = ()

    def __post_init__(self) -> None:
        given = {f.name: getattr(self, f.name) for f in self.fields}
        for name, value in require(self.fields, given, self.constraints).items():
            object.__setattr__(self, name, value)  # 10.0 becomes 10

    @property
    def first_check(self) -> int:
        """The step of the first check."""
        return self.period if self.start is None else self.start

    def is_check(self, step: int) -> bool:
        """Whether ``step``, counted from 1, is a check: ``start``, and later multiples of ``period``."""
        first = self.first_check
        return step == first or (step > first and step % self.period == 0)

    def is_turn(self, step: int, position: int, count: int) -> bool:
        """Whether factor ``position`` of ``count`` is checked at ``step``; without turns, all are at every check."""
        return self.is_check(step)

    def decide(self, *, epsilon: float, measure: float | None, has_basis: bool) -> Decision:
        """Decides one factor at a check.

        Args:
            epsilon: Damping in force before the check.
            measure: What ``measures`` names, measured with that damping; ``None`` where there was nothing to measure,
                NaN where the statistics are not finite. Infinity is a measure like others: one too large.
            has_basis: Whether the factor was ever decomposed.
        """
        if not has_basis:
            return Decision(True, self.epsilon, "first")
        if self.measures is not None and (measure is None or math.isnan(measure)):
            return Decision(True, self.epsilon, "failure")
        return self._decide(epsilon, measure)

    def _decide(self, epsilon: float, measure: Any) -> Decision:
        decompose, damping = self.judge(epsilon, measure)
        if decompose:
            return Decision(True, self.epsilon, self.renewal)
        return Decision(False, float(damping), "reuse", self.refreshes_eigenvalues)

    def judge(self, epsilon: Any, measure: Any) -> tuple[Any, Any]:
        """The rule: whether to decompose, at eps0, and the damping after a reuse.

        Args:
            epsilon: Damping in force before the check: a number, or an array of many checks.
            measure: What ``measures`` names, never NaN: a number, or an array.
        """
        raise NotImplementedError

    def threshold_share(self, epsilon: Any, measure: Any) -> Any:
        """The number that decides as a multiple of its threshold, of numbers or arrays; None where none decides."""
        return None

    @classmethod
    def together(cls, policies: Sequence[Policy]) -> Self:
        """Several policies of this class as one, whose settings are columns (N, 1): ``judge`` decides for all at once.

        Args:
            policies: The policies, N.
        """
        joined = object.__new__(cls)
        for one in cls.fields:
            object.__setattr__(joined, one.name, np.array([[getattr(policy, one.name)] for policy in policies]))
        return joined


@dataclass(frozen=True, kw_only=True)
class EveryCheck(Policy):
    """Decompose at every check: Shampoo with a fixed period ("stale Shampoo").

    Taking turns (this project's variant, in no paper): the first decomposition of all factors is at ``start``; from
    then on factor i of N has its turn at the steps t with t mod f = floor(i f / N). Every factor is decomposed once a
    period as before, but only about N / f of them at a time.

    Attributes:
        stagger: Whether the factors take turns.
    """

    stagger: bool = STAGGER.default

    renewal: ClassVar[Reason] = "cadence"
    fields: ClassVar[tuple[Field, ...]] = (PERIOD, START, EPSILON, STAGGER)

    def is_check(self, step: int) -> bool:
        """Whether ``step`` may be a check of any factor; with turns, every step from ``start`` on."""
        return step >= self.first_check if self.stagger else super().is_check(step)

    def is_turn(self, step: int, position: int, count: int) -> bool:
        """Whether factor ``position`` of ``count`` is checked at ``step``."""
        if not self.stagger or step <= self.first_check:
            return self.is_check(step)
        return step % self.period == position * self.period // count

    def judge(self, epsilon: Any, measure: Any) -> tuple[Any, Any]:
        """Decompose, whatever is measured."""
        return True, self.epsilon


@dataclass(frozen=True, kw_only=True)
class Foam(Policy):
    """FOAM: let damping grow with staleness, decompose when eps_max no longer suffices.

    e' = max(eps0, eps h / tau). If e' > eps_max: decompose, at eps0. Otherwise keep Q and D and damp with e'.

    Attributes:
        tau: Tolerance in (0, 1).
        epsilon_max: Largest damping, at least ``epsilon``.
    """

    tau: float = TAU.default
    epsilon_max: float = EPSILON_MAX.default

    measures: ClassVar[Measure | None] = "proxy"
    renewal: ClassVar[Reason] = "cap"
    fields: ClassVar[tuple[Field, ...]] = (PERIOD, START, TAU, EPSILON, EPSILON_MAX)
    constraints: ClassVar[tuple[Constraint, ...]] = (DAMPING_ORDER,)

    def wanted(self, epsilon: Any, measure: Any) -> Any:
        """The damping e' that the measured staleness asks for, of numbers or arrays."""
        return np.maximum(self.epsilon, epsilon * measure / self.tau)

    def threshold_share(self, epsilon: Any, measure: Any) -> Any:
        """e' / eps_max."""
        return self.wanted(epsilon, measure) / self.epsilon_max

    def judge(self, epsilon: Any, measure: Any) -> tuple[Any, Any]:
        """Decompose where e' > eps_max; otherwise damp with e'."""
        wanted = self.wanted(epsilon, measure)
        return wanted > self.epsilon_max, wanted


@dataclass(frozen=True, kw_only=True)
class FoamFreshEigenvalues(Foam):
    """FOAM that refreshes the eigenvalues when it keeps a basis (this project's variant, not the paper's).

    Decides as FOAM does, but a reuse sets D <- diag(Q^T A Q), clamped at 0: the measured B holds it already. From then
    on h measures the drift since that refresh, and what is off the diagonal.
    """

    refreshes_eigenvalues: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class FoamNoRefresh(Foam):
    """FOAM without refresh (ablation): eps' clamped to [eps0, eps_max], the first basis is kept for ever."""

    def threshold_share(self, epsilon: Any, measure: Any) -> Any:
        """None: a clamp is no decision."""
        return None

    def judge(self, epsilon: Any, measure: Any) -> tuple[Any, Any]:
        """Damp with e', at most with eps_max."""
        return False, np.minimum(self.wanted(epsilon, measure), self.epsilon_max)


@dataclass(frozen=True, kw_only=True)
class FoamFixedDamping(Policy):
    """FOAM without adaptive damping (ablation): decompose if h > tau, always at eps0.

    Attributes:
        tau: Threshold of h, in (0, 1).
    """

    tau: float = TAU.default

    measures: ClassVar[Measure | None] = "proxy"
    fields: ClassVar[tuple[Field, ...]] = (PERIOD, START, TAU, EPSILON)

    def threshold_share(self, epsilon: Any, measure: Any) -> Any:
        """h / tau."""
        return measure / self.tau

    def judge(self, epsilon: Any, measure: Any) -> tuple[Any, Any]:
        """Decompose where h > tau; the damping stays eps0."""
        return measure > self.tau, self.epsilon


@dataclass(frozen=True, kw_only=True)
class DiagonalizationResidual(Policy):
    """Decompose if r > tau; otherwise keep Q and refresh the eigenvalues, D <- diag(Q^T A Q) (Purifying Shampoo).

    Attributes:
        tau: Threshold of r, in (0, 1).
    """

    tau: float = 0.2

    measures: ClassVar[Measure | None] = "residual"
    refreshes_eigenvalues: ClassVar[bool] = True
    fields: ClassVar[tuple[Field, ...]] = (PERIOD, START, TAU, EPSILON)

    def threshold_share(self, epsilon: Any, measure: Any) -> Any:
        """r / tau."""
        return measure / self.tau

    def judge(self, epsilon: Any, measure: Any) -> tuple[Any, Any]:
        """Decompose where r > tau; the damping stays eps0."""
        return measure > self.tau, self.epsilon


POLICIES: dict[str, type[Policy]] = {
    policy.__name__: policy
    for policy in (
        EveryCheck,
        Foam,
        FoamFixedDamping,
        FoamNoRefresh,
        FoamFreshEigenvalues,
        DiagonalizationResidual,
    )
}


def to_settings(policy: Policy) -> dict[str, Any]:
    """The policy as plain values: ``{"policy": class name, ...}``."""
    return {"policy": type(policy).__name__, **asdict(policy)}


def from_settings(settings: Mapping[str, Any]) -> Policy:
    """The policy that ``to_settings`` described.

    Raises:
        FieldError: The policy is unknown, has no such setting, or refuses a value.
    """
    values = dict(settings)
    name = values.pop("policy", None)
    if name not in POLICIES:
        raise FieldError("policy", name, "one of " + ", ".join(POLICIES))
    known = {f.name for f in POLICIES[name].fields}
    for key in values:
        if key not in known:
            raise unknown_key(key, known)
    return POLICIES[name](**values)
