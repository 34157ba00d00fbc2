"""Best, last and first: what a metric reached, when it reached a target, and how much sooner than a baseline.

A run that ended without reaching the target is not left out and not given its last step: its time is *at least* that,
and every number computed from it says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from foam_viz.analysis.series import Series
from foam_viz.trace.final import final
from foam_viz.trace.numbers import number

Direction = Literal["lower", "higher"]
Status = Literal["reached", "not reached", "diverged", "no values"]

DIRECTIONS: tuple[tuple[str, Direction], ...] = (
    (
        r"accurac|(?:^|[/_.])acc(?:$|[/_.@\d])|top[-_]?\d|bleu|rouge|score|reward|(?:^|[/_.])(?:f1|auc|map|r2|ssim|psnr)",
        "higher",
    ),
    (r"throughput|tokens_per|samples_per|(?:^|[/_.])mfu", "higher"),
    (
        r"loss|objective|(?:^|[/_.])(?:ce|nll|mse|mae|rmse|kl|bpb|bpc|wer|cer|ppl)(?:$|[/_.])|perplex|error|residual",
        "lower",
    ),
    (r"second|duration|runtime|decomposition|(?:^|[/_.])(?:time|step_time|ms)(?:$|[/_.])", "lower"),
)
"""Patterns of a metric's name and which way is better; the first that is found counts."""


def direction(metric: str, override: Mapping[str, Direction] | None = None) -> Direction:
    """Which way a metric is better. ``override`` names metrics for which the reader said so; lower where unknown."""
    if override and metric in override:
        return override[metric]
    name = metric.lower()
    for pattern, way in DIRECTIONS:
        if re.search(pattern, name):
            return way
    return "lower"


@dataclass(frozen=True)
class Value:
    """A value of a curve and where it was.

    Attributes:
        value: NaN when there is none.
        step: Step it belongs to.
        x: Place on the axis of the series.
        words: What must be said beside it; empty for nothing.
        whole: True for a count, which is shown as a whole number.
    """

    value: float
    step: float = math.nan
    x: float = math.nan
    words: str = ""
    whole: bool = False

    @property
    def text(self) -> str:
        """The value as every table and reading shows it."""
        return number(int(self.value)) if self.whole and math.isfinite(self.value) else number(self.value)


def best(series: Series, way: Direction) -> Value:
    """The best finite value and where it was first."""
    rows = np.flatnonzero(series.finite)
    if not len(rows):
        return Value(math.nan, words="no finite value")
    values = series.y[rows]
    at = rows[int(values.argmin() if way == "lower" else values.argmax())]
    return Value(float(series.y[at]), float(series.step[at]), float(series.x[at]), whole=series.whole)


def last(series: Series) -> Value:
    """What :func:`foam_viz.trace.final.final` says of a curve; of a count, which only grows, its last value."""
    if not len(series):
        return Value(math.nan, words="no value")
    place = (float(series.step[-1]), float(series.x[-1]))
    if series.whole:
        return Value(float(series.y[-1]), *place, "the last value", whole=True)
    found = final(series.step, series.y)
    return Value(found.value, *place, found.words)


def at_step(series: Series, step: float) -> Value:
    """The value at a step: the one logged there, or the latest before it; none beyond the last step logged."""
    if not len(series) or step < series.step[0]:
        return Value(math.nan, words="nothing logged so early")
    if step > series.step[-1]:
        return Value(math.nan, words=f"ended at step {series.step[-1]:,.0f}")
    at = int(np.searchsorted(series.step, step, side="right")) - 1
    words = "" if series.step[at] == step else f"logged at step {series.step[at]:,.0f}"
    return Value(float(series.y[at]), float(series.step[at]), float(series.x[at]), words, series.whole)


