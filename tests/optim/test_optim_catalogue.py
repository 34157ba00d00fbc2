"""The catalogue: complete, buildable, torch-free, and of one mind with the constructors."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import torch

from foam_viz.optim.catalogue import OPTIMIZERS, find
from foam_viz.optim.fields import FieldError
from foam_viz.optim.refresh import POLICIES, Foam
from foam_viz.optim.shampoo import Shampoo

NAMES = ["sgd", "adamw", "shampoo", "foam", "foam-fixed-damping", "foam-no-refresh", "dr-shampoo"]


def weights() -> list[torch.Tensor]:
    weight = torch.ones(3, 2, requires_grad=True)
    weight.grad = torch.ones(3, 2)
    return [weight]


def test_names() -> None:
    assert list(OPTIMIZERS) == NAMES
    assert all(spec.name == name and spec.source and spec.summary for name, spec in OPTIMIZERS.items())


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_builds_and_steps(name: str) -> None:
    spec = find(name)
    optimizer = spec.build(weights(), {"lr": 0.5})
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert isinstance(optimizer, Shampoo) == spec.has_factors == (spec.policy is not None)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_allowed_and_every_field_is_explained(name: str) -> None:
    spec = find(name)
    settings = spec.validate({})
    assert settings == {field.name: field.default for field in spec.all_fields}
    for field in spec.all_fields:
        assert field.label and field.help and "\n" not in field.help
        assert field.parse(field.format(field.default)) == field.default


@pytest.mark.parametrize("name", [name for name in NAMES if OPTIMIZERS[name].policy])
def test_policies_start_alike(name: str) -> None:
    spec = find(name)
    (group,) = spec.build(weights(), {"period": 50}).param_groups
    assert type(group["refresh"]) is POLICIES[spec.policy]
    assert [step for step in range(1, 101) if group["refresh"].is_check(step)] == [10, 50, 100]
    assert group["refresh"].epsilon == 1e-9
    assert getattr(group["refresh"], "tau", None) == {"shampoo": None, "dr-shampoo": 0.2}.get(name, 0.75)


def test_the_catalogue_has_the_defaults_of_the_constructor() -> None:
    defaults = {n: p.default for n, p in inspect.signature(Shampoo).parameters.items()}
    catalogue = find("foam").validate({})
    assert defaults["betas"] == (catalogue["beta1"], catalogue["beta2"])
    for name in set(defaults) - {"params", "lr", "betas", "refresh"}:
        assert defaults[name] == catalogue[name], name
    assert defaults["refresh"] == Foam(**{f.name: catalogue[f.name] for f in Foam.fields} | {"start": None})


def test_settings_reach_the_optimizer() -> None:
    chosen = {"beta1": 0.5, "beta2": 0.9, "tau": 0.3, "start": None, "root": 4, "grafting": None, "epsilon_max": 1e-3}
    (group,) = find("foam").build(weights(), chosen).param_groups
    assert group["betas"] == (0.5, 0.9) and group["root"] == 4 and group["grafting"] is None
    assert group["refresh"] == Foam(period=10, tau=0.3, epsilon=1e-9, epsilon_max=1e-3)
    (group,) = find("adamw").build(weights(), {"beta2": 0.95, "eps": 1e-6}).param_groups
    assert group["betas"] == (0.9, 0.95) and group["eps"] == 1e-6


def test_review_keeps_the_rest() -> None:
    settings, errors = find("foam").review({"tau": 1.5, "epsilon": 1e-6, "lr": 0.1, "tua": 0.5})
    assert (settings["tau"], settings["lr"]) == (0.75, 0.1)
    assert [e.field for e in errors] == ["tau", "tua", "epsilon_max"]
    assert settings["epsilon_max"] >= settings["epsilon"]
    with pytest.raises(FieldError, match="epsilon_max = 3e-7: must be at least epsilon = 1e-6"):
        find("foam").build(weights(), {"epsilon": 1e-6})
    with pytest.raises(FieldError, match="tau"):
        find("shampoo").validate({"tau": 0.5})  # it has no tau


def test_unknown_optimizers_name_the_closest() -> None:
    with pytest.raises(FieldError, match=r"optimizer = fom: must be one of sgd, .* \(did you mean foam\?\)"):
        find("fom")


def test_the_readable_part_needs_no_torch() -> None:
    code = (
        "import sys, foam_viz.optim, foam_viz.optim.catalogue, foam_viz.optim.refresh\n"
        "foam_viz.optim.OPTIMIZERS, foam_viz.optim.Foam(), foam_viz.optim.FieldError\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "assert foam_viz.optim.Shampoo.__name__ == 'Shampoo' and 'torch' in sys.modules\n"
        "assert all(getattr(foam_viz.optim, name) for name in foam_viz.optim.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
