"""A toy optimizer: signs of the gradient, with momentum. A real one stands in ``foam_viz/optim``."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from foam_viz.optim.optimizer_fields import LR
from foam_viz.optim.spec import OptimizerSpec


class SignDescent(torch.optim.Optimizer):
    """Step against the sign of the gradient: ``W <- W - lr sign(G)``.

    Args:
        params: Parameters or parameter groups.
        lr: Length of the step of each weight.
    """

    def __init__(self, params: Iterable[Tensor], *, lr: float = 1e-3) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad.sign(), alpha=group["lr"])


ENTRY = OptimizerSpec(
    name="sign-descent",
    label="Sign descent",
    summary="Steps against the sign of the gradient.",
    source="Bernstein et al. 2018, arXiv 1802.04434",
    factory="tests.toys.optimizer:SignDescent",
    fields=(LR,),
)
