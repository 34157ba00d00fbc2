"""What if: a recorded run under other thresholds. This is what is asked and what comes back; an engine computes it.

A replay is *open loop*: it decides about the factors as they were recorded. Another setting would have moved the
parameters elsewhere, and so the factors. A replay of the run's own setting is exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from foam_viz.analysis.replay_setting import Setting
from foam_viz.optim.fields import FieldError
from foam_viz.recording.stream import Spacing

NEAR = 0.01
"""A decision is a near-tie where its number is within this share of the threshold."""


MAP_ERROR_EVERY = 5
"""The errors of a map are means over one check of so many."""


@dataclass(frozen=True)
class Grid:
    """The checks that a stream holds, and with them the settings that it can answer.

    Attributes:
        spacing: Which steps were kept.
        first: The first recorded step.
        last: The last recorded step.
        own: The setting that the run was trained under; None where nobody knows.
    """

    spacing: Spacing
    first: int
    last: int
    own: Setting | None

    @property
    def period(self) -> int:
        """Steps between two recorded checks of a factor; periods offered are its multiples."""
        return self.spacing.every * self.spacing.stride

    @property
    def periods(self) -> tuple[int, ...]:
        """The periods that can be offered: multiples of the recorded one that leave at least one check."""
        return tuple(range(self.period, max(self.last, self.period) + 1, self.period))

    def is_own(self, setting: Setting) -> bool:
        """Whether a replay of a setting is exact: the run's own, with no check thinned out."""
        return setting == self.own and self.spacing.stride == 1

    def require(self, setting: Setting) -> None:
        """Checks that the stream can answer.

        Raises:
            FieldError: The period is no multiple of the recorded one, or the first check was not recorded.
        """
        period, start = setting.policy.period, setting.policy.first_check
        if period % self.period:
            near = max(round(period / self.period), 1) * self.period
            allowed = f"a multiple of {self.period}, the steps between recorded checks"
            raise FieldError("period", period, allowed, f"for example {near}")
        if not self.is_own(setting) and start not in (period, self.first) and start % self.period:
            raise FieldError("start", start, f"{self.first}, the first recorded check, or a multiple of {self.period}")


TABLE = pa.schema(
    [
        pa.field("step", pa.int64()),
        pa.field("factor", pa.int32()),
        pa.field("decision", pa.string()),
        pa.field("epsilon_before", pa.float64()),
        pa.field("epsilon", pa.float64()),
        pa.field("measure", pa.float64()),
        pa.field("last_decomposition_step", pa.int64()),
        pa.field("error", pa.float64()),
        pa.field("staleness_error", pa.float64()),
        pa.field("damping_error", pa.float64()),
        pa.field("directions_damped", pa.int32()),
    ]
)


ERRORS = ("error", "staleness_error", "damping_error", "directions_damped")


COURSE = pa.schema([TABLE.field(name) for name in ("step", "factor", *ERRORS)])


