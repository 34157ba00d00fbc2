"""What error is left for what work: settings as points, the best of them as a front, with fixed periods beside."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from foam_viz.analysis.replay import Grid, Summary
from foam_viz.analysis.replay_setting import Setting

Work = Literal["decompositions", "kernel_seconds"]
_REFERENCE_PERIODS = 6
COLUMNS = (
    "label", "optimizer", "period", "tau", "epsilon", "epsilon_max", "checks", "decompositions", "cap_refreshes",
    "error_left", "staleness_error", "damping_error", "directions_damped", "kernel_seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Front:
    """Points of settings, in order of rising work.

    Attributes:
        work: What was paid.
        points: All of them.
        best: Those that no other point beats in both work and error left.
    """

    work: Work
    points: tuple[Summary, ...]
    best: tuple[Summary, ...]


def front(points: Sequence[Summary], work: Work = "decompositions") -> Front:
    """The front of error left against work. Never of staleness alone, which heavy damping hides.

    Args:
        points: Replays; those whose error was not measured are left out.
        work: What was paid.
    """
    measured = [point for point in points if math.isfinite(point.error_left)]
    ordered = sorted(measured, key=lambda point: (getattr(point, work), point.error_left))
    best: list[Summary] = []
    for point in ordered:
        if not best or point.error_left < best[-1].error_left:
            best.append(point)
    return Front(work, tuple(ordered), tuple(best))


def reference_settings(setting: Setting, grid: Grid) -> list[Setting]:
    """Fixed periods and taking turns at the same eps0: what a front is read against.

    All decompose first at the first recorded check: a long period would begin late, too, and seem to leave little.

    Args:
        setting: Gives eps0 and the rule for the smallest eigenvalues.
        grid: Which periods the stream can answer for; they double from the recorded one.
    """
    most = max(grid.last // grid.period, 1)
    chosen = [grid.period * 2**i for i in range(_REFERENCE_PERIODS) if 2**i <= most]
    return [
        setting.changed({"optimizer": name, "period": period, "start": None if period == grid.first else grid.first})
        for name in ("shampoo", "shampoo-staggered")
        for period in chosen
    ]


def to_csv(points: Sequence[Summary]) -> str:
    """The points as a table with a header, one a line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for point in points:
        known = {**vars(point), **point.setting.values, "optimizer": point.setting.optimizer}
        known["label"] = point.setting.label()
        writer.writerow(["" if (value := known.get(name)) is None else value for name in COLUMNS])
    return out.getvalue()
