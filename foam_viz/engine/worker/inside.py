"""What the phases of one step used: the numbers of a step that is made phase by phase, for the followed factor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.shampoo import Shampoo
from foam_viz.optim.soap import SOAP
from foam_viz.trace.numbers import number, setting

if TYPE_CHECKING:
    from foam_viz.engine.worker.run import Run
    from foam_viz.optim.factor_stack import FactorStack

PHASES = ("gradient", "statistics", "check", "update")
"""In which order lanes are led through a step; SOAP and its kin renew their bases after the update."""

_THRESHOLDS = {"tau": "τ", "epsilon": "ε₀", "epsilon_max": "εₘₐₓ"}
_DECISIONS = {
    "first": "decompose: there is no basis yet",
    "cadence": "decompose: this policy does at every check",
    "cap": "decompose: ε would pass εₘₐₓ",
    "threshold": "decompose: the measure is above τ",
    "failure": "decompose: the measure is not a number",
}
_KEPT = {"failure": "keep what there is: the decomposition failed"}

Rows = list[tuple[str, str, str]]
"""Label, value and explanation."""


class InsideStep:
    """Reads a run as it is led through a step.

    Args:
        run: The run, between two steps.

    Attributes:
        phases: What each phase used, by its name, in the order in which they were made.
    """

    def __init__(self, run: Run) -> None:
        self.phases: dict[str, Rows] = {}
        self._run, self._step = run, run.step + 1
        self._position = run.recorder.followed if run.factors else None
        self._parameters = self._followed()
        self._before = [parameter.detach().clone() for parameter in self._parameters]

    def _followed(self) -> list[Tensor]:
        """The parameter of the followed factor; all, where no factor is followed."""
        if self._position is None:
            return list(self._run.model.parameters())
        wanted = self._run.factors[self._position].parameter
        return [parameter for name, parameter in self._run.model.named_parameters() if name == wanted]

    @torch.no_grad()
    def after(self, phase: str) -> None:
        """Read what a phase used, once it is done."""
        read = {
            "gradient": self._gradient,
            "statistics": self._statistics,
            "check": self._check,
            "update": self._update,
        }
        self.phases[phase] = read[phase]()

    def _gradient(self) -> Rows:
        every = _norm([p.grad for p in self._run.model.parameters() if p.grad is not None])
        loss = self._run.loss
        assert loss is not None  # this phase made it
        rows = [
            ("Loss of the batch", number(float(loss)), "Of this step's batch, before the update."),
            ("‖G‖, all parameters", number(every), "Length of the whole gradient."),
        ]
        if self._position is not None:
            mine = _norm([p.grad for p in self._parameters if p.grad is not None])
            rows.append(("‖G‖, this parameter", number(mine), "Of the parameter that the followed factor belongs to."))
        return rows

    def _statistics(self) -> Rows:
        found = self._factor_stack()
        if found is None:
            return []
        factor_stack, row = found
        steps, beta = factor_stack.steps(row), factor_stack.decay
        trace = float(factor_stack.statistics[row].diagonal().sum())
        correction = 1.0 if beta == 1 or not steps else 1 - beta**steps
        rows = [
            ("t", f"{steps:,}", "Gradients that this factor has seen."),
            ("tr L", number(trace), "Trace of the statistics L."),
            ("1 − β₂ᵗ", number(correction), "Bias correction: A = L / (1 − β₂ᵗ) is the current factor."),
        ]
        # KL-Shampoo and its kin weigh the gradient before they square it; SOAP takes it in after the update.
        if isinstance(self._run.optimizer, Shampoo | SOAP) and trace:
            block = factor_stack.block(row)
            added = (1.0 if beta == 1 else 1 - beta) * float(block.gradient(torch.float64).square().sum())
            told = "(1 − β₂) tr G Gᵀ / tr L: how much of L is new."
            rows.append(("Share of this gradient", number(100 * added / trace, "%"), told))
        return rows

    def _check(self) -> Rows:
        check, found = self._run.recorder.followed_check, self._factor_stack()
        if check is None or found is None or check[0]["step"] != self._step:
            return [("Check", "none in this step", "This factor is not checked in this step: its basis stays.")]
        (row, decision), (factor_stack, _) = check, found
        rows = []
        if row["proxy"] is not None:
            terms = f"{number(row['relative_condition'])} × {number(row['alpha'])} / {factor_stack.root}"
            rows += [
                (
                    "h = RC α / p",
                    f"{number(row['proxy'])} = {terms}",
                    "Drift of the factor, measured against its basis.",
                ),
            ]
        if row["residual"] is not None:
            rows.append(("r", number(row["residual"]), "Diagonalization residual."))
        if row["epsilon"] is not None:
            change = f"{number(row['epsilon_before'])} → {number(row['epsilon'])}"
            rows.append(("ε", change, "Damping in force before and after the check."))
        now = self._run.settings_at(self._step)
        told = [f"{symbol} = {setting(now[name])}" for name, symbol in _THRESHOLDS.items() if name in now]
        words = _DECISIONS[decision.reason] if decision.decompose else _KEPT.get(decision.reason, "keep the basis")
        rows.append(("Decision", words, ", ".join(told) or "What the policy decided about this factor."))
        return rows

    def _update(self) -> Rows:
        rows: Rows = []
        optimizer = self._run.optimizer
        if isinstance(optimizer, Shampoo) and self._position is not None:
            factor = optimizer.factors()[self._position]
            lengths = optimizer.direction_lengths(factor.parameter, factor.block)
            if lengths is not None:
                before, after = lengths
                rows += [
                    ("‖d‖ before grafting", number(before), "Length of the preconditioned momentum of this block."),
                    ("‖d‖ after grafting", number(after), "The same direction with the length that grafting gives it."),
                ]
        change = [now - old for now, old in zip(self._parameters, self._before, strict=True)]
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self._parameters]
        moved, length, size = _norm(change), _norm(gradients), _norm(self._before)
        rows.append(("‖ΔW‖", number(moved), "Length of the update."))
        if size:
            rows.append(("‖ΔW‖ / ‖W‖", number(moved / size), "Relative to the parameters before it."))
        if moved and length:
            inner = sum(float((-c.double() * g.double()).sum()) for c, g in zip(change, gradients, strict=True))
            explained = "1 goes straight down the gradient of this batch; 0 goes across it."
            rows.append(("cos(−ΔW, G)", number(inner / (moved * length)), explained))
        return rows

    def _factor_stack(self) -> tuple[FactorStack, int] | None:
        if self._position is None or not isinstance(self._run.optimizer, FactoredOptimizer):
            return None
        for factor_stack in self._run.optimizer.factor_stacks():
            if self._position in factor_stack.positions:
                return factor_stack, list(factor_stack.positions).index(self._position)
        return None


def _norm(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in tensors))
