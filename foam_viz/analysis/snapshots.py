"""The snapshots of one factor: the newest, and what all of them span."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from foam_viz.analysis.checks import checks_of
from foam_viz.analysis.grown import grown
from foam_viz.trace import Snapshot, TraceView


def true_errors(trace: TraceView, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and true errors of the snapshots of a factor that have one; both (n,)."""
    step, error = trace.values("snapshots", "step"), trace.values("snapshots", "true_error")
    mine = trace.factor_numbers("snapshots", factor)
    known = mine[np.isfinite(error[mine])]
    return step[known], error[known]


def latest_snapshot(trace: TraceView, factor: int) -> Snapshot | None:
    """The newest snapshot of a factor; several panels ask for it."""
    return grown(trace, "snapshots", ("latest", factor), lambda _, __: trace.latest_snapshot(factor))


def snapshot_moment(trace: TraceView, factor: int, snapshot: Snapshot) -> str:
    """The step of a snapshot, and that of the factor's last check where it is another."""
    words = f"snapshot of step {snapshot.step:,}"
    rows = checks_of(trace, factor)
    if not len(rows):
        return words
    last = int(rows.step[-1])
    if last != snapshot.step:
        return f"{words}; last check {last:,}"
    # At a check a snapshot shows what was in force before the decision.
    decided = rows.decompositions[-1] > 0 and not rows.counted and snapshot.last_decomposition_step != last
    return f"{words}, before its check decided" if decided else words


def spectrum_extremes(trace: TraceView, factor: int) -> tuple[float, float] | None:
    """Smallest positive and largest eigenvalue over all snapshots of a factor; None before the first."""

    def build(seen: int, known: tuple[float, float] | None) -> tuple[float, float] | None:
        fresh = trace.snapshots.slice(seen)
        mine = trace.factor_numbers("snapshots", factor)
        mine = mine[np.searchsorted(mine, seen) :] - seen
        spectra = fresh.column("eigenvalues").take(pa.array(mine)).combine_chunks()
        values = spectra.flatten().to_numpy(zero_copy_only=False)
        values = values[(values > 0) & np.isfinite(values)]
        if len(values) == 0:
            return known
        low, high = known or (np.inf, 0.0)
        return min(low, float(values.min())), max(high, float(values.max()))

    return grown(trace, "snapshots", ("extremes", factor), build)
