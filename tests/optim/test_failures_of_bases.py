"""Numerical failures of the optimizers that keep bases alone, and degenerate factors under every optimizer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from foam_viz.optim.eigenvalue_corrected import EigenvalueCorrectedShampoo
from foam_viz.optim.refresh import DiagonalizationResidual, EveryCheck
from tests.optim.test_failures import break_eigh
from tests.optim.test_properties import FACTORED, extreme, train, zeros
from tests.optim.test_shampoo import gradients, parameter
from tests.optim.test_shampoo import train as train_all

POLICIES = [EveryCheck(period=2), DiagonalizationResidual(period=2, tau=1e-6)]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_failed_decomposition_keeps_basis_and_moments(policy, monkeypatch: pytest.MonkeyPatch) -> None:
    weight, stream = parameter((4, 4)), gradients((4, 4), 9)
    optimizer = EigenvalueCorrectedShampoo([weight], lr=0.1, refresh=policy)
    train_all(optimizer, [weight], [stream], steps=3)
    (factor_stack,) = optimizer.factor_stacks()
    kept = factor_stack.basis.clone()
    with monkeypatch.context() as patch:
        break_eigh(patch, lambda matrix: True)
        train_all(optimizer, [weight], [stream[3:]], steps=2)
    assert torch.equal(factor_stack.basis, kept)
    assert [(e.step, e.position, e.kind) for e in optimizer.drain_events()] == [
        (4, 0, "eigh-kept"), (4, 1, "eigh-kept"),
    ]  # fmt: skip
    assert [(f.failures, f.last_decomposition_step) for f in optimizer.factors()] == [(1, 2)] * 2
    train_all(optimizer, [weight], [stream[5:]], steps=1)
    assert [f.last_decomposition_step for f in optimizer.factors()] == [6] * 2
    assert torch.isfinite(weight).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
@pytest.mark.parametrize("policy", POLICIES)
def test_non_finite_gradients_keep_the_bases_and_are_told_once(policy, value: float) -> None:
    weights = [parameter((4, 4), seed, torch.float32) for seed in range(2)]
    streams = [gradients((4, 4), 9, seed) for seed in range(2)]
    streams[1][4, 0, 0] = value
    optimizer = EigenvalueCorrectedShampoo(weights, lr=0.1, refresh=policy)
    train_all(optimizer, weights, streams, steps=9)
    assert [(e.step, e.position, e.kind) for e in optimizer.events] == [(6, 2, "eigh-kept"), (6, 3, "eigh-kept")]
    assert [f.last_decomposition_step for f in optimizer.factors()] == [8, 8, 4, 4]
    assert all(torch.isfinite(factor_stack.basis).all() for factor_stack in optimizer.factor_stacks())
    assert torch.isfinite(weights[0]).all()


# Every kind of factor that a decomposition could stumble over, at every scale, without the luck of a random draw.
@pytest.mark.parametrize("name", FACTORED)
@pytest.mark.parametrize("kind", ["dense", "diagonal", "rank one", "same", "zero at first", "zero"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 2)], ids=str)
def test_degenerate_factors(name: str, kind: str, shape: tuple[int, int]) -> None:
    for scale in (1e-20, 1.0, 1e20):
        for dtype in (torch.float64, torch.float32):
            weight = zeros(*shape, dtype)
            optimizer = FACTORED[name](weight)
            result = train(optimizer, weight, scale * extreme(kind, 0, *shape))
            events = optimizer.drain_events()
            # The square of 1e20 may be beyond float32: then it is told, and nothing else may be.
            assert events == [] or (dtype == torch.float32 and scale == 1e20)
            assert events or np.isfinite(result).all()
            if kind == "zero":
                assert not result.any()
            elif scale >= 1 and not events:
                assert result.any()
