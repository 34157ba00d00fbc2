"""What every adapter gives: factors to look at, each with its counters and matrices.

Optimizers are read by the shape of what they keep, never by importing them; tensors are taken for what they can do, so
that torch need not be imported here either.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeGuard, TypeVar

import numpy as np

from foam_viz.trace.manifest import FactorInfo


@dataclass(slots=True)
class Reading:
    """What a factor tells of its checks so far; None where its optimizer does not count or measure that.

    Never changed once made. (Not frozen, which would make it three times as slow to build, at every check.)

    Attributes:
        checks: Checks since the optimizer was made, and likewise the three below.
        decompositions: Eigendecompositions, or renewals of the basis.
        reuses: Checks that kept the basis.
        cap_refreshes: Decompositions because the damping would have passed its maximum.
        decision: What the latest check decided, a word of :data:`foam_viz.trace.schema.DECISIONS`.
        epsilon: Damping in force, gradient^2.
        proxy: Of the latest check, and likewise the three below.
        relative_condition: Whitened drift.
        alpha: Concentration of the inverse root.
        residual: Diagonalization residual.
        last_decomposition_step: Step of the basis in force.
    """

    checks: int = 0
    decompositions: int = 0
    reuses: int | None = None
    cap_refreshes: int | None = None
    decision: str | None = None
    epsilon: float | None = None
    proxy: float | None = None
    relative_condition: float | None = None
    alpha: float | None = None
    residual: float | None = None
    last_decomposition_step: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Matrices:
    """One factor in numbers, float64 on the host.

    Attributes:
        current: A, (n, n), bias-corrected where the optimizer does so.
        statistics: L, (n, n), before that; None where A is all that the optimizer keeps.
        beta: beta2 of the statistics, A = L / (1 - beta2^t); 1 where A is L.
        steps: t.
        precision: Type that the optimizer keeps its factors in, ``float32`` or ``float64``.
        basis: Q in force, (n, n), or None.
        eigenvalues: D kept with it, (n,), or None.
        floor: What eigenvalues are raised to where they are damped, as a share of the largest; None for no floor.
        inverse: Inverse root in force, (n, n), where no basis is kept.
        epsilon: Damping in force, gradient^2, or None where there is none.
        root: p, or None where it is not known.
    """

    current: np.ndarray
    basis: np.ndarray | None = None
    eigenvalues: np.ndarray | None = None
    inverse: np.ndarray | None = None
    epsilon: float | None = None
    root: float | None = None
    floor: float | None = None
    statistics: np.ndarray | None = None
    beta: float | None = None
    steps: int | None = None
    precision: str = "float32"


class FactorView:
    """One factor of somebody's optimizer.

    Attributes:
        info: What the manifest says of it.
        parameter: The parameter it belongs to; its ``grad`` is the latest gradient.
    """

    def __init__(self, info: FactorInfo, parameter: Any) -> None:
        self.info, self.parameter = info, parameter

    def reading(self, step: int) -> Reading | None:
        """The counters, None where no check passed since the last call; cheap, since it is called at every step."""
        raise NotImplementedError

    def matrices(self) -> Matrices | None:
        """The matrices now, None before there is anything to look at; expensive, copies them to the host."""
        raise NotImplementedError


View = TypeVar("View", bound=FactorView)


class Source(Generic[View]):
    """The factors of one optimizer.

    Attributes:
        views: The factors found so far; more may come while an optimizer makes its state.
        period: Steps between two readings of the counters; 1 where reading them is cheap.
    """

    period = 1

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self.views: list[View] = []

    def extend(self) -> list[View]:
        """Looks for factors that were not there before, adds them to ``views`` and returns them."""
        known = {view.info.id for view in self.views}
        added = [view for view in self._find(known) if view.info.id not in known]
        self.views += added
        return added

    def _find(self, known: set[str]) -> Iterator[View]:
        raise NotImplementedError

    def readings(self, step: int) -> list[tuple[View, Reading]]:
        """The factors that were checked since the last call, with their counters."""
        found = ((view, view.reading(step)) for view in self.views)
        return [(view, reading) for view, reading in found if reading is not None]


class Parameters:
    """The parameters of an optimizer with the names and numbers they have in the trace.

    Args:
        optimizer: Anything with ``param_groups``.
        model: Anything with ``named_parameters()``, for their names; None takes those that the optimizer knows.
        first: Number of the first parameter.
    """

    def __init__(self, optimizer: Any, model: Any = None, first: int = 0) -> None:
        self.optimizer, self.first = optimizer, first
        self._names = {} if model is None else {id(p): name for name, p in model.named_parameters()}

    def __iter__(self) -> Iterator[tuple[int, str, Any, Mapping[str, Any]]]:
        """Number, name, parameter and group of each parameter, in the order of the groups."""
        index = self.first
        for group in self.optimizer.param_groups:
            known = group.get("param_names") or []
            for position, parameter in enumerate(group["params"]):
                given = known[position] if position < len(known) else f"parameter {index}"
                yield index, self._names.get(id(parameter), given), parameter, group
                index += 1

    def __len__(self) -> int:
        return sum(len(group["params"]) for group in self.optimizer.param_groups)

    def signature(self) -> tuple[int, int]:
        """Changes when the optimizer may have gained factors."""
        return len(self.optimizer.param_groups), len(getattr(self.optimizer, "state", ()))


def is_tensor(value: Any) -> TypeGuard[Any]:
    """Say whether a value is a tensor, whoever made it."""
    return hasattr(value, "detach") and hasattr(value, "shape")


def is_square(value: Any) -> TypeGuard[Any]:
    """Say whether a value is a square matrix with at least one row."""
    return is_tensor(value) and len(value.shape) == 2 and value.shape[0] == value.shape[1] > 0


def precision(tensor: Any) -> str:
    """``float64`` for a tensor of that type, ``float32`` for any other."""
    return "float64" if str(tensor.dtype).endswith("float64") else "float32"


def local(tensor: Any) -> Any:
    """This process's own copy of a DTensor that each process holds whole; any other tensor as it is."""
    placements = getattr(tensor, "placements", ())
    return tensor.to_local() if placements and all(one.is_replicate() for one in placements) else tensor


