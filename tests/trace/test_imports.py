"""Logs of other programs fit the trace: a FOAM artifact run and an AlgoPerf run, made here and written into it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from foam_viz.trace import FactorInfo, Manifest, Trace, record_batch, summarize
from foam_viz.trace.disk import bundle

COUNTERS = ("checks", "evd_calls", "reuse_calls", "cap_refreshes")
FACTORS = {"0.block_0.0": (0, 2, 32), "0.block_0.1": (1, 2, 64), "1.block_0.0": (0, 1, 10)}

# Per factor and epoch: decompositions, cap refreshes among them, and reuses, in that epoch alone.
EPOCHS = {
    "0.block_0.0": [(3, 2, 1), (2, 1, 2), (1, 0, 3)],
    "0.block_0.1": [(2, 1, 2), (1, 1, 3), (0, 0, 4)],
    "1.block_0.0": [(4, 0, 0), (4, 0, 0), (4, 0, 0)],
}


def factor_diagnostics() -> str:
    """The artifact's factor_diagnostics.csv: counters that only grow, nan where a policy measures nothing."""
    columns = ["epoch", "global_step", "factor_id", "axis", "block_order", "dimension", "epsilon", "last_proxy"]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*columns, *COUNTERS, "last_refresh_step"])
    writer.writeheader()
    totals = {factor: np.zeros(4, int) for factor in FACTORS}
    for epoch in range(3):
        for factor, (axis, order, size) in FACTORS.items():
            decompositions, caps, reuses = EPOCHS[factor][epoch]
            totals[factor] += (decompositions + reuses, decompositions, reuses, caps)
            row = dict(zip(COUNTERS, totals[factor], strict=True))
            row |= {"epoch": epoch + 1, "global_step": 40 * (epoch + 1), "factor_id": factor, "axis": axis}
            row |= {"block_order": order, "dimension": size, "epsilon": 1e-8, "last_refresh_step": 40 * epoch + 10}
            writer.writerow({**row, "last_proxy": "nan" if order == 1 else 0.4})
    return text.getvalue()


def artifact_trace() -> Trace:
    rows = list(csv.DictReader(io.StringIO(factor_diagnostics())))
    infos = {
        row["factor_id"]: FactorInfo(
            id=row["factor_id"],
            parameter=f"parameter {row['factor_id'].split('.')[0]}",
            block=0,
            dim=int(row["axis"]),
            order=int(row["block_order"]),
            size=int(row["dimension"]),
        )
        for row in rows
    }
    manifest = Manifest(
        run_id="a",
        name="foam",
        format="foam-artifact",
        factors=tuple(infos.values()),
        files=("factor_diagnostics.csv",),
    )
    before: dict[str, tuple[int, np.ndarray]] = {}
    columns: dict[str, list] = {name: [] for name in ("step", "interval_start", "factor", "epsilon", "proxy", "last")}
    counts = []
    for row in rows:
        step, total = int(row["global_step"]), np.array([int(row[name]) for name in COUNTERS])
        last_step, last_total = before.get(row["factor_id"], (0, np.zeros(4, int)))
        before[row["factor_id"]] = (step, total)
        counts.append(total - last_total)
        proxy = None if row["last_proxy"] == "nan" else float(row["last_proxy"])
        values = (step, last_step + 1, manifest.factor_index(row["factor_id"]), float(row["epsilon"]), proxy)
        for name, value in zip(columns, (*values, int(row["last_refresh_step"])), strict=True):
            columns[name].append(value)
    columns["last_decomposition_step"] = columns.pop("last")
    names = ("checks", "decompositions", "reuses", "cap_refreshes")
    trace = Trace.empty(manifest)
    trace.append("checks", record_batch("checks", {**columns, **dict(zip(names, np.transpose(counts), strict=True))}))
    clock = {"step": [40, 80, 120], "epoch": [1, 2, 3], "optimizer_seconds": [5.0, 9.0, 13.5], "loss": [2.0, 1.0, 0.5]}
    trace.append("steps", record_batch("steps", {**clock, "val_accuracy": [30, 50, 60]}, {"val_accuracy": "%"}))
    return trace