@dataclass(frozen=True)
class Reach:
    """Whether and when a curve reached a target.

    Attributes:
        status: ``reached``; ``not reached`` by the last value; ``diverged`` before reaching it; ``no values``.
        step: Step of the crossing, or the last step at which it had not been reached: then the true one is later.
        x: The same on the axis of the series.
        value: Value there.
        since: Step of the value before the crossing: the target was reached after it. NaN when the first value logged
            was already past the target, which may then have been reached earlier still.
        interpolated: True when ``step`` and ``x`` lie on the straight line between two values logged.
    """

    status: Status
    step: float = math.nan
    x: float = math.nan
    value: float = math.nan
    since: float = math.nan
    interpolated: bool = False

    @property
    def reached(self) -> bool:
        """True when there is a crossing."""
        return self.status == "reached"

    @property
    def words(self) -> str:
        """What a table shows beside or instead of the number."""
        if self.status == "no values":
            return "no values"
        if self.status == "diverged":
            return f"not reached: diverged after step {self.step:,.0f}"
        if self.status == "not reached":
            return f"not reached by step {self.step:,.0f}"
        if math.isnan(self.since):
            return f"by step {self.step:,.0f}, the first value logged"
        return f"step {self.step:,.0f}, interpolated" if self.interpolated else f"step {self.step:,.0f}"


def reach(series: Series, target: float, way: Direction, *, interpolate: bool = False) -> Reach:
    """When a curve first is at the target or past it. Smooth the series first to search the smoothed curve.

    After a divergence nothing counts, and values that are not finite never reach anything.

    Args:
        series: The curve.
        target: The value to reach.
        way: Which way is better.
        interpolate: Take the crossing of the straight line from the value before, instead of the first value logged
            past the target.
    """
    end = len(series)
    if series.diverged_step is not None:
        end = int(np.searchsorted(series.step, series.diverged_step, side="left"))
    finite = series.finite[:end]
    if not finite.any():
        return Reach("diverged" if series.diverged_step is not None and len(series) else "no values",
                     step=float(series.diverged_step) if series.diverged_step is not None else math.nan)  # fmt: skip
    y = series.y[:end]
    with np.errstate(invalid="ignore"):
        past = finite & ((y <= target) if way == "lower" else (y >= target))
    if not past.any():
        at = int(np.flatnonzero(finite)[-1])
        status: Status = "diverged" if series.diverged_step is not None else "not reached"
        return Reach(status, float(series.step[at]), float(series.x[at]), float(y[at]))
    at = int(past.argmax())
    step, x, value = float(series.step[at]), float(series.x[at]), float(y[at])
    before = at - 1
    since = float(series.step[before]) if at > 0 else math.nan
    if not interpolate or at == 0 or not finite[before] or value == target:
        return Reach("reached", step, x, value, since)
    share = (target - float(y[before])) / (value - float(y[before]))
    between = float(series.step[before]) + share * (step - float(series.step[before]))
    place = float(series.x[before]) + share * (x - float(series.x[before]))
    return Reach("reached", between, place, target, since, interpolated=True)


@dataclass(frozen=True)
class SpeedUp:
    """How much sooner a run reached a target than a baseline did.

    Attributes:
        ratio: Baseline's place on the axis over the run's; NaN when nothing can be said.
        bound: ``exact``; ``at least``, when the baseline never got there; ``at most``, when the run never did.
        words: As a table shows it.
    """

    ratio: float
    bound: Literal["exact", "at least", "at most", "none"]
    words: str


def speed_up(run: Reach, baseline: Reach) -> SpeedUp:
    """Compare two reaches of one target on one axis, carrying along what was not reached.

    A run that was stopped before the target bounds the ratio by its last place. One that diverged bounds nothing: it
    would never have got there.
    """
    if run.status == "no values" or baseline.status == "no values":
        return SpeedUp(math.nan, "none", "no values")
    if not run.reached and (not baseline.reached or run.status == "diverged"):
        return SpeedUp(math.nan, "none", "not reached" if run.status != "diverged" else "not reached: diverged")
    if baseline.status == "diverged":
        return SpeedUp(math.nan, "none", "baseline diverged")
    if not (run.x > 0 and baseline.x > 0):
        return SpeedUp(math.nan, "none", "reached at the very start")
    ratio = baseline.x / run.x
    if run.reached and baseline.reached:
        return SpeedUp(ratio, "exact", f"{ratio:.2f}×")
    if run.reached:
        return SpeedUp(ratio, "at least", f"≥ {ratio:.2f}×: the baseline had not reached it by then")
    return SpeedUp(ratio, "at most", f"≤ {ratio:.2f}×: not reached by step {run.step:,.0f}")
