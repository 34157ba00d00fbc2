from __future__ import annotations

import json

import numpy as np
import pytest

from foam_viz.trace import Manifest, Trace, record_batch, summarize

KEYS = [
    *("name", "format", "files", "rows", "first_step", "last_step", "columns", "final_loss", "metrics", "checks"),
    "decompositions",
    *(f"decompositions_per_factor_and_100_steps{side}" for side in ("", "_left", "_right")),
    *(f"decompositions_per_check{side}" for side in ("", "_left", "_right")),
    *("optimizer_seconds", "diverged", "notes"),
]


def test_the_keys_and_an_empty_trace():
    summary = summarize(Trace.empty(Manifest(run_id="r", name="n", files=("a.csv",), notes=("b",))))
    assert list(summary) == KEYS
    assert (summary["name"], summary["files"], summary["notes"], summary["rows"]) == ("n", ["a.csv"], ["b"], 0)
    empty = (
        "first_step",
        "last_step",
        "final_loss",
        "checks",
        "decompositions",
        "decompositions_per_check_left",
        "optimizer_seconds",
    )
    assert all(summary[key] is None for key in empty)
    assert (summary["columns"], summary["metrics"], summary["diverged"]) == ([], {}, False)


def test_a_live_run(trace: Trace):
    summary = summarize(trace)
    json.dumps(summary, allow_nan=False)
    assert summary["columns"] == ["step", "loss", "accuracy"]
    assert summary["final_loss"] == pytest.approx(np.mean([1 / (1 + step) for step in range(21, 41)]))
    assert summary["metrics"]["accuracy"] == {"last": 20.0, "min": 0.5, "max": 20.0}
    assert (summary["checks"], summary["decompositions"]) == (120, 24)
    assert summary["decompositions_per_check_left"] == summary["decompositions_per_check_right"] == 8 / 40


def test_sparse_rows_count_only_where_they_hold_a_loss(manifest):
    trace = Trace.empty(manifest)
    loss = [float(step) if step % 2 else None for step in range(1, 101)]
    trace.append("steps", record_batch("steps", {"step": range(1, 101), "loss": loss, "decompositions": range(100)}))
    summary = summarize(trace)
    assert summary["final_loss"] == np.mean(range(81, 100, 2)), "of the last twenty steps, not of twenty values"
    assert (summary["checks"], summary["decompositions"]) == (None, 99)  # the running total stands in


def test_nan_and_inf_become_null(manifest):
    trace = Trace.empty(manifest)
    columns = {"step": [3, 1, 2], "loss": [float("inf"), 1.0, 2.0], "norm": [float("nan"), 4.0, 5.0]}
    trace.append("steps", record_batch("steps", columns))
    summary = summarize(trace)
    json.dumps(summary, allow_nan=False)
    assert summary["diverged"] is True
    assert summary["final_loss"] is None
    assert summary["metrics"]["loss"] == {"last": None, "min": 1.0, "max": None}
    assert summary["metrics"]["norm"] == {"last": None, "min": 4.0, "max": 5.0}
    assert (summary["first_step"], summary["last_step"]) == (1, 3)
    assert summarize(Trace.empty(manifest.with_(status="diverged", diverged_step=4)))["diverged"] is True


def test_rows_of_all_factors_are_not_counted_twice(manifest):
    trace = Trace.empty(manifest)
    trace.append(
        "checks",
        record_batch(
            "checks",
            {
                "step": [10, 10, 10, 10, 20, 30],
                "interval_start": [1, 1, 1, 1, 11, None],
                "factor": [None, 0, 1, 2, None, 0],
                "checks": [9, 3, 3, 3, 9, 1],
                "decompositions": [6, 1, 2, 3, None, 1],
            },
        ),
    )
    summary = summarize(trace)
    assert (summary["checks"], summary["decompositions"]) == (19, 7)
    assert (summary["decompositions_per_check_left"], summary["decompositions_per_check_right"]) == (2 / 4, 2 / 3)
