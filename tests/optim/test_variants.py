"""Eigenvalue-corrected Shampoo, taking turns, FOAM with fresh eigenvalues, and Muon with AdamW."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from foam_viz.optim.eigenvalue_corrected import EigenvalueCorrectedShampoo
from foam_viz.optim.factor import CheckObservation
from foam_viz.optim.fields import FieldError
from foam_viz.optim.grouping import hidden_matrices
from foam_viz.optim.muon import MuonWithAdamW
from foam_viz.optim.refresh import DiagonalizationResidual, EveryCheck, Foam, FoamFreshEigenvalues
from foam_viz.optim.shampoo import Shampoo
from tests.optim.rotated_reference import SlowCorrected
from tests.optim.test_shampoo import gradients, parameter, train

# --- eigenvalue-corrected Shampoo ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (1,), (4, 4), (2, 3, 4), (1, 1)])
@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.3, "eps": 1e-3}, {"betas": (0.5, 1.0)}])
def test_eigenvalue_correction(shape: tuple[int, ...], settings: dict[str, Any]) -> None:
    # From step 5 on, no factor of these shapes has a null space whose basis would be LAPACK's choice.
    weight, stream = parameter(shape), gradients(shape, 12)
    slow = SlowCorrected(weight.detach().numpy(), start=5, **settings)
    optimizer = EigenvalueCorrectedShampoo([weight], lr=0.1, refresh=EveryCheck(period=2, start=5), **settings)
    train(optimizer, [weight], [stream], steps=12)
    for gradient in stream:
        slow.step(gradient)
    np.testing.assert_allclose(weight.detach().numpy(), slow.weight, rtol=0, atol=1e-9)
    assert {f.decompositions for f in optimizer.factors()} == {5}
    assert all(math.isnan(f.epsilon) for f in optimizer.factors())


def test_corrected_blocks_and_what_adamw_takes() -> None:
    weights = [parameter((5, 4), 0), parameter((3,), 1)]
    initial = [w.detach().numpy().copy() for w in weights]
    streams = [gradients((5, 4), 12), gradients((3,), 12, 1)]
    optimizer = EigenvalueCorrectedShampoo(
        weights, lr=0.1, refresh=EveryCheck(period=2, start=7), max_preconditioner_dim=4, precondition="matrices"
    )
    assert [(f.id, f.size) for f in optimizer.factors()] == [
        ("0.block_0.0", 4), ("0.block_0.1", 4), ("0.block_1.0", 1), ("0.block_1.1", 4),
    ]  # fmt: skip
    train(optimizer, weights, streams, steps=12)
    blocks = [SlowCorrected(initial[0][rows], start=7) for rows in (slice(0, 4), slice(4, 5))]
    adam = SlowCorrected(initial[1], preconditioned=False)
    for matrix, vector in zip(*streams, strict=True):
        blocks[0].step(matrix[:4])
        blocks[1].step(matrix[4:])
        adam.step(vector)
    np.testing.assert_allclose(weights[0].detach().numpy(), np.concatenate([b.weight for b in blocks]), atol=1e-9)
    np.testing.assert_allclose(weights[1].detach().numpy(), adam.weight, atol=1e-12)


def test_before_the_first_basis_it_is_adamw() -> None:
    weight, stream = parameter((3, 4)), gradients((3, 4))
    other = weight.detach().clone().requires_grad_()
    train(
        EigenvalueCorrectedShampoo([weight], lr=0.1, weight_decay=0.1, refresh=EveryCheck(period=100)),
        [weight],
        [stream],
    )
    train(torch.optim.AdamW([other], lr=0.1, betas=(0.9, 0.99), weight_decay=0.1), [other], [stream])
    torch.testing.assert_close(weight, other, rtol=1e-12, atol=1e-12)


def test_corrected_by_residual_resumes_and_is_observed() -> None:
    weight, stream = parameter((4, 4)), gradients((4, 4), 24)
    optimizer = EigenvalueCorrectedShampoo(
        [weight], lr=0.1, refresh=DiagonalizationResidual(period=2, start=5, tau=0.3)
    )
    seen: list[CheckObservation] = []
    optimizer.observer = seen.append
    train(optimizer, [weight], [stream], steps=12)
    copied, twin = copy.deepcopy((optimizer, weight))
    other = weight.detach().clone().requires_grad_()
    resumed = EigenvalueCorrectedShampoo([other], lr=1.0)
    resumed.load_state_dict(optimizer.state_dict())
    for one, some in ((optimizer, weight), (copied, twin), (resumed, other)):
        train(one, [some], [stream[12:]], steps=12)
    assert torch.equal(weight, other) and torch.equal(weight, twin)
    assert [f.reuses for f in optimizer.factors()] != [0, 0]
    assert [o.step for o in seen] == [5, *range(6, 25, 2)]
    assert all(math.isnan(e) for o in seen for e in o.epsilon)


def test_corrected_refuses_policies_that_damp() -> None:
    for policy in (Foam(), None):
        with pytest.raises(FieldError, match="must be EveryCheck or DiagonalizationResidual"):
            EigenvalueCorrectedShampoo([parameter((2, 2))], lr=0.1, refresh=policy)
    optimizer = EigenvalueCorrectedShampoo([parameter((2, 2))], lr=0.1)
    with pytest.raises(ValueError, match="not one of EigenvalueCorrectedShampoo"):
        optimizer.load_state_dict(Shampoo([parameter((2, 2))], lr=0.1).state_dict())


# --- taking turns ----------------------------------------------------------------------------------------------------


def test_shampoo_takes_turns() -> None:
    weights = [parameter((3, 4), seed) for seed in range(4)] + [parameter((5,), 9)]
    streams = [gradients(tuple(w.shape), 34, i) for i, w in enumerate(weights)]
    optimizer = Shampoo(weights, lr=0.1, refresh=EveryCheck(period=6, start=4, stagger=True))
    renewed, foretold = [], []
    for step in range(34):
        before = sum(f.decompositions for f in optimizer.factors())
        foretold.append(optimizer.next_is_check())
        for weight, stream in zip(weights, streams, strict=True):
            weight.grad = torch.tensor(stream[step])
        optimizer.step()
        renewed.append(sum(f.decompositions for f in optimizer.factors()) - before)
    assert renewed[:4] == [0, 0, 0, 9]
    assert set(renewed[4:]) == {1, 2} and all(sum(renewed[i : i + 6]) == 9 for i in range(4, 28))
    assert foretold == [count > 0 for count in renewed]
    assert {f.decompositions for f in optimizer.factors()} == {6}


def test_a_turn_uses_the_factor_of_its_step() -> None:
    weight, stream = parameter((4, 4)), gradients((4, 4), 11)
    optimizer = Shampoo([weight], lr=0.1, refresh=EveryCheck(period=4, start=4, stagger=True))
    train(optimizer, [weight], [stream], steps=11)
    left, right = optimizer.factors()
    assert (left.last_decomposition_step, right.last_decomposition_step) == (8, 10)
    for row, (side, step) in enumerate((("left", 8), ("right", 10))):
        seen = stream[:step] if side == "left" else stream[:step].transpose(0, 2, 1)
        factor = sum(0.01 * 0.99 ** (step - 1 - i) * g @ g.T for i, g in enumerate(seen)) / (1 - 0.99**step)
        values = optimizer.factor_stacks()[0].eigenvalues[row].numpy()
        np.testing.assert_allclose(values, np.linalg.eigvalsh(factor), atol=1e-12)


# --- FOAM with fresh eigenvalues -------------------------------------------------------------------------------------


def test_fresh_eigenvalues_are_those_of_the_kept_basis() -> None:
    weight, stream = parameter((4, 4)), gradients((4, 4), 12)
    policy = FoamFreshEigenvalues(period=1, start=6, tau=0.5, epsilon=1e-6, epsilon_max=1e3)
    optimizer = Shampoo([weight], lr=0.1, refresh=policy)
    train(optimizer, [weight], [stream], steps=12)
    (factor_stack,) = optimizer.factor_stacks()
    assert [(f.decompositions, f.reuses) for f in optimizer.factors()] == [(1, 6)] * 2
    seen = (factor_stack.basis.mT @ factor_stack.current() @ factor_stack.basis).diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(factor_stack.eigenvalues, seen)
    scale = (factor_stack.eigenvalues + torch.tensor(factor_stack.epsilon, dtype=torch.float64)[:, None]) ** -0.5
    torch.testing.assert_close(
        factor_stack.inverse_root, factor_stack.basis @ torch.diag_embed(scale) @ factor_stack.basis.mT
    )
    # h is measured against them: what has drifted since the last check, not since the decomposition.
    before = factor_stack.eigenvalues.clone()
    weight.grad = torch.zeros(4, 4, dtype=torch.float64)
    optimizer.step()
    assert all(f.relative_condition > 0 for f in optimizer.factors())
    assert not torch.equal(factor_stack.eigenvalues, before)


# --- Muon ------------------------------------------------------------------------------------------------------------


def model_and_data() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2)), torch.randn(16, 6)


def test_muon_takes_matrices_and_adamw_the_rest() -> None:
    model, data = model_and_data()
    twin = copy.deepcopy(model)
    both = MuonWithAdamW(model.parameters(), lr=0.02, weight_decay=0.1)
    assert [(group["method"], len(group["params"])) for group in both.param_groups] == [("muon", 2), ("adamw", 2)]
    alone = [
        torch.optim.Muon([twin[0].weight, twin[2].weight], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([twin[0].bias, twin[2].bias], lr=0.02, betas=(0.9, 0.99), weight_decay=0.1),
    ]
    for step in range(5):
        for one, optimizers in ((model, [both]), (twin, alone)):
            one.zero_grad()
            (one(data) ** 2).sum().backward()
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = 0.02 / (1 + step)
                optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_muon_leaves_what_the_caller_names_to_adamw_and_takes_groups_and_closures() -> None:
    model, data = model_and_data()
    optimizer = MuonWithAdamW(hidden_matrices(model, heads=[model[2]]), lr=0.02)
    assert [(g["method"], [tuple(p.shape) for p in g["params"]]) for g in optimizer.param_groups] == [
        ("muon", [(8, 6)]), ("adamw", [(8,), (2, 8), (2,)]),
    ]  # fmt: skip
    extra = torch.ones(3, 3, requires_grad=True)
    optimizer.add_param_group({"params": [extra], "lr": 0.5})
    assert [group["lr"] for group in optimizer.param_groups] == [0.02, 0.02, 0.5]

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (model(data) ** 2).sum() + (extra**2).sum()
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(5)]
    assert losses[-1] < losses[0]
    assert not torch.equal(extra, torch.ones(3, 3))
