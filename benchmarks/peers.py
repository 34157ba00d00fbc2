"""Who is timed beside the project's optimizers: how each is built and what it preconditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from foam_viz.optim.refresh import Decision, EveryCheck, Foam, Policy
from foam_viz.optim.shampoo import Shampoo
from foam_viz.optim.soap import SOAP

Family = Literal["adamw", "shampoo", "foam", "soap"]
Scope = Literal["all", "matrices"]

PERIOD, LR, BETA1, BETA2 = 10, 1e-3, 0.9, 0.99
# Evenly spread decompositions of FOAM per workload: of so many checks so many decompose, just above the rate at which
# the artifact was timed, 28 % on A and 16 % on B.
PATTERN = {"A": (2, 7), "B": (1, 6)}


@dataclass(frozen=True)
class Contender:
    """An optimizer that is timed.

    Attributes:
        name: Shown.
        family: What it is compared with.
        scope: Which parameters have factors: ``all``, or ``matrices`` with everything else by a first-order rule.
        ours: Whether it is the project's.
        settings: What ``make`` is called with besides the parameters; shown.
        make: Class of the optimizer.
        prepare: Run once before it is made.
    """

    name: str
    family: Family
    scope: Scope
    ours: bool
    make: Callable[..., torch.optim.Optimizer]
    settings: dict[str, Any]
    prepare: Callable[[], None] = field(default=lambda: None)

    def build(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        self.prepare()
        return self.make(parameters, **self.settings)


class ForcedFoam(Foam):
    """FOAM that measures and damps as it does, but decomposes in a fixed pattern: the same share of every factor.

    Its own decisions depend on the model and on when one looks. To compare costs at one rate, the k-th check of factor
    i decomposes when k r + i g passes a whole number, for the rate r and the golden ratio g. Policies are asked factor
    by factor, in the same order at every check.
    """

    def follow(self, decompositions: int, checks: int, factors: int) -> ForcedFoam:
        """Sets the pattern: so many decompositions in so many checks, for so many factors."""
        object.__setattr__(self, "_pattern", (decompositions / checks, factors))
        object.__setattr__(self, "_asked", 0)
        return self

    def _decide(self, epsilon: float, measure: Any) -> Decision:
        rate, factors = self._pattern
        check, factor = divmod(self._asked, factors)
        object.__setattr__(self, "_asked", self._asked + 1)
        phase = factor * 0.6180339887 % 1 + 1e-9
        if int((check + 1) * rate + phase) > int(check * rate + phase):
            return Decision(True, self.epsilon, "cap")
        damping = min(self.wanted(epsilon, measure), self.epsilon_max)
        return Decision(False, damping, "reuse")


def _forced(workload: str) -> Callable[..., Shampoo]:
    def make(parameters: list[Tensor], refresh: ForcedFoam, **settings: Any) -> Shampoo:
        optimizer = Shampoo(parameters, refresh=ForcedFoam(period=refresh.period), **settings)
        optimizer.param_groups[0]["refresh"].follow(*PATTERN[workload], len(optimizer.factors()))
        return optimizer

    return make


def _without_compiling() -> None:
    from heavyball import utils

    utils.compile_mode = None


def contenders(workload: str, peers: bool = True) -> Iterator[Contender]:
    """Everybody who is timed on a workload, or the project's own and AdamW alone.

    Args:
        workload: A or B.
        peers: Whether others' are timed too.
    """
    betas = {"betas": (BETA1, BETA2)}

    def ours(
        name: str, family: Family, policy: Policy, make: Callable[..., Any] = Shampoo, scope: Scope = "all", **more: Any
    ) -> Contender:
        settings = {"lr": LR, **betas, "refresh": policy, "precondition": scope, **more}
        return Contender(name, family, scope, True, make, settings)

    yield Contender("AdamW, fused", "adamw", "all", False, torch.optim.AdamW, {"lr": LR, "fused": True})
    foam = _forced(workload)
    yield ours("Shampoo f = 10", "shampoo", EveryCheck(period=PERIOD))
    yield ours("Shampoo f = 10, no grafting", "shampoo", EveryCheck(period=PERIOD), grafting=None)
    yield ours("Shampoo f = 10, matrices", "shampoo", EveryCheck(period=PERIOD), scope="matrices")
    yield ours("FOAM f = 10", "foam", ForcedFoam(period=PERIOD), foam)
    yield ours("FOAM f = 10, matrices", "foam", ForcedFoam(period=PERIOD), foam, "matrices")
    soap = {"lr": LR, "betas": (0.95, 0.95)}
    yield Contender("SOAP f = 10", "soap", "matrices", True, SOAP, {**soap, "period": PERIOD})
    if not peers:
        return
    import heavyball  # imported here, since they are installed for this alone
    import pytorch_optimizer

    # Its momentum is a feedback of its own preconditioned step, with which it diverges at a period of 10: left off,
    # as is its default. No grafting, root 2 x order (ours: 2), SVD instead of eigh: neither changes the other costs.
    yield Contender(
        "pytorch-optimizer Shampoo", "shampoo", "all", False, pytorch_optimizer.Shampoo,
        {"lr": LR, "preconditioning_compute_steps": PERIOD},
    )  # fmt: skip
    # Merges (256,) into a shape it does not precondition: vectors get the grafted direction alone. The block size keeps
    # every matrix whole, as ours does. Its default, Schur-Newton instead of SVD, took 89 ms on A where SVD took 30.
    yield Contender(
        "pytorch-optimizer ScalableShampoo", "shampoo", "matrices", False, pytorch_optimizer.ScalableShampoo,
        {
            "lr": LR, **betas, "block_size": 1024, "start_preconditioning_step": PERIOD, "use_svd": True,
            "preconditioning_compute_steps": PERIOD, "inverse_exponent_override": 2, "graft_type": 3,
        },
    )  # fmt: skip
    yield Contender(
        "pytorch-optimizer SOAP", "soap", "matrices", False, pytorch_optimizer.SOAP,
        {**soap, "precondition_frequency": PERIOD},
    )  # fmt: skip
    yield Contender(
        "heavyball SOAP, not compiled", "soap", "matrices", False, heavyball.SOAP,
        {**soap, "precondition_frequency": PERIOD, "merge_dims": False, "max_precond_dim": 10_000}, _without_compiling,
    )  # fmt: skip
