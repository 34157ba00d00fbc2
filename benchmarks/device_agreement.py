"""Does a device compute what the CPU computes? One check step from one saved state, and a short training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.workloads import WORKLOADS
from foam_viz.optim import gram
from foam_viz.optim.eigenvalue_corrected import EigenvalueCorrectedShampoo
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.kl import KLShampoo
from foam_viz.optim.refresh import DiagonalizationResidual, EveryCheck, Foam, FoamFreshEigenvalues
from foam_viz.optim.shampoo import Shampoo
from foam_viz.optim.soap import SOAP

PERIOD, STEPS_BEFORE = 10, 19
# No factor has a null space after a few gradients, so that every basis is determined; 300 has block triangles on a CPU.
SHAPES = ((96, 160), (160, 96), (48, 48), (300, 64), (24, 20, 12))
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-8}
_TRAINED_STEPS, _LAST = 40, 10

OPTIMIZERS: dict[str, Callable[[list[Tensor]], FactoredOptimizer]] = {
    "Shampoo": lambda w: Shampoo(w, lr=1e-2, refresh=EveryCheck(period=PERIOD, epsilon=1e-3)),
    "Shampoo, root 4": lambda w: Shampoo(w, lr=1e-2, root=4, refresh=EveryCheck(period=PERIOD, epsilon=1e-3)),
    "FOAM, reuses": lambda w: Shampoo(w, lr=1e-2, refresh=Foam(period=PERIOD, tau=0.01, epsilon=1, epsilon_max=1e4)),
    "FOAM, decomposes": lambda w: Shampoo(
        w, lr=1e-2, refresh=Foam(period=PERIOD, tau=0.1, epsilon=1e-3, epsilon_max=2e-3)
    ),
    "FOAM, fresh eigenvalues": lambda w: Shampoo(
        w, lr=1e-2, refresh=FoamFreshEigenvalues(period=PERIOD, tau=0.01, epsilon=1, epsilon_max=1e4)
    ),
    "residual": lambda w: Shampoo(w, lr=1e-2, refresh=DiagonalizationResidual(period=PERIOD, tau=0.3, epsilon=1e-3)),
    "eigenvalue-corrected": lambda w: EigenvalueCorrectedShampoo(w, lr=1e-2, refresh=EveryCheck(period=PERIOD)),
    "KL-Shampoo": lambda w: KLShampoo(w, lr=1e-2, refresh=EveryCheck(period=PERIOD)),
    "SOAP": lambda w: SOAP(w, lr=1e-2, period=PERIOD),
}  # fmt: skip


@contextmanager
def device_path() -> Iterator[None]:
    """Run the code of a device on the CPU, so that it can be compared where there is no other device."""
    original = gram.on_host
    gram.on_host = lambda tensor: False
    try:
        yield
    finally:
        gram.on_host = original


@dataclass(frozen=True)
class Agreement:
    """How far a device is from the CPU after one check step from one state.

    Attributes:
        statistics: Largest relative distance of a factor L, in the Frobenius norm.
        epsilon: Largest relative distance of a damping.
        inverse_root: Largest relative distance of an inverse root X; 0 for an optimizer without one.
        update: Largest relative distance of the change of a parameter.
        decisions_equal: Whether every factor was treated alike.
        decompositions: How many factors were decomposed in the step.
    """

    statistics: float
    epsilon: float
    inverse_root: float
    update: float
    decisions_equal: bool
    decompositions: int


def _gradients(step: int, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    # Each entry has a scale of its own that drifts, so that bases turn and spectra are spread.
    drift = torch.Generator().manual_seed(1000)
    return [
        (
            torch.randn(shape, generator=generator, dtype=torch.float64)
            * (1 + 0.5 * torch.rand(shape, generator=drift, dtype=torch.float64) * step / STEPS_BEFORE)
        ).to(dtype)
        for shape in SHAPES
    ]


def _take(weights: list[Tensor], optimizer: FactoredOptimizer, step: int) -> None:
    for weight, gradient in zip(weights, _gradients(step, weights[0].dtype), strict=True):
        weight.grad = gradient.to(weight.device)
    optimizer.step()


def _distance(one: Tensor, other: Tensor) -> float:
    """Relative distance in float64; a value that is not finite counts as infinitely far."""
    one, other = one.detach().cpu().double(), other.detach().cpu().double()
    distance = float(torch.linalg.vector_norm(one - other) / torch.linalg.vector_norm(other).clamp(min=1e-300))
    return distance if distance == distance else float("inf")


def agree(name: str, device: str, dtype: torch.dtype) -> Agreement:
    """Compare one check step of an optimizer on a device with the same on the CPU, from one saved state.

    The state is a CPU's after 19 steps, one of them a check. (Whole trainings part by themselves: a gradient perturbed
    by 1e-7 moves parameters by 20 % in 20 steps.) SOAP, which moves before it checks, takes one step more. For
    ``device="cpu"`` the code of a device runs on the CPU.

    Args:
        name: One of ``OPTIMIZERS``.
        device: What torch calls it.
        dtype: float32 or float64.
    """
    start = [torch.ones(shape, dtype=dtype, requires_grad=True) for shape in SHAPES]
    optimizer = OPTIMIZERS[name](start)
    step = STEPS_BEFORE + 1 + (name in ("SOAP", "KL-Shampoo"))  # their first gradient moves nothing and is not counted
    for number in range(1, step):
        _take(start, optimizer, number)
    saved, results = optimizer.state_dict(), []
    for place, path in ((device, device_path() if device == "cpu" else nullcontext()), ("cpu", nullcontext())):
        with path:
            weights = [weight.detach().clone().to(place).requires_grad_() for weight in start]
            copy = OPTIMIZERS[name](weights)
            copy.load_state_dict(saved)
            before = [weight.detach().clone() for weight in weights]
            for number in range(step, step + 1 + copy._moves_before_check):
                _take(weights, copy, number)
            results.append((copy, [weight.detach() - old for weight, old in zip(weights, before, strict=True)]))
    (theirs, their_updates), (ours, our_updates) = results
    counted = [[(f.decompositions, f.reuses, f.reason) for f in one.factors()] for one in (theirs, ours)]
    factor_stacks = list(zip(theirs.factor_stacks(), ours.factor_stacks(), strict=True))
    damped = [
        abs(a.epsilon - b.epsilon) / b.epsilon
        for a, b in zip(theirs.factors(), ours.factors(), strict=True)
        if b.epsilon > 0
    ]
    with_roots = [pair for pair in factor_stacks if hasattr(pair[0], "inverse_root")]
    return Agreement(
        statistics=max(
            _distance(gram.complete(a.statistics)[i], gram.complete(b.statistics)[i])
            for a, b in factor_stacks
            for i in range(len(a.factors))
        ),
        epsilon=max(damped, default=0.0),
        inverse_root=max(
            (_distance(a.inverse_root[i], b.inverse_root[i]) for a, b in with_roots for i in range(len(a.factors))),
            default=0.0,
        ),
        update=max(_distance(a, b) for a, b in zip(their_updates, our_updates, strict=True)),
        decisions_equal=counted[0] == counted[1],
        decompositions=sum(f.last_decomposition_step == f.last_check_step for f in ours.factors()),
    )


def trained_loss(device: str) -> float:
    """Mean training loss over the last 10 of 40 steps of FOAM on workload A, from recorded initial weights."""
    workload = WORKLOADS["A"]
    torch.manual_seed(0)
    model = workload.model().to(device)
    optimizer = Shampoo(model.parameters(), lr=3e-4, refresh=Foam(period=PERIOD, epsilon=1e-6, epsilon_max=1e-4))
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(_TRAINED_STEPS):
        optimizer.zero_grad()
        loss = workload.loss(_OnDevice(model, device), generator)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return float(torch.stack(losses[-_LAST:]).mean())


class _OnDevice(torch.nn.Module):
    """A model whose input and output live on the host, as the data of a workload do."""

    def __init__(self, model: torch.nn.Module, device: str) -> None:
        super().__init__()
        self.model, self.device = model, device

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(inputs.to(self.device)).to(inputs.device)
