"""Muon for matrices and AdamW for everything else, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch


class MuonWithAdamW(torch.optim.Optimizer):
    """torch's Muon (Jordan et al. 2024) for parameters of two dimensions, torch's AdamW for the others.

    torch's Muon takes matrices alone. This one splits each parameter group in two, whose dictionaries all stand in one
    ``param_groups`` and whose state is one, so that schedulers, ``state_dict`` and copies work as for any optimizer.
    Muon's step is scaled to the size of AdamW's ("match_rms_adamw"), so that one learning rate fits both.

    A group with ``"precondition": "none"``, such as ``grouping.hidden_matrices`` makes of embeddings and heads, is left
    to AdamW: nobody can tell them from other matrices but the caller.

    Args:
        params: Parameters, named parameters or parameter groups; a group may override every keyword below.
        lr: Learning rate of both.
        momentum: Muon's momentum.
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
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self._parts: list[torch.optim.Optimizer] = []
        shared = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas, "eps": eps}
        super().__init__(params, {**shared, "precondition": "matrices"})
        self._link()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a parameter group, as up to two: the matrices for Muon, the others for AdamW."""
        super().add_param_group(param_group)
        whole = self.param_groups.pop()
        matrices = [p.dim() == 2 and p.numel() > 0 and whole["precondition"] != "none" for p in whole["params"]]
        for by_muon in (True, False):
            chosen = [i for i, matrix in enumerate(matrices) if matrix is by_muon]
            if chosen:
                part = {key: [whole[key][i] for i in chosen] for key in ("params", "param_names") if key in whole}
                maker = _muon if by_muon else _adamw
                made = maker(part["params"], whole).param_groups[0]
                self.param_groups.append({**whole, **made, **part, "method": "muon" if by_muon else "adamw"})
        if self._parts:
            self._link()

    def _link(self) -> None:
        """Lets the two optimizers read these very groups and this state."""
        self._parts = []
        for method, maker in (("muon", _muon), ("adamw", _adamw)):
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


def _muon(params: list[torch.Tensor], group: Mapping[str, Any]) -> torch.optim.Muon:
    return torch.optim.Muon(
        params, lr=group["lr"], momentum=group["momentum"], weight_decay=group["weight_decay"],
        adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip


def _adamw(params: list[torch.Tensor], group: Mapping[str, Any]) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        params, lr=group["lr"], betas=group["betas"], eps=group["eps"], weight_decay=group["weight_decay"]
    )
