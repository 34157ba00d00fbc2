"""The setting ``eigenvalues``: what shift and floor make of eigenvalues that rounding drowned."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from foam_viz.optim import catalogue, linalg
from foam_viz.optim.fields import FieldError
from foam_viz.optim.refresh import DiagonalizationResidual, EveryCheck, Foam, FoamFreshEigenvalues, Policy
from foam_viz.optim.shampoo import Shampoo
from tests.optim.test_failures import break_eigh

SINGLE = 2.0**-23
EPSILON = 1e-12  # so small that the rule decides what the inverse root is


def steep_gradients(dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Gradients whose left factor has eigenvalues from 1 down to 1e-14, far under what float32 resolves."""
    generator = torch.Generator().manual_seed(3)
    turn = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64))[0]
    scales = torch.logspace(0, -7, 8, dtype=torch.float64)
    return [
        (turn @ (scales[:, None] * torch.randn(8, 12, generator=generator, dtype=torch.float64))).to(dtype)
        for _ in range(30)
    ]


def trained(rule: str, policy: Policy | None = None, steps: int = 1, dtype: torch.dtype = torch.float32) -> Shampoo:
    weight = torch.zeros(8, 12, dtype=dtype, requires_grad=True)
    policy = policy or EveryCheck(period=1, epsilon=EPSILON)
    optimizer = Shampoo([weight], lr=0.1, betas=(0.0, 0.9), grafting=None, eigenvalues=rule, refresh=policy)
    optimizer.observer = lambda observation: None  # so that the basis is kept
    go_on(optimizer, 0, steps)
    return optimizer


def go_on(optimizer: Shampoo, first: int, stop: int) -> None:
    (weight,) = optimizer.param_groups[0]["params"]
    for gradient in steep_gradients(weight.dtype)[first:stop]:
        weight.grad = gradient
        optimizer.step()


def left(optimizer: Shampoo):
    return next(factor_stack for factor_stack in optimizer.factor_stacks() if factor_stack.size == 8)


def solved(optimizer: Shampoo) -> np.ndarray:
    """The eigenvalues that the solver gives for the left factor in float32."""
    return torch.linalg.eigh(left(optimizer).current())[0][0].double().numpy()


def slow_scale(raw: np.ndarray, rule: str, epsilon: float = EPSILON, machine: float = SINGLE) -> np.ndarray:
    if rule == "shift":
        return raw - min(raw.min(), 0) + epsilon
    return np.maximum(raw, machine * raw.max()) + epsilon


@pytest.mark.parametrize("rule", ["shift", "floor"])
def test_a_factor_whose_smallest_computed_eigenvalue_is_negative(rule: str) -> None:
    optimizer = trained(rule)
    factor_stack, raw = left(optimizer), solved(optimizer)
    assert raw.min() < 0 < np.linalg.eigvalsh(factor_stack.current()[0].double().numpy()).max()
    scale = slow_scale(raw, rule)
    basis = factor_stack.basis[0].double().numpy()
    expected = (basis * scale**-0.5) @ basis.T
    difference = np.linalg.norm(factor_stack.inverse_root[0].double().numpy() - expected) / np.linalg.norm(expected)
    assert difference < 1e-5
    # The noise direction: by the shift at 1/sqrt(eps0), by the floor where rounding ends.
    largest = np.linalg.eigvalsh(factor_stack.inverse_root[0].double().numpy()).max()
    assert largest == pytest.approx({"shift": EPSILON, "floor": SINGLE * raw.max() + EPSILON}[rule] ** -0.5, rel=1e-3)
    (weight,) = optimizer.param_groups[0]["params"]
    right = next(factor_stack for factor_stack in optimizer.factor_stacks() if factor_stack.size == 12)
    moved = -0.1 * expected @ steep_gradients()[0].double().numpy() @ right.inverse_root[0].double().numpy()
    assert np.linalg.norm(weight.detach().numpy() - moved) < 1e-3 * np.linalg.norm(moved)


@pytest.mark.parametrize("rule", ["shift", "floor"])
def test_h_compares_the_factor_with_the_eigenvalues_before_the_floor(rule: str) -> None:
    optimizer = trained(rule, Foam(period=1, start=1, tau=0.5, epsilon=EPSILON, epsilon_max=1e3))
    factor_stack = left(optimizer)
    current, basis = factor_stack.current()[0].double().numpy(), factor_stack.basis[0].double().numpy()
    raw = factor_stack.eigenvalues[0].double().numpy()
    assert (raw.min() < 0) == (rule == "floor")
    scale = slow_scale(raw, rule)
    drift = (basis.T @ current @ basis - np.diag(raw)) / np.sqrt(np.outer(scale, scale))
    alpha = scale.min() ** -0.5 / np.linalg.norm(scale**-0.5)
    just_decomposed = linalg.proxy(
        linalg.rotate(factor_stack.basis, factor_stack.current()),
        factor_stack.eigenvalues,
        EPSILON,
        2,
        factor_stack.floor,
    )
    exact = np.linalg.norm(drift) * alpha / 2
    if rule == "floor":
        # What is left is what float32 leaves of the products: under a tenth, where the shift makes it thousands.
        assert exact < 1 and float(just_decomposed.h) < 1
    else:
        assert exact > 100 and float(just_decomposed.h) > 100
    go_on(optimizer, 1, 2)
    moved = left(optimizer)
    rotated = basis.T @ moved.current()[0].double().numpy() @ basis
    expected = np.linalg.norm((rotated - np.diag(raw)) / np.sqrt(np.outer(scale, scale))) * alpha / 2
    # B comes from float32 products, and by the shift entries of the size of their rounding are weighed most.
    assert optimizer.factors()[0].proxy == pytest.approx(expected, rel={"shift": 1.0, "floor": 0.05}[rule])


