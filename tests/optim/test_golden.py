"""The golden vectors: every event equal, every parameter within 1e-9, in float64."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from foam_viz.optim.refresh import (
    DiagonalizationResidual,
    EveryCheck,
    Foam,
    FoamFixedDamping,
    FoamNoRefresh,
)
from foam_viz.optim.shampoo import Shampoo
from tests.optim.reference import SlowShampoo

GOLDEN = Path(__file__).parent.parent / "golden"
INDEX = json.loads((GOLDEN / "index.json").read_text())
RUNS = [(name, run) for name, runs in INDEX.items() if name.startswith("foam_") for run in runs]
RULE = "shift"  # the reference's
POLICIES = {
    "every_check": EveryCheck,
    "foam": Foam,
    "foam_fixed_damping": FoamFixedDamping,
    "foam_no_refresh": FoamNoRefresh,
    "diagonalization_residual": DiagonalizationResidual,
}


def build(config: dict, parameters: list[torch.Tensor]) -> Shampoo:
    policy = POLICIES[config["policy"]]
    names = {field.name for field in policy.fields}
    chosen = {name: config[name] for name in names if config.get(name) is not None}
    keys = ("lr", "root", "grafting", "grafting_beta2", "grafting_epsilon", "max_preconditioner_dim", "merge_dims")
    settings = {key: config[key] for key in keys}
    settings |= {"betas": tuple(config["betas"]), "refresh": policy(**chosen), "eigenvalues": RULE}
    return Shampoo(parameters, **settings)


@pytest.mark.parametrize(("name", "run"), RUNS)
def test_every_event_and_parameter_matches(name: str, run: str) -> None:
    config = INDEX[name][run]
    expected = np.load(GOLDEN / f"{name}.npz")
    inputs = np.load(GOLDEN / f"inputs_{config['set']}.npz")
    names = [key.removeprefix("init/") for key in inputs.files if key.startswith("init/")]
    parameters = [torch.tensor(inputs[f"init/{n}"]).requires_grad_() for n in names]
    optimizer = build(config, parameters)
    assert [factor.id for factor in optimizer.factors()] == config["factor_ids"]
    assert [factor.size for factor in optimizer.factors()] == config["factor_dims"]

    columns = {key: expected[f"{run}/{key}"] for key in ("eps", "h", "check", "evd", "reuse", "cap")}
    before = [(0, 0, 0, 0)] * len(optimizer.factors())
    # Without grafting the reference stands still until the first check, ours takes plain steps: compare increments.
    late = config["grafting"] is None and config["start"] > 1
    offset = [np.zeros(p.shape) for p in parameters]
    for step in range(1, len(columns["eps"]) + 1):
        for parameter, n in zip(parameters, names, strict=True):
            parameter.grad = torch.tensor(inputs[f"grad/{n}"][step - 1])
        optimizer.step()
        now = [(f.checks, f.decompositions, f.reuses, f.cap_refreshes) for f in optimizer.factors()]
        happened = np.array(now) - np.array(before)
        before = now
        wanted = np.stack([columns[key][step - 1] for key in ("check", "evd", "reuse", "cap")], axis=1)
        np.testing.assert_array_equal(happened, wanted, err_msg=f"step {step}")
        np.testing.assert_allclose([f.epsilon for f in optimizer.factors()], columns["eps"][step - 1], rtol=1e-7)
        measured = [
            f.residual if config["policy"] == "diagonalization_residual" else f.proxy for f in optimizer.factors()
        ]
        if happened[:, 0].all():
            np.testing.assert_allclose(measured, columns["h"][step - 1], rtol=1e-6, atol=1e-12)
        for i, n in enumerate(names):
            reference = expected[f"{run}/param/{n}"][step - 1]
            mine = parameters[i].detach().numpy()
            if late and step < config["start"]:
                offset[i] = mine - reference
                continue
            np.testing.assert_allclose(mine - offset[i], reference, rtol=0, atol=1e-9, err_msg=f"{n}, step {step}")
    counts = config["counts"]
    assert sum(f.decompositions for f in optimizer.factors()) == counts["evd"]
    assert sum(f.cap_refreshes for f in optimizer.factors()) == counts["cap"]


@pytest.mark.parametrize("other", ["shift", "floor"])
@pytest.mark.parametrize("rule", ["shift", "floor"])
def test_steep_gradients_tell_the_rules_apart(rule: str, other: str) -> None:
    """Rounding of float64 is too small for the golden vectors above: they hold by either rule.

    Diagonal gradients have factors whose eigenvalues are exact however small, so that a floor moves them.
    """
    scales = 10.0 ** -np.array([0.0, 4.0, 9.0, 10.0])  # eigenvalues down to 1e-20 of the largest
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(4, 4))
    settings = {"lr": 0.1, "betas": (0.9, 0.99), "grafting": None, "root": 4}
    slow = SlowShampoo(weight, epsilon=1e-24, period=2, start=2, eigenvalues=other, **settings)
    parameter = torch.tensor(weight, requires_grad=True)
    policy = EveryCheck(period=2, start=2, epsilon=1e-24)
    optimizer = Shampoo([parameter], refresh=policy, eigenvalues=rule, **settings)
    for step in range(1, 13):
        gradient = np.diag(scales * generator.uniform(0.5, 2.0, size=4))
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        slow.step(gradient, step)
    difference = np.abs(parameter.detach().numpy() - slow.weight).max()
    assert difference < 1e-9 if rule == other else difference > 1e-2
