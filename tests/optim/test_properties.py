"""What must hold for any gradients: rotations, signs of eigenvectors, and extremes of scale and rank."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foam_viz.optim import linalg
from foam_viz.optim.eigenvalue_corrected import EigenvalueCorrectedShampoo
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.refresh import DiagonalizationResidual, EveryCheck, Foam, FoamFreshEigenvalues, Policy
from foam_viz.optim.shampoo import Shampoo
from foam_viz.optim.soap import SOAP

seeds = st.integers(0, 2**31)
sizes = st.integers(1, 6)


def stream(seed: int, steps: int, rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(steps, rows, columns))


def orthogonal(seed: int, n: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]


def train(optimizer: torch.optim.Optimizer, weight: torch.Tensor, gradients: np.ndarray) -> np.ndarray:
    for gradient in gradients:
        weight.grad = torch.tensor(gradient, dtype=weight.dtype)
        optimizer.step()
    return weight.detach().numpy()


def zeros(rows: int, columns: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.zeros(rows, columns, dtype=dtype, requires_grad=True)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, rows=sizes, columns=sizes, betas=st.tuples(st.floats(0, 0.99), st.floats(0.5, 0.99)))
def test_soap_at_a_fixed_basis_is_adam_in_a_rotated_space(
    seed: int, rows: int, columns: int, betas: tuple[float, float]
) -> None:
    gradients, weight = stream(seed, 8, rows, columns), zeros(rows, columns)
    optimizer = SOAP([weight], lr=0.1, betas=betas, eps=1e-30, weight_decay=0, period=1000)
    result = train(optimizer, weight, gradients)
    left, right = (
        next(b.basis[b.factors.index(f)] for b in optimizer.factor_stacks() if f in b.factors).numpy()
        for f in optimizer.factors()
    )
    rotated = zeros(rows, columns)
    adam = torch.optim.Adam([rotated], lr=0.1, betas=betas, eps=1e-30)
    expected = left @ train(adam, rotated, left.T @ gradients[1:] @ right) @ right.T  # the first moves nothing
    np.testing.assert_allclose(result, expected, atol=1e-8)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, period=st.integers(1, 3))
def test_signs_of_eigenvectors_do_not_matter_to_soap(seed: int, period: int) -> None:
    gradients, weights = stream(seed, 8, 4, 4), [zeros(4, 4), zeros(4, 4)]
    optimizers = [SOAP([weight], lr=0.1, period=period) for weight in weights]
    for optimizer, weight in zip(optimizers, weights, strict=True):
        train(optimizer, weight, gradients[:1])
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(2, 1, 4))
    optimizers[1].factor_stacks()[0].basis.mul_(torch.tensor(signs))
    first, second = (train(o, w, gradients[1:]) for o, w in zip(optimizers, weights, strict=True))
    np.testing.assert_allclose(first, second, atol=1e-8)


@settings(deadline=None, max_examples=40)
@given(
    seed=seeds,
    rows=sizes,
    columns=sizes,
    grafting=st.sampled_from([None, "sgd"]),
    root=st.sampled_from([2, 4]),
    policy=st.sampled_from([
        EveryCheck(period=2, epsilon=1e-2),
        EveryCheck(period=3, epsilon=1e-2, start=2, stagger=True),
        Foam(period=2, tau=0.5, epsilon=1e-2, epsilon_max=0.1),
        FoamFreshEigenvalues(period=2, tau=0.5, epsilon=1e-2, epsilon_max=0.1),
        DiagonalizationResidual(period=2, tau=0.3, epsilon=1e-2),
    ]),
)  # fmt: skip
def test_shampoo_is_equivariant_under_rotations(
    seed: int, rows: int, columns: int, grafting: str | None, root: int, policy: Policy
) -> None:
    # Fresh eigenvalues depend on the basis chosen within a null space: no rotated run is to be compared with there.
    if policy.refreshes_eigenvalues and rows != columns:
        rows = columns
    gradients, left, right = stream(seed, 9, rows, columns), orthogonal(seed + 1, rows), orthogonal(seed + 2, columns)
    plain, turned = zeros(rows, columns), zeros(rows, columns)
    optimizers = [Shampoo([w], lr=0.1, root=root, grafting=grafting, refresh=policy) for w in (plain, turned)]
    expected = left @ train(optimizers[0], plain, gradients) @ right
    result = train(optimizers[1], turned, left @ gradients @ right)
    np.testing.assert_allclose(result, expected, atol=1e-7)
    counts = [[f.decompositions for f in optimizer.factors()] for optimizer in optimizers]
    assert counts[0] == counts[1]


FACTORED: dict[str, Callable[[torch.Tensor], FactoredOptimizer]] = {
    "shampoo": lambda w: Shampoo([w], lr=0.1, refresh=EveryCheck(period=2)),
    "shampoo-ungrafted": lambda w: Shampoo([w], lr=0.1, grafting=None, root=4, refresh=EveryCheck(period=2)),
    "shampoo-sgd": lambda w: Shampoo([w], lr=0.1, grafting="sgd", refresh=EveryCheck(period=2, stagger=True)),
    "foam": lambda w: Shampoo([w], lr=0.1, refresh=Foam(period=1)),
    "foam-fresh-eigenvalues": lambda w: Shampoo([w], lr=0.1, refresh=FoamFreshEigenvalues(period=1)),
    "residual": lambda w: Shampoo([w], lr=0.1, refresh=DiagonalizationResidual(period=1)),
    "corrected": lambda w: EigenvalueCorrectedShampoo([w], lr=0.1, refresh=EveryCheck(period=2)),
    "corrected-residual": lambda w: EigenvalueCorrectedShampoo([w], lr=0.1, refresh=DiagonalizationResidual(period=1)),
    "soap": lambda w: SOAP([w], lr=0.1, period=2),
    "soap-residual": lambda w: SOAP([w], lr=0.1, refresh=DiagonalizationResidual(period=1)),
}


def extreme(kind: str, seed: int, rows: int, columns: int) -> np.ndarray:
    gradients = stream(seed, 9, rows, columns)
    if kind == "diagonal":
        return gradients * np.eye(rows, columns)
    if kind == "rank one":
        return gradients[:, :, :1] @ gradients[:, :1, :]
    if kind == "same":
        return np.repeat(gradients[:1], 9, axis=0)
    if kind == "zero at first":
        gradients[:3] = 0
    return np.zeros_like(gradients) if kind == "zero" else gradients


@pytest.mark.parametrize("name", FACTORED)
@settings(deadline=None, max_examples=25)
@given(
    seed=seeds,
    rows=sizes,
    columns=sizes,
    kind=st.sampled_from(["dense", "diagonal", "rank one", "same", "zero at first", "zero"]),
    scale=st.sampled_from([1e-30, 1e-20, 1.0, 1e10, 1e20]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_extremes_stay_finite_or_are_told(
    name: str, seed: int, rows: int, columns: int, kind: str, scale: float, dtype: torch.dtype
) -> None:
    weight = zeros(rows, columns, dtype)
    optimizer = FACTORED[name](weight)
    optimizer.observer = lambda observation: None  # so that every basis is kept
    result = train(optimizer, weight, scale * extreme(kind, seed, rows, columns))
    events = optimizer.drain_events()
    assert events or np.isfinite(result).all()
    for factor_stack in optimizer.factor_stacks():
        assert torch.isfinite(factor_stack.basis).all()
        eye = torch.eye(factor_stack.size, dtype=dtype)
        assert (factor_stack.basis.mT @ factor_stack.basis - eye).abs().max() < 1e-4
    if dtype == torch.float64 or scale < 1e20:
        assert np.isfinite(result).all() and events == []
    told = {event.position for event in events if event.kind == "eigh-kept"}
    for position, factor in enumerate(optimizer.factors()):
        assert (factor.failures > 0) == (position in told)


@settings(deadline=None, max_examples=50)
@given(seed=seeds, n=sizes, rank=st.integers(0, 6), scale=st.sampled_from([1e-30, 1e-15, 1.0, 1e15, 1e30]))
def test_iterated_bases_are_orthonormal_and_approach_the_eigenbasis(seed: int, n: int, rank: int, scale: float) -> None:
    data = stream(seed, 1, n, rank)[0]
    matrix = torch.tensor(scale * data @ data.T, dtype=torch.float32)
    basis = torch.tensor(orthogonal(seed, n), dtype=torch.float32)
    before = linalg.diagonalization_residual(linalg.rotate(basis.double(), matrix.double()))
    renewed, order = linalg.iterate_basis(matrix, basis)
    torch.testing.assert_close(renewed.mT @ renewed, torch.eye(n), atol=1e-5, rtol=0)
    assert sorted(order.tolist()) == list(range(n))
    for _ in range(60):
        renewed, _ = linalg.iterate_basis(matrix, renewed)
    after = linalg.diagonalization_residual(linalg.rotate(renewed.double(), matrix.double()))
    assert after <= before + 1e-5
