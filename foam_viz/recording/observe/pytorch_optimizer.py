"""Reads pytorch-optimizer's Shampoo, ScalableShampoo and SPlus (its SOAP has the layout of the public one).

Shampoo keeps ``pre_cond_<dim>`` and ``inv_pre_cond_<dim>``: a plain sum that starts at ``matrix_eps`` I, which is its
damping, and an inverse root with p = 2 x order. ScalableShampoo keeps a preconditioner object with ``statistics`` and
``pre_conditioners``, block by block; by Schur-Newton it damps with ``matrix_eps`` times the largest eigenvalue, by SVD
with nothing. SPlus keeps ``sides`` and their eigenvectors ``q_sides``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from foam_viz.recording.observe.renewals import RenewalSource, RenewedFactor
from foam_viz.recording.observe.views import Matrices, Parameters, is_square, is_tensor, to_host
from foam_viz.trace.manifest import FactorInfo

_SUM = re.compile(r"pre_cond_(\d+)")


class _Summed(RenewedFactor):
    """A factor of Shampoo."""

    def __init__(self, info: FactorInfo, parameter: Any, state: Any, group: Any) -> None:
        super().__init__(info, parameter)
        self._state, self._group = state, group

    def watched(self) -> Any:
        return self._state.get(f"inv_pre_cond_{self.info.dim}")

    def epsilon(self) -> float:
        return float(self._group["matrix_eps"])

    def matrices(self) -> Matrices | None:
        current, epsilon = to_host(self._state[f"pre_cond_{self.info.dim}"]), self.epsilon()
        return Matrices(
            current=current - epsilon * np.eye(len(current)),
            inverse=to_host(self.watched()) if self.renewals else None,
            epsilon=epsilon,
            root=2 * self.info.order,
        )


class _Partitioned(RenewedFactor):
    """A factor of ScalableShampoo."""

    def __init__(self, info: FactorInfo, parameter: Any, preconditioner: Any, position: int) -> None:
        super().__init__(info, parameter)
        self._preconditioner, self._position = preconditioner, position

    def watched(self) -> Any:
        return self._preconditioner.pre_conditioners[self._position]

    def matrices(self) -> Matrices | None:
        mine = self._preconditioner
        current = to_host(mine.statistics[self._position])
        ridge = 0.0 if mine.use_svd else mine.matrix_eps * float(np.linalg.eigvalsh(current)[-1])
        return Matrices(
            current=current,
            inverse=to_host(self.watched()) if self.renewals else None,
            epsilon=ridge,
            root=int(mine.exponent_for_pre_conditioner),
        )


class _Sided(RenewedFactor):
    """A factor of SPlus."""

    def __init__(self, info: FactorInfo, parameter: Any, state: Any) -> None:
        super().__init__(info, parameter)
        self._state = state

    def watched(self) -> Any:
        return self._state["q_sides"][self.info.dim]

    def matrices(self) -> Matrices | None:
        basis = to_host(self.watched()) if self.renewals else None
        return Matrices(current=to_host(self._state["sides"][self.info.dim]), basis=basis)


class PytorchOptimizerSource(RenewalSource):
    """The factors in ``state[p]`` of one of the three."""

    def _find(self, known: set[str]) -> Iterator[RenewedFactor]:
        states = self._parameters.optimizer.state
        for number, name, parameter, group in self._parameters:
            state = states.get(parameter) or {}
            kind = _kind(state)

            def info(block: int, dim: int, order: int, size: int, number: int = number, name: str = name) -> FactorInfo:
                identity = f"{number}.block_{block}.{dim}"
                return FactorInfo(id=identity, parameter=name, block=block, dim=dim, order=order, size=size)

            if kind == "shampoo":
                sums = {int(m[1]): v for key, v in state.items() if (m := _SUM.fullmatch(str(key))) and is_square(v)}
                for dim, matrix in sorted(sums.items()):
                    yield _Summed(info(0, dim, parameter.ndim, len(matrix)), parameter, state, group)
            elif kind == "splus":
                for dim, matrix in enumerate(state["sides"]):
                    if is_square(matrix):
                        yield _Sided(info(0, dim, 2, len(matrix)), parameter, state)
            elif kind == "scalable":
                preconditioner = state["pre_conditioner"]
                dims = [dim for dim, chosen in enumerate(preconditioner.should_precondition_dims) if chosen]
                for position, matrix in enumerate(preconditioner.statistics):
                    block, which = divmod(position, len(dims))
                    order = len(preconditioner.transformed_shape)
                    yield _Partitioned(
                        info(block, dims[which], order, len(matrix)), parameter, preconditioner, position
                    )


def _kind(state: Any) -> str | None:
    if not isinstance(state, Mapping):
        return None
    if isinstance(state.get("sides"), list) and isinstance(state.get("q_sides"), list):
        return "splus"
    if hasattr(state.get("pre_conditioner"), "statistics") and hasattr(state["pre_conditioner"], "pre_conditioners"):
        return "scalable"
    return "shampoo" if is_tensor(state.get("pre_cond_0")) and is_tensor(state.get("inv_pre_cond_0")) else None


def read_pytorch_optimizer(parameters: Parameters) -> RenewalSource | None:
    """The factors of one of pytorch-optimizer's three, None for others."""
    states = getattr(parameters.optimizer, "state", None)
    fits = isinstance(states, Mapping) and any(_kind(state) for state in states.values())
    return PytorchOptimizerSource(parameters) if fits else None