@dataclass(frozen=True, eq=False)
class Replay:
    """What a setting would have done with the recorded factors.

    Attributes:
        setting: The setting.
        exact: True for the run's own setting: these are the run's own decisions. False means open loop.
        table: One row a check and factor, by step and factor, columns of ``TABLE``. ``measure`` is h or r, what the
            policy decides on; null where it measured nothing. Errors belong to the time after the decision, each
            relative to ``|| X_fresh(eps0) ||_F``, with X_fresh that of the factor of the same step: ``error`` is
            ``|| X_used - X_fresh(eps0) ||_F``, ``staleness_error`` ``|| X_used - X_fresh(eps) ||_F``,
            ``damping_error`` ``|| X_fresh(eps) - X_fresh(eps0) ||_F``; the first is at most the sum of the others.
            ``directions_damped`` counts eigenvalues of the current factor under eps.
        course: One row a factor and *recorded* check from the setting's first one on, columns of ``COURSE``: the errors
            of what was in force there, whether the setting checks there or not. Means are taken over these, so that
            settings of different periods are compared at the same moments.
        factors: Ids, by number.
        near_ties: Decisions whose number is within 1 % of the threshold: a rounding, or a slightly different run,
            might have decided otherwise.
        kernel_seconds: Projected seconds in decompositions, measures and rebuilds of inverse roots, on this machine.
        updates: Rows ``step, parameter, error, grafted_error, cosine`` where gradients were kept; the gradient stands
            for the momentum, which no stream keeps. Empty where none were asked for.
        notes: What a reader should know.
    """

    setting: Setting
    exact: bool
    table: pa.Table
    course: pa.Table
    factors: tuple[str, ...]
    near_ties: int
    kernel_seconds: float
    updates: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    _columns: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def values(self, name: str) -> np.ndarray:
        """A column as numpy; NaN for null."""
        if name not in self._columns:
            self._columns[name] = self.table[name].to_numpy(zero_copy_only=False)
        return self._columns[name]

    def held(self, name: str) -> np.ndarray:
        """A column of the course as float64; NaN for null."""
        key = f"course {name}"
        if key not in self._columns:
            self._columns[key] = self.course[name].to_numpy(zero_copy_only=False).astype(float)
        return self._columns[key]

    @property
    def open_loop(self) -> bool:
        """Whether the factors are those of another setting."""
        return not self.exact

    @property
    def checks(self) -> int:
        """Checks of all factors."""
        return len(self.table)

    @property
    def decomposes(self) -> np.ndarray:
        """Whether each check decomposed, (K,)."""
        return ~np.isin(self.values("decision"), ["reuse", "failure"])

    @property
    def decompositions(self) -> int:
        """Decompositions of all factors."""
        return int(self.decomposes.sum())

    @property
    def reuses(self) -> int:
        """Checks that kept a basis by decision."""
        return int((self.values("decision") == "reuse").sum())

    @property
    def cap_refreshes(self) -> int:
        """Decompositions because eps would have passed eps_max."""
        return int((self.values("decision") == "cap").sum())

    def mean(self, name: str) -> float:
        """Mean of an error over all recorded checks of all factors where it is finite; NaN where it is nowhere."""
        values = self.held(name)
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else math.nan

    @property
    def error_left(self) -> float:
        """Mean of ``error`` over all recorded checks: what staleness and damping together leave of a fresh one."""
        return self.mean("error")

    def per_factor(self) -> list[dict[str, Any]]:
        """Counts of each factor."""
        number, decision, decomposes = self.values("factor"), self.values("decision"), self.decomposes
        return [
            {
                "factor": name,
                "checks": int((mine := number == i).sum()),
                "decompositions": int((mine & decomposes).sum()),
                "reuses": int((mine & (decision == "reuse")).sum()),
                "cap_refreshes": int((mine & (decision == "cap")).sum()),
            }
            for i, name in enumerate(self.factors)
        ]

    def differs(self, checks: pa.Table) -> int:
        """How many of the replayed checks the run decided otherwise, or damped otherwise.

        Args:
            checks: The run's table of checks.
        """
        recorded = {
            (row["step"], row["factor"]): (row["decision"], row["epsilon"])
            for row in checks.select(["step", "factor", "decision", "epsilon"]).to_pylist()
        }
        found = zip(*(self.table[name].to_pylist() for name in ("step", "factor", "decision", "epsilon")), strict=True)
        return sum(recorded.get((step, factor)) != (decision, epsilon) for step, factor, decision, epsilon in found)

    def summary(self) -> dict[str, Any]:
        """The totals, as plain values."""
        return {
            "setting": self.setting.to_json(),
            "open_loop": self.open_loop,
            "checks": self.checks,
            "decompositions": self.decompositions,
            "reuses": self.reuses,
            "cap_refreshes": self.cap_refreshes,
            "near_ties": self.near_ties,
            "error_left": _finite(self.error_left),
            "staleness_error": _finite(self.mean("staleness_error")),
            "damping_error": _finite(self.mean("damping_error")),
            "directions_damped": _finite(self.mean("directions_damped")),
            "kernel_seconds": self.kernel_seconds,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The totals of a replay; see :class:`Replay` for what they mean. Errors are means over all checks."""

    setting: Setting
    exact: bool
    checks: int
    decompositions: int
    cap_refreshes: int
    error_left: float
    staleness_error: float
    damping_error: float
    directions_damped: float
    kernel_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values; null for an error that was not measured."""
        plain = {name: value for name, value in vars(self).items() if name != "setting"}
        finite = {k: _finite(v) if isinstance(v, float) else v for k, v in plain.items()}
        return {"setting": self.setting.to_json(), **finite}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Summary:
        """What ``to_json`` gave."""
        values = {k: math.nan if v is None else v for k, v in data.items()}
        return cls(**{**values, "setting": Setting.from_json(data["setting"])})


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
