"""Muon for matrices and AdamW for everything else, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from foam_viz.optim.fields import FieldError


class MuonWithAdamW(torch.optim.Optimizer):
    """torch's Muon (Jordan et al. 2024) for parameters of two dimensions, torch's AdamW for the others.

    torch's Muon takes matrices alone. This one splits each parameter group in two, whose dictionaries all stand in one
    ``param_groups`` and whose state is one, so that schedulers, ``state_dict`` and copies work as for any optimizer.
    Muon's step is scaled to the size of AdamW's ("match_rms_adamw"), so that one learning rate fits both.

    A group with ``"precondition": "none"``, such as ``grouping.hidden_matrices`` makes of embeddings and heads, is left
    to AdamW: nobody can tell them from other matrices but the caller.

    ``equilibrate`` scales rows, columns or both of the matrix to length 1 before it is orthogonalized (Chang et al.,
    arXiv 2603.28254, "MuonEq"): D_r^(-1/2) M, M D_c^(-1/2), or both, with D_r and D_c the sums of squares of M's rows
    and columns.
    It stands between diagonal and full whitening and keeps no state that could go stale.

    Args:
        params: Parameters, named parameters or parameter groups; a group may override every keyword below.
        lr: Learning rate of both.
        momentum: Muon's momentum.
        equilibrate: ``none``, ``rows``, ``columns`` or ``both``.
        betas: AdamW's decays.
        eps: AdamW's denominator.
        weight_decay: Decoupled decay of both.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 1e-3,
        momentum: float = 0.95,
        equilibrate: str = "none",
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self._parts: list[torch.optim.Optimizer] = []
        shared = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas, "eps": eps}
        shared["equilibrate"] = equilibrate
        super().__init__(params, {**shared, "precondition": "matrices"})
        self._link()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a parameter group, as up to two: the matrices for Muon, the others for AdamW."""
        super().add_param_group(param_group)
        whole = self.param_groups.pop()
        matrices = [p.dim() == 2 and p.numel() > 0 and whole["precondition"] != "none" for p in whole["params"]]
        if whole["equilibrate"] not in _SIDES:
            raise FieldError("equilibrate", whole["equilibrate"], "one of " + ", ".join(_SIDES))
        for method in ("muon" if whole["equilibrate"] == "none" else "equilibrated", "adamw"):
            chosen = [i for i, matrix in enumerate(matrices) if matrix is (method != "adamw")]
            if chosen:
                part = {key: [whole[key][i] for i in chosen] for key in ("params", "param_names") if key in whole}
                made = _MAKERS[method](part["params"], whole).param_groups[0]
                self.param_groups.append({**whole, **made, **part, "method": method})
        if self._parts:
            self._link()

    def _link(self) -> None:
        """Lets the optimizers read these very groups and this state."""
        self._parts = []
        for method, maker in _MAKERS.items():
            groups = [group for group in self.param_groups if group["method"] == method]
            if groups:
                part = maker(groups[0]["params"], groups[0])
                part.param_groups, part.state = groups, self.state
                self._parts.append(part)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Takes a step.

        Args:
            closure: Computes the loss again and returns it.

        Returns:
            What the closure returned, if there is one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Called by load_state_dict and by copies, both of which bring new groups and new state.
        super().__setstate__(state)
        self._link()


_SIDES = {"none": (), "rows": (1,), "columns": (0,), "both": (1, 0)}  # dimensions summed over


class EquilibratedMuon(torch.optim.Muon):
    """torch's Muon on matrices that are equilibrated first, as their group's ``equilibrate`` says."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Takes a step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, parameter: torch.Tensor, gradient: torch.Tensor, group: Mapping[str, Any]) -> None:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        # The rule adds its epsilon to G + mu B with the sum B; torch's buffer is the mean (1 - mu) B.
        matrix = gradient.lerp(mean, group["momentum"]) / (1 - group["momentum"])
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        step = orthogonalize(equilibrated(matrix, group["equilibrate"]), group["ns_coefficients"], group["ns_steps"])
        parameter.add_(step, alpha=-group["lr"] * 0.2 * max(parameter.shape) ** 0.5)


def equilibrated(matrix: torch.Tensor, sides: str, epsilon: float = 1e-8) -> torch.Tensor:
    """D_r^(-1/2) M D_c^(-1/2), (m, n), with either factor or both; the sums of squares have ``epsilon`` added.

    Args:
        matrix: M, (m, n).
        sides: ``none``, ``rows``, ``columns`` or ``both``.
        epsilon: In squared units of M.
    """
    squares, scaled = matrix.square(), matrix
    for dim in _SIDES[sides]:
        sums = squares.sum(dim, keepdim=True)
        scaled = scaled * (sums + epsilon).rsqrt()
    return scaled


def orthogonalize(matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int) -> torch.Tensor:
    """Newton-Schulz (Jordan et al. 2024), X <- a X + (b X X^T + c (X X^T)^2) X in bfloat16, from M / ||M||_F.

    Args:
        matrix: M, (m, n).
        coefficients: a, b and c.
        steps: How often.

    Returns:
        Nearly the orthogonal factor of M: its singular values lie between about 0.7 and 1.2, (m, n).
    """
    wide = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide.bfloat16()
    x = x / (x.norm() + 1e-7)
    a, b, c = coefficients
    for _ in range(steps):
        product = x @ x.mT
        x = a * x + (b * product + c * product @ product) @ x
    return (x.mT if wide is not matrix else x).to(matrix.dtype)


def _muon(
    params: list[torch.Tensor], group: Mapping[str, Any], made: type[torch.optim.Muon] = torch.optim.Muon
) -> torch.optim.Muon:
    return made(
        params, lr=group["lr"], momentum=group["momentum"], weight_decay=group["weight_decay"],
        adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip


def _equilibrated_muon(params: list[torch.Tensor], group: Mapping[str, Any]) -> torch.optim.Muon:
    return _muon(params, group, EquilibratedMuon)


def _adamw(params: list[torch.Tensor], group: Mapping[str, Any]) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        params, lr=group["lr"], betas=group["betas"], eps=group["eps"], weight_decay=group["weight_decay"]
    )


_MAKERS: dict[str, Callable[[list[torch.Tensor], Mapping[str, Any]], torch.optim.Optimizer]] = {
    "muon": _muon,
    "equilibrated": _equilibrated_muon,
    "adamw": _adamw,
}
