"""Checks of a FOAM artifact run: its cumulative counters as what happened in each interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from foam_viz.logs.core.counters import intervals
from foam_viz.logs.formats.foam_artifact_factors import Factors
from foam_viz.logs.formats.foam_artifact_tables import Rows
from foam_viz.trace.batches import conform, record_batch

_COUNTERS: dict[str, tuple[str, ...]] = {
    "checks": ("check_calls", "checks"),
    "decompositions": ("evd_calls",),
    "reuses": ("reuse_calls",),
    "cap_refreshes": ("cap_refreshes",),
}
_TOGETHER = {**_COUNTERS, "checks": ("optimizer_checks",)}
_MEASURED = ("epsilon", "relative_condition", "alpha")
_LARGEST = 2**31


def has_factors(metrics: Rows) -> bool:
    """Say whether a run has factors at all; AdamW has none."""
    counts = np.concatenate([metrics.counter("factor_count"), metrics.counter("optimizer_checks", "evd_calls")])
    return bool(np.any(counts > 0))


def checks_table(metrics: Rows | None, diagnostics: Rows | None, factors: Factors, notes: list[str]) -> pa.Table:
    """Build the trace's table ``checks``.

    With diagnostics there is a row for each factor and interval; without, or where the diagnostics cover fewer checks
    than the metrics count, rows for all factors together.

    Args:
        metrics: Rows of ``metrics.csv``.
        diagnostics: Rows of ``factor_diagnostics.csv`` of the same run.
        factors: Factors of the diagnostics are numbered there.
        notes: What had to be assumed is added.
    """
    parts: list[dict[str, np.ndarray]] = []
    if diagnostics is not None and len(diagnostics.steps()):
        parts += _factor_rows(diagnostics, factors, notes)
    if metrics is not None and has_factors(metrics):
        together = _counted(metrics, np.arange(len(metrics.steps())), _TOGETHER, notes, "metrics.csv")
        together.pop("rows")
        counted = np.nansum([part["checks"].sum() for part in parts]) if parts else 0.0
        if not parts:
            notes.append("No factor_diagnostics.csv: checks are those of all factors together.")
            parts = [together]
        elif counted < np.nansum(together["checks"]):
            whole = np.nansum(together["checks"])
            notes.append(
                f"factor_diagnostics.csv covers {counted:,.0f} of {whole:,.0f} checks; totals are those of metrics.csv."
            )
            parts.append(together)
    if not parts:
        return conform("checks", pa.table({"step": pa.array([], pa.int64())}))
    names = list(dict.fromkeys(name for part in parts for name in part))
    size = [len(part["step"]) for part in parts]
    columns = {
        name: np.concatenate([part.get(name, np.full(rows, np.nan)) for part, rows in zip(parts, size, strict=True)])
        for name in names
    }
    order = np.lexsort((columns["factor"], columns["step"]))
    batch = record_batch("checks", {name: _arrow(name, values[order]) for name, values in columns.items()})
    return pa.Table.from_batches([batch])


def _arrow(name: str, values: np.ndarray) -> pa.Array:
    if name in ("epsilon", "relative_condition", "alpha", "proxy", "residual"):
        return pa.array(values, pa.float64(), mask=np.isnan(values))
    whole = np.isfinite(values) & (np.abs(values) < (_LARGEST if name not in ("step", "interval_start") else 2**53))
    whole &= values == np.floor(np.where(whole, values, 0.0))
    return pa.array(np.where(whole, values, 0).astype(np.int64), mask=~whole)


def _factor_rows(diagnostics: Rows, factors: Factors, notes: list[str]) -> list[dict[str, np.ndarray]]:
    numbers = _numbers(diagnostics, factors)
    parts = []
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(numbers.max() + 2))
    for number in range(int(numbers.max()) + 1):
        rows = order[bounds[number] : bounds[number + 1]]
        if not len(rows):
            continue
        part = _counted(diagnostics, rows, _COUNTERS, notes, "factor_diagnostics.csv")
        kept = part.pop("rows").astype(np.int64)
        part["factor"] = np.full(len(kept), float(number))
        for name in _MEASURED:
            part[name] = diagnostics.counter(name)[kept]
        value = diagnostics.counter("proxy", "last_proxy")[kept]
        by_residual = (diagnostics.counter("residual_calls") > 0) & ~(diagnostics.counter("proxy_calls") > 0)
        part["proxy"] = np.where(by_residual[kept], np.nan, value)
        part["residual"] = np.where(by_residual[kept], value, np.nan)
        last = diagnostics.counter("last_refresh_step")[kept]
        part["last_decomposition_step"] = np.where(last > 0, last, np.nan)
        parts.append(part)
    if any(np.isfinite(part["residual"]).any() for part in parts):
        notes.append(
            "'proxy' of this run holds the diagonalization residual, by which it decides; it is shown as that."
        )
    return parts


def _numbers(diagnostics: Rows, factors: Factors) -> np.ndarray:
    """Number of the factor of each row (n,)."""
    count = len(diagnostics.steps())
    name = "factor_id" if "factor_id" in diagnostics.texts or "factor_id" in diagnostics.columns else "factor_index"
    ids: Sequence[str] = diagnostics.texts.get(name) or [f"{value:g}" for value in diagnostics.counter(name)]
    described = np.stack([diagnostics.counter(key) for key in ("group", "dimension", "axis", "block_order")])
    known = np.isfinite(described)
    whole = np.where(known, described, 0).astype(np.int64)
    return np.array(
        [
            factors.number(
                ids[row],
                int(whole[0, row]),
                int(whole[1, row]),
                int(whole[2, row]) if known[2, row] else None,
                int(whole[3, row]) if known[3, row] else None,
            )
            for row in range(count)
        ]
    )


def _counted(
    table: Rows, rows: np.ndarray, counters: dict[str, tuple[str, ...]], notes: list[str], file: str
) -> dict[str, np.ndarray]:
    cumulative = {name: table.counter(*sources)[rows] for name, sources in counters.items()}
    found = intervals(table.steps()[rows], cumulative)
    if len(found.restarts):
        step = int(found.restarts[0])
        note = f"{file}: counters fall at step {step:,}: the run was restarted, and they count from zero there."
        if note not in notes:
            notes.append(note)
    return {
        "rows": rows[found.rows].astype(np.float64),
        "step": found.step.astype(np.float64),
        "interval_start": found.start.astype(np.float64),
        "factor": np.full(len(found.rows), np.nan),
        **found.counts,
    }


def add_last_decompositions(snapshots: Sequence[dict[str, object]], checks: pa.Table) -> None:
    """Fill in at which step the basis of each snapshot was decomposed, where a row of the same step says it."""
    known = {
        (row["step"], row["factor"]): row["last_decomposition_step"]
        for row in checks.select(["step", "factor", "last_decomposition_step"]).to_pylist()
    }
    for row in snapshots:
        row["last_decomposition_step"] = known.get((row["step"], row["factor"]))
