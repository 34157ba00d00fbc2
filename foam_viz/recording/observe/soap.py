"""Reads the public SOAP: ``state[p]["GG"]`` with the factors and ``state[p]["Q"]`` with the bases.

It counts nothing itself, so renewals are counted here: a basis that is another tensor than at the last look, or one
that was written to since, was renewed; where several updates passed, ``precondition_frequency`` says how often.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from foam_viz.recording.observe.views import FactorView, Matrices, Parameters, Reading, Source, is_square, to_host
from foam_viz.trace.manifest import FactorInfo


class _Factor(FactorView):
    def __init__(
        self, info: FactorInfo, parameter: Any, state: Mapping[str, Any], group: Mapping[str, Any], position: int
    ) -> None:
        super().__init__(info, parameter)
        self._state, self._group, self._position = state, group, position
        self._basis: Any = None
        self._version = self._updates_before = self._renewals = 0

    def _basis_now(self) -> Any:
        bases = self._state.get("Q")
        basis = bases[self._position] if bases is not None and self._position < len(bases) else None
        return basis if is_square(basis) else None

    def _updates(self) -> int:
        """n: SOAP's first call makes the basis and no update."""
        if "step" in self._state:
            return int(self._state["step"])
        return max(int(self._group.get("step", 1)) - 1, 0)

    def reading(self, step: int) -> Reading | None:
        basis = self._basis_now()
        if basis is None or (basis is self._basis and basis._version == self._version):
            return None
        updates = self._updates()
        period = self._state.get("precondition_frequency", self._group.get("precondition_frequency"))
        passed = updates // period - self._updates_before // period if period else 1
        first = self._renewals == 0
        self._renewals += max(int(passed), 1)
        self._basis, self._version, self._updates_before = basis, basis._version, updates
        return Reading(
            checks=self._renewals,
            decompositions=self._renewals,
            reuses=0,
            decision="first" if first else "cadence",
            last_decomposition_step=step,
        )

    def matrices(self) -> Matrices | None:
        basis = self._basis_now()
        return Matrices(
            current=to_host(self._state["GG"][self._position]), basis=None if basis is None else to_host(basis)
        )


class SoapSource(Source):
    """The factors in ``state[p]["GG"]``, one a dimension; a dimension without one has an empty list there."""

    def _find(self, known: set[str]) -> Iterator[FactorView]:
        state = self._parameters.optimizer.state
        for number, name, parameter, group in self._parameters:
            mine = state.get(parameter) or {}
            if not _is_soap(mine):
                continue
            for position, factor in enumerate(mine["GG"]):
                if is_square(factor):
                    size, order = int(factor.shape[0]), len(mine["GG"])
                    info = FactorInfo(
                        id=f"{number}.block_0.{position}", parameter=name, block=0, dim=position, order=order, size=size
                    )
                    yield _Factor(info, parameter, mine, group, position)


def _is_soap(state: Any) -> bool:
    return isinstance(state, Mapping) and isinstance(state.get("GG"), list | tuple) and "Q" in state


def read_soap(parameters: Parameters) -> Source | None:
    """The factors of a public SOAP that has made its first step, None for others."""
    states = getattr(parameters.optimizer, "state", None)
    if not isinstance(states, Mapping) or not any(_is_soap(state) for state in states.values()):
        return None
    return SoapSource(parameters)
