"""What staleness does, in numbers: measures of updates and spectra that no optimizer needs for itself.

Pure and batched like ``linalg``: bases (..., n, n) hold eigenvectors in columns, eigenvalues are (..., n) in the order
of the columns, one number a matrix is (...).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from foam_viz.optim.block_stack import contract
from foam_viz.optim.linalg import damped


class UpdateError(NamedTuple):
    """What the parameters feel of a stale preconditioner; each (N,), without unit.

    Attributes:
        error: || d_stale - d_fresh ||_F / || d_fresh ||_F, before grafting.
        grafted_error: The same after grafting, which gives both directions one length: a change of scale is gone.
        cosine: Cosine of the angle between the directions, the same before and after grafting.
    """

    error: Tensor
    grafted_error: Tensor
    cosine: Tensor


def update_error(momentum: Tensor, stale: Sequence[Tensor | None], fresh: Sequence[Tensor | None]) -> UpdateError:
    """Compares the directions that two preconditioners make of one momentum.

    A direction of length 0 has no error against itself and a cosine of 0 with everything.

    Args:
        momentum: m of N blocks, (N, *shape).
        stale: Per dimension the inverse root in force, (N, n, n); ``None`` for the identity.
        fresh: Per dimension the inverse root of the current factor, (N, n, n); ``None`` for the identity.
    """
    stale_direction = contract(momentum, stale).flatten(1)
    fresh_direction = contract(momentum, fresh).flatten(1)
    stale_unit, stale_length = _unit(stale_direction)
    fresh_unit, fresh_length = _unit(fresh_direction)
    # || a u - b v || for units u, v and lengths a, b, as a multiple of b: no large numbers are subtracted.
    ratio = (stale_length / fresh_length.clamp_min(torch.finfo(momentum.dtype).tiny)).unsqueeze(-1)
    return UpdateError(
        torch.linalg.vector_norm(ratio * stale_unit - fresh_unit, dim=-1),
        torch.linalg.vector_norm(stale_unit - fresh_unit, dim=-1),
        (stale_unit * fresh_unit).sum(-1).clamp(-1, 1),
    )


def _unit(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of length 1, and the lengths; divided by the largest entry first, so that no square leaves the range."""
    largest = rows.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
    scaled = rows / largest
    length = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
    unit = scaled / length.clamp_min(torch.finfo(rows.dtype).tiny)
    return unit, (length * largest).squeeze(-1)


def condition_number(eigenvalues: Tensor, epsilon: float | Tensor) -> Tensor:
    """(max D + eps) / (min D + eps), (...): of the damped factor; infinite for a singular one without damping."""
    s = damped(eigenvalues, epsilon)
    return s.amax(-1) / s.amin(-1)


def effective_rank(eigenvalues: Tensor) -> Tensor:
    """exp of the entropy of D / sum D, (...), from 1 to n (Roy & Vetterli 2007); 0 for a factor of zeros.

    Args:
        eigenvalues: (..., n), not negative.
    """
    total = eigenvalues.sum(-1, keepdim=True)
    shares = eigenvalues / total.clamp_min(torch.finfo(eigenvalues.dtype).tiny)
    return torch.where(total.squeeze(-1) > 0, torch.special.entr(shares).sum(-1).exp(), 0.0)


def directions_under(eigenvalues: Tensor, epsilon: float | Tensor) -> Tensor:
    """How many eigenvalues lie under the damping, (...): directions that it switches off."""
    limit = epsilon.unsqueeze(-1) if isinstance(epsilon, Tensor) else epsilon
    return (eigenvalues < limit).sum(-1)


def kronecker_error(errors: Tensor) -> Tensor:
    """Bound of the relative error of a whole preconditioner from those of its factors, (...).

    dL + dR + dL dR for two factors, in general the product of (1 + d_k) less 1.

    Args:
        errors: (..., k), relative errors in the Frobenius norm of the inverse roots of a block's k factors.
    """
    return torch.expm1(torch.log1p(errors).sum(-1))


def renewed_share(beta: float, steps: int) -> float:
    """1 - beta^f: how much of a factor's weight is newer than a basis f steps old; 0 for beta = 1, a plain sum."""
    return -math.expm1(steps * math.log(beta))
