"""What a snapshot says of one factor, in numpy: spectrum, overlap, true error, residual.

These are the formulas of ``foam_viz.optim.linalg`` in float64 for one matrix at a time, so that the writer needs
neither torch nor the optimizers of this project.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from foam_viz.recording.observe.views import Matrices
from foam_viz.trace.eigenbasis import against_basis


def snapshot(current: np.ndarray, before: Matrices) -> tuple[dict[str, Any], float | None]:
    """Compare the factor now with the basis in force.

    Args:
        current: A, (n, n).
        before: The basis, or the inverse root, in force before the decision of this step.

    Returns:
        The columns of a snapshot row that follow from the matrices, and the diagonalization residual
        r = || B - diag(diag B) ||_F / || B ||_F with B = Q^T A Q; None where there is no basis.

    Raises:
        numpy.linalg.LinAlgError: The factor is not finite or does not converge.
    """
    values, fresh = _decompose(current, before.floor)
    order = np.argsort(values)[::-1]
    row: dict[str, Any] = {"epsilon": before.epsilon, "eigenvalues": values[order].astype(np.float32)}
    basis, kept = before.basis, before.eigenvalues
    if kept is not None:
        kept = _floored(kept, before.floor)
    if kept is not None:
        row["basis_eigenvalues"] = np.sort(kept)[::-1].astype(np.float32)
    if basis is None:
        if before.inverse is None:
            return row, None
        # The inverse root falls where the eigenvalues rise: the basis in force, large eigenvalues first.
        basis = np.linalg.eigh(before.inverse)[1]
        stale_order = np.arange(len(basis))
    rotated = basis.T @ current @ basis
    if before.inverse is None:
        # SOAP keeps no eigenvalues: those that its directions have now put them in order.
        stale_order = np.argsort(np.diagonal(rotated) if kept is None else kept, kind="stable")[::-1]
    row["true_error"] = _error(before, kept, values, fresh)
    mixed = basis[:, stale_order].T @ fresh[:, order]
    row |= against_basis(mixed, values[order])
    whole = np.linalg.norm(rotated)
    residual = np.linalg.norm(rotated - np.diag(np.diagonal(rotated))) / whole if whole > 0 else 0.0
    return row, float(residual)


def _floored(eigenvalues: np.ndarray, floor: float | None) -> np.ndarray:
    return eigenvalues if floor is None else np.maximum(eigenvalues, floor * max(eigenvalues.max(), 0.0))


def _decompose(matrix: np.ndarray, floor: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues as the optimizer would have them, had it decomposed the matrix in float64; and eigenvectors."""
    if not np.isfinite(matrix).all():
        raise np.linalg.LinAlgError("the factor is not finite")
    values, basis = np.linalg.eigh(matrix)
    return values - min(values.min(), 0.0) if floor is None else _floored(values, floor), basis


def _error(before: Matrices, kept: np.ndarray | None, values: np.ndarray, fresh: np.ndarray) -> float | None:
    """E = || (A + eps)^(-1/p) - X ||_F / || X ||_F; None where damping or root are not known."""
    if before.epsilon is None or before.root is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        now = (values + before.epsilon) ** (-1.0 / before.root)
        if before.inverse is not None:
            inverse = before.inverse
        elif kept is not None and before.basis is not None:
            stale = (kept + before.epsilon) ** (-1.0 / before.root)
            inverse = (before.basis * stale) @ before.basis.T
        else:
            return None
        error = np.linalg.norm((fresh * now) @ fresh.T - inverse) / np.linalg.norm(inverse)
    return float(error) if np.isfinite(error) else None
