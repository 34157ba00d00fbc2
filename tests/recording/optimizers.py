"""Optimizers that the writer must read, as far as their state shows: layouts of public ones, with little arithmetic.

``DistributedShampoo`` and ``EigendecomposedShampoo`` keep what Meta's keeps, under the names it has there;
``FoamArtifact`` keeps what the FOAM artifact's checkpoints hold. Neither can be installed from a package index, so
these follow what is known of their state; the numbers in them are real enough to check what is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class KroneckerFactors:
    """Meta's plain state: statistics and inverse roots."""

    factor_matrices: tuple[Tensor, ...]
    inv_factor_matrices: tuple[Tensor, ...]
    factor_matrix_indices: tuple[str, ...] = ()


@dataclass
class EigendecomposedFactors:
    """Meta's eigendecomposed state."""

    factor_matrices: tuple[Tensor, ...]
    factor_matrices_eigenvectors: tuple[Tensor, ...]
    factor_matrices_eigenvalues: tuple[Tensor, ...]


@dataclass
class FoamFactors:
    """The FOAM artifact's state of a block, as its checkpoints name it."""

    factor_matrices: tuple[Tensor, ...]
    inv_factor_matrices: tuple[Tensor, ...]
    eigenvalues: tuple[Tensor, ...]
    eigenvectors: tuple[Tensor, ...]
    adaptive_epsilons: tuple[Tensor, ...]
    has_eigendecomposition: tuple[Tensor, ...]
    last_proxy: tuple[Tensor, ...]
    last_relative_condition: tuple[Tensor, ...]
    last_alpha: tuple[Tensor, ...]
    check_calls: tuple[Tensor, ...]
    evd_calls: tuple[Tensor, ...]
    proxy_calls: tuple[Tensor, ...]
    reuse_calls: tuple[Tensor, ...]
    damping_updates: tuple[Tensor, ...]
    cap_refreshes: tuple[Tensor, ...]
    residual_calls: tuple[Tensor, ...]
    last_refresh_step: tuple[Tensor, ...]


def inverse_root(matrix: Tensor, epsilon: float, root: float) -> Tensor:
    values, basis = torch.linalg.eigh(matrix)
    return (basis * (values.clamp(min=0) + epsilon).pow(-1 / root)) @ basis.T


