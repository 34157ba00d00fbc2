from __future__ import annotations

import time

import numpy as np
import pytest

from foam_viz.trace import Trace, record_batch
from tests.rows import factor_rows


def test_values_follow_the_types_and_the_nulls(trace: Trace):
    assert trace.values("steps", "step").dtype == np.int64
    assert trace.values("checks", "checks").dtype == np.int64
    assert np.isnan(trace.values("checks", "epsilon")).all()
    assert trace.values("steps", "accuracy")[3] == 2.0
    assert set(trace.values("checks", "decision")) == {"cap", "reuse"}
    with pytest.raises(KeyError, match="steps has no column 'perplexity'; it has step, epoch"):
        trace.values("steps", "perplexity")
    with pytest.raises(TypeError, match="read it from the table"):
        trace.values("snapshots", "eigenvalues")
    with pytest.raises(KeyError, match="no table"):
        trace.values("losses", "step")


def test_values_grow_with_the_trace_and_old_arrays_stand(manifest):
    trace = Trace.empty(manifest)
    trace.append("checks", record_batch("checks", {"step": [1], "factor": [0]}))
    before = trace.values("checks", "factor")
    assert before.dtype == np.int64
    trace.append("checks", record_batch("checks", {"step": [2, 3], "factor": [None, 2]}))
    after = trace.values("checks", "factor")
    assert repr(after.tolist()) == "[0.0, nan, 2.0]"
    assert before.tolist() == [0]
    with pytest.raises(ValueError, match="read-only"):
        after[0] = 1


def test_revision_grows_and_only_the_own_one(trace: Trace, batches):
    revision = trace.revision
    trace.append("steps", batches(range(41, 42))["steps"])
    assert trace.revision == revision + 1
    trace.manifest = trace.manifest.with_(status="paused")
    assert trace.revision == revision + 2


def test_the_numbers_of_a_factors_rows_are_in_order(manifest, batches):
    trace = Trace.empty(manifest)
    for start in range(1, 100, 7):
        trace.append("checks", batches(range(start, start + 7))["checks"])
        rows = trace.checks.take(trace.factor_numbers("checks", 1))
        assert rows["step"].to_pylist() == list(range(1, start + 7))
        assert set(rows["factor"].to_pylist()) == {1}
    trace.append("checks", record_batch("checks", {"step": [200], "checks": [9]}))
    assert trace.checks.take(trace.factor_numbers("checks", None))["step"].to_pylist() == [200]
    assert len(trace.factor_numbers("checks", 77)) == 0
    assert len(Trace.empty(manifest).factor_numbers("checks", 0)) == 0


def test_the_latest_snapshot(trace: Trace, manifest):
    snapshot = trace.latest_snapshot(1)
    assert (snapshot.step, snapshot.factor, snapshot.last_decomposition_step) == (40, 1, 40)
    assert snapshot.eigenvalues.dtype == np.float32
    assert snapshot.eigenvalues[0] == 41
    assert snapshot.overlap.shape == (4, 4)
    assert snapshot.true_error is None
    assert trace.latest_snapshot(9) is None
    bare = Trace.empty(manifest)
    bare.append("snapshots", record_batch("snapshots", {"step": [1], "factor": [0]}))
    assert bare.latest_snapshot(0).overlap is None
    assert bare.latest_snapshot(0).eigenvalues is None


def test_truncated_is_the_past(trace: Trace):
    past = trace.truncated(17)
    assert past.steps["step"].to_pylist() == list(range(1, 18))
    assert past.rows("checks") == 51
    assert past.latest_snapshot(0).step == 15
    assert trace.rows("steps") == 40
    trace.append("steps", record_batch("steps", {"step": [3], "loss": [0.0]}))  # a log whose steps fall back
    assert trace.truncated(3).steps["step"].to_pylist() == [1, 2, 3, 3]
    assert trace.truncated(0).rows("events") == 0


def test_further_columns_come_and_stay_away(manifest):
    trace = Trace.empty(manifest)
    trace.append("steps", record_batch("steps", {"step": [1], "loss": [2.0]}))
    assert trace.values("steps", "loss").tolist() == [2.0]
    trace.append("steps", record_batch("steps", {"step": [2], "bleu": [30]}, {"bleu": "%"}))
    trace.append("steps", record_batch("steps", {"step": [3], "bleu": [31]}))
    assert repr(trace.values("steps", "bleu").tolist()) == "[nan, 30.0, 31.0]"
    assert repr(trace.values("steps", "loss").tolist()) == "[2.0, nan, nan]"
    assert trace.units["bleu"] == trace.unit("bleu") == "%"
    assert trace.unit("loss") == trace.unit("nothing") == ""
    assert trace.has("steps", "bleu")
    assert not trace.has("steps", "tokens")
    assert not trace.has("steps", "nothing")
    with pytest.raises(ValueError, match="'bleu' has the unit"):
        trace.append("steps", record_batch("steps", {"step": [4], "bleu": [0.3]}, {"bleu": "fraction"}))
    assert trace.rows("steps") == 3


def test_thousands_of_appends_stay_few_chunks_and_fast(manifest, batches):
    trace = Trace.empty(manifest)
    batch = batches(range(1, 6))["checks"]
    for _ in range(800):
        trace.append("checks", batch)
    assert trace.rows("checks") == 12_000
    assert trace.checks["step"].num_chunks <= 16
    factor_rows(trace, "checks", 0)
    seconds = []
    for _ in range(20):
        trace.append("checks", batch)
        start = time.perf_counter()
        rows = factor_rows(trace, "checks", 0)
        trace.values("checks", "proxy")
        seconds.append(time.perf_counter() - start)
    assert len(rows) == 5 * 820
    assert min(seconds) < 0.01  # about 1 ms; four lanes read at 4 Hz
