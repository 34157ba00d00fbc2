"""A view of a trace is of one moment, however the trace grows meanwhile."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from foam_viz.trace import Trace, record_batch


def test_a_view_does_not_change(manifest, batches):
    trace = Trace(manifest, **batches(range(1, 11)))
    view = trace.view()
    assert view is trace.view()
    kept = {name: view.rows(name) for name in ("steps", "checks", "snapshots")}
    before = view.values("steps", "loss").copy()
    trace.extend(batches(range(11, 31)))
    trace.manifest = trace.manifest.with_(status="paused")
    assert view is not trace.view()
    assert view.manifest.status != "paused"
    assert {name: view.rows(name) for name in kept} == kept
    assert np.array_equal(view.values("steps", "loss"), before)
    assert len(view.values("steps", "step")) == 10  # read for the first time after the trace had grown
    assert set(view.factor_numbers("checks", 0)) < set(trace.factor_numbers("checks", 0))
    assert view.latest_snapshot(0).step <= 10 < trace.latest_snapshot(0).step
    assert view.truncated(5).rows("steps") == 5
    with pytest.raises(ValueError, match="read-only"):
        view.values("steps", "loss")[0] = 1


def test_a_column_that_comes_later_is_not_in_an_earlier_view(manifest):
    trace = Trace.empty(manifest)
    trace.append("steps", record_batch("steps", {"step": [1], "loss": [1.0]}))
    view = trace.view()
    trace.append("steps", record_batch("steps", {"step": [2], "accuracy": [0.5]}))
    assert "accuracy" not in view.steps.column_names
    assert not view.has("steps", "accuracy")
    assert trace.has("steps", "accuracy")


def test_tables_that_are_added_together_appear_together(manifest, batches):
    trace = Trace.empty(manifest)
    revision = trace.revision
    trace.extend(batches(range(1, 4)))
    assert trace.revision == revision + 1


def test_what_is_derived_is_made_of_each_row_once(manifest, batches):
    trace, seen = Trace.empty(manifest), []

    def convert(rows):
        seen.append(len(rows))
        return rows["step"].to_numpy() * 2

    for start in (1, 11, 21):
        trace.extend(batches(range(start, start + 10)))
        assert trace.derived("steps", "doubled", convert).tolist() == [2 * n for n in range(1, start + 10)]
    assert seen == [10, 10, 10]


def test_a_trace_that_nobody_holds_is_freed_at_once(manifest, batches):
    trace = Trace(manifest, **batches(range(1, 4)))
    trace.values("steps", "loss")
    gone = weakref.ref(trace)
    gc.disable()
    try:
        del trace
        assert gone() is None
    finally:
        gc.enable()


def test_a_view_at_a_step_is_the_past_of_every_table_without_a_copy(manifest, batches):
    trace = Trace(manifest.with_(status="finished"), **batches(range(1, 41)))
    whole = trace.view()
    past = trace.view(17)
    assert past is trace.view(17) is whole.view(17) and past.at == 17 and whole.at is None
    assert past.rows("steps") == 17 and past.rows("checks") == 51 and past.last_step == 17
    assert past.latest_snapshot(0).step == 15 and past.latest_snapshot(1).step == 16
    assert past.manifest.status == "running" and past.source is whole.source
    assert np.shares_memory(past.values("steps", "loss"), whole.values("steps", "loss"))
    assert trace.view(40) is whole and trace.view(10**9) is whole and past.view(20) is past
    for name in ("steps", "checks", "snapshots", "events", "pictures"):
        assert str(past.table(name).to_pylist()) == str(trace.truncated(17).table(name).to_pylist())
    trace.extend(batches(range(41, 61)))
    assert trace.view(17).rows("checks") == past.rows("checks") == 51
    assert len(past.values("checks", "proxy")) == 51, "read for the first time after the trace had grown"


def test_a_run_has_diverged_from_the_step_on_at_which_it_did(manifest, batches):
    trace = Trace(manifest.with_(status="diverged", diverged_step=30), **batches(range(1, 41)))
    assert trace.view(29).manifest.diverged_step is None and trace.view(29).manifest.status == "running"
    assert trace.view(30).manifest.diverged_step == 30 and trace.view(30).manifest.status == "diverged"


def test_steps_that_repeat_keep_the_order_of_their_rows(manifest):
    trace = Trace.empty(manifest)
    trace.append("steps", record_batch("steps", {"step": [1, 2, 3, 4, 2, 3, 4, 5], "loss": np.arange(8.0)}))
    trace.append("events", record_batch("events", {"step": [4, 2], "kind": ["late", "again"]}))
    past = trace.view(3)
    assert past.values("steps", "step").tolist() == [1, 2, 3, 2, 3]
    assert past.values("steps", "loss").tolist() == [0, 1, 2, 4, 5]
    assert past.values("events", "kind").tolist() == ["again"]
    assert past.rows("checks") == 0 and past.last_step == 3


def test_few_moments_are_kept(manifest, batches):
    trace = Trace(manifest, **batches(range(1, 41)))
    first = trace.view(1)
    for step in range(2, 20):
        trace.view(step)
    assert trace.view(1) is not first and trace.view(19) is trace.view(19)
