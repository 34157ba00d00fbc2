"""Factors of one size, stacked: statistics, bases, inverse roots, and what happens to them at a check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from foam_viz.optim import check, linalg
from foam_viz.optim.block_stack import Block
from foam_viz.optim.factor import STATE_FIELDS, Factor, FactorEvent
from foam_viz.optim.gram import complete, portion
from foam_viz.optim.measurement import Measurement
from foam_viz.optim.refresh import Decision, Policy


class FactorStack:
    """All factors of one size, root, dtype and device of a parameter group, as stacks in which rows are factors.

    Factors of blocks of one shape lie next to each other, so that a block stack reads its inverse roots as a view.

    Attributes:
        size: n.
        root: p.
        factors: The host side, N factors.
        positions: Their indices into ``Shampoo.factors()``.
        statistics: L, (N, n, n); on a CPU perhaps only its upper block triangle, see ``gram.complete``.
        basis: Q, (N, n, n), a third of the memory; kept only if a policy measures it or an observer is attached
            (``Factor.keeps_basis``), else ``None``: the step needs X alone.
        eigenvalues: D, (N, n).
        inverse_root: X, (N, n, n); the identity before the first decomposition.
        beta: beta2 of the statistics, kept up to date by the group; 1 means a plain sum.
        rule: ``"shift"`` or ``"floor"``: what becomes of eigenvalues that rounding drowned. By the shift, D is shifted
            once and for all; by the floor, D stays as the solver gave it, and every use of s = D + eps floors it.
    """

    def __init__(self, size: int, root: int, rule: str = "shift") -> None:
        self.size, self.root, self.rule = size, root, rule
        self.factors: list[Factor] = []
        self.positions: tuple[int, ...] = ()
        self._turns: tuple[tuple[int, int], ...] = ()
        self._blocks: list[Block] = []
        self.beta = 1.0

    def add(self, factor: Factor, block: Block) -> None:
        """Adds a factor; only before ``allocate``."""
        self.factors.append(factor)
        self._blocks.append(block)

    def allocate(self, positions: dict[str, int], dtype: torch.dtype, device: torch.device) -> None:
        """Allocates the stacks for the factors added so far.

        Args:
            positions: Index into ``Shampoo.factors()`` by factor id.
            dtype: float32 or float64.
            device: Device of the parameters.
        """
        count, size = len(self.factors), self.size
        self.positions = tuple(positions[factor.id] for factor in self.factors)
        first = min(positions.values())
        self._turns = tuple((position - first, len(positions)) for position in self.positions)
        self.statistics = torch.zeros(count, size, size, dtype=dtype, device=device)
        self.basis: Tensor | None = None
        self._allocate_roots()

    def _identities(self) -> Tensor:
        identity = torch.eye(self.size, dtype=self.statistics.dtype, device=self.statistics.device)
        return identity.repeat(len(self.factors), 1, 1)

    def _allocate_roots(self) -> None:
        self.eigenvalues = torch.zeros_like(self.statistics[..., 0])
        self.inverse_root = self._identities()
        self._note_damping()

    def _note_damping(self) -> None:
        self._damping = self._vector([factor.epsilon for factor in self.factors])

    @property
    def floor(self) -> float | None:
        """Floor of D in s as a share of lambda_max: machine epsilon of the statistics; ``None`` by the shift."""
        return torch.finfo(self.statistics.dtype).eps if self.rule == "floor" else None

    @property
    def epsilon(self) -> tuple[float, ...]:
        """Damping in force, per factor."""
        return tuple(factor.epsilon for factor in self.factors)

    @property
    def has_basis(self) -> tuple[bool, ...]:
        """Whether each factor was ever decomposed."""
        return tuple(factor.has_basis for factor in self.factors)

    def at(self, rows: Sequence[int]) -> slice | Tensor:
        """Ascending rows as an index into stacks: a slice, which reads as a view, where they lie next to each other.

        Else a tensor on the device of the stacks: a list would be copied there by the indexing, which waits for it.
        """
        if rows[-1] - rows[0] + 1 == len(rows):
            return slice(rows[0], rows[-1] + 1)
        return torch.tensor(rows).to(self.statistics.device, non_blocking=True)

    def bases(self, index: slice | Tensor) -> Tensor:
        """Q of some rows, (N, n, n), while the factor stack keeps it."""
        assert self.basis is not None  # whoever judges or rebuilds had it kept
        return self.basis[index]

    def spectrum(self, rows: Sequence[int]) -> Tensor:
        """D of some rows, (N, n), before any floor."""
        return self.eigenvalues[self.at(rows)]

    def current(self, rows: Sequence[int] | None = None) -> Tensor:
        """A = L / (1 - beta^t), a new tensor (N, n, n); t counts the gradients that each block has seen.

        Args:
            rows: Rows of the factor stack; all by default.
        """
        chosen = list(range(len(self.factors))) if rows is None else list(rows)
        return complete(self.statistics[self.at(chosen)]) / self._correction(chosen)

    @property
    def decay(self) -> float:
        """beta in A = L / (1 - beta^t); 1 where A is L."""
        return self.beta

    def block(self, row: int) -> Block:
        """The block whose dimension a row is a factor of."""
        return self._blocks[row]

    def steps(self, row: int) -> int:
        """t: gradients that the block of a row has seen."""
        return self._blocks[row].steps

    def _correction(self, rows: list[int]) -> float | Tensor:
        counts = [self._blocks[i].steps for i in rows]
        corrections = check.corrections(self.beta, counts)
        return corrections[0] if len(set(counts)) == 1 else self._vector(corrections).view(-1, 1, 1)

    def _vector(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=self.statistics.dtype).to(self.statistics.device, non_blocking=True)

    # --- a check: due rows, measure, (one host transfer), carry out ----------------------------------------------

    def has_turn(self, step: int, policy: Policy) -> bool:
        """Whether a factor is checked at ``step``, the next one, if its block has a gradient there."""
        return any(self._is_turn(row, step, block.steps + 1, policy) for row, block in enumerate(self._blocks))

    def _may_check(self, step: int, policy: Policy) -> bool:
        return policy.is_check(step)

    def _is_turn(self, row: int, step: int, seen: int, policy: Policy) -> bool:
        """Whether a row is checked at ``step``, at which its block has seen ``seen`` gradients."""
        return policy.is_turn(step, *self._turns[row])

    def can_judge(self, row: int, policy: Policy) -> bool:
        """Whether a policy can decide about a row: it has a basis, which is still there if the policy measures it."""
        factor = self.factors[row]
        return factor.has_basis and (policy.measures is None or factor.keeps_basis)

    def due(self, step: int, policy: Policy) -> list[list[int]]:
        """Rows to check now, those that can be judged and those that must be decomposed apart, in portions.

        It is their turn, and there are new statistics since their last check. See ``gram.portion`` for the portions.

        Args:
            step: The optimizer step.
            policy: Says when.
        """
        if not self._may_check(step, policy):
            return []
        rows = [
            i
            for i, (f, b) in enumerate(zip(self.factors, self._blocks, strict=True))
            if b.steps > f.seen and self._is_turn(i, step, b.steps, policy)
        ]
        judged = [i for i in rows if self.can_judge(i, policy)]
        without = [i for i in rows if not self.can_judge(i, policy)]
        count = portion(self.statistics)
        return [part[i : i + count] for part in (judged, without) for i in range(0, len(part), count)]

    def measure(self, rows: list[int], policy: Policy, observed: bool) -> Measurement:
        """Measures on the device; nothing here waits for it.

        Args:
            rows: A part of ``due``.
            policy: Says what to measure; nothing is where there is no basis yet.
            observed: Whether an observer wants B and Q too.
        """
        chosen, kind = self.at(rows), policy.measures
        keeps = observed or kind is not None
        if keeps and self.basis is None:
            self.basis = self._identities()
        values = [check.traces(self.statistics[chosen])]
        rotated = None
        if kind is not None and self.can_judge(rows[0], policy):
            rotated = check.rotate(self.statistics[chosen], self.bases(chosen), self._correction(rows))
            in_force = (self.eigenvalues[chosen], self._damping[chosen]) if kind == "proxy" else None
            values += check.measure(rotated, in_force, self.root, self.floor)
        kept = rotated if observed or policy.refreshes_eigenvalues else None
        measured = kind if rotated is not None else None
        return Measurement(self, rows, measured, torch.stack(values), kept, keeps)

    def carry_out(
        self, measured: Measurement, decisions: list[Decision], traces: list[float], step: int
    ) -> tuple[list[Decision], list[FactorEvent]]:
        """Does what was decided: decompose, refresh eigenvalues, rebuild the inverse roots that changed.

        Args:
            measured: The measurement that the decisions are about.
            decisions: One a row.
            traces: Trace of each factor; one that is not finite is not decomposed.
            step: The optimizer step.

        Returns:
            The decisions as carried out (a failed decomposition keeps the basis) and the events.
        """
        rows, events = measured.rows, []
        finite = [math.isfinite(trace) for trace in traces]
        outcomes: dict[int, linalg.Outcome] = {
            row: "failed" for row, d, ok in zip(rows, decisions, finite, strict=True) if d.decompose and not ok
        }
        wanted = {row: d.epsilon for row, d, ok in zip(rows, decisions, finite, strict=True) if d.decompose and ok}
        if wanted:
            outcomes |= self._decompose(list(wanted), list(wanted.values()), measured.keeps_basis)
        done, rebuild, refreshed = [], [], []
        for index, (row, decision) in enumerate(zip(rows, decisions, strict=True)):
            factor, outcome = self.factors[row], outcomes.get(row, "plain")
            if outcome != "plain":
                events += _event(factor, outcome, step, self.positions[row], finite[index])
            factor.reported = not finite[index] and (factor.reported or outcome == "failed")
            if outcome == "failed":
                decision = check.after_failure(decision, factor.epsilon)
            elif not decision.decompose and (decision.refresh_eigenvalues or decision.epsilon != factor.epsilon):
                rebuild.append(row)
            if decision.refresh_eigenvalues:
                refreshed.append(index)
            self._count(factor, decision, step, self._blocks[row].steps)
            done.append(decision)
        if refreshed and measured.rotated is not None:
            eigenvalues = check.refreshed(measured.rotated, self.rule)[self.at(refreshed)]
            self._refresh_eigenvalues([rows[index] for index in refreshed], eigenvalues)
        if rebuild or wanted:
            self._note_damping()
        if rebuild:
            self._rebuild(rebuild)
        return done, events

    def _refresh_eigenvalues(self, rows: list[int], eigenvalues: Tensor) -> None:
        self.eigenvalues[self.at(rows)] = eigenvalues

    def _decompose(self, rows: list[int], epsilon: list[float], keep: bool) -> dict[int, linalg.Outcome]:
        values, basis, outcomes = linalg.eigh_robust(self.current(rows), epsilon, shift=self.rule == "shift")
        good = [i for i, outcome in enumerate(outcomes) if outcome != "failed"]
        if good:
            source = self.at(good)
            installed = [rows[i] for i in good]
            self._install(installed, basis[source], values[source], [epsilon[i] for i in good])
            self._keep(installed, basis[source], keep)
        return dict(zip(rows, outcomes, strict=True))

    def _install(self, rows: list[int], basis: Tensor, eigenvalues: Tensor, epsilon: list[float]) -> None:
        self.eigenvalues[self.at(rows)] = eigenvalues
        self._write_roots(rows, basis, eigenvalues, self._vector(epsilon))

    def _keep(self, rows: list[int], basis: Tensor, keep: bool) -> None:
        for row in rows:
            self.factors[row].keeps_basis = keep
        if keep:
            assert self.basis is not None  # made by measure, which kept it
            self.basis[self.at(rows)] = basis
        elif not any(factor.keeps_basis for factor in self.factors):
            self.basis = None

    def _rebuild(self, rows: list[int]) -> None:
        chosen = self.at(rows)
        self._write_roots(rows, self.bases(chosen), self.eigenvalues[chosen], self._damping[chosen])

    def _write_roots(self, rows: list[int], basis: Tensor, eigenvalues: Tensor, epsilon: Tensor) -> None:
        """X of some rows, at once where rows lie next to each other: one copy fewer."""
        target = self.at(rows)
        into = self.inverse_root[target] if isinstance(target, slice) else None
        roots = linalg.inverse_root(basis, eigenvalues, epsilon, self.root, self.floor, into)
        if into is None:
            self.inverse_root[target] = roots

    @staticmethod
    def _count(factor: Factor, decision: Decision, step: int, seen: int) -> None:
        factor.checks += 1
        factor.last_check_step, factor.seen, factor.reason = step, seen, decision.reason
        factor.epsilon = decision.epsilon
        if decision.decompose:
            factor.decompositions += 1
            factor.cap_refreshes += decision.reason == "cap"
            factor.last_decomposition_step = step
        elif decision.reason == "failure":
            factor.failures += 1
        else:
            factor.reuses += 1

    # --- saved state ---------------------------------------------------------------------------------------------

    _STACKS: ClassVar[tuple[str, ...]] = ("statistics", "basis", "eigenvalues", "inverse_root")

    def state(self) -> dict[str, Any]:
        """The stacks (not copies) and the factors' counters, as plain values."""
        complete(self.statistics)
        stacks: dict[str, Any] = {name: getattr(self, name) for name in self._STACKS}
        stacks |= {"root": self.root, "rule": self.rule}
        stacks["factors"] = {f.id: {name: getattr(f, name) for name in STATE_FIELDS} for f in self.factors}
        return stacks

    def require_fit(self, state: dict[str, Any]) -> None:
        """Checks a ``state`` before it is loaded.

        Raises:
            ValueError: It is the state of other factors.
        """
        ids = [factor.id for factor in self.factors]
        shape = tuple(state["statistics"].shape)
        if list(state["factors"]) != ids or shape != tuple(self.statistics.shape) or state["root"] != self.root:
            raise ValueError(
                f"the saved state has factors {list(state['factors'])}, {shape}, root {state['root']}: this optimizer "
                f"has {ids}, {tuple(self.statistics.shape)}, root {self.root}"
            )

    def load(self, state: dict[str, Any]) -> None:
        """Copies a ``state`` in that fits, whatever device it lies on."""
        self.basis = None if state["basis"] is None else self._identities()
        self.rule = state.get("rule", "shift")  # states from before the rule could be chosen say nothing
        for name in self._STACKS:
            if state[name] is not None:
                getattr(self, name).copy_(state[name])
        for factor in self.factors:
            for name in STATE_FIELDS:
                saved = state["factors"][factor.id]
                setattr(factor, name, saved[_FORMERLY[name] if name in _FORMERLY and name not in saved else name])
        self._note_damping()


_FORMERLY = {"reported": "told"}
"""Names of counters in states that the first releases saved."""


def _event(factor: Factor, outcome: linalg.Outcome, step: int, position: int, finite: bool) -> list[FactorEvent]:
    if outcome == "retry-float64":
        message = f"eigh of factor {factor.id} failed in its own precision and succeeded in float64"
        return [FactorEvent(step, position, "eigh-retry-float64", message)]
    if outcome == "jitter":
        message = f"eigh of factor {factor.id} failed and succeeded with a jitter on the diagonal"
        return [FactorEvent(step, position, "eigh-jitter", message)]
    kept = f"the basis of step {factor.last_decomposition_step}" if factor.has_basis else "no basis"
    if finite:
        return [FactorEvent(step, position, "eigh-kept", f"eigh of factor {factor.id} failed: {kept} stays in force")]
    if factor.reported:  # when it began: statistics do not recover from a NaN by themselves
        return []
    cause = "is not finite (a gradient was NaN or infinite, or its square overflowed)"
    return [FactorEvent(step, position, "eigh-kept", f"factor {factor.id} {cause}: {kept} stays in force")]
