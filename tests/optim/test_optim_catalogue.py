"""The catalogue: complete, buildable, torch-free, and of one mind with the constructors."""

from __future__ import annotations

import copy
import inspect
import io
import subprocess
import sys

import pytest
import torch
from torch import nn

from foam_viz.optim.catalogue import OPTIMIZERS, find
from foam_viz.optim.eigenvalue_corrected import EigenvalueCorrectedShampoo
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.fields import FieldError
from foam_viz.optim.muon import MuonWithAdamW
from foam_viz.optim.refresh import POLICIES, Foam
from foam_viz.optim.shampoo import Shampoo
from foam_viz.optim.soap import SOAP

NAMES = [
    "sgd", "adamw", "shampoo", "foam", "foam-fixed-damping", "foam-no-refresh", "dr-shampoo", "shampoo-staggered",
    "foam-fresh-eigenvalues", "shampoo-eigenvalue-corrected", "soap", "soap-residual", "kl-shampoo",
    "kl-soap", "splus", "muon", "adafactor",
]  # fmt: skip
OURS = ["shampoo-staggered", "foam-fresh-eigenvalues"]


def weights() -> list[torch.Tensor]:
    weight = torch.ones(3, 2, requires_grad=True)
    weight.grad = torch.ones(3, 2)
    return [weight]


def test_names() -> None:
    assert list(OPTIMIZERS) == NAMES
    assert all(spec.name == name and spec.source and spec.summary for name, spec in OPTIMIZERS.items())
    assert [name for name, spec in OPTIMIZERS.items() if spec.is_ours] == OURS
    assert all(
        "this project" in OPTIMIZERS[name].summary and "This project" in OPTIMIZERS[name].source for name in OURS
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_builds_and_steps(name: str) -> None:
    spec = find(name)
    optimizer = spec.build(weights(), {"lr": 0.5})
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert isinstance(optimizer, FactoredOptimizer) == spec.has_factors == (spec.policy is not None)


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_lowers_a_loss_and_resumes(name: str) -> None:
    data = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
    target = torch.tanh(data[:, :4] + data[:, 2:])

    def start() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 4))
        return model, find(name).build(model.parameters(), {})  # a plain iterator

    def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = ((model(data) - target) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    model, optimizer = start()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    losses = train(model, optimizer, 25)
    scheduler.step()
    assert losses[-1] < 0.9 * losses[0]
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    other_model, other = start()
    other_model.load_state_dict(saved["model"])
    other.load_state_dict(saved["optimizer"])
    copied_model, copied = copy.deepcopy((model, optimizer))
    after = train(model, optimizer, 25)
    assert after == train(other_model, other, 25)
    if name != "adafactor" or not torch.cuda.is_available():  # torch's own cannot step there once it is copied
        assert after == train(copied_model, copied, 25)


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
    assert getattr(group["refresh"], "stagger", False) == (name == "shampoo-staggered")
    assert [step for step in range(1, 101) if group["refresh"].is_turn(step, 0, 3)] == [
        1 if name == "splus" else 10, 50, 100
    ]  # fmt: skip
    assert group["refresh"].epsilon == 1e-9
    assert getattr(group["refresh"], "tau", 0.75) == {"dr-shampoo": 0.2, "soap-residual": 0.2}.get(name, 0.75)


def test_the_catalogue_has_the_defaults_of_the_constructor() -> None:
    for optimizer, line in (
        (Shampoo, "foam"), (SOAP, "soap"), (EigenvalueCorrectedShampoo, "shampoo-eigenvalue-corrected"),
        (MuonWithAdamW, "muon"),
    ):  # fmt: skip
        defaults = {n: p.default for n, p in inspect.signature(optimizer).parameters.items()}
        catalogue = find(line).validate({})
        assert defaults["betas"] == (catalogue["beta1"], catalogue["beta2"])
        for name in set(defaults) - {"params", "lr", "betas", "refresh"}:
            assert defaults[name] == catalogue[name], name
    assert inspect.signature(SOAP).parameters["lr"].default == find("soap").validate({})["lr"]
    catalogue, defaults = find("foam").validate({}), inspect.signature(Shampoo).parameters
    assert defaults["refresh"].default == Foam(**{f.name: catalogue[f.name] for f in Foam.fields} | {"start": None})


def test_settings_reach_the_optimizer() -> None:
    chosen = {"beta1": 0.5, "beta2": 0.9, "tau": 0.3, "start": None, "root": 4, "grafting": None, "epsilon_max": 1e-3}
    (group,) = find("foam").build(weights(), chosen).param_groups
    assert group["betas"] == (0.5, 0.9) and group["root"] == 4 and group["grafting"] is None
    assert group["refresh"] == Foam(period=10, tau=0.3, epsilon=1e-9, epsilon_max=1e-3)
    (group,) = find("adamw").build(weights(), {"beta2": 0.95, "eps": 1e-6}).param_groups
    assert group["betas"] == (0.9, 0.95) and group["eps"] == 1e-6


def test_every_integer_has_a_range() -> None:
    """A number without an end would be a setting that no run can obey."""
    fields = {field.name: field for spec in OPTIMIZERS.values() for field in spec.all_fields if field.kind == "integer"}
    assert fields
    for field in fields.values():
        assert field.low is not None and field.high is not None, field.name
        with pytest.raises(FieldError, match=f"to {field.high}"):
            field.parse(str(10**30))


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
        "assert 'torch' not in sys.modules\n"
        "assert foam_viz.optim.Shampoo.__name__ == 'Shampoo' and 'torch' in sys.modules\n"
        "assert all(getattr(foam_viz.optim, name) for name in foam_viz.optim.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
