"""Reads this project's optimizers: factors that count their checks, in factor stacks that hold the matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from foam_viz.recording.observe.views import (
    FactorView,
    Matrices,
    Parameters,
    Reading,
    Source,
    measured,
    precision,
    to_host,
)
from foam_viz.trace.manifest import FactorInfo


class _Factor(FactorView):
    def __init__(self, info: FactorInfo, parameter: Any, factor: Any, optimizer: Any) -> None:
        super().__init__(info, parameter)
        self.factor, self._optimizer = factor, optimizer
        self.checks = 0

    def reading(self, step: int) -> Reading | None:
        factor = self.factor
        if factor.checks == self.checks:
            return None
        self.checks = factor.checks
        return Reading(
            checks=factor.checks,
            decompositions=factor.decompositions,
            reuses=factor.reuses,
            cap_refreshes=factor.cap_refreshes,
            decision=factor.reason,
            epsilon=measured(factor.epsilon),
            proxy=measured(factor.proxy),
            relative_condition=measured(factor.relative_condition),
            alpha=measured(factor.alpha),
            residual=measured(factor.residual),
            last_decomposition_step=factor.last_decomposition_step,
        )

    def matrices(self) -> Matrices | None:
        for factor_stack in self._optimizer.factor_stacks():
            for row, factor in enumerate(factor_stack.factors):
                if factor is self.factor:
                    known = factor.last_decomposition_step is not None
                    # Where no policy measures it, a factor stack keeps the inverse root alone.
                    basis = factor_stack.basis if known and getattr(factor, "keeps_basis", True) else None
                    whole_matrix = factor_stack.current([row])[0]  # which completes the statistics too
                    return Matrices(
                        current=to_host(whole_matrix),
                        statistics=to_host(factor_stack.statistics[row]),
                        beta=factor_stack.decay,
                        steps=factor_stack.steps(row),
                        precision=precision(factor_stack.statistics),
                        basis=None if basis is None else to_host(basis[row]),
                        eigenvalues=to_host(factor_stack.spectrum([row])[0]) if known else None,
                        inverse=to_host(factor_stack.inverse_root[row]) if known and basis is None else None,
                        epsilon=measured(factor.epsilon),
                        root=factor_stack.root,
                        floor=getattr(factor_stack, "floor", None),
                    )
        return None


class ProjectSource(Source[_Factor]):
    """Optimizers of ``foam_viz.optim``: ``factors()`` with counters, and ``factor_stacks()`` with the matrices."""

    def _find(self, known: set[str]) -> Iterator[_Factor]:
        optimizer = self._parameters.optimizer
        parameters = list(self._parameters)
        for factor in optimizer.factors():
            number, name, parameter, _ = parameters[factor.parameter]
            info = FactorInfo(
                id=f"{number}.block_{factor.block}.{factor.dim}",
                parameter=name,
                block=factor.block,
                dim=factor.dim,
                order=factor.order,
                size=factor.size,
            )
            yield _Factor(info, parameter, factor, optimizer)

    def readings(self, step: int) -> list[tuple[_Factor, Reading]]:
        """Return what the factors show after a step."""
        # Without a call for each factor: most steps check none.
        moved = [view for view in self.views if view.factor.checks != view.checks]
        return [(view, reading) for view in moved if (reading := view.reading(step)) is not None]


def read_project(parameters: Parameters) -> Source | None:
    """The factors of this project's optimizers, None for others."""
    optimizer = parameters.optimizer
    if not (callable(getattr(optimizer, "factors", None)) and callable(getattr(optimizer, "factor_stacks", None))):
        return None
    wanted = ("checks", "decompositions", "reuses", "last_decomposition_step")
    fits = all(hasattr(factor, name) for factor in optimizer.factors() for name in wanted)
    return ProjectSource(parameters) if fits else None
