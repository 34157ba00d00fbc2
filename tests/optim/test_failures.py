"""Numerical failures: no run ends by them, and each is told."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from foam_viz.optim.factor import CheckObservation
from foam_viz.optim.refresh import DiagonalizationResidual, EveryCheck, Foam, FoamNoRefresh, Policy
from foam_viz.optim.shampoo import Shampoo

EIGH = torch.linalg.eigh


def break_eigh(monkeypatch: pytest.MonkeyPatch, fails: Callable[[torch.Tensor], bool]) -> list[torch.Tensor]:
    """Lets ``torch.linalg.eigh`` raise for a batch that has a matrix for which ``fails``; returns what it was given."""
    asked: list[torch.Tensor] = []

    def eigh(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(matrices.clone())
        if any(fails(matrix) for matrix in (matrices if matrices.dim() == 3 else matrices[None])):
            raise torch.linalg.LinAlgError("the algorithm failed to converge")
        return EIGH(matrices)

    monkeypatch.setattr(torch.linalg, "eigh", eigh)
    return asked


def train(optimizer: Shampoo, steps: int, seed: int = 0, scale: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = scale * torch.randn(p.shape, generator=generator, dtype=torch.float32)
        optimizer.step()


def build(policy: Policy, **settings) -> Shampoo:
    weights = [torch.full((4, 3), 0.5 + i, requires_grad=True) for i in range(2)]
    return Shampoo(weights, lr=0.01, refresh=policy, **settings)


def test_a_retry_in_float64_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = build(EveryCheck(period=2))
    train(plain, 4)
    asked = break_eigh(monkeypatch, lambda matrix: matrix.dtype == torch.float32 and len(matrix) == 4)
    retried = build(EveryCheck(period=2))
    train(retried, 4)
    for a, b in zip(plain.param_groups[0]["params"], retried.param_groups[0]["params"], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    events = retried.drain_events()
    assert [(e.step, e.position, e.kind) for e in events] == [
        (step, position, "eigh-retry-float64") for step in (2, 4) for position in (0, 2)
    ]
    assert "0.block_0.0" in events[0].message
    assert retried.drain_events() == []
    assert [f.decompositions for f in retried.factors()] == [2] * 4
    assert any(matrix.dtype == torch.float64 for matrix in asked)


def test_then_jitter_on_the_diagonal(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[torch.Tensor] = []

    def fails(matrix: torch.Tensor) -> bool:
        attempts.append(matrix.clone())
        return matrix.dtype == torch.float32 or len(attempts) % 4 == 3  # batch, alone, float64 fail; with jitter not

    plain = Shampoo([torch.ones(3, requires_grad=True)], lr=0.01, refresh=EveryCheck(period=2, epsilon=1e-3))
    train(plain, 2)
    break_eigh(monkeypatch, fails)
    optimizer = Shampoo([torch.ones(3, requires_grad=True)], lr=0.01, refresh=EveryCheck(period=2, epsilon=1e-3))
    train(optimizer, 2)
    assert [e.kind for e in optimizer.events] == ["eigh-jitter"]
    jitter = (attempts[3] - attempts[2]).diagonal().numpy()
    np.testing.assert_allclose(jitter, 1e-3 + 1e-12 * attempts[2].diagonal().mean().item(), rtol=1e-6)
    # The jitter is taken off again: the eigenvalues are those of the factor.
    torch.testing.assert_close(
        optimizer.factor_stacks()[0].eigenvalues, plain.factor_stacks()[0].eigenvalues, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("policy", [EveryCheck(period=2), Foam(period=2, tau=0.01, epsilon_max=1e-9)])
def test_then_the_old_basis_stays_for_that_factor_alone(monkeypatch: pytest.MonkeyPatch, policy: Policy) -> None:
    optimizer = build(policy)
    seen: list[CheckObservation] = []
    optimizer.observer = seen.append  # so that the basis is kept
    train(optimizer, 2)
    factor_stack = next(factor_stack for factor_stack in optimizer.factor_stacks() if factor_stack.size == 4)
    before = (
        factor_stack.basis.clone(),
        factor_stack.eigenvalues.clone(),
        factor_stack.inverse_root.clone(),
        factor_stack.epsilon,
    )
    seen.clear()
    target: list[torch.Tensor] = []

    def fails(matrix: torch.Tensor) -> bool:
        if len(matrix) != 4 or matrix.trace() != matrix.trace():
            return False
        if not target:
            target.append(matrix.double())
        return torch.allclose(matrix.double() - matrix.double().trace() / 4 * torch.eye(4),
                              target[0] - target[0].trace() / 4 * torch.eye(4), atol=1e-5)  # fmt: skip

    with monkeypatch.context() as patch:
        break_eigh(patch, fails)
        train(optimizer, 2, seed=1)
    (event,) = optimizer.drain_events()
    assert (event.kind, event.step, event.position) == ("eigh-kept", 4, 0)
    assert "the basis of step 2 stays in force" in event.message
    failed, _, whole, _ = optimizer.factors()
    assert (failed.checks, failed.decompositions, failed.failures, failed.last_decomposition_step) == (2, 1, 1, 2)
    assert (failed.reason, whole.decompositions, whole.last_decomposition_step) == ("failure", 2, 4)
    for now, old in zip(
        (factor_stack.basis, factor_stack.eigenvalues, factor_stack.inverse_root), before, strict=False
    ):
        assert torch.equal(now[0], old[0]) and not torch.equal(now[1], old[1])
    assert factor_stack.epsilon[0] == before[3][0]
    decision = next(o for o in seen if 0 in o.positions).decisions[0]
    assert not decision.decompose and decision.reason == "failure"
    train(optimizer, 2, seed=2)
    assert failed.last_decomposition_step == 6  # tried again at the next check


@pytest.mark.parametrize("grafting", [None, "sgd", "adam"])
def test_a_factor_without_basis_goes_on_without_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, grafting: str | None
) -> None:
    optimizer, unchecked = build(EveryCheck(period=2), grafting=grafting), build(
        EveryCheck(period=1000), grafting=grafting
    )  # fmt: skip
    with monkeypatch.context() as patch:
        break_eigh(patch, lambda matrix: True)
        train(optimizer, 3)
    train(unchecked, 3)
    for a, b in zip(optimizer.param_groups[0]["params"], unchecked.param_groups[0]["params"], strict=True):
        assert torch.equal(a, b)  # the same direction as before any check
    assert {f.last_decomposition_step for f in optimizer.factors()} == {None}
    assert "no basis stays in force" in optimizer.events[0].message
    train(optimizer, 1, seed=5)
    assert [(f.decompositions, f.failures, f.last_decomposition_step) for f in optimizer.factors()] == [(1, 1, 4)] * 4


def test_half_of_the_factors_of_a_block_are_better_than_none(monkeypatch: pytest.MonkeyPatch) -> None:
    break_eigh(monkeypatch, lambda matrix: len(matrix) == 4)
    weight = torch.zeros(4, 3, requires_grad=True)
    optimizer = Shampoo([weight], lr=0.1, betas=(0.0, 0.9), refresh=EveryCheck(period=1), grafting=None)
    weight.grad = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    right = next(factor_stack for factor_stack in optimizer.factor_stacks() if factor_stack.size == 3)
    torch.testing.assert_close(weight.detach(), -0.1 * weight.grad @ right.inverse_root[0])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize(
    "policy", [EveryCheck(period=2), Foam(period=2), DiagonalizationResidual(period=2)], ids=lambda p: type(p).__name__
)
def test_non_finite_gradients_keep_the_basis_and_are_told_once(value: float, policy: Policy) -> None:
    optimizer = build(policy)
    optimizer.observer = lambda observation: None  # so that the basis is kept
    train(optimizer, 2)
    kept = [factor_stack.basis.clone() for factor_stack in optimizer.factor_stacks()]
    optimizer.param_groups[0]["params"][1].grad[0, 0] = value
    optimizer.step()
    train(optimizer, 5, seed=1)
    bad = [f for f in optimizer.factors() if f.failures]
    assert [f.id for f in bad] == ["1.block_0.0", "1.block_0.1"]
    assert [(f.reason, f.failures, f.last_decomposition_step) for f in bad] == [("failure", 3, 2)] * 2
    assert [(e.step, e.position, e.kind) for e in optimizer.events] == [(4, 2, "eigh-kept"), (4, 3, "eigh-kept")]
    assert "factor 1.block_0.0 is not finite" in optimizer.events[0].message
    for factor_stack, old in zip(optimizer.factor_stacks(), kept, strict=True):
        assert torch.equal(factor_stack.basis[1], old[1])
        assert torch.isfinite(factor_stack.inverse_root).all()
    assert torch.isfinite(optimizer.param_groups[0]["params"][0]).all()  # the other parameter trains on


@pytest.mark.parametrize("scales", [(1e-6, 1e-6, math.nan, 1.0), (1e-6, 1e8, math.nan, 1.0)])
def test_statistics_that_are_not_finite_are_told_whatever_came_before(scales: tuple[float, ...]) -> None:
    weight = torch.zeros(4, 4, requires_grad=True)
    optimizer = Shampoo([weight], lr=0.1, refresh=Foam(period=1, start=1))
    for step, scale in enumerate(scales):
        weight.grad = scale * torch.randn(4, 4, generator=torch.Generator().manual_seed(step))
        optimizer.step()
    assert [(e.step, e.position) for e in optimizer.events] == [(3, 0), (3, 1)]
    assert "is not finite" in optimizer.events[0].message


def test_it_is_told_after_a_failed_decomposition_and_again_after_a_finite_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    optimizer = build(EveryCheck(period=1))
    train(optimizer, 1)
    healthy = copy.deepcopy(optimizer.state_dict())
    with monkeypatch.context() as patch:
        break_eigh(patch, lambda matrix: len(matrix) == 4)
        train(optimizer, 1)
    assert {e.step for e in optimizer.drain_events()} == {2}
    for expected in (3, 2):
        optimizer.param_groups[0]["params"][0].grad[0, 0] = math.nan
        optimizer.step()
        optimizer.step()
        assert {(e.step, e.position) for e in optimizer.drain_events()} == {(expected, 0), (expected, 1)}
        optimizer.load_state_dict(healthy)
        train(optimizer, 0)
        for p in optimizer.param_groups[0]["params"]:
            p.grad = torch.ones_like(p)


def test_without_refresh_an_infinite_proxy_is_no_failure() -> None:
    weight = torch.zeros(4, 4, requires_grad=True)
    optimizer = Shampoo([weight], lr=0.1, refresh=FoamNoRefresh(period=1, start=1, epsilon=1e-9, epsilon_max=1e-5))
    for gradient in (torch.zeros(4, 4), 1e5 * torch.randn(4, 4, generator=torch.Generator().manual_seed(0))):
        weight.grad = gradient
        optimizer.step()
    assert [(f.reason, f.decompositions, f.epsilon) for f in optimizer.factors()] == [("reuse", 1, 1e-5)] * 2
