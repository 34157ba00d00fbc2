"""Reads Meta's Distributed Shampoo and the optimizer of the FOAM artifact, which was made from it.

``state[p]["block_<i>"]["shampoo"]`` holds lists, one entry a dimension: factor matrices, and inverse roots or bases.
The names differ from version to version, so each is looked for under all that are known. Newer versions keep symmetric
matrices as packed upper triangles; under DDP each process holds its own blocks, as DTensors. FOAM's optimizer keeps
counters too, as tensors: reading them waits for the device, so they are read every :data:`COUNTER_PERIOD` steps, all in
one transfer for each kind. Without counters a basis or an inverse root that was written to since the last look counts
as decomposed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from foam_viz.recording.observe.views import (
    FactorView,
    Matrices,
    Parameters,
    Reading,
    Source,
    correction,
    is_square,
    is_tensor,
    local,
    measured,
    numbers_of,
    precision,
    to_host,
)
from foam_viz.trace.manifest import FactorInfo

COUNTER_PERIOD = 50

_BLOCK = re.compile(r"block_(\d+)")
_MATRICES = ("factor_matrices",)
_BASES = ("eigenvectors", "factor_matrices_eigenvectors")
_EIGENVALUES = ("eigenvalues", "factor_matrices_eigenvalues")
_INVERSES = ("inv_factor_matrices",)
_CORRECTED = ("corrected_eigenvalues",)
_ROOTS = ("inv_root_override", "exponent_override")
# What a Reading calls it, and what the artifact does.
_COUNTERS = {
    "checks": "check_calls",
    "decompositions": "evd_calls",
    "reuses": "reuse_calls",
    "cap_refreshes": "cap_refreshes",
    "last_decomposition_step": "last_refresh_step",
}
_MEASURES = {
    "epsilon": "adaptive_epsilons",
    "proxy": "last_proxy",
    "relative_condition": "last_relative_condition",
    "alpha": "last_alpha",
}


def _part(factors: Any, names: Sequence[str]) -> Sequence[Any] | None:
    """The list that a block keeps under one of several names; None where it has none."""
    for name in names:
        found = factors.get(name) if isinstance(factors, Mapping) else getattr(factors, name, None)
        if isinstance(found, Mapping):
            found = list(found.values())
        # Newer versions wrap the list in an object that can store it in fewer bits.
        for wrapped in ("dequantized_value", "quantized_value"):
            found = getattr(found, wrapped, found)
        if isinstance(found, list | tuple) and found:
            return found
    return None


def _entry(factors: Any, names: Sequence[str], position: int) -> Any:
    found = _part(factors, names)
    return found[position] if found is not None and position < len(found) else None


class _Factor(FactorView):
    def __init__(
        self, info: FactorInfo, parameter: Any, states: Any, block: Any, group: Mapping[str, Any], position: int
    ) -> None:
        super().__init__(info, parameter)
        self._states, self._state = states, states.get(parameter) or {}
        self._block, self._group, self._position = block, group, position
        self._renewals = 0
        self._last: int | None = None
        self.counts = is_tensor(_entry(block, (_COUNTERS["checks"],), position))
        self._watched = None if self.counts else local(_entry(block, (*_BASES, *_INVERSES), position))
        self._version = self._watched._version if is_tensor(self._watched) else 0

    def tensors(self) -> dict[str, Any]:
        """The counters and measures that the block keeps, by the name a Reading has for them."""
        named = {**_COUNTERS, **_MEASURES}
        found = {name: _entry(self._block, (theirs,), self._position) for name, theirs in named.items()}
        return {name: value for name, value in found.items() if is_tensor(value)}

    def reading(self, step: int) -> Reading | None:
        """By the version of the watched tensor, for blocks without counters."""
        if self._watched is None or self._watched._version == self._version:
            return None
        first = self._renewals == 0
        self._version, self._last = self._watched._version, step
        self._renewals += 1
        return Reading(
            checks=self._renewals,
            decompositions=self._renewals,
            reuses=0,
            decision="first" if first else "cadence",
            epsilon=_number(self._group.get("epsilon")),
            last_decomposition_step=step,
        )

    def matrices(self) -> Matrices | None:
        block, position = self._block, self._position
        statistics = unpacked(to_host(_entry(block, _MATRICES, position)))
        beta, steps = self._decay(), self._steps()
        basis, eigenvalues = (_entry(block, names, position) for names in (_BASES, _EIGENVALUES))
        inverse = _entry(block, _INVERSES, position)
        ready = self._last is not None
        if self.counts:
            flag = _entry(block, ("has_eigendecomposition",), position)
            ready = bool(flag) if flag is not None else bool(_entry(block, (_COUNTERS["decompositions"],), position))
        epsilon = _entry(block, (_MEASURES["epsilon"],), position)
        return Matrices(
            current=statistics / correction(beta, steps),
            statistics=statistics,
            beta=beta,
            steps=steps,
            precision=precision(_entry(block, _MATRICES, position)),
            basis=to_host(basis) if ready and is_square(basis) else None,
            eigenvalues=to_host(eigenvalues) if ready and is_tensor(eigenvalues) else None,
            inverse=unpacked(to_host(inverse)) if ready and not is_square(basis) and is_tensor(inverse) else None,
            epsilon=measured(_number(self._group.get("epsilon") if epsilon is None else epsilon)),
            root=None if _entry(block, _CORRECTED, 0) is not None else _root(self._group, self.info),
        )

    def _decay(self) -> float:
        """beta2 of the statistics; 1 where nothing is divided by 1 - beta2^t."""
        config = self._group.get("preconditioner_config")
        if getattr(config, "drop_weighting_factor_on_gsquare", False) or not self._group.get(
            "use_bias_correction", True
        ):
            return 1.0
        betas = self._group.get("betas")
        beta = _number(self._group.get("beta2", betas[1] if betas else 1.0))
        return 1.0 if beta is None else beta

    def _steps(self) -> int:
        """t. Some keep it with every parameter, some with the first of a group alone."""
        own = self._state.get("step")
        if own is None:
            states = (self._states.get(parameter) for parameter in self._group["params"])
            own = next((state["step"] for state in states if state and "step" in state), None)
        return int(_number(own) or 0)


def _number(value: Any) -> float | None:
    """A number, or a tensor of one number; None for anything else."""
    if isinstance(value, int | float):
        return float(value)
    return float(value.detach().item()) if is_tensor(value) and value.numel() == 1 else None


def _rows(matrix: Any) -> int:
    """n of a factor kept as (n, n), or as its packed triangle of n (n + 1) / 2 numbers; 0 for anything else."""
    if is_square(matrix):
        return int(matrix.shape[0])
    if not is_tensor(matrix) or len(matrix.shape) != 1:
        return 0
    rows = _triangle_rows(int(matrix.shape[0]))
    return rows if rows * (rows + 1) // 2 == matrix.shape[0] else 0


def _triangle_rows(count: int) -> int:
    """n of a triangle of n (n + 1) / 2 numbers."""
    return (math.isqrt(8 * count + 1) - 1) // 2


def unpacked(values: np.ndarray) -> np.ndarray:
    """A symmetric matrix (n, n) from its upper triangle by rows, n (n + 1) / 2 numbers; a matrix as it is."""
    if values.ndim == 2:
        return values
    rows = _triangle_rows(len(values))
    matrix = np.zeros((rows, rows))
    matrix[np.triu_indices(rows)] = values
    return matrix + np.triu(matrix, 1).T


def _root(group: Mapping[str, Any], info: FactorInfo) -> float | None:
    """p of a factor; None where the group says it in a way that is not known here."""
    order, config = info.order, group.get("preconditioner_config")
    overrides = getattr(config, "inverse_exponent_override", None)
    if isinstance(overrides, Mapping):
        exponent = overrides.get(order, 1 / (2 * max(order, 1)))
        if isinstance(exponent, Mapping):
            exponent = exponent.get(info.dim, 1 / (2 * max(order, 1)))
        return 1 / exponent if exponent > 0 else None
    for name in _ROOTS:
        override = group.get(name, 0)
        if isinstance(override, list | tuple):
            override = override[order] if order < len(override) else 0
        if not isinstance(override, int):
            return None
        if override > 0:
            return override
    multiplier = group.get("exponent_multiplier", 1.0)
    return 2 * order if multiplier in (None, 1, 1.0) and "preconditioner_config" not in group else None


class KroneckerSource(Source[_Factor]):
    """The factors in ``state[p]["block_<i>"]["shampoo"]``."""

    def _find(self, known: set[str]) -> Iterator[_Factor]:
        states = self._parameters.optimizer.state
        for number, name, parameter, group in self._parameters:
            state = states.get(parameter) or {}
            for key, block in state.items():
                match = _BLOCK.fullmatch(str(key))
                if match is None:
                    continue
                factors = block.get("shampoo") if isinstance(block, Mapping) else None
                matrices = (_part(factors, _MATRICES) if factors is not None else None) or ()
                for position, matrix in enumerate(matrices):
                    identity = f"{number}.{key}.{position}"
                    # A block that another process keeps is empty here.
                    if identity in known or not _rows(matrix) or not local(matrix).numel():
                        continue
                    info = FactorInfo(
                        id=identity,
                        parameter=name,
                        block=int(match[1]),
                        dim=position,
                        order=len(matrices),
                        size=_rows(matrix),
                    )
                    view = _Factor(info, parameter, states, factors, group, position)
                    if view.counts:
                        self.period = COUNTER_PERIOD
                    yield view

    def readings(self, step: int) -> list[tuple[_Factor, Reading]]:
        """Return what the factors show after a step."""
        counted = [view for view in self.views if view.counts]
        found = [(view, reading) for view in self.views if not view.counts and (reading := view.reading(step))]
        wanted = [(view, name, tensor) for view in counted for name, tensor in view.tensors().items()]
        numbers: dict[str, dict[str, float]] = {}
        for (view, name, _), value in zip(wanted, numbers_of([tensor for *_, tensor in wanted]), strict=True):
            numbers.setdefault(view.info.id, {})[name] = value
        for view in counted:
            mine = numbers.get(view.info.id, {})
            told: dict[str, Any] = {name: int(mine[name]) for name in _COUNTERS if name in mine}
            if told.get("last_decomposition_step", 0) <= 0:
                told.pop("last_decomposition_step", None)
            told |= {name: measured(mine[name]) for name in _MEASURES if name in mine}
            found.append((view, Reading(**told)))
        return found


def read_kronecker(parameters: Parameters) -> Source | None:
    """The factors of a Distributed Shampoo or of FOAM's artifact, None for others."""
    states = getattr(parameters.optimizer, "state", None)
    if not isinstance(states, Mapping):
        return None
    for state in states.values():
        for key, block in state.items() if isinstance(state, Mapping) else ():
            if _BLOCK.fullmatch(str(key)) and isinstance(block, Mapping) and "shampoo" in block:
                return KroneckerSource(parameters)
    return None
