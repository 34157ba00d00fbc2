"""The snapshots of a factor: the newest, its errors, what all spectra span, and the words of its moment."""

from __future__ import annotations

import numpy as np
import pytest

from foam_viz.analysis.snapshots import latest_snapshot, snapshot_moment, spectrum_extremes, true_errors
from foam_viz.trace import Trace, record_batch
from tests.analysis.runs import checks, infos, run


def snapshots(trace: Trace, **columns: object) -> Trace:
    trace.append("snapshots", record_batch("snapshots", columns))
    return trace


def test_without_snapshots_there_is_nothing() -> None:
    view = run(factors=infos()).view()
    assert latest_snapshot(view, 0) is None and spectrum_extremes(view, 0) is None
    assert [len(part) for part in true_errors(view, 0)] == [0, 0]


def test_a_snapshot_of_another_factor_is_not_this_ones() -> None:
    trace = snapshots(run(factors=infos()), step=[10], factor=[1], eigenvalues=[[2.0, 1.0]], true_error=[0.5])
    assert latest_snapshot(trace.view(), 0) is None and spectrum_extremes(trace.view(), 0) is None
    found = latest_snapshot(trace.view(), 1)
    assert found is not None and found.step == 10
    assert [list(part) for part in true_errors(trace.view(), 1)] == [[10], [0.5]]


def test_errors_that_were_not_measured_are_left_out() -> None:
    trace = snapshots(
        run(factors=infos()), step=[10, 20, 30, 40], factor=[0] * 4, true_error=[np.nan, 0.25, None, np.inf],
        eigenvalues=[[1.0]] * 4,
    )  # fmt: skip
    assert [list(part) for part in true_errors(trace.view(), 0)] == [[20], [0.25]]


@pytest.mark.parametrize("spectrum", [[np.nan, np.inf], [0.0, -1.0], []])
def test_a_spectrum_without_a_positive_number_spans_nothing(spectrum: list[float]) -> None:
    trace = snapshots(run(factors=infos()), step=[10], factor=[0], eigenvalues=[spectrum])
    assert spectrum_extremes(trace.view(), 0) is None
    snapshots(trace, step=[20], factor=[0], eigenvalues=[[4.0, 0.5, -1.0, np.nan]])
    assert spectrum_extremes(trace.view(), 0) == (0.5, 4.0)
    snapshots(trace, step=[30, 30], factor=[0, 1], eigenvalues=[[8.0, 1.0], [99.0, 1e-9]])
    assert spectrum_extremes(trace.view(), 0) == (0.5, 8.0)


def moment(snapshot_step: int, last_decomposition: int, **columns: object) -> str:
    trace = snapshots(
        run(factors=infos()), step=[snapshot_step], factor=[0], last_decomposition_step=[last_decomposition],
        eigenvalues=[[1.0]],
    )  # fmt: skip
    if columns:
        checks(trace, factor=[0], **columns)
    found = latest_snapshot(trace.view(), 0)
    assert found is not None
    return snapshot_moment(trace.view(), 0, found)


def test_the_words_of_a_moment() -> None:
    assert moment(1000, 900) == "snapshot of step 1,000"
    assert moment(1000, 900, step=[1010]) == "snapshot of step 1,000; last check 1,010"
    decided = {"step": [1000], "checks": [1], "decompositions": [1]}
    assert moment(1000, 900, **decided) == "snapshot of step 1,000, before its check decided"
    assert moment(1000, 1000, **decided) == "snapshot of step 1,000"
    assert moment(1000, 900, step=[1000], checks=[1], decompositions=[0]) == "snapshot of step 1,000"
