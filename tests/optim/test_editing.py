"""What an edit does at its step: the rules that are written in ``optim.editing``."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.optim.editing import edit
from foam_viz.optim.fields import FieldError
from foam_viz.optim.refresh import EveryCheck, Foam
from foam_viz.optim.shampoo import Shampoo


def parameters(seed: int = 0) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((6, 4), (5,))]


def step(optimizer: torch.optim.Optimizer, number: int, scale: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(number)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = scale * torch.randn(parameter.shape, generator=generator)
    optimizer.step()


def checks(optimizer: Shampoo, steps: range, scale: float = 1.0) -> list[int]:
    """The steps in which a factor was checked."""
    found = []
    for number in steps:
        before = [factor.checks for factor in optimizer.factors()]
        step(optimizer, number, scale)
        if [factor.checks for factor in optimizer.factors()] != before:
            found.append(number)
    return found


def test_checks_fall_on_multiples_of_the_new_period_and_none_is_made_up_for() -> None:
    optimizer = Shampoo(parameters(), lr=0.01, refresh=EveryCheck(period=5, start=5))
    assert checks(optimizer, range(1, 13)) == [5, 10]
    edit(optimizer, {"period": 8})
    assert checks(optimizer, range(13, 34)) == [16, 24, 32]
    edit(optimizer, {"period": 3})
    assert checks(optimizer, range(34, 40)) == [36, 39]


def roots(optimizer: Shampoo) -> list[torch.Tensor]:
    return [factor_stack.inverse_root.clone() for factor_stack in optimizer.factor_stacks()]


def test_a_new_epsilon_holds_from_the_next_check_where_the_root_is_rebuilt() -> None:
    optimizer = Shampoo(parameters(), lr=0.01, refresh=Foam(period=5, start=5, tau=0.9, epsilon=1e-3, epsilon_max=1e9))
    checks(optimizer, range(1, 6))
    before, decompositions = roots(optimizer), [factor.decompositions for factor in optimizer.factors()]
    edit(optimizer, {"epsilon": 10.0})
    checks(optimizer, range(6, 10))
    assert all(torch.equal(old, new) for old, new in zip(before, roots(optimizer), strict=True))
    checks(optimizer, range(10, 11))
    assert all(factor.epsilon == pytest.approx(10.0) for factor in optimizer.factors())
    assert not any(torch.equal(old, new) for old, new in zip(before, roots(optimizer), strict=True))
    assert [factor.decompositions for factor in optimizer.factors()] == decompositions  # rebuilt, not decomposed


def test_a_new_largest_damping_below_the_one_in_force_makes_the_next_check_decide_by_it() -> None:
    optimizer = Shampoo(parameters(), lr=0.01, refresh=Foam(period=5, start=5, tau=1e-3, epsilon=1e-6, epsilon_max=1e9))
    checks(optimizer, range(1, 21))
    assert all(factor.epsilon > 1e-5 and factor.decompositions == 1 for factor in optimizer.factors())
    edit(optimizer, {"epsilon_max": 1e-5})
    checks(optimizer, range(21, 25))
    assert all(factor.decompositions == 1 for factor in optimizer.factors())  # nothing out of turn
    checks(optimizer, range(25, 26))
    assert {factor.reason for factor in optimizer.factors()} == {"cap"}
    assert {factor.epsilon for factor in optimizer.factors()} == {1e-6}


def test_settings_of_a_policy_are_judged_together() -> None:
    optimizer = Shampoo(parameters(), lr=0.01, refresh=Foam(epsilon=1e-6, epsilon_max=1e-5))
    with pytest.raises(FieldError, match="epsilon_max"):
        edit(optimizer, {"epsilon": 1e-4})
    edit(optimizer, {"epsilon": 1e-4, "epsilon_max": 1e-3})
    assert optimizer.param_groups[0]["refresh"].epsilon_max == 1e-3


@pytest.mark.parametrize("grafting", [None, "sgd"])
@pytest.mark.parametrize("steps", [3, 12])
def test_grafting_can_leave_adam_and_come_back(grafting: str | None, steps: int) -> None:
    """With lr = 0 all see the same gradients, so what they keep is the same, whatever they graft from."""
    policy = EveryCheck(period=5, start=5)
    made = {name: Shampoo(parameters(), lr=0.0, grafting=name, refresh=policy) for name in (grafting, "adam")}
    for number in range(1, steps + 1):
        for optimizer in made.values():
            step(optimizer, number)
    changed = made["adam"]
    edit(changed, {"grafting": grafting})
    for optimizer in made.values():
        edit(optimizer, {"lr": 0.1})
        step(optimizer, steps + 1)
    for left, right in zip(*(o.param_groups[0]["params"] for o in made.values()), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-7)
    # And back: as one that never left, on the same parameters.
    stayed = Shampoo(parameters(), lr=0.0, grafting="adam", refresh=policy)
    for number in range(1, steps + 2):
        step(stayed, number)
    edit(changed, {"grafting": "adam"})
    edit(stayed, {"lr": 0.1})
    before = [[p.detach().clone() for p in o.param_groups[0]["params"]] for o in (changed, stayed)]
    for optimizer in (changed, stayed):
        step(optimizer, steps + 2)
    moved = [
        [p - old for p, old in zip(o.param_groups[0]["params"], was, strict=True)]
        for o, was in zip((changed, stayed), before, strict=True)
    ]
    for left, right in zip(*moved, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-6)


BEGIN = {"tau": 0.3, "epsilon_max": 0.2, "epsilon": 0.05}
OTHER: dict[str, Any] = {
    "lr": 0.5, "weight_decay": 0.3, "eps": 0.2, "period": 3, "tau": 0.99, "epsilon": 0.15, "epsilon_max": 50.0,
    "grafting": "sgd", "grafting_epsilon": 0.5, "d": 0.01,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "setting"),
    [(name, field.name) for name, spec in OPTIMIZERS.items() for field in spec.all_fields if field.editable],
)
def test_every_editable_setting_changes_what_follows(name: str, setting: str) -> None:
    """And the steps before are left alone; by steps 9 to 40 every policy has looked at it."""
    begin = {**BEGIN, "tau": 0.01 if name == "soap-residual" else BEGIN["tau"]}  # its residual is smaller
    ends = []
    for edited in (False, True):
        optimizer = OPTIMIZERS[name].build(parameters(), {k: v for k, v in begin.items() if k in known(name)})
        for number in range(1, 41):
            if edited and number == 9:
                edit(optimizer, {setting: OTHER[setting]})
            step(optimizer, number, 1.03**number)  # drifts, so that bases go stale
        ends.append([p.detach().clone() for group in optimizer.param_groups for p in group["params"]])
    assert any(not torch.equal(left, right) for left, right in zip(*ends, strict=True))


def known(name: str) -> set[str]:
    return {field.name for field in OPTIMIZERS[name].all_fields}


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_setting_that_cannot_be_edited_says_why(name: str) -> None:
    assert [f.name for f in OPTIMIZERS[name].all_fields if not f.editable and not f.fixed] == []
    assert [f.name for f in OPTIMIZERS[name].all_fields if f.editable and f.fixed] == []
