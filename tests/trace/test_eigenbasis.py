"""The turn of an eigenbasis against a slow reference, and what it must not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from foam_viz.trace.eigenbasis import NEAR, TOP, group_edges, turned


def orthogonal(n: int, random: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(random.normal(size=(n, n)))[0]


def rotation(n: int, i: int, j: int, angle: float) -> np.ndarray:
    turn = np.eye(n)
    turn[[i, i, j, j], [i, j, i, j]] = math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
    return turn


def within(edges: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A random rotation inside each group."""
    whole = np.zeros((edges[-1], edges[-1]))
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        whole[a:b, a:b] = orthogonal(b - a, random)
    return whole


def reference(stale: np.ndarray, values: np.ndarray, fresh: np.ndarray) -> float:
    """1 - sum_g w_g || P_g^T P'_g ||_F^2 / dim g with projectors, directions taken one by one."""
    n = len(values)
    groups, first = [[0]], 0
    for j in range(1, n):
        if values[j] >= (1 - NEAR) * values[first]:
            groups[-1].append(j)
        else:
            groups.append([j])
            first = j
    kept = 0.0
    for group in groups:
        old, new = (np.zeros((n, n)) for _ in range(2))
        for j in group:
            old += np.outer(stale[:, j], stale[:, j])
            new += np.outer(fresh[:, j], fresh[:, j])
        kept += sum(values[j] for j in group) / sum(values) * np.trace(old @ new) / len(group)
    return 1 - kept


SPECTRA = {
    "steep": np.logspace(0, -6, 12),
    "clusters": np.array([5, 4.9, 4.8, 1.01, 1.0, 0.99, 0.5, 0.1, 0.099, 0.001, 0.0, 0.0]),
    "flat": np.linspace(1.04, 1.0, 12),
    "rank one": np.eye(12)[0] * 3,
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("seed", range(4))
def test_the_turn_against_a_slow_reference(name: str, seed: int) -> None:
    random, values = np.random.default_rng(seed), SPECTRA[name]
    fresh = orthogonal(12, random)
    stale = fresh @ np.linalg.qr(np.eye(12) + 0.3 * seed * random.normal(size=(12, 12)))[0]
    measured = turned(stale.T @ fresh, values)
    assert measured.share == pytest.approx(max(reference(stale, values, fresh), 0), abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_rotations_within_groups_turn_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = np.sort(random.choice([8, 3, 1, 0.2, 0.01], 16) * random.uniform(0.97, 1.0, 16))[::-1]
    edges, fresh = group_edges(values), orthogonal(16, random)
    assert turned((fresh @ within(edges, random)).T @ fresh, values).share == pytest.approx(0, abs=1e-12)
    stale = orthogonal(16, random)
    plain = turned(stale.T @ fresh, values)
    mixed = turned((stale @ within(edges, random)).T @ (fresh @ within(edges, random)), values)
    assert mixed.share == pytest.approx(plain.share, abs=1e-12)
    np.testing.assert_allclose(mixed.angles, plain.angles, atol=1e-7)


@pytest.mark.parametrize("times", [2, 5, 9])
def test_the_width_of_a_factor_changes_nothing(times: int) -> None:
    """A wider factor that holds the same directions several times has turned as far."""
    random = np.random.default_rng(times)
    values, fresh = np.logspace(0, -3, 16), orthogonal(16, random)
    stale = np.linalg.qr(fresh + 0.2 * random.normal(size=(16, 16)))[0]
    wide = np.kron(stale.T @ fresh, np.eye(times))
    assert turned(wide, np.repeat(values, times)).share == pytest.approx(turned(stale.T @ fresh, values).share)


def test_nothing_turned_and_all_turned() -> None:
    values = np.array([4.0, 2.0, 1.0, 0.0, 0.0, 0.0])
    assert turned(np.eye(6), values).share == 0
    away = np.roll(np.eye(6), 3, axis=0)  # all that holds anything lies where nothing was
    everything = turned(away, values)
    assert everything.share == 1
    np.testing.assert_allclose(turned(np.roll(np.eye(16), 8, 0), np.logspace(0, -9, 16)).angles, math.pi / 2)
    swapped = np.eye(6)[[1, 0, 2, 3, 4, 5]]
    assert turned(swapped, values).share == pytest.approx(6 / 7), "each lies where another eigenvalue was kept"
    hadamard = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    assert turned(hadamard, np.array([1.0, 0.1, 0.01, 0.001])).share == pytest.approx(
        0.75
    )  # 1 - 1/n: all lie everywhere


def test_energy_weighs() -> None:
    values = np.array([1.0, 1e-3, 1e-5, 1e-6])
    assert turned(rotation(4, 2, 3, 1.0), values).share < 1e-5, "what lies at the bottom hardly counts"
    tilted = turned(rotation(4, 0, 1, 0.5), values).share
    assert tilted == pytest.approx(math.sin(0.5) ** 2, rel=1e-2)


@pytest.mark.parametrize("angle", [1e-6, 1e-3, 0.3, math.pi / 4, 1.5])
def test_small_and_large_angles_keep_their_digits(angle: float) -> None:
    values = np.logspace(0, -6, 12)
    angles = turned(rotation(12, 3, 10, angle), values).angles
    assert len(angles) == TOP and (np.diff(angles) >= 0).all()
    np.testing.assert_allclose(angles[-1], angle, rtol=1e-6)
    np.testing.assert_allclose(angles[:-1], 0, atol=1e-7)


def test_angles_against_arccosines_of_the_leading_subspaces() -> None:
    random = np.random.default_rng(0)
    values, fresh = np.array([9, 8.9, 5, 4, 3, 2, 1, 0.6, 0.58, 0.57, 0.1, 0.01]), orthogonal(12, random)
    stale = np.linalg.qr(fresh + 0.05 * random.normal(size=(12, 12)))[0]
    measured = turned(stale.T @ fresh, values)
    assert len(measured.angles) == 10, "eight, and the rest of the group in which the eighth lies"
    expected = np.sort(np.arccos(np.clip(np.linalg.svd(stale[:, :10].T @ fresh[:, :10], compute_uv=False), -1, 1)))
    np.testing.assert_allclose(measured.angles, expected, atol=1e-6)
    assert len(turned(np.eye(3), values[:3]).angles) == 3, "all where there are fewer"


def test_what_is_not_finite_or_holds_nothing_has_no_turn() -> None:
    assert turned(np.eye(3), np.zeros(3)).share is None
    for bad in (np.nan, np.inf):
        assert turned(np.eye(3), np.array([bad, 1.0, 0.0])) == (None, None)
        assert turned(np.full((3, 3), bad), np.ones(3)) == (None, None)
    assert group_edges(np.array([2.0, 1.9, 1.0, 0.0, 0.0])).tolist() == [0, 2, 3, 5]
