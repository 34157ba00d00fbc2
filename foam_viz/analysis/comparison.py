"""The table of a comparison: one row a run, with what it reached and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foam_viz.analysis import targets
from foam_viz.analysis.series import Missing, series
from foam_viz.analysis.smoothing import Smoothing
from foam_viz.analysis.targets import Direction, Reach, SpeedUp, Value
from foam_viz.trace import Trace, TraceView


@dataclass(frozen=True)
class Row:
    """One run of a comparison; None where nothing was asked or the run has no such series.

    Attributes:
        best: Best raw value.
        last: Mean of the last raw values.
        at: Raw value at the step asked for.
        reach: When the smoothed curve reached the target.
        speed_up: Against the baseline; None for the baseline itself too.
        missing: Why there is nothing; empty when there is something.
    """

    best: Value | None = None
    last: Value | None = None
    at: Value | None = None
    reach: Reach | None = None
    speed_up: SpeedUp | None = None
    missing: str = ""


def compare(
    traces: Sequence[Trace | TraceView],
    metric: str,
    *,
    axis: str = "step",
    target: float | None = None,
    way: Direction | None = None,
    baseline: int | None = None,
    smoothing: Smoothing | None = None,
    at: float | None = None,
    interpolate: bool = False,
) -> list[Row]:
    """Compare runs by one metric.

    Best, last and value at a step are of the raw curve. The target is looked for in the smoothed one, where smoothing
    is asked for.

    Args:
        traces: The runs.
        metric: Column of steps.
        axis: Id of the axis that the speed-up is measured along.
        target: Value to reach; None for none.
        way: Which way is better; None asks :func:`foam_viz.analysis.targets.direction`.
        baseline: Position of the run that speed-ups are against.
        smoothing: None for none.
        at: Step whose value is asked for.
        interpolate: See :func:`foam_viz.analysis.targets.reach`.

    Returns:
        One row a trace, in order.
    """
    way = way or targets.direction(metric)
    smooth = smoothing or Smoothing()
    curves = [series(trace, metric, axis) for trace in traces]
    reaches: list[Reach | None] = [
        None
        if target is None or isinstance(curve, Missing)
        else targets.reach(curve.with_values(smooth(curve.step, curve.y)), target, way, interpolate=interpolate)
        for curve in curves
    ]
    against = reaches[baseline] if baseline is not None else None
    rows = []
    for position, (curve, reach) in enumerate(zip(curves, reaches, strict=True)):
        if isinstance(curve, Missing):
            rows.append(Row(missing=curve.reason))
            continue
        speed_up = None
        if against is not None and reach is not None and position != baseline:
            speed_up = targets.speed_up(reach, against)
        rows.append(
            Row(
                best=targets.best(curve, way),
                last=targets.last(curve),
                at=None if at is None else targets.at_step(curve, at),
                reach=reach,
                speed_up=speed_up,
            )
        )
    return rows
