"""Moments in one pass over memory are those of the rule, whatever the gradient's layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foam_viz.optim import linalg, moments
from foam_viz.optim.refresh import EveryCheck
from foam_viz.optim.shampoo import Shampoo


@pytest.mark.parametrize("beta2", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("beta1", [0.0, 0.9])
def test_one_pass_gives_moments_and_units_of_the_rule(beta1: float, beta2: float) -> None:
    generator = np.random.default_rng(0)
    gradients = [generator.normal(size=shape) for shape in ((7, 5), (5, 7), (3,), ())]
    m, v = [generator.normal(size=g.shape) for g in gradients], [generator.random(g.shape) for g in gradients]
    mine, squares = [torch.tensor(x) for x in m], [torch.tensor(x) for x in v]
    units = [torch.zeros_like(x) for x in mine]
    seen = [torch.tensor(gradients[0].T.copy()).t(), *(torch.tensor(g) for g in gradients[1:])]  # the first in columns
    assert moments.can_fuse(squares[0], beta2)
    moments.advance_to_units(units, mine, squares, seen, beta1, beta2, 1e-3)
    for i, gradient in enumerate(gradients):
        first, second = beta1 * m[i] + (1 - beta1) * gradient, beta2 * v[i] + (1 - beta2) * gradient**2
        np.testing.assert_allclose(mine[i].numpy(), first, atol=1e-14)
        np.testing.assert_allclose(squares[i].numpy(), second, atol=1e-14)
        np.testing.assert_allclose(units[i].numpy(), first / (np.sqrt(second) + 1e-3), rtol=1e-12)


def test_a_plain_sum_and_a_missing_second_moment_are_not_fused() -> None:
    assert not moments.can_fuse(torch.zeros(2), 1.0)
    assert not moments.can_fuse(None, 0.9)


def test_a_step_asks_once_for_each_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a basis is there: no square root of v beside the one inside the pass, and no second pass over v."""
    weights = [torch.ones(6, 4, requires_grad=True), torch.ones(4, requires_grad=True)]
    optimizer = Shampoo(weights, lr=1e-2, refresh=EveryCheck(period=2), grafting="adam")
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()

    step(), step()
    called: list[str] = []
    for name in ("sqrt", "_foreach_sqrt", "_foreach_lerp_", "_foreach_addcmul_"):
        original = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *a, n=name, f=original, **k: called.append(n) or f(*a, **k))
    step()
    assert called == []


def test_a_root_is_written_where_it_belongs() -> None:
    root = torch.randn(2, 9, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values, basis = torch.linalg.eigh(root @ root.mT)
    stack = torch.zeros(4, 9, 9, dtype=torch.float64)
    written = linalg.inverse_root(basis, values, 1e-3, 2, out=stack[1:3])
    assert written.data_ptr() == stack[1:3].data_ptr()
    assert torch.equal(stack[1:3], linalg.inverse_root(basis, values, 1e-3, 2))
    assert not stack[0].any() and not stack[3].any()