@pytest.mark.parametrize("name", ["artifact", "artifact.zip"])
def test_a_foam_artifact_run_fits(tmp_path: Path, name: str):
    bundle.write(artifact_trace(), tmp_path / name)
    trace = bundle.read(tmp_path / name)
    left = trace.checks.take(trace.factor_numbers("checks", 0))
    assert left["interval_start"].to_pylist() == [1, 41, 81]
    assert left["step"].to_pylist() == [40, 80, 120]
    assert left["decompositions"].to_pylist() == [3, 2, 1]
    assert left["cap_refreshes"].to_pylist() == [2, 1, 0]
    assert left["reuses"].to_pylist() == [1, 2, 3]
    assert left["decision"].null_count == 3
    assert trace.checks.take(trace.factor_numbers("checks", 2))["proxy"].null_count == 3
    summary = summarize(trace)
    assert (summary["checks"], summary["decompositions"]) == (36, 21)
    assert summary["decompositions_per_check_left"] == 6 / 12  # the bias, dim 0 of order 1, is neither left nor right
    assert summary["decompositions_per_check_right"] == 3 / 12
    assert summary["optimizer_seconds"] == 13.5
    assert trace.unit("val_accuracy") == "%"
    earlier = trace.truncated(80)
    left = earlier.checks.take(earlier.factor_numbers("checks", 0))
    assert left["decompositions"].to_pylist() == [3, 2]


MEASUREMENTS = """\
global_step,grad_norm,loss,validation/accuracy,accumulated_submission_time,total_duration
100,0.50,6.9,,,
100,,,0.01,30.5,41.0
200,0.70,6.1,,,
300,inf,inf,,,
300,,,0.02,91.5,140.0
400,,,,122.0,171.0
"""


def algoperf_trace() -> Trace:
    rows = list(csv.DictReader(io.StringIO(MEASUREMENTS)))
    names = {
        "global_step": "step",
        "grad_norm": "gradient_norm",
        "accumulated_submission_time": "optimizer_seconds",
        "total_duration": "total_seconds",
    }
    columns = {names.get(name, name): [float(row[name]) if row[name] else None for row in rows] for name in rows[0]}
    manifest = Manifest(run_id="b", name="trial_1", format="algoperf", status="diverged", diverged_step=300)
    trace = Trace.empty(manifest)
    trace.append("steps", record_batch("steps", columns, {"validation/accuracy": "fraction"}))
    return trace


def test_an_algoperf_run_fits(tmp_path: Path):
    bundle.write(algoperf_trace(), tmp_path / "trial_1.zip")
    trace = bundle.read(tmp_path / "trial_1.zip")
    assert trace.values("steps", "step").tolist() == [100, 100, 200, 300, 300, 400]
    assert trace.steps["loss"].to_pylist() == [6.9, None, 6.1, float("inf"), None, None]
    assert trace.unit("validation/accuracy") == "fraction"
    assert trace.unit("optimizer_seconds") == trace.unit("total_seconds") == "s"
    summary = summarize(trace)
    assert summary["rows"] == 6
    expected = {"step", "gradient_norm", "loss", "validation/accuracy", "optimizer_seconds", "total_seconds"}
    assert set(summary["columns"]) == expected
    assert summary["metrics"]["validation/accuracy"] == {"last": 0.02, "min": 0.01, "max": 0.02}
    assert summary["metrics"]["loss"] == {"last": None, "min": 6.1, "max": None}
    assert (summary["optimizer_seconds"], summary["final_loss"], summary["diverged"]) == (122.0, None, True)
    assert (summary["checks"], summary["decompositions"], summary["decompositions_per_check_left"]) == (
        None,
        None,
        None,
    )
