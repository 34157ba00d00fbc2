"""A check, for those who have the matrices: what is measured, what a policy decides, and what comes of it.

Training and replay call these functions and no others, so that a replay of a run's own setting gives its decisions,
damping and measures back bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from foam_viz.optim import linalg
from foam_viz.optim.gram import complete
from foam_viz.optim.refresh import Decision, Policy


def traces(statistics: Tensor) -> Tensor:
    """Trace of L, (N,). L is positive semidefinite: a NaN or infinity anywhere in it shows there."""
    return statistics.diagonal(dim1=-2, dim2=-1).sum(-1)


def corrections(beta: float, steps: Sequence[int]) -> list[float]:
    """1 - beta^t of each factor, with A = L / (1 - beta^t); 1 for a plain sum.

    Args:
        beta: Decay of the statistics; 1 means a plain sum.
        steps: t, gradients that each has seen.
    """
    return [1.0 if beta == 1 or t == 0 else 1 - beta**t for t in steps]


def rotate(statistics: Tensor, basis: Tensor, correction: float | Tensor) -> Tensor:
    """B = Q^T A Q, (N, n, n), from the statistics L, whose lower block triangle may not be up to date."""
    return linalg.rotate(basis, complete(statistics)).div_(correction)


def measure(
    rotated: Tensor, in_force: tuple[Tensor, Tensor] | None, root: int, floor: float | None
) -> tuple[Tensor, ...]:
    """Measures what a policy decides on: h, RC and alpha, or r, each (N,).

    Args:
        rotated: B, (N, n, n).
        in_force: For h, D, (N, n), and eps, (N,); None for r.
        root: p.
        floor: See ``linalg.floored``.
    """
    if in_force is None:
        return (linalg.diagonalization_residual(rotated),)
    return tuple(linalg.proxy(rotated, *in_force, root, floor))


def decide(policy: Policy, *, epsilon: float, measured: float | None, trace: float, can_judge: bool) -> Decision:
    """What a policy decides about one factor.

    Args:
        policy: The policy.
        epsilon: Damping in force before the check.
        measured: h or r; None where nothing was measured.
        trace: Trace of its statistics; where it is not finite no measure of them counts, whatever it came out as.
        can_judge: Whether there is a basis, still at hand if the policy measures.
    """
    if measured is not None and not math.isfinite(trace):
        measured = math.nan
    return policy.decide(epsilon=epsilon, measure=measured, has_basis=can_judge)


def after_failure(decision: Decision, epsilon: float) -> Decision:
    """A decision to decompose, as it is carried out where that fails: the old basis and damping stay."""
    return replace(decision, decompose=False, epsilon=epsilon, reason="failure")


def refreshed(rotated: Tensor, rule: str) -> Tensor:
    """The eigenvalues of a basis that is kept, diag B, (N, n); not clamped at 0 where every use of them is floored."""
    diagonal = rotated.diagonal(dim1=-2, dim2=-1)
    return diagonal if rule == "floor" else diagonal.clamp(min=0)
