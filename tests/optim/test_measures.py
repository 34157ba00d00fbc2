"""Measures of staleness against slow dense float64 references in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foam_viz.optim import linalg, measures
from tests.optim.test_linalg import BASIS, EPSILON, NEW, NEW_BASIS, NEW_VALUES, OLD, VALUES, dense_root, tensors


def test_update_error_against_kronecker_products() -> None:
    momentum = np.random.default_rng(0).normal(size=(3, 7, 7))
    stale = [np.stack([dense_root(a, e, 2) for a, e in zip(OLD, EPSILON, strict=True)]) for _ in range(2)]
    fresh = [np.stack([dense_root(a, e, 2) for a, e in zip(NEW, EPSILON, strict=True)]) for _ in range(2)]
    measured = measures.update_error(torch.tensor(momentum), tensors(*stale), tensors(*fresh))
    for i in range(3):
        old, new = (np.kron(left[i], right[i]) @ momentum[i].ravel() for left, right in (stale, fresh))
        length = 3.7  # of the grafted step, whatever it is
        old_grafted, new_grafted = (d * length / np.linalg.norm(d) for d in (old, new))
        expected = (
            np.linalg.norm(old - new) / np.linalg.norm(new),
            np.linalg.norm(old_grafted - new_grafted) / np.linalg.norm(new_grafted),
            old @ new / np.linalg.norm(old) / np.linalg.norm(new),
        )
        np.testing.assert_allclose([float(part[i]) for part in measured], expected, rtol=1e-10)


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_a_change_of_scale_vanishes_after_grafting(scale: float) -> None:
    momentum = scale * torch.randn(2, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    eye = [torch.eye(n).repeat(2, 1, 1) for n in (3, 4, 2)]
    measured = measures.update_error(momentum, [2 * eye[0], None, eye[2]], [None, eye[1], None])
    torch.testing.assert_close(measured.error, torch.ones(2))
    torch.testing.assert_close(measured.cosine, torch.ones(2))
    assert measured.grafted_error.max() < 1e-6
    nothing = measures.update_error(torch.zeros_like(momentum), eye, eye)
    assert [part.tolist() for part in nothing] == [[0, 0]] * 3


def test_measures_of_spectra() -> None:
    values, epsilon = tensors(VALUES, EPSILON)
    shifted = [np.linalg.eigvalsh(a + e * np.eye(7)) for a, e in zip(OLD, EPSILON, strict=True)]
    np.testing.assert_allclose(
        measures.condition_number(values, epsilon).numpy(), [s[-1] / s[0] for s in shifted], rtol=1e-8
    )
    assert measures.condition_number(torch.tensor([0.0, 1.0]), 0.0).item() == math.inf
    shares = VALUES / VALUES.sum(1, keepdims=True)
    np.testing.assert_allclose(
        measures.effective_rank(values).numpy(), np.exp(-(shares * np.log(shares)).sum(1)), rtol=1e-10
    )
    some = torch.tensor([[1.0, 1, 1, 1], [5, 0, 0, 0], [0, 0, 0, 0], [2, 2, 0, 0]])
    torch.testing.assert_close(measures.effective_rank(some), torch.tensor([4.0, 1, 0, 2]))
    under = measures.directions_under(values, epsilon)
    assert under.tolist() == [int((v < e).sum()) for v, e in zip(VALUES, EPSILON, strict=True)]
    assert measures.directions_under(some, 1.0).tolist() == [0, 3, 4, 2]


def test_kronecker_error_bounds_that_of_the_whole() -> None:
    basis, values, new_basis, new_values = tensors(BASIS, VALUES, NEW_BASIS, NEW_VALUES)
    for epsilon in EPSILON:
        errors = linalg.operator_error(basis, values, new_basis, new_values, epsilon, 2)
        left, right = errors[0].item(), errors[1].item()
        bound = measures.kronecker_error(errors[:2]).item()
        assert bound == pytest.approx(left + right + left * right, rel=1e-12)
        stale, fresh = (np.kron(*(dense_root(a, epsilon, 2) for a in pair)) for pair in (OLD[:2], NEW[:2]))
        assert np.linalg.norm(fresh - stale) / np.linalg.norm(stale) <= bound
    assert measures.kronecker_error(torch.tensor([1e-12, 1e-12], dtype=torch.float64)).item() == pytest.approx(2e-12)


@settings(deadline=None)
@given(errors=st.lists(st.floats(0, 100), min_size=1, max_size=4))
def test_kronecker_error_of_any_order(errors: list[float]) -> None:
    expected = math.prod(1 + e for e in errors) - 1
    measured = measures.kronecker_error(torch.tensor(errors, dtype=torch.float64)).item()
    assert measured == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_renewed_share() -> None:
    assert [round(measures.renewed_share(0.99, f), 2) for f in (10, 50, 100, 200)] == [0.10, 0.39, 0.63, 0.87]
    assert measures.renewed_share(1.0, 10) == 0
    assert measures.renewed_share(1 - 1e-12, 1) == pytest.approx(1e-12, rel=1e-3)
