"""Reads heavyball's SOAP, KL-SOAP and KL-Shampoo.

``state[p][<view>]["scale_by_<rule>_GG_<n>"]`` lists the factors and ``..._Q_<n>`` the bases, one a dimension, with a
leading dimension for the blocks of the parameter. The factors are already bias-corrected, and nothing is damped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from foam_viz.recording.observe.renewals import RenewalSource, RenewedFactor
from foam_viz.recording.observe.views import Matrices, Parameters, is_tensor, to_host
from foam_viz.trace.manifest import FactorInfo

_FACTORS = re.compile(r"(scale_by_\w+)_GG(_\d+)?")


class _Factor(RenewedFactor):
    def __init__(self, info: FactorInfo, parameter: Any, state: Any, keys: tuple[str, str], position: int) -> None:
        super().__init__(info, parameter)
        self._state, self._keys, self._position = state, keys, position

    def _matrix(self, key: str) -> Any:
        found = self._state.get(key)
        matrix = found[self._position] if isinstance(found, list | tuple) and self._position < len(found) else None
        return matrix[self.info.block] if is_tensor(matrix) and matrix.ndim == 3 else None

    def watched(self) -> Any:
        return self._matrix(self._keys[1])

    def matrices(self) -> Matrices | None:
        current, basis = (self._matrix(key) for key in self._keys)
        if current is None:
            return None
        return Matrices(current=to_host(current), basis=None if basis is None else to_host(basis))


def _entries(state: Any) -> Iterator[tuple[int, Mapping[str, Any], tuple[str, str], list[Any]]]:
    """The number of the view, its state, the names of factors and bases in it, and the factors."""
    for number, mine in state.items() if isinstance(state, Mapping) else ():
        for key, value in mine.items() if isinstance(number, int) and isinstance(mine, Mapping) else ():
            match = _FACTORS.fullmatch(str(key))
            if match and isinstance(value, list | tuple):
                yield number, mine, (key, f"{match[1]}_Q{match[2] or ''}"), list(value)


class HeavyballSource(RenewalSource):
    """The factors in ``state[p][<view>]``; a dimension that is not rotated has None there."""

    def _find(self, known: set[str]) -> Iterator[RenewedFactor]:
        states = self._parameters.optimizer.state
        for number, name, parameter, _ in self._parameters:
            for view, mine, keys, factors in _entries(states.get(parameter)):
                for position, factor in enumerate(factors):
                    if not is_tensor(factor) or factor.ndim != 3 or factor.shape[-1] != factor.shape[-2]:
                        continue
                    for block in range(factor.shape[0]):
                        prefix = f"{number}.block_{block}" if view == 0 else f"{number}.view_{view}.block_{block}"
                        info = FactorInfo(
                            id=f"{prefix}.{position}",
                            parameter=name,
                            block=block,
                            dim=position,
                            order=len(factors),
                            size=int(factor.shape[-1]),
                        )
                        yield _Factor(info, parameter, mine, keys, position)


def read_heavyball(parameters: Parameters) -> RenewalSource | None:
    """The factors of a heavyball optimizer that has made its first step, None for others."""
    states = getattr(parameters.optimizer, "state", None)
    if not isinstance(states, Mapping):
        return None
    fits = any(True for state in states.values() for _ in _entries(state))
    return HeavyballSource(parameters) if fits else None
