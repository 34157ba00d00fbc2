"""What staleness does, in numbers: measures of updates, subspaces and spectra that no optimizer needs for itself.

Pure and batched like ``linalg``: bases (..., n, n) hold eigenvectors in columns, eigenvalues are (..., n) in the order
of the columns, one number a matrix is (...).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from foam_viz.optim.bundle import contract
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


class PrincipalAngles(NamedTuple):
    """Angles between two leading subspaces.

    Attributes:
        angles: (..., n), radians from 0 to pi/2, rising; NaN beyond the subspace.
        size: (...), dimension of the subspaces compared, at least the one asked for.
    """

    angles: Tensor
    size: Tensor


def principal_angles(
    stale_basis: Tensor,
    stale_eigenvalues: Tensor,
    fresh_basis: Tensor,
    fresh_eigenvalues: Tensor,
    size: int,
    gap: float = 0.05,
) -> PrincipalAngles:
    """Principal angles between the subspaces of the largest eigenvalues of two factors (Bjorck & Golub 1973).

    Within a group of nearly equal eigenvalues the eigenvectors are arbitrary, and so is a subspace that cuts through
    the group: the subspaces are enlarged until a gap follows them in both spectra. Small angles come from sines and
    large ones from cosines, so that none loses its digits.

    Args:
        stale_basis: Q_s, (..., n, n).
        stale_eigenvalues: (..., n).
        fresh_basis: U, (..., n, n).
        fresh_eigenvalues: (..., n).
        size: Dimension asked for, k, from 1 to n.
        gap: Eigenvalues a >= b are nearly equal where b >= (1 - gap) a.

    Raises:
        ValueError: ``size`` is not from 1 to n.
    """
    count = stale_basis.shape[-1]
    if not 1 <= size <= count:
        raise ValueError(f"size = {size}: must be from 1 to {count}")
    old, old_values = _falling(stale_basis, stale_eigenvalues)
    new, new_values = _falling(fresh_basis, fresh_eigenvalues)
    chosen = _enlarged(old_values, new_values, size, gap)
    index = torch.arange(count, device=old.device)
    inside = index < chosen.unsqueeze(-1)
    mixed = (old.mT @ new) * inside.unsqueeze(-2)
    cosines = torch.linalg.svdvals(mixed * inside.unsqueeze(-1))
    sines = torch.linalg.svdvals(mixed * ~inside.unsqueeze(-1))
    opposite = (chosen.unsqueeze(-1) - 1 - index).clamp_min(0)  # cosines fall where sines rise
    angles = torch.atan2(sines.take_along_dim(opposite, dim=-1), cosines)
    return PrincipalAngles(angles.masked_fill(~inside, math.nan), chosen)


def _falling(basis: Tensor, eigenvalues: Tensor) -> tuple[Tensor, Tensor]:
    values, order = eigenvalues.sort(dim=-1, descending=True, stable=True)
    return basis.take_along_dim(order.unsqueeze(-2), dim=-1), values


def _enlarged(stale: Tensor, fresh: Tensor, size: int, gap: float) -> Tensor:
    """The smallest k' >= size with a gap after k' in both falling spectra, (...); after the last there is one."""
    parted = (stale[..., 1:] < (1 - gap) * stale[..., :-1]) & (fresh[..., 1:] < (1 - gap) * fresh[..., :-1])
    last = torch.ones_like(parted[..., :1]) if parted.shape[-1] else torch.ones_like(stale, dtype=torch.bool)
    parted = torch.cat([parted, last], dim=-1)
    return parted[..., size - 1 :].int().argmax(-1) + size


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
