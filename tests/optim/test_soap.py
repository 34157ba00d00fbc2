"""SOAP against the slow reference, and what surrounds a step."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import numpy as np
import pytest
import torch

from foam_viz.optim.factor import CheckObservation
from foam_viz.optim.fields import FieldError
from foam_viz.optim.grouping import hidden_matrices
from foam_viz.optim.refresh import DiagonalizationResidual, EveryCheck, Foam
from foam_viz.optim.soap import SOAP
from tests.optim.rotated_reference import SlowSoap
from tests.optim.test_shampoo import gradients, parameter, train


def compare(shape: tuple[int, ...], steps: int = 9, **settings: Any) -> SOAP:
    weight, stream = parameter(shape), gradients(shape, steps)
    slow = SlowSoap(weight.detach().numpy(), **settings)
    tau, period = settings.pop("tau", None), settings.pop("period", 2)
    refresh = None if tau is None else DiagonalizationResidual(period=period, tau=tau)
    optimizer = SOAP([weight], lr=0.1, period=period, refresh=refresh, **settings)
    train(optimizer, [weight], [stream], steps)
    for gradient in stream:
        slow.step(gradient)
    np.testing.assert_allclose(weight.detach().numpy(), slow.weight, rtol=0, atol=1e-10)
    assert {f.dim: f.decompositions for f in optimizer.factors()} == slow.renewals
    return optimizer


# A last dimension that is the product of the others, or less, so that no first factor has a null space to choose in.
@pytest.mark.parametrize("shape", [(5,), (), (1,), (4, 4), (1, 1), (2, 3, 4), (2, 2, 2, 3)])
def test_orders(shape: tuple[int, ...]) -> None:
    compare(shape)


@pytest.mark.parametrize(
    "settings",
    [
        {"period": 1}, {"weight_decay": 0.0}, {"weight_decay": 0.5}, {"shampoo_beta": 0.5}, {"eps": 1e-2},
        {"betas": (0.0, 0.9)}, {"betas": (0.9, 0.5)}, {"tau": 0.3}, {"tau": 0.05, "period": 1}, {"tau": 0.999},
    ],
)  # fmt: skip
def test_settings(settings: dict[str, Any]) -> None:
    compare((4, 4), **settings)


def test_residual_decides_for_each_factor_alone() -> None:
    optimizer = compare((4, 4), steps=40, tau=0.25, period=1)
    counts = [(f.checks, f.decompositions, f.reuses) for f in optimizer.factors()]
    assert all(
        checks == 40 and 1 < renewals < 40 and reuses == checks - renewals for checks, renewals, reuses in counts
    )
    assert counts[0] != counts[1]
    assert all(0 < f.residual < 1 and f.reason in ("reuse", "threshold") for f in optimizer.factors())


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (3, 6, 2)])
def test_large_dimensions_are_not_rotated(shape: tuple[int, ...]) -> None:
    optimizer = compare(shape, max_preconditioner_dim=3)
    assert {f.size for f in optimizer.factors()} <= {2, 3}
    assert len(optimizer.factors()) == len(shape) - 1


def test_vectors_are_for_adam_unless_asked_for() -> None:
    assert compare((5,)).factors() == ()
    weight, stream = parameter((1,)), gradients((1,))
    optimizer = SOAP([weight], lr=0.1, precondition_1d=True)
    train(optimizer, [weight], [stream])
    assert [f.id for f in optimizer.factors()] == ["0.block_0.0"]
    slow = SlowSoap(np.zeros(1), precondition_1d=True)
    slow.weight = parameter((1,)).detach().numpy().copy()
    for gradient in stream:
        slow.step(gradient)
    np.testing.assert_allclose(weight.detach().numpy(), slow.weight, atol=1e-12)


def test_a_vector_can_be_preconditioned() -> None:
    weight, stream = parameter((5,)), gradients((5,), steps=30)
    optimizer = SOAP([weight], lr=0.1, precondition_1d=True, period=3)
    train(optimizer, [weight], [stream], steps=30)
    (factor_stack,) = optimizer.factor_stacks()
    torch.testing.assert_close(factor_stack.basis[0].mT @ factor_stack.basis[0], torch.eye(5, dtype=torch.float64))
    factor = sum(0.05 * 0.95 ** (29 - i) * np.outer(g, g) for i, g in enumerate(stream))
    np.testing.assert_allclose(factor_stack.current()[0].numpy(), factor, atol=1e-12)  # no bias correction


def test_missing_gradients_count_no_step_and_equal_shapes_do_not_mix() -> None:
    present = [[1] * 9, [1, 0, 1, 1, 0, 1, 1, 1, 0], [0, 0, 0, 1, 1, 1, 1, 1, 1], [0] * 9]
    weights = [parameter((4, 4), seed) for seed in range(4)]
    streams = [gradients((4, 4), 9, seed) for seed in range(4)]
    slow = [SlowSoap(w.detach().numpy()) for w in weights]
    optimizer = SOAP(weights, lr=0.1, period=2)
    for step in range(9):
        for i, weight in enumerate(weights):
            weight.grad = torch.tensor(streams[i][step]) if present[i][step] else None
            slow[i].step(streams[i][step] if present[i][step] else None)
        optimizer.step()
    for weight, one in zip(weights, slow, strict=True):
        np.testing.assert_allclose(weight.detach().numpy(), one.weight, atol=1e-10)
    assert [f.decompositions for f in optimizer.factors()] == [5, 5, 3, 3, 3, 3, 0, 0]


def test_groups_and_changes_between_steps() -> None:
    weights = [parameter((4, 4), 0), parameter((3, 3), 1), parameter((4, 4), 2)]
    streams = [gradients(tuple(w.shape), seed=i) for i, w in enumerate(weights)]
    optimizer = SOAP(
        [
            {"params": weights[:1], "lr": 0.02, "period": 3},
            {"params": weights[1:2], "refresh": EveryCheck(period=100, start=4)},
            {"params": weights[2:], "precondition": "none"},
        ],
        lr=0.1,
    )
    train(optimizer, weights, streams)
    assert [f.decompositions for f in optimizer.factors()] == [3, 3, 2, 2]  # n = 0, 3, 6 and n = 0, 4
    assert [f.last_decomposition_step for f in optimizer.factors()] == [7, 7, 5, 5]
    slow = SlowSoap(parameter((4, 4), 0).detach().numpy(), lr=0.02, period=3)
    adam = SlowSoap(parameter((4, 4), 2).detach().numpy(), max_preconditioner_dim=0)
    for first, last in zip(streams[0], streams[2], strict=True):
        slow.step(first)
        adam.step(last)
    np.testing.assert_allclose(weights[0].detach().numpy(), slow.weight, atol=1e-10)
    np.testing.assert_allclose(weights[2].detach().numpy(), adam.weight, atol=1e-10)
    optimizer.param_groups[0]["period"] = 1
    optimizer.param_groups[0]["lr"] = 0.0
    before = weights[0].detach().clone()
    train(optimizer, weights, streams, steps=2)
    assert torch.equal(weights[0], before)
    assert optimizer.factors()[0].decompositions == 5


def test_taking_turns_spreads_the_renewals() -> None:
    weights = [parameter((3, 3), seed) for seed in range(3)]
    streams = [gradients((3, 3), 41, seed) for seed in range(3)]
    optimizer = SOAP(weights, lr=0.1, refresh=EveryCheck(period=6, stagger=True))
    renewed, foretold = [], []
    for step in range(41):
        before = sum(f.decompositions for f in optimizer.factors())
        foretold.append(optimizer.next_is_check())
        for weight, stream in zip(weights, streams, strict=True):
            weight.grad = torch.tensor(stream[step])
        optimizer.step()
        renewed.append(sum(f.decompositions for f in optimizer.factors()) - before)
    assert renewed == [6, 0, 0, 0, 0, 0, 6] + [1] * 34  # n = 0, the start n = 6, then one factor an update
    assert foretold == [count > 0 for count in renewed]


def test_hidden_matrices_leave_heads_to_adam() -> None:
    model = torch.nn.Sequential(torch.nn.Embedding(5, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer = SOAP(hidden_matrices(model, heads=[model[2]]))
    assert [f.id for f in optimizer.factors()] == ["0.block_0.0", "0.block_0.1"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_parameters_keep_float32_state(dtype: torch.dtype) -> None:
    weight, stream = parameter((4, 4), dtype=dtype), gradients((4, 4))
    initial = weight.detach().double().numpy()
    optimizer = SOAP([weight], lr=0.1, period=2)
    train(optimizer, [weight], [stream])
    assert {factor_stack.basis.dtype for factor_stack in optimizer.factor_stacks()} == {torch.float32}
    slow = SlowSoap(initial)
    for gradient in stream:
        slow.step(torch.tensor(gradient, dtype=dtype).double().numpy())
    tolerance = {torch.float32: 1e-3, torch.bfloat16: 0.05, torch.float16: 0.01}[dtype]
    np.testing.assert_allclose(weight.detach().double().numpy(), slow.weight, atol=tolerance)


@pytest.mark.parametrize("refresh", [None, DiagonalizationResidual(period=2, tau=0.3)])
def test_resuming_and_copies_are_bit_identical(refresh: DiagonalizationResidual | None) -> None:
    weights = [parameter((4, 3), 0, torch.float32), parameter((300, 2), 1, torch.float32), parameter((3,), 2)]
    streams = [gradients(tuple(w.shape), 12, i) for i, w in enumerate(weights)]

    def go_on(optimizer: SOAP, some: list[torch.Tensor]) -> list[torch.Tensor]:
        train(optimizer, some, [stream[7:] for stream in streams], steps=5)
        return [w.detach().clone() for w in some]

    optimizer = SOAP(weights, lr=0.1, period=3, refresh=refresh)
    train(optimizer, weights, streams)
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    others = [w.detach().clone().requires_grad_() for w in weights]
    resumed = SOAP(others, lr=0.5)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    assert resumed.step_count == 7 and resumed.param_groups[0]["refresh"] == refresh
    copied, copies = copy.deepcopy((optimizer, weights))
    expected = go_on(optimizer, weights)
    for result in (go_on(resumed, others), go_on(copied, copies)):
        assert all(torch.equal(a, b) for a, b in zip(expected, result, strict=True))
    assert [str(f) for f in resumed.factors()] == [str(f) for f in optimizer.factors()]
    with pytest.raises(ValueError, match="not one of SOAP"):
        optimizer.load_state_dict(torch.optim.AdamW(weights).state_dict())
    with pytest.raises(ValueError, match="saved"):
        optimizer.load_state_dict(SOAP(weights[:2]).state_dict())


def test_observer_sees_bases_and_no_damping() -> None:
    weight = parameter((4, 4))
    optimizer = SOAP([weight], lr=0.1, refresh=DiagonalizationResidual(period=2, tau=0.3))
    seen: list[CheckObservation] = []
    bases: list[torch.Tensor] = []

    def observe(observation: CheckObservation) -> None:
        seen.append(observation)
        basis, current = observation.basis.clone(), observation.current
        spectrum = (basis.mT @ current @ basis).diagonal(dim1=-2, dim2=-1)
        torch.testing.assert_close(observation.eigenvalues, spectrum)
        if bases:
            assert torch.equal(observation.basis_before, bases[-1])
            torch.testing.assert_close(
                observation.eigenvalues_before, observation.rotated.diagonal(dim1=-2, dim2=-1)
            )  # fmt: skip
        bases.append(basis)
        assert all(math.isnan(e) for e in (*observation.epsilon, *observation.epsilon_before))
        for residual, decision in zip(observation.residual, observation.decisions, strict=True):
            assert decision.decompose == (residual is None or residual > 0.3)

    optimizer.observer = observe
    train(optimizer, [weight], [gradients((4, 4), 9)], steps=9)
    assert [o.step for o in seen] == [1, 3, 5, 7, 9]  # n = 0, 2, 4, ...
    assert {d.reason for o in seen for d in o.decisions} >= {"first", "threshold"}
    assert [f.last_check_step for f in optimizer.factors()] == [9, 9]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": -1.0}, "lr = -1.0: must be"),
        ({"betas": (0.9, 1.0)}, "beta2 = 1.0: must be"),
        ({"betas": 0.9}, "betas = 0.9: must be a pair of numbers"),
        ({"period": 0}, "period = 0: must be an integer from 1 to 10000000"),
        ({"shampoo_beta": 1.0}, "shampoo_beta = 1.0"),
        ({"refresh": Foam()}, "must be EveryCheck or DiagonalizationResidual, since no damping could adapt, or none"),
        ({"refresh": 10}, "refresh = 10: must be"),
        ({"precondition_1d": 1}, "precondition_1d = 1: must be true or false"),
        ({"max_preconditioner_dim": 0}, "max_preconditioner_dim = 0"),
    ],
)
def test_bad_settings_name_field_and_range(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldError) as caught:
        SOAP([parameter((2, 2))], **settings)
    assert words in str(caught.value)
    with pytest.raises(FieldError, match="must be"):
        SOAP([{"params": [parameter((2, 2))], **settings}])


def test_a_failed_first_decomposition_leaves_adam_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, stream = parameter((4, 4)), gradients((4, 4))
    optimizer = SOAP([weight], lr=0.1, period=3)
    with monkeypatch.context() as patch:
        patch.setattr(torch.linalg, "eigh", lambda matrices: (_ for _ in ()).throw(torch.linalg.LinAlgError("no")))
        train(optimizer, [weight], [stream], steps=3)
    assert [(e.step, e.position, e.kind) for e in optimizer.drain_events()] == [
        (1, 0, "eigh-kept"),
        (1, 1, "eigh-kept"),
    ]
    adam = SlowSoap(parameter((4, 4)).detach().numpy(), max_preconditioner_dim=0)
    for gradient in stream[:3]:
        adam.step(gradient)
    np.testing.assert_allclose(weight.detach().numpy(), adam.weight, atol=1e-12)
    train(optimizer, [weight], [stream[3:]], steps=1)
    assert [(f.last_decomposition_step, f.failures) for f in optimizer.factors()] == [(4, 1)] * 2


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_non_finite_gradients_keep_the_bases_and_are_told(value: float) -> None:
    weights = [parameter((4, 4), seed, torch.float32) for seed in range(2)]
    streams = [gradients((4, 4), 9, seed) for seed in range(2)]
    streams[1][4, 0, 0] = value
    optimizer = SOAP(weights, lr=0.1, period=2)
    train(optimizer, weights, streams, steps=9)
    assert [(e.step, e.position, e.kind) for e in optimizer.events] == [(5, 2, "eigh-kept"), (5, 3, "eigh-kept")]
    assert [f.last_decomposition_step for f in optimizer.factors()] == [9, 9, 3, 3]
    assert all(torch.isfinite(factor_stack.basis).all() for factor_stack in optimizer.factor_stacks())
    assert torch.isfinite(weights[0]).all()
