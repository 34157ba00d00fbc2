"""The settings of a run as they were in force at each step: its configuration, and the edits made while it trained.

An edit is a row of the table of events with a ``setting`` and its new ``value``, which holds from that step on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foam_viz.analysis.configuration import goes_by_residual, optimizer_setting
from foam_viz.trace import TraceView


@dataclass(frozen=True, eq=False)
class Course:
    """One setting over the run: constant from each of its steps to the next.

    Attributes:
        step: (n,) int64, ascending, each once; the first is 0.
        value: (n,) float64, the value from that step on; NaN where the optimizer has no such setting.
    """

    step: np.ndarray
    value: np.ndarray

    def at(self, steps: np.ndarray | float) -> np.ndarray:
        """The value in force at each of some steps, in their shape."""
        return self.value[np.maximum(np.searchsorted(self.step, steps, side="right") - 1, 0)]

    @property
    def changes(self) -> bool:
        """Whether the setting was changed while the run trained."""
        return len(self.step) > 1


def course(trace: TraceView, name: str) -> Course:
    """How a setting of the optimizer went over the run.

    Args:
        trace: The run.
        name: ``tau``, ``epsilon``, ``epsilon_max``, ``period``, ``start``, ``lr`` or another number among its settings.
    """
    configured = optimizer_setting(trace.manifest, name)
    step, value = [0], [np.nan if configured is None else configured]
    if trace.has("events", "setting"):
        edited = np.flatnonzero(trace.values("events", "setting") == name)
        at, to = trace.values("events", "step")[edited], trace.values("events", "value")[edited]
        for row in np.argsort(at, kind="stable"):  # of one step the last edit holds
            if not np.isfinite(to[row]) or to[row] == value[-1]:
                continue
            if at[row] == step[-1]:
                value[-1] = float(to[row])
            else:
                step.append(int(at[row]))
                value.append(float(to[row]))
    return Course(np.array(step, np.int64), np.array(value, np.float64))


@dataclass(frozen=True)
class Settings:
    """What the panels need of an optimizer's settings at one step; None where it has no such thing."""

    tau: float | None
    epsilon: float | None
    epsilon_max: float | None
    period: int | None
    start: int | None
    lr: float | None
    residual: bool
    """The basis is judged by the diagonalization residual r, not by the proxy h."""

    @property
    def measure(self) -> str:
        """Symbol of the measured number that decides."""
        return "r" if self.residual else "h"


def by_residual(trace: TraceView) -> bool:
    """Where the residual decides, or where it is all there is: SOAP does not damp its factors, so it has no proxy."""
    if goes_by_residual(trace.manifest):
        return True
    return trace.has("checks", "residual") and not trace.has("checks", "proxy")


def settings_at(trace: TraceView, step: float) -> Settings:
    """The settings in force at a step: those of the configuration, with every edit up to that step."""

    def number(name: str) -> float | None:
        value = float(course(trace, name).at(step))
        return None if np.isnan(value) else value

    period, start = number("period"), number("start")
    return Settings(
        tau=number("tau"),
        epsilon=number("epsilon"),
        epsilon_max=number("epsilon_max"),
        period=int(period) if period else None,
        start=int(start) if start else int(period) if period else None,
        lr=number("lr"),
        residual=by_residual(trace),
    )