class _Blocked(torch.optim.Optimizer):
    """A matrix is one block of two factors; statistics decay with betas[1] and are bias-corrected.

    ``step_with_first``: the group's step is kept under its first parameter alone, as FOAM's artifact does, and as
    Meta's did before July 2026.
    """

    def __init__(
        self, params, *, precondition_frequency: int, epsilon: float = 1e-4, step_with_first: bool = False, **extra
    ) -> None:
        defaults = {
            "lr": 0.01,
            "betas": (0.9, 0.9),
            "epsilon": epsilon,
            "precondition_frequency": precondition_frequency,
            "use_bias_correction": True,
            **extra,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            shared = torch.tensor(0, dtype=torch.int64)
            for p in group["params"]:
                if not step_with_first or p is group["params"][0]:
                    self.state[p]["step"] = shared if step_with_first else torch.tensor(0, dtype=torch.int64)
                self.state[p]["block_0"] = {"shampoo": self._made([torch.zeros(n, n) for n in p.shape])}

    def _made(self, statistics: list[Tensor]):
        raise NotImplementedError

    def _check(self, factors, place: int, current: Tensor, step: int, group) -> None:
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            first = group["params"][0]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "step" in state:
                    state["step"] += 1
                step, beta = int(state.get("step", self.state[first]["step"])), group["betas"][1]
                factors = state["block_0"]["shampoo"]
                for place, statistics in enumerate(factors.factor_matrices):
                    unfolded = p.grad.movedim(place, 0).flatten(1)
                    statistics.mul_(beta).add_(unfolded @ unfolded.T, alpha=1 - beta)
                    if step % group["precondition_frequency"] == 0:
                        self._check(factors, place, statistics / (1 - beta**step), step, group)
                p.sub_(p.grad, alpha=group["lr"])


class DistributedShampoo(_Blocked):
    """With inverse roots of power -1/(2 order)."""

    def _made(self, statistics):
        return KroneckerFactors(tuple(statistics), tuple(torch.eye(len(s)) for s in statistics))

    def _check(self, factors, place, current, step, group):
        factors.inv_factor_matrices[place].copy_(inverse_root(current, group["epsilon"], 4))


@dataclass
class PackedFactors:
    """Meta's state since July 2026, where a symmetric matrix is its upper triangle by rows."""

    factor_matrices: tuple[Tensor, ...]
    inv_factor_matrices: tuple[Tensor, ...]
    factor_matrix_indices: tuple[str, ...] = ()
    use_symmetric_packing: bool = True


@dataclass
class PreconditionerConfig:
    """What Meta's groups keep as ``preconditioner_config``."""

    inverse_exponent_override: dict
    drop_weighting_factor_on_gsquare: bool = False
    use_symmetric_packing: bool = True


def packed(matrix: Tensor) -> Tensor:
    rows, columns = torch.triu_indices(*matrix.shape)
    return matrix[rows, columns].clone()


def unpacked(values: Tensor) -> Tensor:
    size = int((2 * values.numel()) ** 0.5)
    rows, columns = torch.triu_indices(size, size)
    matrix = torch.zeros(size, size, dtype=values.dtype)
    matrix[rows, columns] = matrix[columns, rows] = values
    return matrix


class PackedShampoo(torch.optim.Optimizer):
    """Meta's with packed triangles, one step for a group under every parameter, and exponents in its configuration."""

    def __init__(self, params, *, precondition_frequency: int, exponent: float | None = None) -> None:
        override = {} if exponent is None else {2: exponent}
        defaults = {
            "lr": 0.01, "betas": (0.9, 0.9), "epsilon": 1e-4, "precondition_frequency": precondition_frequency,
            "use_bias_correction": True, "preconditioner_config": PreconditionerConfig(override),
        }  # fmt: skip
        super().__init__(params, defaults)
        self.exponent = 0.25 if exponent is None else exponent
        for group in self.param_groups:
            step = torch.tensor(0, dtype=torch.int64)
            for p in group["params"]:
                sizes = list(p.shape)
                factors = PackedFactors(
                    tuple(packed(torch.zeros(n, n)) for n in sizes), tuple(packed(torch.eye(n)) for n in sizes)
                )
                self.state[p] = {"block_0": {"shampoo": factors}, "step": step}

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            self.state[group["params"][0]]["step"] += 1
            for p in group["params"]:
                step, beta = int(self.state[p]["step"]), group["betas"][1]
                factors = self.state[p]["block_0"]["shampoo"]
                for place, statistics in enumerate(factors.factor_matrices):
                    unfolded = p.grad.movedim(place, 0).flatten(1)
                    statistics.mul_(beta).add_(packed(unfolded @ unfolded.T), alpha=1 - beta)
                    if step % group["precondition_frequency"] == 0:
                        current = unpacked(statistics) / (1 - beta**step)
                        inverse = inverse_root(current, group["epsilon"], 1 / self.exponent)
                        factors.inv_factor_matrices[place].copy_(packed(inverse))
                p.sub_(p.grad, alpha=group["lr"])


class EigendecomposedShampoo(_Blocked):
    """With bases and eigenvalues."""

    def _made(self, statistics):
        return EigendecomposedFactors(
            tuple(statistics),
            tuple(torch.eye(len(s)) for s in statistics),
            tuple(torch.ones(len(s)) for s in statistics),
        )

    def _check(self, factors, place, current, step, group):
        values, basis = torch.linalg.eigh(current)
        factors.factor_matrices_eigenvectors[place].copy_(basis)
        factors.factor_matrices_eigenvalues[place].copy_(values)


class FoamArtifact(_Blocked):
    """Decomposes at every third check and keeps the basis at the others, damping doubled."""

    def __init__(self, params, **settings) -> None:
        super().__init__(params, inv_root_override=2, **settings)

    def _made(self, statistics):
        def scalars(value, dtype):
            return tuple(torch.tensor(value, dtype=dtype) for _ in statistics)

        counted = ("check", "evd", "proxy", "reuse", "residual")
        names = [*(f"{what}_calls" for what in counted), "damping_updates", "cap_refreshes", "last_refresh_step"]
        counters = {name: scalars(0, torch.int64) for name in names}
        return FoamFactors(
            factor_matrices=tuple(statistics),
            inv_factor_matrices=tuple(torch.eye(len(s)) for s in statistics),
            eigenvalues=tuple(torch.zeros(len(s)) for s in statistics),
            eigenvectors=tuple(torch.eye(len(s)) for s in statistics),
            adaptive_epsilons=scalars(1e-4, torch.float64),
            has_eigendecomposition=scalars(False, torch.bool),
            last_proxy=scalars(float("nan"), torch.float64),
            last_relative_condition=scalars(float("nan"), torch.float64),
            last_alpha=scalars(float("nan"), torch.float64),
            **counters,
        )

    def _check(self, factors, place, current, step, group):
        checks = int(factors.check_calls[place])
        factors.check_calls[place].add_(1)
        if checks % 3 == 0:
            values, basis = torch.linalg.eigh(current)
            factors.eigenvalues[place].copy_(values)
            factors.eigenvectors[place].copy_(basis)
            factors.has_eigendecomposition[place].fill_(True)
            factors.evd_calls[place].add_(1)
            factors.cap_refreshes[place].add_(int(checks > 0))
            factors.last_refresh_step[place].fill_(step)
            factors.adaptive_epsilons[place].fill_(1e-4)
        else:
            factors.reuse_calls[place].add_(1)
            factors.adaptive_epsilons[place].mul_(2)
            factors.last_proxy[place].fill_(0.5)


class PublicSoap(torch.optim.Optimizer):
    """The layout of the public SOAP: factors in ``GG``, bases in ``Q``, replaced by new ones each f updates."""

    def __init__(self, params, *, precondition_frequency: int = 5, largest: int = 100) -> None:
        super().__init__(params, {"lr": 0.01, "precondition_frequency": precondition_frequency, "largest": largest})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "step" not in state:
                    state["step"], state["Q"] = 0, None
                    wanted = [p.dim() > 1 and n <= group["largest"] for n in p.shape]
                    state["GG"] = [torch.zeros(n, n) if yes else [] for n, yes in zip(p.shape, wanted, strict=True)]
                else:
                    state["step"] += 1
                for place, statistics in enumerate(state["GG"]):
                    if len(statistics):
                        unfolded = p.grad.movedim(place, 0).flatten(1)
                        statistics.lerp_(unfolded @ unfolded.T, 0.05)
                if state["Q"] is None or (state["step"] > 0 and state["step"] % group["precondition_frequency"] == 0):
                    state["Q"] = [torch.linalg.eigh(s).eigenvectors.flip(1) if len(s) else [] for s in state["GG"]]
                p.sub_(p.grad, alpha=group["lr"])
