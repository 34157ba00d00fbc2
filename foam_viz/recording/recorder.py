"""The recorder: what is measured of a run, when, and how it becomes rows of a trace.

Loss every step; h and residual of every factor at every check, whatever the policy; true operator error, spectrum
and overlap of every factor now and then and of the followed factor more often. Schedules depend on the step and
never on the clock, so that a run's rows are a function of its configuration. What only the recorder computes is
not charged to the optimizer: its clock is stopped meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from foam_viz import device as devices
from foam_viz.device import EventClock, ThreadClock
from foam_viz.optim import linalg
from foam_viz.recording.writer_rows import Rows
from foam_viz.trace.eigenbasis import OVERLAP_SIZE, against_basis
from foam_viz.trace.schema import TABLES

if TYPE_CHECKING:
    from foam_viz.optim.factor import CheckObservation
    from foam_viz.optim.factored import FactoredOptimizer
    from foam_viz.optim.refresh import Decision


@dataclass(frozen=True)
class Schedule:
    """When what is measured, in steps.

    Attributes:
        snapshot_period: Error, spectrum and overlap of every factor.
        followed_period: The same of the followed factor.
        held_out_period: Loss on held-out examples.
        picture_period: Picture of what the model does, where the task has one.
        norm_period: Norms of gradient and update.
        overlap_size: Largest side of a stored overlap matrix; larger ones are pooled over groups of eigenvalues.
    """

    snapshot_period: int = 100
    followed_period: int = 20
    held_out_period: int = 100
    picture_period: int = 50
    norm_period: int = 10
    overlap_size: int = OVERLAP_SIZE

    def to_json(self) -> dict[str, int]:
        """Return the fields as JSON."""
        return asdict(self)


def _measured(value: float | None) -> float | None:
    """None for NaN: an optimizer that does not damp its factors has no damping, and nothing that follows from it."""
    return None if value is None or math.isnan(value) else value


class Recorder:
    """Records one run.

    Args:
        schedule: When what is measured.
        clock: The clock of the step, stopped while the recorder works inside the optimizer's step.
        followed: Position of the followed factor, or None.

    Attributes:
        followed_check: The last check of the followed factor: its row, and what was decided.
    """

    def __init__(self, schedule: Schedule, clock: ThreadClock | EventClock, followed: int | None = None) -> None:
        self.schedule = schedule
        self.followed = followed
        self.decompositions = 0
        self.last_decomposition: dict[int, int] = {}
        self.followed_check: tuple[dict[str, Any], Decision] | None = None
        self._clock = clock
        self.steps, self.checks = Rows("steps"), Rows("checks")
        self.snapshots, self.events, self.pictures = Rows("snapshots"), Rows("events"), Rows("pictures")
        self._pictured: dict[str, np.ndarray] = {}

    def on_check(self, seen: CheckObservation) -> None:
        """Called by the optimizer after the decisions of one factor stack of equal factors."""
        self._clock.stop()
        try:
            self._record_check(seen)
        finally:
            self._clock.start()

    def _record_check(self, seen: CheckObservation) -> None:
        count = len(seen.positions)
        proxy, condition, alpha = list(seen.proxy), list(seen.relative_condition), list(seen.alpha)
        residual = list(seen.residual)
        last = [self.last_decomposition.get(position) for position in seen.positions]
        basis, eigenvalues = seen.basis_before, seen.eigenvalues_before
        if basis is not None and eigenvalues is not None and (None in proxy or None in residual):
            rotated = seen.rotated
            if rotated is None:
                rotated = linalg.rotate(basis, seen.current)
            if None in proxy:
                epsilon = torch.tensor(seen.epsilon_before, dtype=rotated.dtype, device=rotated.device)
                measured = linalg.proxy(rotated, eigenvalues, epsilon, seen.root, seen.floor)
                proxy, condition, alpha = (part.tolist() for part in measured)
            if None in residual:
                residual = linalg.diagonalization_residual(rotated).tolist()
        for i in range(count):
            decision = seen.decisions[i]
            self.decompositions += decision.decompose
            row = {
                "step": seen.step,
                "factor": seen.positions[i],
                "checks": 1,
                "decompositions": int(decision.decompose),
                "reuses": int(not decision.decompose and decision.reason != "failure"),
                "cap_refreshes": int(decision.reason == "cap"),
                "decision": decision.reason,
                "epsilon_before": _measured(seen.epsilon_before[i]),
                "epsilon": _measured(seen.epsilon[i]),
                "proxy": _measured(proxy[i]),
                "relative_condition": _measured(condition[i]),
                "alpha": _measured(alpha[i]),
                "residual": residual[i],
                "last_decomposition_step": seen.step if decision.decompose else last[i],
            }
            self.checks.add(row)
            if seen.positions[i] == self.followed:
                self.followed_check = row, decision
        self._check_snapshots(seen, last)
        for i, position in enumerate(seen.positions):
            if seen.decisions[i].decompose:
                self.last_decomposition[position] = seen.step

    def _check_snapshots(self, seen: CheckObservation, last: Sequence[int | None]) -> None:
        """Snapshots at a check show the basis in force before its decision, so that the peak of staleness is seen."""
        rows = list(range(len(seen.positions)))
        basis, eigenvalues, epsilon = seen.basis_before, seen.eigenvalues_before, seen.epsilon_before
        if basis is None or eigenvalues is None:  # the first decomposition opens the record of every factor
            rows = [i for i in rows if seen.decisions[i].decompose]
            basis, eigenvalues, epsilon = seen.basis, seen.eigenvalues, seen.epsilon
            last = [seen.step] * len(seen.positions)
        else:
            rows = [i for i in rows if self._wants_snapshot(seen.step, seen.positions[i])]
        if rows:
            self._snapshot(
                seen.step,
                [seen.positions[i] for i in rows],
                seen.root,
                current=seen.current[rows],
                basis=basis[rows],
                eigenvalues=eigenvalues[rows],
                epsilon=[epsilon[i] for i in rows],
                last_decomposition=[last[i] for i in rows],
                floor=seen.floor,
            )

    def _wants_snapshot(self, step: int, position: int) -> bool:
        return step % self.schedule.snapshot_period == 0 or (
            position == self.followed and step % self.schedule.followed_period == 0
        )

    def after_step(self, step: int, optimizer: FactoredOptimizer) -> None:
        """Snapshots of the factors that were not checked in this step, and the events of the optimizer."""
        for event in optimizer.drain_events():
            self.events.add(
                {
                    "step": event.step,
                    "kind": event.kind,
                    "factor": event.position,
                    "value": None,
                    "message": event.message,
                }
            )
        if step % self.schedule.snapshot_period and step % self.schedule.followed_period:
            return
        for factor_stack in optimizer.factor_stacks():
            wanted = [
                i
                for i, position in enumerate(factor_stack.positions)
                if factor_stack.has_basis[i]
                and factor_stack.factors[i].last_check_step != step
                and self._wants_snapshot(step, position)
            ]
            basis = factor_stack.basis
            if wanted and basis is not None:
                self._snapshot(
                    step,
                    [factor_stack.positions[i] for i in wanted],
                    factor_stack.root,
                    current=factor_stack.current(wanted),
                    basis=basis[wanted],
                    eigenvalues=factor_stack.spectrum(wanted),
                    epsilon=[factor_stack.epsilon[i] for i in wanted],
                    last_decomposition=[factor_stack.factors[i].last_decomposition_step for i in wanted],
                    floor=factor_stack.floor,
                )

    def _snapshot(
        self,
        step: int,
        positions: Sequence[int],
        root: int,
        *,
        current: Tensor,
        basis: Tensor,
        eigenvalues: Tensor,
        epsilon: Sequence[float],
        last_decomposition: Sequence[int | None],
        floor: float | None,
    ) -> None:
        """One row a factor: (N, n, n) current factors against the (N, n, n) basis in force.

        The truth is what the optimizer would have, had it decomposed the factor in float64 just now. So it is
        decomposed again even where it just was: in float32 the smallest eigenvalues and their directions are rounding.

        A factor that cannot be decomposed, whose statistics are not finite, has no row: nothing is known of its error.
        """
        current, basis, eigenvalues = (devices.widest(tensor) for tensor in (current, basis, eigenvalues))
        jitter = [0.0 if math.isnan(value) else value for value in epsilon]
        true_values, true_basis, outcomes = linalg.eigh_robust(current, jitter, shift=floor is None)
        failed = {i for i, outcome in enumerate(outcomes) if outcome == "failed"}
        true_values, eigenvalues = linalg.floored(true_values, floor), linalg.floored(eigenvalues, floor)
        damping = torch.tensor(epsilon, dtype=eigenvalues.dtype, device=eigenvalues.device)
        mixed = linalg.mixing(basis, eigenvalues, true_basis, true_values)
        falling, old_falling = (v.sort(-1, descending=True).values for v in (true_values, eigenvalues))
        error = linalg.error_of_mixing(mixed, old_falling, falling, damping, root)
        mixed, spectra, old_spectra = (
            mixed.cpu().numpy(),
            falling.float().cpu().numpy(),
            old_falling.float().cpu().numpy(),
        )
        errors = error.tolist()
        for i, position in enumerate(positions):
            if i in failed:
                continue
            self.snapshots.add(
                {
                    "step": step,
                    "factor": position,
                    "last_decomposition_step": last_decomposition[i],
                    "epsilon": _measured(float(epsilon[i])),
                    "eigenvalues": spectra[i],
                    "basis_eigenvalues": old_spectra[i],
                    "true_error": _measured(errors[i]),
                    **against_basis(mixed[i], spectra[i], self.schedule.overlap_size),
                }
            )

    def takes_norms(self, step: int) -> bool:
        """Whether the norms of gradient and update are taken of a step."""
        return step == 1 or step % self.schedule.norm_period == 0

    def picture(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """One row for each array that changed since its last row."""
        for name, array in arrays.items():
            values = np.ascontiguousarray(array, np.float32)
            known = self._pictured.get(name)
            if known is None or not np.array_equal(values, known, equal_nan=True):
                self._pictured[name] = values
                self.pictures.add({"step": step, "array": name, "shape": values.shape, "values": values.ravel()})

    def drain(self) -> dict[str, pa.Table]:
        """The rows since the last drain, a table each."""
        drained = {name: getattr(self, name).drain() for name in TABLES}
        return {name: pa.Table.from_batches([batch]) for name, batch in drained.items() if batch is not None}
