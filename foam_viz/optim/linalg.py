"""Matrix functions of the factors: decomposition, inverse root, and the measures of staleness.

Everything is pure and batched: matrices are (..., n, n), eigenvalues (..., n), one number a matrix (...). ``epsilon``
is a float or a tensor (...). Bases hold eigenvectors in columns. Symbols: A the current factor, Q and D the basis
and the eigenvalues in force, s = D + eps, p the root, B = Q^T A Q.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from foam_viz.optim import gram, solver

Outcome = Literal["plain", "retry-float64", "jitter", "failed"]


class Decomposition(NamedTuple):
    """What ``eigh_robust`` returns.

    Attributes:
        eigenvalues: (N, n), ascending; shifted so that the smallest is not negative, unless that was declined.
        basis: (N, n, n), eigenvectors in columns.
        outcomes: How each matrix was decomposed; rows of a "failed" one are undefined.
    """

    eigenvalues: Tensor
    basis: Tensor
    outcomes: tuple[Outcome, ...]


def eigh_robust(matrices: Tensor, epsilon: float | Sequence[float], *, shift: bool = True) -> Decomposition:
    """Eigendecomposition that never ends a run.

    A matrix whose decomposition fails is tried again in float64, then with eps + 1e-12 trace/n added to its diagonal
    (that is taken off the eigenvalues again), then given up.

    Args:
        matrices: (N, n, n), symmetric.
        epsilon: Damping eps of all matrices or of each, for the jitter.
        shift: Whether a negative smallest eigenvalue, rounding of a positive semidefinite matrix, is shifted up to
            zero together with the others; otherwise eigenvalues stay as the solver gives them: see ``floored``.

    Returns:
        A ``Decomposition`` in the dtype of ``matrices``.
    """
    attempt = _eigh(matrices)
    if attempt is not None:
        return Decomposition(lifted(attempt[0]) if shift else attempt[0], attempt[1], ("plain",) * len(matrices))
    values, basis = torch.zeros_like(matrices[..., 0]), torch.zeros_like(matrices)
    outcomes: list[Outcome] = []
    for i, matrix in enumerate(matrices):
        jitter = epsilon if isinstance(epsilon, int | float) else epsilon[i]
        one, outcome = _eigh_escalating(matrix, jitter)
        if one is not None:
            found = lifted(one[0]) if shift else one[0]
            values[i], basis[i] = found.to(values.dtype), one[1].to(basis.dtype)
        outcomes.append(outcome)
    return Decomposition(values, basis, tuple(outcomes))


def _eigh_escalating(matrix: Tensor, epsilon: float) -> tuple[tuple[Tensor, Tensor] | None, Outcome]:
    one = _eigh(matrix)
    if one is not None:
        return one, "plain"
    wide = _wide(matrix)
    one = _eigh(wide)
    if one is not None:
        return one, "retry-float64"
    jitter = epsilon + 1e-12 * wide.diagonal().mean()
    one = _eigh(wide + jitter * torch.eye(len(wide), dtype=wide.dtype, device=wide.device))
    return (None, "failed") if one is None else ((one[0] - jitter, one[1]), "jitter")


def _eigh(matrices: Tensor) -> tuple[Tensor, Tensor] | None:
    # The solvers raise on most failures, but some LAPACKs, on the host, return NaN instead. Elsewhere torch waits for
    # the solver's own verdict already, and another look would be one more wait.
    try:
        values, basis = solver.eigh(matrices)
    except torch.linalg.LinAlgError:
        return None
    if gram.on_host(values) and not bool(torch.isfinite(values.sum() + basis.sum())):
        return None
    return values.to(matrices.device), basis.to(matrices.device)


def _wide(matrix: Tensor) -> Tensor:
    return (matrix.cpu() if matrix.device.type == "mps" else matrix).double()


def lifted(eigenvalues: Tensor) -> Tensor:
    """D, rising, shifted up by |lambda_min| where that is negative, (..., n)."""
    return eigenvalues - eigenvalues[..., :1].clamp(max=0)


def floored(eigenvalues: Tensor, floor: float | None) -> Tensor:
    """max(D, floor lambda_max), (..., n): eigenvalues that rounding drowned, negative ones too, raised to its size.

    Args:
        eigenvalues: D as the solver gave it, (..., n).
        floor: Machine epsilon of the statistics; ``None`` leaves D as it is.
    """
    if floor is None:
        return eigenvalues
    return torch.maximum(eigenvalues, floor * eigenvalues.amax(-1, keepdim=True).clamp_min(0))


def damped(eigenvalues: Tensor, epsilon: float | Tensor, floor: float | None = None) -> Tensor:
    """s = D + eps with D floored, (..., n), for eps a float or one number a matrix (...)."""
    return floored(eigenvalues, floor) + (epsilon.unsqueeze(-1) if isinstance(epsilon, Tensor) else epsilon)


def inverse_root(
    basis: Tensor,
    eigenvalues: Tensor,
    epsilon: float | Tensor,
    root: int,
    floor: float | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """X = Q diag(s^(-1/p)) Q^T with s = D + eps, D floored, (..., n, n); in ``out``, contiguous, where it is given."""
    scale = damped(eigenvalues, epsilon, floor).pow_(-1.0 / root)
    return gram.symmetric_product(basis * scale.unsqueeze(-2), basis.mT, out)


def rotate(basis: Tensor, matrices: Tensor) -> Tensor:
    """B = Q^T A Q, (..., n, n)."""
    return gram.symmetric_product(basis.mT, matrices @ basis)


def iterate_basis(matrices: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """One step of orthogonal iteration from an old basis, which costs less than a decomposition (Vyas et al. 2024).

    The columns of Q are sorted by falling diag(Q^T A Q); the new basis is the orthonormal factor of QR(A Q). A Q is
    scaled to entries of at most 1 before, so that neither tiny nor huge factors leave the range of the dtype: the
    result is finite for every finite A of finite trace.

    Args:
        matrices: A, positive semidefinite, (..., n, n).
        basis: Q, (..., n, n).

    Returns:
        The new basis (..., n, n), and the order (..., n) in which its columns stand for those of the old one.
    """
    # (A Q)^T, whose rows are the columns to sort: they lie in one piece, as the solver wants them.
    image = basis.mT @ matrices
    image /= image.abs().amax((-2, -1), keepdim=True).clamp_min_(torch.finfo(image.dtype).tiny)
    order = (basis.mT * image).sum(-1).argsort(dim=-1, descending=True)
    image = reorder(image, order).mT
    return solver.orthonormal(image), order


def iterate_basis_in_place(matrices: Tensor, basis: Tensor) -> Tensor:
    """As ``iterate_basis``, with the columns of Q in their places: the orthonormal factor of QR(A Q), (..., n, n)."""
    image = matrices @ basis
    image /= image.abs().amax((-2, -1), keepdim=True).clamp_min_(torch.finfo(image.dtype).tiny)
    return solver.orthonormal(image)


def reorder(stack: Tensor, order: Tensor) -> Tensor:
    """The rows of each matrix, (..., n, m), in a new order, (..., n).

    As ``take_along_dim``, which would build an index as large as the stack at several times the cost of the copy.
    """
    count, width = order.shape[-1], stack.shape[-1]
    first = torch.arange(0, order.numel(), count, device=order.device).unsqueeze(-1)
    chosen = (order.reshape(-1, count) + first).flatten()
    return stack.reshape(-1, width).index_select(0, chosen).view(stack.shape)


class Proxy(NamedTuple):
    """FOAM's staleness proxy; each (...), without unit.

    Attributes:
        h: RC alpha / p.
        relative_condition: RC, the whitened drift of the factor.
        alpha: Largest share of one direction in the inverse root, in [1/sqrt(n), 1].
    """

    h: Tensor
    relative_condition: Tensor
    alpha: Tensor


def proxy(
    rotated: Tensor, eigenvalues: Tensor, epsilon: float | Tensor, root: int, floor: float | None = None
) -> Proxy:
    """The proxy h = RC alpha / p of the first-order error of a stale inverse root (Nam & Ahn 2026).

    RC = || (B - diag D)_ij / sqrt(s_i s_j) ||_F and alpha = max_i s_i^(-1/p) / || s^(-1/p) ||_2. A floor raises D in s
    alone: B is compared with D as it is, since a floor is no drift.

    Args:
        rotated: B, (..., n, n).
        eigenvalues: D of the basis in force, (..., n).
        epsilon: Damping in force, before the check.
        root: p.
        floor: See ``floored``.
    """
    s = damped(eigenvalues, epsilon, floor)
    drift = rotated.clone()
    drift.diagonal(dim1=-2, dim2=-1).sub_(eigenvalues)
    whitening = s.rsqrt()
    drift.mul_(whitening.unsqueeze(-1)).mul_(whitening.unsqueeze(-2))
    relative_condition = _norm(drift)
    # Scaled by the largest entry, so that no power of a tiny s overflows.
    ratios = (s / s.amin(-1, keepdim=True)).pow_(-1.0 / root)
    alpha = torch.linalg.vector_norm(ratios, dim=-1).reciprocal()
    return Proxy(relative_condition * alpha / root, relative_condition, alpha)


def diagonalization_residual(rotated: Tensor) -> Tensor:
    """r = || B - diag(diag B) ||_F / || B ||_F, (...), in [0, 1]; 0 for B = 0 (Eschenhagen et al. 2025)."""
    scaled = rotated / _largest(rotated)[..., None, None]
    whole = torch.linalg.matrix_norm(scaled)
    scaled.diagonal(dim1=-2, dim2=-1).zero_()
    return torch.linalg.matrix_norm(scaled) / whole.clamp_min_(torch.finfo(rotated.dtype).tiny)


def _norm(matrices: Tensor) -> Tensor:
    """Frobenius norm of matrices (..., n, n), (...), scaled: squares of tiny and huge entries would leave float32."""
    largest = _largest(matrices)
    return torch.linalg.matrix_norm(matrices / largest[..., None, None]).mul_(largest)


def _largest(matrices: Tensor) -> Tensor:
    """Largest size of an entry, (...), positive."""
    # A sixth of the time of vector_norm with infinity, to the same bits.
    return matrices.abs().amax((-2, -1)).clamp_min_(torch.finfo(matrices.dtype).tiny)


def operator_error(
    stale_basis: Tensor,
    stale_eigenvalues: Tensor,
    fresh_basis: Tensor,
    fresh_eigenvalues: Tensor,
    epsilon: float | Tensor,
    root: int,
) -> Tensor:
    """True relative error E of a stale inverse root, (...).

    E = || (A + eps I)^(-1/p) - X_s ||_F / || X_s ||_F with X_s = Q_s (D_s + eps)^(-1/p) Q_s^T. With A = U diag(D_t) U^T
    and M = Q_s^T U the numerator is || M o (b_j - a_i) ||_F for a = (D_s + eps)^(-1/p) and b = (D_t + eps)^(-1/p): no
    two large matrices are subtracted.

    Args:
        stale_basis: Q_s, (..., n, n).
        stale_eigenvalues: D_s, (..., n), floored where the optimizer does so.
        fresh_basis: U of the current factor, (..., n, n).
        fresh_eigenvalues: Eigenvalues of the current factor, not negative, (..., n); floored likewise.
        epsilon: Damping of both.
        root: p.
    """
    return error_of_mixing(stale_basis.mT @ fresh_basis, stale_eigenvalues, fresh_eigenvalues, epsilon, root)


def error_of_mixing(
    mixed: Tensor, stale_eigenvalues: Tensor, fresh_eigenvalues: Tensor, epsilon: float | Tensor, root: int
) -> Tensor:
    """``operator_error`` of a known M = Q_s^T U, (..., n, n), rows and columns in the order of the eigenvalues."""
    stale = damped(stale_eigenvalues, epsilon).pow_(-1.0 / root)
    fresh = damped(fresh_eigenvalues, epsilon).pow_(-1.0 / root)
    difference = mixed * (fresh.unsqueeze(-2) - stale.unsqueeze(-1))
    return torch.linalg.matrix_norm(difference) / torch.linalg.vector_norm(stale, dim=-1)


def mixing(stale_basis: Tensor, stale_eigenvalues: Tensor, fresh_basis: Tensor, fresh_eigenvalues: Tensor) -> Tensor:
    """M = Q_s^T U, (..., n, n), rows and columns by falling eigenvalue; its squares are the overlap.

    Args:
        stale_basis: Q_s, (..., n, n): the rows.
        stale_eigenvalues: (..., n), in the order of its columns.
        fresh_basis: U, (..., n, n): the columns.
        fresh_eigenvalues: (..., n), in the order of its columns.
    """
    rows, columns = (
        values.argsort(dim=-1, descending=True, stable=True) for values in (stale_eigenvalues, fresh_eigenvalues)
    )
    return reorder(reorder(stale_basis.mT @ fresh_basis, rows).mT.contiguous(), columns).mT


def overlap(stale_basis: Tensor, stale_eigenvalues: Tensor, fresh_basis: Tensor, fresh_eigenvalues: Tensor) -> Tensor:
    """O = (Q_s^T U)^2 entrywise, (..., n, n); rows and columns as in ``mixing``, each sums to 1."""
    return mixing(stale_basis, stale_eigenvalues, fresh_basis, fresh_eigenvalues).square_()
