"""Matrix functions against slow dense float64 references in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foam_viz.optim import linalg


def factors(count: int, n: int, seed: int, samples: int = 40) -> np.ndarray:
    generator = np.random.default_rng(seed)
    scales = 10.0 ** generator.uniform(-2, 0, size=(count, n, 1))
    data = scales * generator.normal(size=(count, n, samples))
    return data @ data.transpose(0, 2, 1) / samples


def tensors(*arrays: np.ndarray, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [torch.tensor(array, dtype=dtype) for array in arrays]


def dense_root(matrix: np.ndarray, epsilon: float, root: int) -> np.ndarray:
    values, basis = np.linalg.eigh(matrix)
    return (basis * (values + epsilon) ** (-1.0 / root)) @ basis.T


OLD, NEW = factors(3, 7, seed=0), factors(3, 7, seed=1)
EPSILON = np.array([1e-6, 1e-3, 0.1])
VALUES, BASIS = np.linalg.eigh(OLD)
NEW_VALUES, NEW_BASIS = np.linalg.eigh(NEW)


@pytest.mark.parametrize("root", [1, 2, 4])
def test_inverse_root(root: int) -> None:
    basis, values, epsilon = tensors(BASIS, VALUES, EPSILON)
    expected = np.stack([dense_root(a, e, root) for a, e in zip(OLD, EPSILON, strict=True)])
    np.testing.assert_allclose(linalg.inverse_root(basis, values, epsilon, root).numpy(), expected, rtol=1e-8)
    one = linalg.inverse_root(basis[1], values[1], 1e-3, root)
    np.testing.assert_allclose(one.numpy(), expected[1], rtol=1e-8)
    np.testing.assert_allclose(values.numpy(), VALUES)  # the argument is left alone


@pytest.mark.parametrize("root", [2, 4])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-3)])
def test_proxy(root: int, dtype: torch.dtype, tolerance: float) -> None:
    basis, values, current, epsilon = tensors(BASIS, VALUES, NEW, EPSILON, dtype=dtype)
    rotated = linalg.rotate(basis, current)
    kept = rotated.clone()
    measured = linalg.proxy(rotated, values, epsilon, root)
    for i in range(3):
        s = VALUES[i] + EPSILON[i]
        b = BASIS[i].T @ NEW[i] @ BASIS[i]
        drift = 0.0
        for row in range(7):
            for column in range(7):
                d = VALUES[i][row] if row == column else 0.0
                drift += (b[row, column] - d) ** 2 / (s[row] * s[column])
        alpha = np.max(s ** (-1 / root)) / np.linalg.norm(s ** (-1 / root))
        expected = (np.sqrt(drift) * alpha / root, np.sqrt(drift), alpha)
        np.testing.assert_allclose([float(m[i]) for m in measured], expected, rtol=tolerance)
    assert torch.equal(rotated, kept)


def test_large_matrices_on_a_cpu_are_computed_by_half() -> None:
    matrix = factors(2, 300, seed=2, samples=400)
    values, basis = np.linalg.eigh(matrix)
    q, d, a = tensors(basis, values, factors(2, 300, seed=3))
    root = linalg.inverse_root(q, d, 1e-2, 2)
    np.testing.assert_allclose(root[1].numpy(), dense_root(matrix[1], 1e-2, 2), atol=1e-9)
    np.testing.assert_allclose(linalg.rotate(q, a).numpy(), basis.transpose(0, 2, 1) @ a.numpy() @ basis, atol=1e-12)
    np.testing.assert_array_equal(linalg.rotate(q[0], a[0]).numpy(), linalg.rotate(q, a)[0].numpy())


def test_proxy_is_zero_without_drift_and_alpha_bounded() -> None:
    values, epsilon = tensors(VALUES, EPSILON)
    measured = linalg.proxy(torch.diag_embed(values), values, epsilon, 2)
    assert measured.h.tolist() == [0, 0, 0]
    assert all(7**-0.5 <= alpha <= 1 for alpha in measured.alpha.tolist())
    flat = torch.ones(7, dtype=torch.float64)
    for c in (0.01, 4.0):  # L -> c L on a flat spectrum: h = |c - 1| / p
        h = linalg.proxy(c * torch.eye(7, dtype=torch.float64), flat, 0.0, 2).h
        assert h.item() == pytest.approx(abs(c - 1) / 2)


def test_alpha_does_not_overflow_in_float32() -> None:
    values = torch.tensor([1e-30, 1.0])
    measured = linalg.proxy(torch.diag(values), values, 1e-30, 1)
    assert measured.alpha.item() == pytest.approx(1.0)


def test_diagonalization_residual() -> None:
    basis, current = tensors(BASIS, NEW)
    measured = linalg.diagonalization_residual(linalg.rotate(basis, current))
    for i in range(3):
        b = BASIS[i].T @ NEW[i] @ BASIS[i]
        expected = np.linalg.norm(b - np.diag(np.diag(b))) / np.linalg.norm(b)
        assert measured[i].item() == pytest.approx(expected, rel=1e-10)
    assert linalg.diagonalization_residual(torch.zeros(2, 2)).item() == 0


@pytest.mark.parametrize("root", [2, 4])
def test_operator_error(root: int) -> None:
    arguments = tensors(BASIS, VALUES, NEW_BASIS, NEW_VALUES, EPSILON)
    measured = linalg.operator_error(*arguments, root)
    for i, epsilon in enumerate(EPSILON):
        stale, fresh = dense_root(OLD[i], epsilon, root), dense_root(NEW[i], epsilon, root)
        expected = np.linalg.norm(fresh - stale) / np.linalg.norm(stale)
        assert measured[i].item() == pytest.approx(expected, rel=1e-7)
    same = linalg.operator_error(*arguments[:2], *arguments[:2], arguments[4], root)
    assert same.max() < 1e-12


def test_operator_error_of_a_scaled_flat_spectrum() -> None:
    eye, ones = torch.eye(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    assert linalg.operator_error(eye, ones, eye, 0.01 * ones, 0.0, 2).item() == pytest.approx(9)


def test_overlap_sorts_both_bases_by_falling_eigenvalue() -> None:
    shuffle = np.random.default_rng(0).permutation(7)
    basis, values, fresh, fresh_values = tensors(BASIS[:, :, shuffle], VALUES[:, shuffle], NEW_BASIS, NEW_VALUES)
    measured = linalg.overlap(basis, values, fresh, fresh_values).numpy()
    expected = (BASIS[:, :, ::-1].transpose(0, 2, 1) @ NEW_BASIS[:, :, ::-1]) ** 2
    np.testing.assert_allclose(measured, expected, atol=1e-12)
    np.testing.assert_allclose(measured.sum(1), 1)
    np.testing.assert_allclose(measured.sum(2), 1)


def test_eigh_shifts_negative_eigenvalues_up_together() -> None:
    matrix = np.diag([-1e-3, 0.5, 2.0])
    result = linalg.eigh_robust(torch.tensor(matrix)[None], 1e-9)
    np.testing.assert_allclose(result.eigenvalues[0].numpy(), [0, 0.501, 2.001], atol=1e-15)
    assert result.outcomes == ("plain",)
    positive = linalg.eigh_robust(torch.tensor(OLD), 1e-9)
    np.testing.assert_allclose(positive.eigenvalues.numpy(), VALUES, rtol=1e-10)


def test_eigh_gives_up_on_nan_and_keeps_the_others() -> None:
    matrices = torch.tensor(OLD)
    matrices[1, 2, 3] = matrices[1, 3, 2] = torch.nan
    result = linalg.eigh_robust(matrices, [1e-9, 1e-9, 1e-9])
    assert result.outcomes == ("plain", "failed", "plain")
    np.testing.assert_allclose(result.eigenvalues[2].numpy(), VALUES[2], rtol=1e-10)


def test_rows_are_reordered_matrix_by_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    stack = torch.randn(3, 5, 4, generator=generator)
    order = torch.stack([torch.randperm(5, generator=generator) for _ in range(3)])
    expected = stack.take_along_dim(order.unsqueeze(-1), dim=1)
    assert torch.equal(linalg.reorder(stack, order), expected)
    assert torch.equal(linalg.reorder(stack.mT.contiguous().mT, order), expected)
    assert torch.equal(linalg.reorder(stack[0], order[0]), expected[0])


@pytest.mark.parametrize("scale", [1e-36, 1e-24, 1.0, 1e19, 1e30])
def test_measures_of_tiny_and_huge_factors_in_float32(scale: float) -> None:
    matrices = torch.tensor(factors(2, 8, seed=1), dtype=torch.float32)
    matrices /= matrices.abs().amax()
    residual = linalg.diagonalization_residual(matrices * scale)
    torch.testing.assert_close(residual, linalg.diagonalization_residual(matrices), rtol=1e-4, atol=0)
    eigenvalues = matrices.diagonal(dim1=-2, dim2=-1)
    measured = linalg.proxy(matrices * scale, eigenvalues * scale, 1e-3 * scale, 2)
    torch.testing.assert_close(measured.h, linalg.proxy(matrices, eigenvalues, 1e-3, 2).h, rtol=1e-4, atol=0)


def test_the_proxy_of_a_large_drift_is_large_and_finite() -> None:
    drift = torch.tensor(factors(1, 4, seed=0), dtype=torch.float32)
    measured = linalg.proxy(1e12 * drift, torch.zeros(1, 4), 1e-12, 2)
    expected = linalg.proxy(1e12 * drift.double(), torch.zeros(1, 4).double(), 1e-12, 2)
    torch.testing.assert_close(measured.h.double(), expected.h, rtol=1e-4, atol=0)
    assert measured.h > 1e21