def test_the_true_error_of_a_fresh_basis_is_small_with_the_floor_alone() -> None:
    errors = {}
    for rule in ("shift", "floor"):
        factor_stack = left(trained(rule))
        values, basis, _ = linalg.eigh_robust(factor_stack.current().double(), EPSILON, shift=rule == "shift")
        stale = linalg.floored(factor_stack.eigenvalues.double(), factor_stack.floor)
        fresh = linalg.floored(values, factor_stack.floor)
        errors[rule] = float(linalg.operator_error(factor_stack.basis.double(), stale, basis, fresh, EPSILON, 2))
    assert errors["floor"] < 0.3 < 0.9 < errors["shift"]


@pytest.mark.parametrize("policy", [DiagonalizationResidual, FoamFreshEigenvalues])
def test_eigenvalues_refreshed_on_reuse_are_floored_too(policy: type[Policy]) -> None:
    more = {"epsilon_max": 1e12} if policy is FoamFreshEigenvalues else {}
    optimizer = trained("floor", policy(period=1, start=1, tau=0.99, epsilon=EPSILON, **more), steps=2)
    factor_stack = left(optimizer)
    assert factor_stack.factors[0].reuses == 1
    basis = factor_stack.basis[0].double().numpy()
    diagonal = factor_stack.eigenvalues[0].double().numpy()
    torch.testing.assert_close(
        factor_stack.eigenvalues[0],
        linalg.rotate(factor_stack.basis, factor_stack.current())[0].diagonal(),
        rtol=1e-4,
        atol=1e-6,
    )
    scale = slow_scale(diagonal, "floor", factor_stack.epsilon[0])
    expected = (basis * scale**-0.5) @ basis.T
    found = factor_stack.inverse_root[0].double().numpy()
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)


def test_the_floor_is_that_of_the_statistics() -> None:
    assert left(trained("floor")).floor == SINGLE
    assert left(trained("floor", dtype=torch.bfloat16)).floor == SINGLE
    assert left(trained("floor", dtype=torch.float64)).floor == 2.0**-52
    assert left(trained("shift")).floor is None


def test_a_retry_in_float64_has_the_floor_of_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    break_eigh(monkeypatch, lambda matrix: matrix.dtype == torch.float32)
    optimizer = trained("floor")
    assert {event.kind for event in optimizer.events} == {"eigh-retry-float64"}
    factor_stack = left(optimizer)
    largest = torch.linalg.eigvalsh(factor_stack.inverse_root[0].double()).max().item()
    expected = (SINGLE * factor_stack.eigenvalues[0].max().item() + EPSILON) ** -0.5
    assert largest == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("rule", ["shift", "floor"])
def test_a_saved_state_brings_its_rule(rule: str) -> None:
    policy = Foam(period=1, start=1, tau=0.5, epsilon=EPSILON, epsilon_max=1e-6)
    whole = trained(rule, policy, steps=6)
    half, other = trained(rule, policy, steps=3), trained("shift" if rule == "floor" else "floor", policy)
    saved = io.BytesIO()
    torch.save([half.state_dict(), half.param_groups[0]["params"][0].detach()], saved)
    saved.seek(0)
    state, weight = torch.load(saved, weights_only=True)
    other.load_state_dict(state)
    other.param_groups[0]["params"][0].data.copy_(weight)
    assert (other.param_groups[0]["eigenvalues"], left(other).rule) == (rule, rule)
    go_on(other, 3, 6)
    assert torch.equal(other.param_groups[0]["params"][0], whole.param_groups[0]["params"][0])


def test_a_state_saved_before_the_setting_existed_means_the_shift() -> None:
    state = trained("shift", steps=3).state_dict()
    for group in state["param_groups"]:
        del group["eigenvalues"]
    for group in state["state"]["groups"]:
        for factor_stack in group["factor_stacks"]:
            del factor_stack["rule"]
    optimizer, expected = trained("floor"), trained("shift", steps=6)
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["eigenvalues"] == left(optimizer).rule == "shift"
    optimizer.param_groups[0]["params"][0].data.copy_(trained("shift", steps=3).param_groups[0]["params"][0])
    go_on(optimizer, 3, 6)
    assert torch.equal(optimizer.param_groups[0]["params"][0], expected.param_groups[0]["params"][0])


def test_zero_factors_and_empty_directions_stay_finite() -> None:
    for rule in ("shift", "floor"):
        weight = torch.zeros(3, 3, requires_grad=True)
        optimizer = Shampoo([weight], lr=0.1, eigenvalues=rule, refresh=Foam(period=1, start=1))
        for gradient in (torch.zeros(3, 3), torch.diag(torch.tensor([1.0, 0.0, 0.0]))):
            weight.grad = gradient
            optimizer.step()
            assert torch.isfinite(weight).all() and torch.isfinite(optimizer.factor_stacks()[0].inverse_root).all()


def test_who_offers_it_and_what_is_refused() -> None:
    offering = {
        name for name, spec in catalogue.OPTIMIZERS.items() if "eigenvalues" in {f.name for f in spec.all_fields}
    }
    assert offering == {
        "shampoo", "shampoo-staggered", "foam", "foam-fixed-damping", "foam-no-refresh", "foam-fresh-eigenvalues",
        "dr-shampoo",
    }  # fmt: skip
    with pytest.raises(FieldError, match="eigenvalues = clamp: must be one of floor, shift"):
        Shampoo([torch.zeros(2, 2, requires_grad=True)], lr=0.1, eigenvalues="clamp")
