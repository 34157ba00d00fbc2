"""Reads Meta's Distributed Shampoo and the optimizer of the FOAM artifact, which was made from it.

``state[p]["block_<i>"]["shampoo"]`` holds lists, one entry a dimension: factor matrices, and inverse roots or bases.
The names differ from version to version, so each is looked for under all that are known. FOAM's also holds counters, as
tensors: reading them waits for the device, so they are read every :data:`COUNTER_PERIOD` steps, all in one transfer for
each kind. Without counters a basis or an inverse root that was written to since the last look counts as decomposed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from foam_viz.trace.manifest import FactorInfo
from foam_viz.trace.observe_views import (
    FactorView,
    Matrices,
    Parameters,
    Reading,
    Source,
    is_square,
    is_tensor,
    measured,
    to_host,
)

COUNTER_PERIOD = 50

_BLOCK = re.compile(r"block_(\d+)")
_MATRICES = ("factor_matrices",)
_BASES = ("eigenvectors", "factor_matrices_eigenvectors")
_EIGENVALUES = ("eigenvalues", "factor_matrices_eigenvalues")
_INVERSES = ("inv_factor_matrices",)
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


def _entry(factors: Any, names: Sequence[str], place: int) -> Any:
    found = _part(factors, names)
    return found[place] if found is not None and place < len(found) else None


class _Factor(FactorView):
    def __init__(self, info: FactorInfo, parameter: Any, state: Any, block: Any, group: Any, place: int) -> None:
        super().__init__(info, parameter)
        self._state, self._block, self._group, self._place = state, block, group, place
        self._renewals = 0
        self._last: int | None = None
        self.counts = is_tensor(_entry(block, (_COUNTERS["checks"],), place))
        self._watched = None if self.counts else _entry(block, (*_BASES, *_INVERSES), place)
        self._version = self._watched._version if is_tensor(self._watched) else 0

    def tensors(self) -> dict[str, Any]:
        """The counters and measures that the block keeps, by the name a Reading has for them."""
        named = {**_COUNTERS, **_MEASURES}
        found = {name: _entry(self._block, (theirs,), self._place) for name, theirs in named.items()}
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
        block, place = self._block, self._place
        statistics = to_host(_entry(block, _MATRICES, place)) / self._correction()
        basis, eigenvalues = (_entry(block, names, place) for names in (_BASES, _EIGENVALUES))
        inverse = _entry(block, _INVERSES, place)
        ready = self._last is not None
        if self.counts:
            flag = _entry(block, ("has_eigendecomposition",), place)
            ready = bool(flag) if flag is not None else bool(_entry(block, (_COUNTERS["decompositions"],), place))
        epsilon = _entry(block, (_MEASURES["epsilon"],), place)
        return Matrices(
            current=statistics,
            basis=to_host(basis) if ready and is_square(basis) else None,
            eigenvalues=to_host(eigenvalues) if ready and is_tensor(eigenvalues) else None,
            inverse=to_host(inverse) if ready and not is_square(basis) and is_square(inverse) else None,
            epsilon=measured(_number(self._group.get("epsilon") if epsilon is None else epsilon)),
            root=_root(self._group, self.info.order),
        )

    def _correction(self) -> float:
        """1 - beta2^t, what the statistics are divided by before they are decomposed."""
        betas = self._group.get("betas")
        beta = _number(self._group.get("beta2", betas[1] if betas else 1.0))
        steps = int(_number(self._state.get("step")) or 0)
        corrected = self._group.get("use_bias_correction", True)
        return 1 - beta**steps if corrected and beta is not None and beta < 1 and steps else 1.0


def _number(value: Any) -> float | None:
    """A number, or a tensor of one number; None for anything else."""
    if isinstance(value, int | float):
        return float(value)
    return float(value.detach().item()) if is_tensor(value) and value.numel() == 1 else None


def _root(group: Mapping[str, Any], order: int) -> int | None:
    """p of a block of that order; None where the group says it in a way that is not known here."""
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


class KroneckerSource(Source):
    """The factors in ``state[p]["block_<i>"]["shampoo"]``."""

    def _find(self, known: set[str]) -> Iterator[FactorView]:
        states = self._parameters.optimizer.state
        for number, name, parameter, group in self._parameters:
            state = states.get(parameter) or {}
            for key, block in state.items():
                match = _BLOCK.fullmatch(str(key))
                factors = block.get("shampoo") if match and isinstance(block, Mapping) else None
                matrices = _part(factors, _MATRICES) if factors is not None else None
                for place, matrix in enumerate(matrices or ()):
                    identity = f"{number}.{key}.{place}"
                    if identity in known or not is_square(matrix):
                        continue
                    info = FactorInfo(
                        id=identity,
                        parameter=name,
                        block=int(match[1]),
                        dim=place,
                        order=len(matrices),
                        size=int(matrix.shape[0]),
                    )
                    view = _Factor(info, parameter, state, factors, group, place)
                    if view.counts:
                        self.period = COUNTER_PERIOD
                    yield view

    def readings(self, step: int) -> list[tuple[FactorView, Reading]]:
        counted = [view for view in self.views if view.counts]
        found = [(view, reading) for view in self.views if not view.counts and (reading := view.reading(step))]
        wanted = [(view, name, tensor) for view in counted for name, tensor in view.tensors().items()]
        numbers: dict[str, dict[str, float]] = {}
        for (view, name, _), value in zip(wanted, _transfer([tensor for *_, tensor in wanted]), strict=True):
            numbers.setdefault(view.info.id, {})[name] = value
        for view in counted:
            mine = numbers.get(view.info.id, {})
            whole = {name: int(mine[name]) for name in _COUNTERS if name in mine}
            real = {name: measured(mine[name]) for name in _MEASURES if name in mine}
            if whole.get("last_decomposition_step", 0) <= 0:
                whole.pop("last_decomposition_step", None)
            found.append((view, Reading(**whole, **real)))
        return found


def _transfer(tensors: list[Any]) -> list[float]:
    """Numbers of tensors of one element each, in one transfer for each device and type."""
    torch = sys.modules["torch"]
    kinds: dict[tuple[str, str], list[int]] = {}
    for place, tensor in enumerate(tensors):
        kinds.setdefault((str(tensor.device), str(tensor.dtype)), []).append(place)
    numbers = [0.0] * len(tensors)
    for places in kinds.values():
        stacked = torch.stack([tensors[place].detach().reshape(()) for place in places]).tolist()
        for place, value in zip(places, stacked, strict=True):
            numbers[place] = float(value)
    return numbers


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
