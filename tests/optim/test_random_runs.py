"""Runs drawn at random, compared after every step with slow references: parameters, checks and damping.

What is drawn: parameter groups with settings of their own, parameters and gradients of every order and memory layout,
missing and zero gradients, copies of the optimizer in the middle of the run, observers that come and go.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from foam_viz.optim import block_stack, gram
from foam_viz.optim.eigenvalue_corrected import EigenvalueCorrectedShampoo
from foam_viz.optim.factor import CheckObservation
from foam_viz.optim.factor_stack import FactorStack
from foam_viz.optim.factored import FactoredOptimizer
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
from foam_viz.optim.soap import SOAP
from tests.optim.random_reference import (
    FLOOR,
    SlowCorrectedParameter,
    SlowParameter,
    SlowShampooParameter,
    SlowSoapParameter,
    assign_places,
)

STEPS = 16
TOLERANCE = 1e-6
SHAPES = [
    (), (1,), (5,), (7,), (10,), (1, 1), (3, 4), (4, 3), (6, 5), (5, 5), (1, 6), (6, 1), (8, 2), (9, 7),
    (2, 3, 4), (3, 1, 2), (2, 3, 2, 3), (4, 3, 3, 3), (0,), (0, 3),
]  # fmt: skip
LIMITS = [2, 3, 4, 6, 1024]

# How the work is done: matrix by matrix as on a CPU, batched as on a GPU, and on a CPU in portions and triangles as of
# large factors. Each has seeds of its own.
WAYS = {"host": range(16), "device": range(100, 116), "portions": range(200, 216)}
CASES = [pytest.param(way, seed, id=f"{way}-{seed}") for way, seeds in WAYS.items() for seed in seeds]


# --- what is drawn ---------------------------------------------------------------------------------------------------


def one_of(rng: np.random.Generator, choices: list[Any]) -> Any:
    return choices[rng.integers(len(choices))]


def shampoo_policy(rng: np.random.Generator) -> Policy:
    start = one_of(rng, [None, 1, 2, 4, 6])
    period, epsilon, tau = int(rng.integers(1, 5)), one_of(rng, [1e-6, 1e-3, 1e-2]), one_of(rng, [0.1, 0.3, 0.5, 0.8])
    when: dict[str, Any] = {"period": period, "start": start, "epsilon": epsilon}
    largest = epsilon * one_of(rng, [1, 5, 100])
    return one_of(
        rng,
        [
            EveryCheck(**when),
            EveryCheck(**when, stagger=True),
            Foam(**when, tau=tau, epsilon_max=largest),
            FoamFreshEigenvalues(**when, tau=tau, epsilon_max=largest),
            FoamFixedDamping(**when, tau=tau),
            FoamNoRefresh(**when, tau=tau, epsilon_max=largest),
            DiagonalizationResidual(**when, tau=tau),
        ],
    )


def basis_policy(rng: np.random.Generator) -> Policy:
    when: dict[str, Any] = {"period": int(rng.integers(1, 5)), "start": one_of(rng, [None, 1, 3, 5])}
    tau = one_of(rng, [0.1, 0.3, 0.6])
    policies = [EveryCheck(**when), EveryCheck(**when, stagger=True), DiagonalizationResidual(**when, tau=tau)]
    return one_of(rng, policies)


def common_settings(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "lr": one_of(rng, [0.1, 0.01]),
        "weight_decay": one_of(rng, [0.0, 0.1, 0.5]),
        "precondition": one_of(rng, ["all", "all", "all", "matrices", "none"]),
        "max_preconditioner_dim": one_of(rng, LIMITS),
    }


def shampoo_settings(rng: np.random.Generator) -> dict[str, Any]:
    return common_settings(rng) | {
        "betas": (one_of(rng, [0.0, 0.5, 0.9]), one_of(rng, [0.9, 0.99, 1.0])),
        "root": one_of(rng, [None, 2, 3, 4]),
        "eigenvalues": one_of(rng, ["shift", "floor"]),
        "refresh": shampoo_policy(rng),
        "grafting": one_of(rng, [None, "sgd", "adam"]),
        "grafting_beta2": one_of(rng, [None, 0.95, 1.0]),
        "grafting_epsilon": one_of(rng, [1e-8, 1e-2]),
        "merge_dims": one_of(rng, [False, True]),
    }


def corrected_settings(rng: np.random.Generator) -> dict[str, Any]:
    return common_settings(rng) | {
        "betas": (one_of(rng, [0.0, 0.5, 0.9]), one_of(rng, [0.9, 0.99, 1.0])),
        "eps": one_of(rng, [1e-6, 1e-2]),
        "refresh": basis_policy(rng),
        "merge_dims": one_of(rng, [False, True]),
    }


def soap_settings(rng: np.random.Generator) -> dict[str, Any]:
    return common_settings(rng) | {
        "betas": (one_of(rng, [0.0, 0.5, 0.9]), one_of(rng, [0.9, 0.95])),
        "shampoo_beta": one_of(rng, [None, 0.8, 0.0]),
        "eps": one_of(rng, [1e-6, 1e-2]),
        "period": int(rng.integers(1, 5)),
        "precondition_1d": one_of(rng, [False, True]),
        "refresh": one_of(rng, [None, basis_policy(rng)]),
    }


def in_some_layout(rng: np.random.Generator, values: np.ndarray) -> torch.Tensor:
    """A tensor of these values that is contiguous, channels_last, transposed, or every other entry of another."""
    tensor = torch.tensor(values, dtype=torch.float64)
    layout, order = rng.integers(4), tensor.dim()
    if layout == 1 and order == 4:
        return tensor.to(memory_format=torch.channels_last)
    if layout == 2 and order >= 2:
        backwards = tuple(reversed(range(order)))
        return tensor.permute(backwards).contiguous().permute(backwards)
    if layout == 3 and order >= 1:
        wide = torch.zeros(*tensor.shape[:-1], 2 * tensor.shape[-1], dtype=torch.float64)
        wide[..., ::2] = tensor
        return wide[..., ::2]
    return tensor


class Kind(NamedTuple):
    """An optimizer, its reference and its settings."""

    optimizer: Callable[..., FactoredOptimizer]
    reference: type[SlowParameter]
    settings: Callable[[np.random.Generator], dict[str, Any]]


KINDS = {
    "shampoo": Kind(Shampoo, SlowShampooParameter, shampoo_settings),
    "corrected": Kind(EigenvalueCorrectedShampoo, SlowCorrectedParameter, corrected_settings),
    "soap": Kind(SOAP, SlowSoapParameter, soap_settings),
}


# --- a run -----------------------------------------------------------------------------------------------------------


class Run:
    """An optimizer and its references, which go through the same steps."""

    def __init__(self, kind: Kind, seed: int) -> None:
        self.kind, self.rng = kind, np.random.default_rng(seed)
        self.settings: list[dict[str, Any]] = []
        self.references: list[SlowParameter] = []
        groups = []
        for _ in range(self.rng.integers(1, 4)):
            settings = kind.settings(self.rng)
            shapes = [one_of(self.rng, SHAPES) for _ in range(3)]  # few, so that some parameters have the same
            weights = [self.rng.normal(size=one_of(self.rng, shapes)) for _ in range(self.rng.integers(1, 7))]
            first = len(self.references)
            added = [kind.reference(weight, settings, index) for index, weight in enumerate(weights, first)]
            assign_places(added)
            self.settings.append(settings)
            self.references += added
            groups.append({"params": [in_some_layout(self.rng, w).requires_grad_() for w in weights], **settings})
        self.optimizer = kind.optimizer(groups, lr=1.0)
        self.unused = self.rng.random(len(self.references)) < 0.1  # these never have a gradient
        self.observed: list[int] = []

    def parameters(self) -> list[torch.Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def draw_gradients(self) -> list[np.ndarray | None]:
        gradients: list[np.ndarray | None] = []
        for parameter, reference, unused in zip(self.parameters(), self.references, self.unused, strict=True):
            gradient = self.rng.uniform(0.5, 2.0) * self.rng.normal(size=tuple(parameter.shape))
            if unused or self.rng.random() < 0.15:
                parameter.grad = None
                gradients.append(None)
                continue
            if self.rng.random() < 0.07 and reference.may_vanish():
                gradient = np.zeros_like(gradient)
            parameter.grad = in_some_layout(self.rng, gradient)
            gradients.append(gradient)
        return gradients

    def step(self, number: int) -> None:
        gradients = self.draw_gradients()
        self.optimizer.observer = self.observe if self.rng.random() < 0.3 else None
        self.observed.clear()
        checks = [factor.checks for factor in self.optimizer.factors()]
        self.optimizer.step()
        for reference, gradient in zip(self.references, gradients, strict=True):
            reference.step(gradient, number, self.library_basis)
        if self.optimizer.observer is not None:
            after = [factor.checks for factor in self.optimizer.factors()]
            checked = [i for i, (old, new) in enumerate(zip(checks, after, strict=True)) if new > old]
            assert sorted(self.observed) == checked

    def observe(self, observation: CheckObservation) -> None:
        self.observed += observation.positions

    def library_basis(self, name: str) -> np.ndarray | None:
        for factor_stack in self.optimizer.factor_stacks():
            for row, factor in enumerate(factor_stack.factors):
                if factor.id == name and factor.keeps_basis:
                    return factor_stack.basis[row].numpy().copy()
        return None

    def compare(self) -> None:
        for index, (parameter, reference) in enumerate(zip(self.parameters(), self.references, strict=True)):
            difference = np.abs(parameter.detach().numpy() - reference.weight).max(initial=0)
            # Not "difference > ...", so that NaN fails.
            allowed = TOLERANCE * np.abs(reference.weight).max(initial=1)
            assert difference <= allowed, f"parameter {index}: {reference.weight.shape}, {reference.settings}"
        mine = [factor for reference in self.references for factor in reference.all_factors()]
        theirs = self.optimizer.factors()
        assert [(f.id, f.checks, f.decompositions) for f in theirs] == [
            (f.name, f.checks, f.decompositions) for f in mine
        ]
        damped = self.kind.optimizer is Shampoo  # the others have no damping
        expected = [factor.epsilon if damped else np.nan for factor in mine]
        np.testing.assert_allclose([factor.epsilon for factor in theirs], expected, rtol=TOLERANCE)
        assert self.optimizer.drain_events() == []

    def copy_the_optimizer(self) -> None:
        how = one_of(self.rng, ["deepcopy", "pickle", "state_dict"])
        if how == "deepcopy":
            self.optimizer = copy.deepcopy(self.optimizer)
        elif how == "pickle":
            self.optimizer = pickle.loads(pickle.dumps(self.optimizer))
        else:
            saved = io.BytesIO()
            torch.save(self.optimizer.state_dict(), saved)
            saved.seek(0)
            groups = [
                {"params": group["params"], **settings, "lr": 1.0}  # lr comes with the state
                for group, settings in zip(self.optimizer.param_groups, self.settings, strict=True)
            ]
            self.optimizer = self.kind.optimizer(groups, lr=1.0)
            self.optimizer.load_state_dict(torch.load(saved, weights_only=True))

    def change_a_learning_rate(self) -> None:
        index = self.rng.integers(len(self.settings))
        self.settings[index]["lr"] = self.optimizer.param_groups[index]["lr"] = self.rng.uniform(0.01, 0.1)


def work_like(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        FactorStack, "floor", property(lambda factor_stack: FLOOR if factor_stack.rule == "floor" else None)
    )
    if way != "host":
        monkeypatch.setattr(block_stack, "_SMALL", 0)  # buffers as of large shards
    if way == "device":
        monkeypatch.setattr(gram, "on_host", lambda tensor: False)
    elif way == "portions":
        monkeypatch.setattr(gram, "PORTION", 40)
        monkeypatch.setattr(gram, "TRIANGLE_WIDTH", 2)


@pytest.mark.parametrize(("way", "seed"), CASES)
@pytest.mark.parametrize("name", KINDS)
def test_a_random_run_agrees_with_the_reference(
    name: str, way: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_like(way, monkeypatch)
    run = Run(KINDS[name], seed)
    for number in range(1, STEPS + 1):
        run.step(number)
        run.compare()
        if run.rng.random() < 0.2:
            run.copy_the_optimizer()
        if run.rng.random() < 0.1:
            run.change_a_learning_rate()


@pytest.mark.parametrize("way", WAYS)
def test_the_seeds_reach_what_they_are_meant_to(way: str) -> None:
    runs = [Run(KINDS["shampoo"], seed) for seed in WAYS[way]]
    settings = [one for run in runs for one in run.settings]
    assert {type(one["refresh"]) for one in settings} == set(POLICIES.values())
    assert any(type(one["refresh"]) is EveryCheck and one["refresh"].stagger for one in settings)
    assert {one["grafting"] for one in settings} == {None, "sgd", "adam"}
    references = [reference for run in runs for reference in run.references]
    assert {reference.weight.ndim for reference in references} == set(range(5))
    assert {len(reference.slices) for reference in references} >= {0, 1, 2, 4}
    assert any(not parameter.is_contiguous() for run in runs for parameter in run.parameters())


def test_every_policy_meets_both_rules_for_small_eigenvalues() -> None:
    seeds = [seed for seeds in WAYS.values() for seed in seeds]
    settings = [one for seed in seeds for one in Run(KINDS["shampoo"], seed).settings]
    met = {(type(one["refresh"]), one["eigenvalues"]) for one in settings}
    assert met == set(product(POLICIES.values(), ("shift", "floor")))
