"""Policies as pure functions: the rules of each, by example and by property."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foam_viz.optim import refresh
from foam_viz.optim.fields import FieldError
from foam_viz.optim.refresh import (
    POLICIES,
    DiagonalizationResidual,
    EveryCheck,
    Foam,
    FoamFixedDamping,
    FoamFreshEigenvalues,
    FoamNoRefresh,
    Policy,
)
from foam_viz.optim.shampoo import Shampoo

positive = st.floats(1e-12, 1e3)
measures = st.floats(0, 1e6)
tau = st.floats(0.01, 0.99)
factor = st.floats(1, 1e4)


@pytest.mark.parametrize(
    ("policy", "steps"),
    [
        (EveryCheck(period=5), [5, 10, 15, 20]),
        (EveryCheck(period=5, start=1), [1, 5, 10, 15, 20]),
        (EveryCheck(period=5, start=12), [12, 15, 20]),
        (EveryCheck(period=1), list(range(1, 21))),
        (EveryCheck(period=50, start=10), [10]),
    ],
)
def test_checks_are_start_and_then_multiples_of_the_period(policy: Policy, steps: list[int]) -> None:
    assert [step for step in range(1, 21) if policy.is_check(step)] == steps


@settings(deadline=None)
@given(period=st.integers(1, 30), start=st.none() | st.integers(1, 40), places=st.integers(1, 50))
def test_taking_turns_is_the_same_period_spread_out(period: int, start: int | None, places: int) -> None:
    policy = EveryCheck(period=period, start=start, stagger=True)
    first = start or period
    assert not any(policy.is_check(step) or policy.is_turn(step, 0, places) for step in range(1, first))
    assert all(policy.is_turn(first, place, places) for place in range(places))
    after = range(first + 1, first + 1 + 3 * period)
    assert all(policy.is_check(step) for step in after)
    counts = [sum(policy.is_turn(step, place, places) for place in range(places)) for step in after]
    assert max(counts) - min(counts) <= 1 and sum(counts) == 3 * places
    for place in range(places):
        turns = [step for step in after if policy.is_turn(step, place, places)]
        assert [b - a for a, b in zip(turns, turns[1:], strict=False)] == [period, period]


def test_without_turns_every_factor_is_checked_at_every_check() -> None:
    for policy in (EveryCheck(period=4, start=2), Foam(period=4, start=2)):
        for step in range(1, 20):
            assert policy.is_turn(step, 3, 7) == policy.is_check(step)


@given(eps0=positive, ratio=factor, spread=factor, h=measures, tau=tau)
def test_foam_with_fresh_eigenvalues_decides_as_foam(
    eps0: float, ratio: float, spread: float, h: float, tau: float
) -> None:
    keywords = {"period": 1, "tau": tau, "epsilon": eps0, "epsilon_max": eps0 * spread}
    paper, ours = Foam(**keywords), FoamFreshEigenvalues(**keywords)
    epsilon = min(eps0 * ratio, paper.epsilon_max)
    expected = paper.decide(epsilon=epsilon, measure=h, has_basis=True)
    decision = ours.decide(epsilon=epsilon, measure=h, has_basis=True)
    assert (decision.decompose, decision.epsilon) == (expected.decompose, expected.epsilon)
    assert decision.refresh_eigenvalues == (not decision.decompose)


@pytest.mark.parametrize("policy", [cls(epsilon=1e-8) for cls in POLICIES.values()], ids=lambda p: type(p).__name__)
def test_the_first_check_decomposes_at_eps0(policy: Policy) -> None:
    decision = policy.decide(epsilon=1e-7, measure=None, has_basis=False)
    assert (decision.decompose, decision.epsilon, decision.reason) == (True, 1e-8, "first")
    for bad in (math.nan, None):
        decision = policy.decide(epsilon=1e-7, measure=bad, has_basis=True)
        assert (decision.decompose, decision.epsilon) == (True, 1e-8)
        assert decision.reason == ("cadence" if policy.measures is None else "failure")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (EveryCheck(), (True, 1e-9, "cadence")),
        (Foam(), (True, 1e-9, "cap")),
        (FoamFreshEigenvalues(), (True, 1e-9, "cap")),
        (FoamFixedDamping(), (True, 1e-9, "threshold")),
        (FoamNoRefresh(epsilon_max=1e-6), (False, 1e-6, "reuse")),
        (DiagonalizationResidual(), (True, 1e-9, "threshold")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_infinite_staleness_is_staleness(policy: Policy, expected: tuple[bool, float, str]) -> None:
    decision = policy.decide(epsilon=1e-9, measure=math.inf, has_basis=True)
    assert (decision.decompose, decision.epsilon, decision.reason) == expected


@given(eps0=positive, ratio=factor, spread=factor, h=measures, tau=tau)
def test_foam(eps0: float, ratio: float, spread: float, h: float, tau: float) -> None:
    policy = Foam(period=1, tau=tau, epsilon=eps0, epsilon_max=eps0 * spread)
    epsilon = min(eps0 * ratio, policy.epsilon_max)
    decision = policy.decide(epsilon=epsilon, measure=h, has_basis=True)
    wanted = max(eps0, epsilon * h / tau)
    assert decision.decompose == (wanted > policy.epsilon_max)
    assert eps0 <= decision.epsilon <= policy.epsilon_max
    assert decision.epsilon == (eps0 if decision.decompose else wanted)
    assert decision.reason == ("cap" if decision.decompose else "reuse")
    assert not decision.refresh_eigenvalues


@given(eps0=positive, ratio=factor, spread=factor, h=measures, tau=tau)
def test_foam_without_refresh_never_decomposes_again(
    eps0: float, ratio: float, spread: float, h: float, tau: float
) -> None:
    policy = FoamNoRefresh(period=1, tau=tau, epsilon=eps0, epsilon_max=eps0 * spread)
    epsilon = min(eps0 * ratio, policy.epsilon_max)
    decision = policy.decide(epsilon=epsilon, measure=h, has_basis=True)
    assert not decision.decompose and decision.reason == "reuse"
    assert decision.epsilon == min(max(eps0, epsilon * h / tau), policy.epsilon_max)


@given(eps0=positive, h=measures, tau=tau)
def test_thresholds_are_strict(eps0: float, h: float, tau: float) -> None:
    for policy in (FoamFixedDamping(tau=tau, epsilon=eps0), DiagonalizationResidual(tau=tau, epsilon=eps0)):
        decision = policy.decide(epsilon=eps0, measure=h, has_basis=True)
        assert decision.decompose == (h > tau) and decision.epsilon == eps0
        assert decision.reason == ("threshold" if h > tau else "reuse")
        refreshes = isinstance(policy, DiagonalizationResidual) and not decision.decompose
        assert decision.refresh_eigenvalues == refreshes
        assert not policy.decide(epsilon=eps0, measure=tau, has_basis=True).decompose
    foam = Foam(tau=0.5, epsilon=1.0, epsilon_max=2.0)
    assert not foam.decide(epsilon=1.0, measure=1.0, has_basis=True).decompose  # exactly eps_max
    assert foam.decide(epsilon=1.0, measure=1.0000001, has_basis=True).decompose


@settings(deadline=None, max_examples=25)
@given(h=measures, tau=tau, seed=st.integers(0, 9))
def test_reuse_at_unchanged_damping_leaves_the_root_alone(h: float, tau: float, seed: int) -> None:
    """With eps0 = eps_max the damping cannot move: X changes exactly when there is a decomposition."""
    weight = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    optimizer = Shampoo([weight], lr=0.1, refresh=Foam(period=1, tau=tau, epsilon=1e-3, epsilon_max=1e-3))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(3):
        before = [f.decompositions for f in optimizer.factors()]
        roots = optimizer.factor_stacks()[0].inverse_root.clone()
        weight.grad = torch.randn(3, 3, generator=generator, dtype=torch.float64)
        optimizer.step()
        for i, f in enumerate(optimizer.factors()):
            same = torch.equal(optimizer.factor_stacks()[0].inverse_root[i], roots[i])
            assert same == (f.decompositions == before[i])


def test_no_drift_brings_damping_back_to_eps0() -> None:
    weight = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.tensor(np.random.default_rng(0).normal(size=(3, 3)))
    optimizer = Shampoo([weight], lr=0.1, betas=(0.9, 0.99), refresh=Foam(period=1, epsilon=1e-3, epsilon_max=1))
    for _ in range(3):  # the same gradient again and again: the bias-corrected factor does not move
        optimizer.step()
    assert [f.decompositions for f in optimizer.factors()] == [1, 1]
    assert max(f.proxy for f in optimizer.factors()) < 1e-9
    assert [f.epsilon for f in optimizer.factors()] == [1e-3, 1e-3]


@pytest.mark.parametrize("name", POLICIES)
def test_settings_round_trip(name: str) -> None:
    policy = POLICIES[name](period=7, start=3, epsilon=2e-8)
    stored = refresh.to_settings(policy)
    assert stored["policy"] == name and all(isinstance(v, int | float | str) for v in stored.values())
    assert refresh.from_settings(stored) == policy


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Foam(tau=1.0), "tau = 1.0: must be a number strictly between 0 and 1"),
        (lambda: Foam(tau=math.nan), "tau = nan"),
        (lambda: Foam(epsilon=1e-6), "epsilon_max = 3e-7: must be at least epsilon = 1e-6"),
        (lambda: Foam(epsilon=0.0), "epsilon = 0.0: must be a number above 0"),
        (lambda: EveryCheck(period=0), "period = 0: must be an integer from 1 to 10000000"),
        (lambda: EveryCheck(period=2.5), "period = 2.5: must be an integer"),
        (lambda: EveryCheck(stagger=1), "stagger = 1: must be true or false"),
        (lambda: EveryCheck(start=True), "start = True: must be an integer from 1 to 10000000, or none"),
        (lambda: refresh.from_settings({"policy": "Foam", "taw": 1}), "did you mean tau?"),
        (lambda: refresh.from_settings({"policy": "foam"}), "policy = foam: must be one of EveryCheck, Foam"),
    ],
)
def test_bad_policies_name_field_and_range(build, words: str) -> None:
    with pytest.raises(FieldError) as caught:
        build()
    assert words in str(caught.value)


def test_whole_floats_become_integers() -> None:
    assert EveryCheck(period=10.0) == EveryCheck(period=10)
    assert isinstance(EveryCheck(period=10.0).period, int)


@given(
    eps0=st.lists(positive, min_size=2, max_size=6),
    spread=factor,
    tau=tau,
    asked=st.lists(st.tuples(factor, measures | st.just(math.inf)), min_size=1, max_size=8),
)
@pytest.mark.parametrize("policy", POLICIES.values(), ids=lambda p: p.__name__)
def test_many_are_judged_together_as_one_by_one(
    policy: type[Policy], eps0: list[float], spread: float, tau: float, asked: list[tuple[float, float]]
) -> None:
    known = {one.name for one in policy.fields}
    given = [{"epsilon": e, "epsilon_max": e * spread, "tau": tau * 0.9**i} for i, e in enumerate(eps0)]
    policies = [policy(**{name: value for name, value in one.items() if name in known}) for one in given]
    damping = np.array([[e * ratio for ratio, _ in asked] for e in eps0])
    measure = np.array([h for _, h in asked])
    with np.errstate(all="ignore"):
        found, after = policy.together(policies).judge(damping, np.broadcast_to(measure, damping.shape))
    found, after = (np.broadcast_to(one, damping.shape) for one in (found, after))
    for i, one in enumerate(policies):
        for j, h in enumerate(measure.tolist()):
            decision = one.decide(epsilon=float(damping[i, j]), measure=h, has_basis=True)
            assert type(decision.decompose) is bool and type(decision.epsilon) is float
            assert decision.decompose == found[i, j]
            assert decision.epsilon == (one.epsilon if found[i, j] else after[i, j])
