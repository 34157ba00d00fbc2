"""Factors of optimizers that count nothing: a renewal is seen when the numbers of a basis or an inverse root change.

Neither the identity of a tensor nor its version tells: some libraries hand out new tensors at every step, others write
where no version is kept. So a number made of each watched matrix is compared with that of the last look, all of them in
one transfer for each device and type.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from foam_viz.recording.observe.views import FactorView, Parameters, Reading, Source, numbers_of, to_host
from foam_viz.trace.manifest import FactorInfo

_DEVICE_PERIOD = 10  # steps between two looks where a look waits for a device


class RenewedFactor(FactorView):
    """One factor whose renewals are counted here.

    Attributes:
        renewals: Seen so far; 0 while the matrix is still what the optimizer started with.
    """

    def __init__(self, info: FactorInfo, parameter: Any) -> None:
        super().__init__(info, parameter)
        self.renewals = 0
        self._mark: float | None = None

    def watched(self) -> Any:
        """The basis or the inverse root in force, (n, n) or None."""
        raise NotImplementedError

    def epsilon(self) -> float | None:
        """Damping in force, gradient^2, or None where there is none."""
        return None

    def renewed(self, mark: float, step: int) -> Reading | None:
        """Take the mark of the watched matrix; a reading if it is another than at the last look."""
        first, same = self._mark is None, mark == self._mark
        self._mark = mark
        if same or (first and _is_start(to_host(self.watched()))):
            return None
        self.renewals += 1
        return Reading(
            checks=self.renewals,
            decompositions=self.renewals,
            reuses=0,
            decision="first" if self.renewals == 1 else "cadence",
            epsilon=self.epsilon(),
            last_decomposition_step=step,
        )


class RenewalSource(Source[RenewedFactor]):
    """Factors whose renewals are seen by their numbers."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters)
        devices = {str(getattr(parameter, "device", "cpu")) for _, _, parameter, _ in parameters}
        self.period = 1 if devices <= {"cpu"} else _DEVICE_PERIOD

    def readings(self, step: int) -> list[tuple[RenewedFactor, Reading]]:
        """Return what the factors show after a step."""
        watched = [(view, matrix) for view in self.views if (matrix := view.watched()) is not None]
        marks = numbers_of([_mark(matrix) for _, matrix in watched])
        found = [(view, view.renewed(mark, step)) for (view, _), mark in zip(watched, marks, strict=True)]
        return [(view, reading) for view, reading in found if reading is not None]


def _mark(matrix: Any) -> Any:
    """A number, as a tensor, that changes when the matrix does: its trace and its first row, weighed by position."""
    return matrix.diagonal(dim1=-2, dim2=-1).sum() + matrix[0].cumsum(0).sum()


def _is_start(matrix: np.ndarray) -> bool:
    """Say whether a matrix is what optimizers begin with, zero or the identity."""
    return not matrix.any() or np.array_equal(matrix, np.eye(len(matrix)))
