"""How far an eigenbasis has turned, in numbers that mean the same at every size: one definition for all who record it.

Eigenvectors of nearly equal eigenvalues are arbitrary within the subspace they span, and mixing them changes no inverse
root that anybody could see. So directions are compared in groups of near-equal eigenvalues, and each group counts with
its share of the trace.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

NEAR = 0.1
"""A group reaches down to this share below its largest eigenvalue: (1 - 0.1)^(-1/4) = 1.03, so that an inverse fourth
root differs by 3 % within it."""

TOP = 8
"""The subspace of so many leading directions is watched, enlarged to the end of the group in which it would end."""


OVERLAP_SIZE = 64
"""Largest side of a stored overlap matrix; larger ones are pooled over groups of neighbouring eigenvalues."""


class Turned(NamedTuple):
    """How the current eigenbasis lies to the one in force.

    Attributes:
        share: Share of the trace that has turned out of its group, 0 to 1; None where the trace is not positive.
        angles: Principal angles between the leading subspaces, rising, (k,) float32, radians from 0 to pi/2; None where
            a number is not finite.
    """

    share: float | None
    angles: np.ndarray | None


def against_basis(mixed: np.ndarray, eigenvalues: np.ndarray, size: int = OVERLAP_SIZE) -> dict[str, Any]:
    """Return the columns of a snapshot row that say how the current eigenbasis lies to the one in force.

    Args:
        mixed: Q^T U, (n, n), for the basis in force Q and the current eigenvectors U: rows and columns by falling
            eigenvalue of their own.
        eigenvalues: Of the current factor, (n,), falling.
        size: Largest side of the overlap that is stored.
    """
    pixels = np.clip(np.rint(pooled(np.square(mixed), size) * 255), 0, 255).astype(np.uint8)
    turn = turned(mixed, eigenvalues)
    return {"overlap": pixels.tobytes(), "overlap_size": len(pixels), "turn": turn.share, "top_angles": turn.angles}


def pooled(overlap: np.ndarray, size: int) -> np.ndarray:
    """Pool an overlap matrix over groups of neighbouring directions, (m, m) with m = min(n, size).

    Entry (a, b) is the share of the directions of group a that now lies in group b: rows sum to 1, and the identity
    stays the identity.

    Args:
        overlap: Squared cosines, (n, n).
        size: Groups at most.
    """
    count = len(overlap)
    if count <= size:
        return overlap
    starts = np.searchsorted(np.arange(count) * size // count, np.arange(size))
    sizes = np.diff(np.append(starts, count))
    return _summed(_summed(overlap, starts, sizes).T, starts, sizes).T / sizes[:, None]


def _summed(rows: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Sum groups of neighbouring rows: a few additions of whole arrays, a tenth of the time of np.add.reduceat."""
    total = rows[starts]
    for position in range(1, int(sizes.max())):
        longer = sizes > position
        total[longer] += rows[starts[longer] + position]
    return total


def turned(mixed: np.ndarray, eigenvalues: np.ndarray) -> Turned:
    """Measure the turn of an eigenbasis.

    With D the eigenvalues of the current factor, g its groups of near-equal ones, P'_g its eigenvectors in a group and
    P_g the directions of the basis in force that stand in the same places, both by falling eigenvalue:

        turn = 1 - sum_g w_g || P_g^T P'_g ||_F^2 / dim g,    w_g = (sum of D over g) / (sum of D).

    It is 0 where every group spans the same subspace and 1 where each is orthogonal to its former self. The angles
    are the arccosines of the singular values of P^T P' for the leading groups (Bjorck and Golub 1973), small ones
    taken from sines so that they keep their digits.

    Args:
        mixed: Q^T U, (n, n), for the basis in force Q and the current eigenvectors U: rows and columns by falling
            eigenvalue of their own.
        eigenvalues: D, (n,), falling, not negative.
    """
    mixed, values = np.asarray(mixed, np.float64), np.maximum(np.asarray(eigenvalues, np.float64), 0.0)
    if not (np.isfinite(values).all() and np.isfinite(mixed).all()):
        return Turned(None, None)
    edges = group_edges(values)
    return Turned(_share(np.square(mixed), values, edges), _angles(mixed, _leading(edges)))


def group_edges(eigenvalues: np.ndarray, near: float = NEAR) -> np.ndarray:
    """Cut falling eigenvalues into groups, each from its largest value a down to (1 - near) a.

    Args:
        eigenvalues: (n,), falling, not negative; zeros form one group.
        near: Relative width of a group.

    Returns:
        First places of the groups and n at the end, (groups + 1,).
    """
    rising, edges = -eigenvalues, [0]
    ends = np.searchsorted(
        rising, (1 - near) * rising, side="right"
    ).tolist()  # where a group would end that begins here
    while edges[-1] < len(rising):
        edges.append(ends[edges[-1]])
    return np.array(edges)


def _share(overlap: np.ndarray, values: np.ndarray, edges: np.ndarray) -> float | None:
    trace = float(values.sum())
    if trace <= 0:
        return None
    group = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    weights = np.bincount(group, values) / np.diff(edges)
    within = np.where(group[:, None] == group, overlap, 0.0).sum(axis=1)
    return float(np.clip(1 - within @ weights[group] / trace, 0, 1))


def _leading(edges: np.ndarray) -> int:
    return int(edges[np.searchsorted(edges, min(TOP, edges[-1]))])


def _angles(mixed: np.ndarray, size: int) -> np.ndarray:
    cosines = np.linalg.svd(mixed[:size, :size], compute_uv=False)
    sines = np.zeros(size)  # as many as there are directions outside, the largest first
    outside = np.linalg.svd(mixed[:size, size:], compute_uv=False)
    sines[: len(outside)] = outside
    return np.arctan2(sines[::-1], cosines).astype(np.float32)
