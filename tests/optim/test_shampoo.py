"""A step of Shampoo against the slow reference, and what surrounds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from foam_viz.optim import linalg
from foam_viz.optim.factor import CheckObservation
from foam_viz.optim.fields import FieldError
from foam_viz.optim.refresh import DiagonalizationResidual, EveryCheck, Foam, FoamFixedDamping
from foam_viz.optim.shampoo import Shampoo
from tests.optim.reference import SlowShampoo

POLICY = EveryCheck(period=2, epsilon=1e-6)


def gradients(shape: tuple[int, ...], steps: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(steps, *shape))


def parameter(shape: tuple[int, ...], seed: int = 1, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape), dtype=dtype).requires_grad_()


def train(optimizer: Shampoo, parameters: list[torch.Tensor], streams: list[np.ndarray], steps: int = 7) -> None:
    for step in range(steps):
        for p, stream in zip(parameters, streams, strict=True):
            p.grad = torch.tensor(stream[step], dtype=p.dtype)
        optimizer.step()


def compare(shape: tuple[int, ...], **settings: Any) -> None:
    weight, stream = parameter(shape), gradients(shape)
    slow = SlowShampoo(weight.detach().numpy(), lr=0.1, **settings)
    train(Shampoo([weight], lr=0.1, refresh=POLICY, **settings), [weight], [stream])
    for step, gradient in enumerate(stream, 1):
        slow.step(gradient, step)
    np.testing.assert_allclose(weight.detach().numpy(), slow.weight, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(5,), (1,), (4, 6), (1, 3), (3, 2, 4), (2, 3, 2, 2)])
def test_orders(shape: tuple[int, ...]) -> None:
    compare(shape)


@pytest.mark.parametrize(
    "settings",
    [
        {"grafting": None, "root": 4},
        {"grafting": "sgd"},
        {"root": None, "grafting": None},
        {"weight_decay": 0.3},
        {"betas": (0.0, 0.9), "grafting_beta2": 0.5},
        {"betas": (0.9, 1.0)},
        {"betas": (0.5, 1.0), "grafting_beta2": 0.9, "grafting_epsilon": 0.1},
    ],
)
def test_settings(settings: dict[str, Any]) -> None:
    compare((4, 6), **settings)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_large_dimensions_are_cut_into_blocks_of_their_own(memory_format: torch.memory_format) -> None:
    initial = parameter((5, 3, 2, 2)).detach()
    weight = initial.clone(memory_format=memory_format).requires_grad_()
    stream = gradients((5, 3, 2, 2))
    optimizer = Shampoo([weight], lr=0.1, refresh=POLICY, weight_decay=0.1, max_preconditioner_dim=4, merge_dims=True)
    # 5x3x2x2 at limit 4 merges to 5x3x4, which is cut into 4 + 1 along the first dimension.
    assert [(f.id, f.size) for f in optimizer.factors()] == [
        ("0.block_0.0", 4), ("0.block_0.1", 3), ("0.block_0.2", 4),
        ("0.block_1.0", 1), ("0.block_1.1", 3), ("0.block_1.2", 4),
    ]  # fmt: skip
    train(optimizer, [weight], [stream])
    matrix = initial.numpy().reshape(5, 3, 4)
    for rows in (slice(0, 4), slice(4, 5)):
        slow = SlowShampoo(matrix[rows], lr=0.1, weight_decay=0.1)
        for step, gradient in enumerate(stream, 1):
            slow.step(gradient.reshape(5, 3, 4)[rows], step)
        np.testing.assert_allclose(weight.detach().numpy().reshape(5, 3, 4)[rows], slow.weight, atol=1e-10)


def test_large_factors_use_the_triangle_and_agree() -> None:
    weight, stream = parameter((300, 3)), gradients((300, 3), steps=4)
    slow = SlowShampoo(weight.detach().numpy(), lr=0.1, epsilon=1e-2)
    optimizer = Shampoo([weight], lr=0.1, refresh=EveryCheck(period=2, epsilon=1e-2))
    train(optimizer, [weight], [stream], steps=4)
    for step, gradient in enumerate(stream, 1):
        slow.step(gradient, step)
    np.testing.assert_allclose(weight.detach().numpy(), slow.weight, atol=1e-9)
    (large,) = [factor_stack for factor_stack in optimizer.factor_stacks() if factor_stack.size == 300]
    np.testing.assert_allclose(large.current()[0].numpy(), slow.factors[0] / (1 - 0.99**4), atol=1e-12)


def test_parameters_of_one_shape_do_not_mix_when_gradients_are_missing() -> None:
    # Three equal matrices and biases that get gradients at different steps: rows of one stack with different counts.
    present = [[1, 1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1, 1], [0, 0, 0, 1, 1, 1, 1], [0] * 7]
    weights = [parameter((3, 4), seed) for seed in range(4)]
    streams = [gradients((3, 4), seed=seed) for seed in range(4)]
    slow = [SlowShampoo(w.detach().numpy(), lr=0.1) for w in weights]
    optimizer = Shampoo(weights, lr=0.1, refresh=POLICY)
    for step in range(7):
        for i, weight in enumerate(weights):
            weight.grad = torch.tensor(streams[i][step]) if present[i][step] else None
            slow[i].step(streams[i][step] if present[i][step] else None, step + 1)
        optimizer.step()
    checks = [f.checks for f in optimizer.factors()]
    assert checks == [3, 3, 3, 3, 2, 2, 0, 0]
    for i in (0, 2, 3):
        np.testing.assert_allclose(weights[i].detach().numpy(), slow[i].weight, atol=1e-10)
    assert optimizer.step_count == 7


def test_a_factor_is_checked_on_what_arrived_between_checks() -> None:
    weight, stream = parameter((3, 4)), gradients((3, 4))
    optimizer = Shampoo([weight], lr=0.1, refresh=EveryCheck(period=2))
    for step in range(6):
        weight.grad = torch.tensor(stream[step]) if step % 2 == 0 else None  # never at a check
        optimizer.step()
    assert [f.checks for f in optimizer.factors()] == [3, 3]
    expected = sum(0.99 ** (2 - i) * 0.01 * stream[2 * i] @ stream[2 * i].T for i in range(3)) / (1 - 0.99**3)
    rows = next(factor_stack for factor_stack in optimizer.factor_stacks() if factor_stack.size == 3)
    np.testing.assert_allclose(rows.current()[0].numpy(), expected, atol=1e-12)


def test_matrices_leaves_the_rest_to_adamw() -> None:
    shapes = [(3, 4), (5,), (), (1, 4), (2, 1, 3)]
    weights = [parameter(shape, i) for i, shape in enumerate(shapes)]
    streams = [gradients(shape, seed=i) for i, shape in enumerate(shapes)]
    optimizer = Shampoo(weights, lr=0.1, refresh=POLICY, weight_decay=0.1, precondition="matrices", grafting=None)
    assert [f.id for f in optimizer.factors()] == [f"0.block_0.{d}" for d in range(2)] + [
        f"4.block_0.{d}" for d in range(3)
    ]
    slow = [
        SlowShampoo(w.detach().numpy(), lr=0.1, weight_decay=0.1, grafting=None, preconditioned=i in (0, 4))
        for i, w in enumerate(weights)
    ]
    torch_weight = weights[1].detach().clone().requires_grad_()
    adamw = torch.optim.AdamW([torch_weight], lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    train(optimizer, weights, streams)
    for step in range(7):
        for one, stream in zip(slow, streams, strict=True):
            one.step(stream[step], step + 1)
        torch_weight.grad = torch.tensor(streams[1][step])
        adamw.step()
    for weight, one in zip(weights, slow, strict=True):
        np.testing.assert_allclose(weight.detach().numpy(), one.weight, atol=1e-10)
    np.testing.assert_allclose(weights[1].detach().numpy(), torch_weight.detach().numpy(), atol=1e-12)


def test_groups_have_their_own_settings() -> None:
    first, second = parameter((3, 4), 0), parameter((4, 2), 1)
    streams = [gradients((3, 4)), gradients((4, 2), seed=1)]
    optimizer = Shampoo(
        [
            {"params": [first], "lr": 0.01, "betas": (0.5, 0.9), "refresh": EveryCheck(period=3, epsilon=1e-4)},
            {"params": [second], "root": 4, "grafting": "sgd"},
        ],
        lr=0.1,
        refresh=POLICY,
    )
    assert [f.id for f in optimizer.factors()] == ["0.block_0.0", "0.block_0.1", "1.block_0.0", "1.block_0.1"]
    assert [f.epsilon for f in optimizer.factors()] == [1e-4, 1e-4, 1e-6, 1e-6]
    slow = [
        SlowShampoo(first.detach().numpy(), lr=0.01, betas=(0.5, 0.9), period=3, start=3, epsilon=1e-4),
        SlowShampoo(second.detach().numpy(), lr=0.1, root=4, grafting="sgd"),
    ]
    train(optimizer, [first, second], streams)
    for one, stream, weight in zip(slow, streams, (first, second), strict=True):
        for step, gradient in enumerate(stream, 1):
            one.step(gradient, step)
        np.testing.assert_allclose(weight.detach().numpy(), one.weight, atol=1e-10)
    third = parameter((2,), 3)
    optimizer.add_param_group({"params": [third]})
    assert optimizer.factors()[-1].id == "2.block_0.0"
    assert sorted(p for factor_stack in optimizer.factor_stacks() for p in factor_stack.positions) == list(range(5))


def test_settings_change_between_steps() -> None:
    weight = parameter((3, 4))
    optimizer = Shampoo([weight], lr=0.1, refresh=EveryCheck(period=100, start=1))
    train(optimizer, [weight], [gradients((3, 4))], steps=2)
    optimizer.param_groups[0]["refresh"] = EveryCheck(period=1, epsilon=1e-3)
    optimizer.param_groups[0]["lr"] = 0.0
    before = weight.detach().clone()
    train(optimizer, [weight], [gradients((3, 4))], steps=2)
    assert torch.equal(weight, before)
    assert [(f.decompositions, f.epsilon) for f in optimizer.factors()] == [(3, 1e-3)] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_parameters_keep_float32_statistics(dtype: torch.dtype) -> None:
    weights = [parameter((6, 4), 0, dtype), parameter((6, 4), 1, dtype)]
    initial = [w.detach().clone() for w in weights]
    streams = [gradients((6, 4), seed=seed) for seed in (0, 1)]
    optimizer = Shampoo(weights, lr=0.1, refresh=POLICY)
    train(optimizer, weights, streams)
    assert {factor_stack.statistics.dtype for factor_stack in optimizer.factor_stacks()} == {torch.float32}
    tolerance = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.01}[dtype]
    for weight, start, stream in zip(weights, initial, streams, strict=True):
        assert weight.dtype == dtype
        slow = SlowShampoo(start.double().numpy(), lr=0.1)
        for step, gradient in enumerate(stream, 1):
            slow.step(torch.tensor(gradient, dtype=dtype).double().numpy(), step)
        np.testing.assert_allclose(weight.detach().double().numpy(), slow.weight, atol=tolerance)


def test_closure_schedulers_and_empty_parameters() -> None:
    model = nn.Linear(3, 2)
    nn.init.ones_(model.weight)  # far from the optimum, whatever the seed
    empty = torch.zeros(0, 4, requires_grad=True)
    empty.grad = torch.zeros(0, 4)
    optimizer = Shampoo([*model.parameters(), empty], lr=0.1, refresh=POLICY)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    data = torch.ones(4, 3)

    def closure() -> torch.Tensor:
        model.zero_grad()
        loss = (model(data) ** 2).sum()
        loss.backward()
        return loss

    losses = []
    for _ in range(6):
        losses.append(optimizer.step(closure).item())
        scheduler.step()
    assert losses[-1] < losses[0]
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / 64)


def test_observer_sees_before_and_after() -> None:
    weights = [parameter((4, 4), 0), parameter((3,), 1)]
    streams = [gradients((4, 4), steps=6), gradients((3,), steps=6)]
    optimizer = Shampoo(weights, lr=0.1, refresh=Foam(period=2, tau=0.3, epsilon=1e-6, epsilon_max=1e-2))
    seen: list[CheckObservation] = []
    states: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def observe(observation: CheckObservation) -> None:
        seen.append(observation)
        for i, position in enumerate(observation.positions):
            state = (observation.basis[i].clone().numpy(), observation.eigenvalues[i].clone().numpy())
            if observation.basis_before is None:
                assert observation.decisions[i].reason == "first" and observation.proxy[i] is None
            else:
                basis, values = states[observation.step - 2, position]
                np.testing.assert_array_equal(observation.basis_before[i].numpy(), basis)
                np.testing.assert_array_equal(observation.eigenvalues_before[i].numpy(), values)
                rotated = basis.T @ observation.current[i].numpy() @ basis
                np.testing.assert_allclose(observation.rotated[i].numpy(), rotated, atol=1e-12)
                h = optimizer.factors()[position].proxy
                assert (
                    observation.proxy[i]
                    == h
                    == pytest.approx(observation.relative_condition[i] * observation.alpha[i] / 2)
                )
                assert observation.residual[i] is None
                wanted = max(1e-6, observation.epsilon_before[i] * h / 0.3)
                decision = observation.decisions[i]
                assert decision.decompose == (wanted > 1e-2)
                assert observation.epsilon[i] == decision.epsilon == (1e-6 if decision.decompose else wanted)
            states[observation.step, position] = state

    optimizer.observer = observe
    train(optimizer, weights, streams, steps=6)
    assert [o.step for o in seen] == [2, 2, 4, 4, 6, 6]
    assert {o.positions for o in seen} == {(0, 1), (2,)}
    assert any(d.reason == "reuse" for o in seen for d in o.decisions)


def test_residual_policy_refreshes_eigenvalues() -> None:
    weight = parameter((4, 4))
    optimizer = Shampoo([weight], lr=0.1, refresh=DiagonalizationResidual(period=1, tau=0.99, start=5))
    train(optimizer, [weight], [gradients((4, 4))], steps=6)
    (factor_stack,) = optimizer.factor_stacks()
    rotated = factor_stack.basis.mT @ factor_stack.current() @ factor_stack.basis
    torch.testing.assert_close(factor_stack.eigenvalues, rotated.diagonal(dim1=-2, dim2=-1).clamp(min=0))
    scale = (factor_stack.eigenvalues + 1e-9) ** -0.5
    expected = factor_stack.basis @ torch.diag_embed(scale) @ factor_stack.basis.mT
    torch.testing.assert_close(factor_stack.inverse_root, expected)
    assert [(f.decompositions, f.reuses, f.last_decomposition_step) for f in optimizer.factors()] == [(1, 1, 5)] * 2


@pytest.mark.parametrize("rule", ["shift", "floor"])
def test_refreshed_eigenvalues_are_not_negative_where_they_are_damped(rule: str) -> None:
    weight = parameter((3,))
    policy = DiagonalizationResidual(period=1, tau=0.9, start=4, epsilon=1e-4)
    optimizer = Shampoo([weight], lr=0.1, eigenvalues=rule, refresh=policy)
    train(optimizer, [weight], [gradients((3,))], steps=4)
    (factor_stack,) = optimizer.factor_stacks()
    factor_stack.statistics.copy_(-factor_stack.statistics)
    weight.grad.zero_()
    optimizer.step()
    assert optimizer.factors()[0].reuses == 1
    torch.testing.assert_close(factor_stack.inverse_root[0], 100 * torch.eye(3, dtype=torch.float64))


def test_roots_are_rebuilt_only_where_something_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    rebuilt: list[int] = []
    plain = linalg.inverse_root
    monkeypatch.setattr(linalg, "inverse_root", lambda *args: rebuilt.append(len(args[0])) or plain(*args))
    weights = [parameter((3,), 0), parameter((3,), 1)]
    optimizer = Shampoo(weights, lr=0.1, refresh=FoamFixedDamping(period=1, tau=0.5, start=3))
    train(optimizer, weights, [gradients((3,)), gradients((3,), seed=1)], steps=3)
    assert rebuilt == [2]
    before = [f.decompositions for f in optimizer.factors()]
    weights[1].grad *= 30  # only this factor drifts far
    weights[0].grad *= 0
    optimizer.step()
    assert [f.decompositions - b for f, b in zip(optimizer.factors(), before, strict=True)] == [0, 1]
    assert rebuilt == [2, 1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": -1.0}, "lr = -1.0: must be a number from 0 to 1000000"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"betas": (1.0, 0.9)}, "beta1 = 1.0: must be a number at least 0 and below 1"),
        ({"betas": 0.9}, "betas = 0.9: must be a pair of numbers"),
        ({"betas": (0.9, 1.1)}, "beta2 = 1.1"),
        ({"grafting": "adagrad"}, "grafting = adagrad: must be one of none, sgd, adam"),
        ({"root": 0}, "root = 0: must be an integer from 1 to 8, or none"),
        ({"precondition": "some"}, "precondition = some: must be one of all, matrices, none"),
        ({"max_preconditioner_dim": 0}, "max_preconditioner_dim = 0: must be an integer from 1 to 1000000"),
        ({"merge_dims": 1}, "merge_dims = 1: must be true or false"),
        ({"refresh": "foam"}, "refresh = foam: must be a policy"),
    ],
)
def test_bad_settings_name_field_and_range(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        Shampoo([parameter((2, 2))], **({"lr": 0.1} | settings))
    assert words in str(caught.value)
    if "lr" not in settings:
        with pytest.raises(FieldError, match="must be"):
            Shampoo([{"params": [parameter((2, 2))], **settings}], lr=0.1)


def test_other_parameters_are_refused() -> None:
    with pytest.raises(FieldError, match="parameter dtype = complex64"):
        Shampoo([torch.zeros(2, 2, dtype=torch.complex64, requires_grad=True)], lr=0.1)
    weight = parameter((2, 2))
    weight.grad = torch.eye(2, dtype=torch.float64).to_sparse()
    with pytest.raises(ValueError, match="parameter 0 is torch.sparse_coo: must be dense"):
        Shampoo([weight], lr=0.1).step()
