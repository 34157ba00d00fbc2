"""What a check measured for some rows of a factor stack, and what an observer is told about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from foam_viz.optim.factor import CheckObservation
from foam_viz.optim.refresh import Decision, Measure

if TYPE_CHECKING:
    from foam_viz.optim.factor_stack import FactorStack


class Before(NamedTuple):
    """Basis, eigenvalues and damping of the checked rows before the decision."""

    basis: Tensor | None
    eigenvalues: Tensor | None
    epsilon: tuple[float, ...]


@dataclass(slots=True)
class Measurement:
    """What a check measured on the device, before the host reads it.

    Attributes:
        factor_stack: The factor stack.
        rows: Its rows that are checked together.
        kind: What was measured besides the trace.
        values: (k, N): the trace of A, then h, RC, alpha or r.
        rotated: B, (N, n, n), kept where it is needed again.
        keeps_basis: Whether somebody will read Q after a decomposition.
    """

    factor_stack: FactorStack
    rows: list[int]
    kind: Measure | None
    values: Tensor
    rotated: Tensor | None
    keeps_basis: bool

    def note(self, numbers: list[list[float]]) -> None:
        """Writes ``values``, read by the host, into the factors; NaN where nothing was measured."""
        for i, row in enumerate(self.rows):
            factor = self.factor_stack.factors[row]
            measured = [column[i] for column in numbers[1:]]
            nothing = (math.nan,) * 3
            factor.proxy, factor.relative_condition, factor.alpha = measured if self.kind == "proxy" else nothing
            factor.residual = measured[0] if self.kind == "residual" else math.nan

    def before(self, decisions: list[Decision]) -> Before:
        """What an observer wants to see of the time before the decisions are carried out; copied if that changes it."""
        factor_stack = self.factor_stack
        epsilon = tuple(factor_stack.factors[row].epsilon for row in self.rows)
        if factor_stack.basis is None or not all(factor_stack.factors[row].keeps_basis for row in self.rows):
            return Before(None, None, epsilon)
        basis, eigenvalues = factor_stack.basis[factor_stack.at(self.rows)], factor_stack.spectrum(self.rows)
        decomposes = any(decision.decompose for decision in decisions)
        if decomposes:
            basis = basis.clone()
        if decomposes or any(decision.refresh_eigenvalues for decision in decisions):
            eigenvalues = eigenvalues.clone()
        return Before(basis, eigenvalues, epsilon)

    def observation(self, before: Before, decisions: tuple[Decision, ...], step: int) -> CheckObservation:
        """What an observer is told once the decisions were carried out."""
        factor_stack = self.factor_stack
        factors = [factor_stack.factors[row] for row in self.rows]
        nothing = (None,) * len(factors)
        proxy, residual = self.kind == "proxy", self.kind == "residual"
        return CheckObservation(
            step=step,
            positions=tuple(factor_stack.positions[row] for row in self.rows),
            root=factor_stack.root,
            current=factor_stack.current(self.rows),
            rotated=self.rotated,
            basis_before=before.basis,
            eigenvalues_before=before.eigenvalues,
            epsilon_before=before.epsilon,
            proxy=tuple(f.proxy for f in factors) if proxy else nothing,
            relative_condition=tuple(f.relative_condition for f in factors) if proxy else nothing,
            alpha=tuple(f.alpha for f in factors) if proxy else nothing,
            residual=tuple(f.residual for f in factors) if residual else nothing,
            decisions=decisions,
            basis=factor_stack.bases(factor_stack.at(self.rows)),
            eigenvalues=factor_stack.spectrum(self.rows),
            epsilon=tuple(f.epsilon for f in factors),
            floor=factor_stack.floor,
        )
