"""The factor stream of a run of our own: at each check, the statistics L of the factors that were checked.

From L, t and beta2 every proxy, decision and damping comes out again, so that a recorded run can be replayed under
other thresholds (``engine.replay``). Gradients, for the error of an update, are kept at one check of
``GRADIENT_CHECKS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from foam_viz.optim import gram
from foam_viz.recording.stream import Sample
from foam_viz.trace.manifest import FactorInfo

if TYPE_CHECKING:
    from foam_viz.optim.factored import FactoredOptimizer

GRADIENT_CHECKS = 10


class FactorStream:
    """Gathers samples of a run as it trains; draining hands them on.

    Args:
        optimizer: Of the Shampoo family.
        factors: The factors as the manifest names them, in the order of ``optimizer.factors()``.
        period: Steps between checks.
    """

    def __init__(self, optimizer: FactoredOptimizer, factors: Sequence[FactorInfo], period: int) -> None:
        self._optimizer, self._factors, self._period = optimizer, factors, period
        self._samples: list[list[Sample]] = []

    def after_step(self, step: int) -> None:
        """Copy the factors that were checked in this step."""
        samples = [
            Sample(
                step=step,
                kind="factor",
                id=factor.id,
                values=gram.complete(factor_stack.statistics[row]).cpu().numpy().copy(),
                root=factor_stack.root,
                epsilon=factor.epsilon,
                beta=factor_stack.decay,
                steps=factor_stack.steps(row),
            )
            for factor_stack in self._optimizer.factor_stacks()
            for row, factor in enumerate(factor_stack.factors)
            if factor.last_check_step == step
        ]
        if samples:
            if step // self._period % GRADIENT_CHECKS == 0:
                samples += self._gradients(step, {sample.id for sample in samples})
            self._samples.append(samples)

    def _gradients(self, step: int, ids: set[str]) -> list[Sample]:
        parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
        wanted = {
            info.parameter: parameters[int(info.id.partition(".")[0])] for info in self._factors if info.id in ids
        }
        return [
            Sample(step, "gradient", name, parameter.grad.detach().float().cpu().numpy().astype(np.float32, copy=True))
            for name, parameter in wanted.items()
            if parameter.grad is not None
        ]

    def drain(self) -> list[list[Sample]]:
        """The samples since the last drain, a list a step."""
        drained, self._samples = self._samples, []
        return drained
