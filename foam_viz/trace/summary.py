"""What can be said about one trace in a line: the numbers that ``inspect`` prints."""

from __future__ import annotations

import math

import numpy as np

from foam_viz.trace.counts import refreshes, total
from foam_viz.trace.final import final_of, rows_in_order
from foam_viz.trace.model import Trace
from foam_viz.trace.schema import is_numeric


def summarize(trace: Trace) -> dict[str, object]:
    """Summarize a trace in plain JSON values; None stands for NaN, inf and what the trace does not hold.

    Returns:
        name, format, files, notes: From the manifest.
        rows, first_step, last_step: Of the steps table.
        columns: Numeric columns of steps that hold at least one value.
        metrics: For each of them its last value, its minimum and its maximum; NaN does not count as a value there.
        final_loss: Mean training loss of the last steps, see :mod:`foam_viz.trace.final`.
        checks, decompositions: Over all factors and the whole run.
        decompositions_per_factor_and_100_steps: From the first step to the last: what the run paid, whatever its
            period of checks. With ``_left`` and ``_right``, over dimensions 0 and 1 of order-2 blocks.
        decompositions_per_check: The share of checks that decomposed, and likewise of either side.
        optimizer_seconds: At the last step that has them.
        diverged: True when the manifest says so or the last training loss is NaN or inf.
        table_of_runs: Only for a table with one row a run: its rows, objects of settings and end values.
    """
    manifest = trace.manifest
    steps = trace.values("steps", "step")
    columns = [field.name for field in trace.steps.schema if is_numeric(field.type) and trace.has("steps", field.name)]
    loss = _present(trace, "loss")
    decompositions = total(trace, "decompositions")
    if decompositions is None and "decompositions" in columns:
        decompositions = int(_present(trace, "decompositions")[-1])
    seconds = _present(trace, "optimizer_seconds")
    last_loss_is_bad = bool(len(loss)) and not math.isfinite(loss[-1])
    return {
        "name": manifest.name,
        "format": manifest.format,
        "files": list(manifest.files),
        "rows": len(steps),
        "first_step": int(steps.min()) if len(steps) else None,
        "last_step": int(steps.max()) if len(steps) else None,
        "columns": columns,
        "final_loss": _finite(np.float64(final_of(trace, "loss").value)),
        "metrics": {name: _metrics(_present(trace, name)) for name in columns},
        "checks": total(trace, "checks"),
        "decompositions": decompositions,
        **_rates(trace),
        "optimizer_seconds": _finite(seconds[-1]) if len(seconds) else None,
        "diverged": manifest.status == "diverged" or manifest.diverged_step is not None or last_loss_is_bad,
        "notes": list(manifest.notes),
        **({"table_of_runs": manifest.extra["table_of_runs"]} if "table_of_runs" in manifest.extra else {}),
    }


def _present(trace: Trace, column: str) -> np.ndarray:
    """The values of a column of steps in order of step, nulls left out, NaN kept."""
    return trace.values("steps", column)[rows_in_order(trace, column)]


def _metrics(values: np.ndarray) -> dict[str, float | int | None]:
    numbers = values[~np.isnan(values)]
    if not len(numbers):
        return {"last": None, "min": None, "max": None}
    return {"last": _finite(values[-1]), "min": _finite(numbers.min()), "max": _finite(numbers.max())}


def _finite(value: np.generic) -> float | int | None:
    number = value.item()
    return number if math.isfinite(number) else None


def _rates(trace: Trace) -> dict[str, float | None]:
    sides = {"": None} | {
        f"_{side}": [index for index, info in enumerate(trace.manifest.factors) if info.side == side]
        for side in ("left", "right")
    }
    found = {end: refreshes(trace, factors) for end, factors in sides.items()}
    per_factor = {f"decompositions_per_factor_and_100_steps{end}": f and f.per_factor for end, f in found.items()}
    return per_factor | {f"decompositions_per_check{end}": f and f.per_check for end, f in found.items()}