def to_host(tensor: Any) -> np.ndarray:
    """A copy of a tensor as float64 on the host, also of a half-precision one.

    A DTensor that each of its processes holds whole is read from this one.

    Raises:
        TypeError: It is spread over several processes: gathering it would wait for the others.
    """
    tensor = local(tensor)
    if hasattr(tensor, "to_local"):
        raise TypeError("a matrix is spread over several processes (a DTensor) and cannot be read by one")
    return np.array(tensor.detach().cpu().float().numpy() if _is_half(tensor) else tensor.detach().cpu().numpy(), float)


def correction(beta: float, steps: int) -> float:
    """1 - beta^t, what statistics are divided by before they are decomposed; 1 for a plain sum."""
    return 1 - beta**steps if beta < 1 and steps else 1.0


def numbers_of(tensors: list[Any]) -> list[float]:
    """Numbers of tensors of one element each, in one transfer for each device and type."""
    kinds: dict[tuple[str, str], list[int]] = {}
    for position, tensor in enumerate(tensors):
        kinds.setdefault((str(tensor.device), str(tensor.dtype)), []).append(position)
    numbers = [0.0] * len(tensors)
    for positions in kinds.values():
        stacked = (
            sys.modules["torch"].stack([tensors[position].detach().reshape(()) for position in positions]).tolist()
        )
        for position, value in zip(positions, stacked, strict=True):
            numbers[position] = float(value)
    return numbers


def _is_half(tensor: Any) -> bool:
    return str(tensor.dtype).endswith(("bfloat16", "float16"))


def measured(value: float | None) -> float | None:
    """None for NaN: what an optimizer does not measure it often keeps as NaN."""
    return None if value is None or math.isnan(value) else float(value)
