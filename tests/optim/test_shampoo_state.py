"""Saving, resuming and copying."""

from __future__ import annotations

import copy
import io
import math
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from foam_viz.optim.factor import CheckObservation
from foam_viz.optim.refresh import EveryCheck, Foam
from foam_viz.optim.shampoo import Shampoo

FOAM = Foam(period=3, start=2, tau=0.3, epsilon=1e-6, epsilon_max=1e-3)


def model_and_optimizer(dtype: torch.dtype = torch.float32, **settings) -> tuple[nn.Module, Shampoo]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 260), nn.Tanh(), nn.Linear(260, 2)).to(dtype)
    groups = [{"params": model[0].parameters()}, {"params": model[2:].parameters(), "refresh": FOAM, "lr": 0.02}]
    settings = {"lr": 0.01, "refresh": EveryCheck(period=2), "weight_decay": 0.1} | settings
    return model, Shampoo(groups, **settings)


def train(model: nn.Module, optimizer: Shampoo, first: int, last: int) -> None:
    for step in range(first, last + 1):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(8, 6, generator=generator).to(next(model.parameters()).dtype)
        optimizer.zero_grad()
        ((model(x) - x[:, :2]) ** 2).sum().backward()
        if step % 4 == 0:
            model[4].bias.grad = None  # another count than the others'
        optimizer.step()


def same(first: Shampoo, second: Shampoo) -> None:
    for a, b in zip(first.factors(), second.factors(), strict=True):
        assert str(a) == str(b)  # as text, since NaN is not NaN
    for a, b in zip(first.param_groups, second.param_groups, strict=True):
        for p, q in zip(a["params"], b["params"], strict=True):
            assert torch.equal(p, q)


def test_resuming_is_bit_identical(tmp_path: Path) -> None:
    model, optimizer = model_and_optimizer()
    train(model, optimizer, 1, 7)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    train(model, optimizer, 8, 20)

    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed_model, resumed = model_and_optimizer(lr=0.5)
    resumed_model.load_state_dict(loaded["model"])
    resumed.load_state_dict(loaded["optimizer"])
    assert resumed.step_count == 7
    assert [group["refresh"] for group in resumed.param_groups] == [EveryCheck(period=2), FOAM]
    assert [group["lr"] for group in resumed.param_groups] == [0.01, 0.02]
    train(resumed_model, resumed, 8, 20)
    same(optimizer, resumed)
    assert any(factor.reuses for factor in resumed.factors())
    assert not all(math.isnan(factor.proxy) for factor in resumed.factors())


def test_a_saved_state_is_complete_and_plain() -> None:
    _, optimizer = model_and_optimizer()
    saved = optimizer.state_dict()
    assert saved["param_groups"][1]["refresh"] == {
        "policy": "Foam", "period": 3, "start": 2, "epsilon": 1e-6, "tau": 0.3, "epsilon_max": 1e-3,
    }  # fmt: skip
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    buffer.seek(0)
    torch.load(buffer, weights_only=True)
    assert isinstance(optimizer.param_groups[1]["refresh"], Foam)  # the optimizer itself is as before


def test_a_state_under_the_names_of_the_first_releases_is_gone_on_with() -> None:
    (model, optimizer), (other_model, other) = model_and_optimizer(), model_and_optimizer()
    train(model, optimizer, 1, 7)
    saved = copy.deepcopy(optimizer.state_dict())
    for group in saved["state"]["groups"]:
        group["banks"], group["bundles"] = group.pop("factor_stacks"), group.pop("block_stacks")
        for factor in (factor for stack in group["banks"] for factor in stack["factors"].values()):
            factor["told"] = factor.pop("reported")
    other.load_state_dict(saved)
    other_model.load_state_dict(model.state_dict())
    for trained, its in ((model, optimizer), (other_model, other)):
        train(trained, its, 8, 12)
    same(optimizer, other)


def test_statistics_in_a_saved_state_are_symmetric() -> None:
    model, optimizer = model_and_optimizer()
    train(model, optimizer, 1, 3)
    for group in optimizer.state_dict()["state"]["groups"]:
        for factor_stack in group["factor_stacks"]:
            torch.testing.assert_close(factor_stack["statistics"], factor_stack["statistics"].mT)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_copies_go_on_alone(way) -> None:
    model, optimizer = model_and_optimizer()
    optimizer.observer = lambda observation: None
    train(model, optimizer, 1, 5)
    other_model, other = way((model, optimizer))
    assert other.observer is None
    optimizer.observer = None  # with it, bases are kept that the copy does not need
    train(model, optimizer, 6, 12)
    train(other_model, other, 6, 12)
    same(optimizer, other)


def test_a_basis_that_nobody_reads_is_not_kept() -> None:
    model, optimizer = model_and_optimizer(refresh=EveryCheck(period=2))
    seen: list[CheckObservation] = []
    train(model, optimizer, 1, 4)
    fixed, foam = (
        [factor_stack for factor_stack in optimizer.factor_stacks() if factor_stack.factors[0].parameter in of]
        for of in ((0, 1), (2, 3, 4, 5))
    )
    assert all(factor_stack.basis is None for factor_stack in fixed) and all(
        factor_stack.basis is not None for factor_stack in foam
    )
    assert all(
        factor_stack["basis"] is None for factor_stack in optimizer.state_dict()["state"]["groups"][0]["factor_stacks"]
    )
    optimizer.observer = seen.append
    train(model, optimizer, 5, 8)
    early, late = ([o for o in seen if o.step == step and o.positions[0] < 3] for step in (6, 8))
    assert all(o.basis_before is None and o.basis is not None for o in early)
    assert all(o.basis_before is not None for o in late)
    optimizer.observer = None
    train(model, optimizer, 9, 10)
    assert all(factor_stack.basis is None for factor_stack in fixed)


def test_a_policy_that_begins_to_measure_decomposes_first() -> None:
    model, optimizer = model_and_optimizer(refresh=EveryCheck(period=2))
    train(model, optimizer, 1, 4)
    (group, _), factors = optimizer.param_groups, optimizer.factors()[:3]
    group["refresh"] = Foam(period=2, tau=0.9, epsilon_max=1e9)
    train(model, optimizer, 5, 6)
    assert [(f.reason, f.decompositions) for f in factors] == [("first", 3)] * 3
    train(model, optimizer, 7, 8)
    assert [(f.reason, f.decompositions) for f in factors] == [("reuse", 3)] * 3
    assert all(math.isfinite(f.proxy) for f in factors)


def test_states_that_do_not_fit_change_nothing() -> None:
    model, optimizer = model_and_optimizer()
    train(model, optimizer, 1, 4)
    before = copy.deepcopy(optimizer.state_dict())
    small = nn.Linear(3, 2)
    adamw = torch.optim.AdamW(small.parameters())
    others = [
        Shampoo(small.parameters(), lr=0.1),
        adamw,
        model_and_optimizer(grafting=None)[1],
        model_and_optimizer(root=4)[1],
        Shampoo([{"params": [p]} for p in small.parameters()], lr=0.1),
        model_and_optimizer(max_preconditioner_dim=4)[1],
    ]
    for other in others:
        with pytest.raises(ValueError, match="saved"):
            optimizer.load_state_dict(other.state_dict())
    now = optimizer.state_dict()
    assert now["param_groups"] == before["param_groups"]
    assert now["state"]["step"] == 4
    for a, b in zip(now["state"]["groups"], before["state"]["groups"], strict=True):
        for factor_stack, old in zip(a["factor_stacks"], b["factor_stacks"], strict=True):
            assert torch.equal(factor_stack["inverse_root"], old["inverse_root"])
