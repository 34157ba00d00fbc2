"""The golden vectors of SOAP: every parameter at every step within 1e-12, in float64."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from foam_viz.optim.soap import SOAP

GOLDEN = Path(__file__).parent.parent / "golden"
RUNS = json.loads((GOLDEN / "index.json").read_text())["soap"]


@pytest.mark.parametrize("run", RUNS)
def test_every_parameter_matches(run: str) -> None:
    config, expected = RUNS[run], np.load(GOLDEN / "soap.npz")
    inputs = np.load(GOLDEN / ("inputs_iii0.npz" if config["set"] == "conv" else "inputs_ii.npz"))
    names = list(config["params"])
    parameters = [torch.tensor(inputs[f"init/{name}"]).requires_grad_() for name in names]
    settings = {key: config["hp"][key] for key in ("lr", "eps", "weight_decay")}
    optimizer = SOAP(
        parameters, betas=tuple(config["hp"]["betas"]), period=config["hp"]["precondition_frequency"], **settings
    )
    for step in range(60):
        for parameter, name in zip(parameters, names, strict=True):
            parameter.grad = torch.tensor(inputs[f"grad/{name}"][step])
        optimizer.step()
        for parameter, name in zip(parameters, names, strict=True):
            reference = expected[f"{run}/param/{name}"][step]
            np.testing.assert_allclose(parameter.detach().numpy(), reference, rtol=0, atol=1e-12, err_msg=f"{step + 1}")
        if step == 0:
            # The first bases differ from the reference's in signs of columns at most: no later number depends on them.
            for factor_stack in optimizer.factor_stacks():
                for factor, basis in zip(factor_stack.factors, factor_stack.basis, strict=True):
                    first = expected[f"{run}/Q/{names[factor.parameter]}/{factor.dim}/first"]
                    np.testing.assert_allclose(np.abs(first.T @ basis.numpy()), np.eye(factor.size), atol=1e-12)
    period = config["hp"]["precondition_frequency"]
    assert {factor.decompositions for factor in optimizer.factors()} == {1 + 59 // period}
