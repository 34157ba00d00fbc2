"""What the seeds of one configuration reached together: mean and standard deviation, and of how many runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from foam_viz.analysis.comparison import Row
from foam_viz.analysis.targets import Value
from foam_viz.trace.numbers import number


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of a number over runs.

    Attributes:
        mean: NaN without values.
        deviation: With n - 1 below the root; NaN of fewer than two values.
        count: Runs that have the number.
        runs: Runs in all.
    """

    mean: float
    deviation: float
    count: int
    runs: int

    @property
    def text(self) -> str:
        """Mean and deviation as tables show them, with the count where runs are missing."""
        if not self.count:
            return "–"
        words = number(self.mean)
        if not math.isnan(self.deviation):
            words += f" ± {number(self.deviation)}"
        return words if self.count == self.runs else f"{words} ({self.count} of {self.runs})"

    @property
    def words(self) -> str:
        """What the text is."""
        over = f"{self.count} runs" if self.count == self.runs else f"{self.count} of {self.runs} runs"
        return f"Mean ± sample standard deviation over {over}"


def spread(values: Sequence[float | None]) -> Spread:
    """Mean and deviation of the values that are finite; the others count as missing."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    deviation = statistics.stdev(known) if len(known) > 1 else math.nan
    return Spread(statistics.fmean(known) if known else math.nan, deviation, len(known), len(values))


@dataclass(frozen=True)
class GroupRow:
    """What a group of runs reached; the fields are those of :class:`foam_viz.analysis.comparison.Row`."""

    best: Spread
    last: Spread
    at: Spread
    steps: Spread
    x: Spread


def group_row(rows: Sequence[Row]) -> GroupRow:
    """Put the rows of a group together; only runs that reached the target have steps to it."""

    def of(value: Value | None) -> float | None:
        return None if value is None else value.value

    reached = [row.reach if row.reach is not None and row.reach.reached else None for row in rows]
    return GroupRow(
        best=spread([of(row.best) for row in rows]),
        last=spread([of(row.last) for row in rows]),
        at=spread([of(row.at) for row in rows]),
        steps=spread([None if reach is None else reach.step for reach in reached]),
        x=spread([None if reach is None else reach.x for reach in reached]),
    )
