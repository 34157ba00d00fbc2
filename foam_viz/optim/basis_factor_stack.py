"""Factors of which only the eigenbasis is used: SOAP's, and those of eigenvalue-corrected Shampoo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

from torch import Tensor

from foam_viz.optim import linalg
from foam_viz.optim.factor import FactorEvent
from foam_viz.optim.factor_stack import FactorStack
from foam_viz.optim.gram import complete
from foam_viz.optim.measurement import Measurement
from foam_viz.optim.refresh import Decision, Policy


class Turn(NamedTuple):
    """New bases of some rows, before anything that lives in the old ones has followed.

    Attributes:
        rows: Rows of the factor stack.
        old: Q before, (k, n, n); a copy.
        order: (k, n), the column of Q before that each column of Q after stands for; ``None`` where none does.
    """

    rows: list[int]
    old: Tensor
    order: Tensor | None


class BasisFactorStack(FactorStack):
    """A factor stack without inverse roots: bases by falling eigenvalue, no eigenvalues and no damping in force.

    What scales the directions is a second moment kept in the basis, not the factor: ``epsilon`` is NaN, since no such
    number exists, and ``eigenvalues`` are those that the basis sees in the factor of this moment, diag(Q^T A Q). h and
    the error of an inverse root mean nothing here; residual, overlap and spectrum do.

    Attributes:
        turns: Bases replaced since the last ``drain_turns``.
    """

    _STACKS: ClassVar[tuple[str, ...]] = ("statistics", "basis")
    basis: Tensor  # always kept

    def _allocate_roots(self) -> None:
        self.basis = self._identities()
        self.turns: list[Turn] = []

    def _note_damping(self) -> None:
        pass

    @property
    def eigenvalues(self) -> Tensor:
        """diag(Q^T A Q), clamped at 0, (N, n); computed when asked for."""
        return self.spectrum(range(len(self.factors)))

    def spectrum(self, rows: Sequence[int]) -> Tensor:
        """diag(Q^T A Q) of some rows, clamped at 0, (N, n); computed when asked for."""
        basis = self.basis[self.at(rows)]
        return (basis * (self.current(rows) @ basis)).sum(-2).clamp_min_(0)

    def carry_out(
        self, measured: Measurement, decisions: list[Decision], traces: list[float], step: int
    ) -> tuple[list[Decision], list[FactorEvent]]:
        """As ``FactorStack.carry_out``; there are no eigenvalues to refresh and no damping."""
        plain = [replace(d, epsilon=math.nan, refresh_eigenvalues=False) for d in decisions]
        return super().carry_out(measured, plain, traces, step)

    def _decompose(self, rows: list[int], epsilon: list[float], keep: bool) -> dict[int, linalg.Outcome]:
        return super()._decompose(rows, [0.0] * len(rows), keep)

    def _install(self, rows: list[int], basis: Tensor, eigenvalues: Tensor, epsilon: list[float]) -> None:
        pass

    def _keep(self, rows: list[int], basis: Tensor, keep: bool) -> None:
        self._turn(rows, basis.flip(-1), None)

    def _turn(self, rows: list[int], basis: Tensor, order: Tensor | None) -> None:
        chosen = self.at(rows)
        self.turns.append(Turn(rows, self.basis[chosen].clone(), order))
        super()._keep(rows, basis, True)

    def _rebuild(self, rows: list[int]) -> None:
        pass

    def drain_turns(self) -> list[Turn]:
        """The turns since the last call, which are forgotten."""
        drained, self.turns = self.turns, []
        return drained


class SoapFactorStack(BasisFactorStack):
    """SOAP's factors: no bias correction; after the first decomposition, orthogonal iteration instead of ``eigh``."""

    @property
    def decay(self) -> float:
        """1: L is used as it is."""
        return 1.0

    def _correction(self, rows: list[int]) -> float | Tensor:
        return 1.0

    def _may_check(self, step: int, policy: Policy) -> bool:
        return True  # the steps that count are those of each block

    def _is_turn(self, row: int, step: int, seen: int, policy: Policy) -> bool:
        updates = seen - 1  # the first gradient gives the basis and moves nothing
        return updates == 0 or policy.is_turn(updates, *self._turns[row])

    def _decompose(self, rows: list[int], epsilon: list[float], keep: bool) -> dict[int, linalg.Outcome]:
        if not self.factors[rows[0]].has_basis:
            return super()._decompose(rows, epsilon, keep)
        chosen = self.at(rows)
        basis, order = linalg.iterate_basis(complete(self.statistics[chosen]), self.basis[chosen])
        self._turn(rows, basis, order)
        return dict.fromkeys(rows, "plain")
