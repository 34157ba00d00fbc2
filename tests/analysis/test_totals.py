from __future__ import annotations

import numpy as np
import pytest

from foam_viz.analysis.totals import cumulative, intervals, side_factors
from foam_viz.trace import summarize
from foam_viz.trace.counts import refreshes
from foam_viz.trace.numbers import number
from tests.analysis.runs import checks, infos, run
from tests.synthetic import SyntheticRun


def test_sides_are_those_of_matrices() -> None:
    trace = SyntheticRun("foam").trace
    left, right = side_factors(trace, "left"), side_factors(trace, "right")
    assert left == [0, 3, 6, 9, 12, 15] and right == [1, 4, 7, 10, 13, 16], "every third factor is a bias"


def test_totals_agree_with_the_summary_and_with_a_loop() -> None:
    trace = SyntheticRun("foam").advance(400).trace
    total = cumulative(trace, "decompositions")
    assert total.single and total.count[-1] == summarize(trace)["decompositions"]
    step, done = trace.values("checks", "step"), trace.values("checks", "decompositions")
    expected = [sum(d for s, d in zip(step, done, strict=True) if s <= at) for at in total.step]
    np.testing.assert_array_equal(total.count, expected)


def test_single_checks_are_binned_and_none_is_lost() -> None:
    trace = SyntheticRun("foam").advance(700).trace
    mine = side_factors(trace, "left")
    counts = intervals(trace, mine, 10)
    rows = np.isin(trace.values("checks", "factor"), mine)
    assert len(counts.step) == 10 and counts.checks.sum() == rows.sum()
    assert counts.decompositions.sum() == trace.values("checks", "decompositions")[rows].sum()
    for start, end, checked, done in zip(counts.start, counts.step, counts.checks, counts.decompositions, strict=True):
        step = trace.values("checks", "step")
        inside = rows & (step >= start) & (step <= end)
        assert inside.sum() == checked and trace.values("checks", "decompositions")[inside].sum() == done


def test_intervals_of_a_log_stay_as_they_are() -> None:
    trace = run(factors=infos(2))
    rows = {"step": [64, 64, 96, 96], "interval_start": [1, 1, 65, 65], "factor": [0, 1, 0, 1]}
    checks(trace, **rows, checks=[32, 32, 16, 16], decompositions=[3, 1, 0, 4])
    counts = intervals(trace, [0, 1], 24)
    assert counts.start.tolist() == [1, 65] and counts.step.tolist() == [64, 96]
    np.testing.assert_allclose(counts.per_check, [4 / 64, 4 / 32])
    np.testing.assert_allclose(intervals(trace, [0], 1).per_check, [3 / 32, 0])


def test_rates_of_all_factors_count_no_check_twice() -> None:
    trace = run(factors=infos(1))
    rows = {"step": [10, 10, 20], "interval_start": [1, 1, 11], "factor": [None, 0, 0]}
    checks(trace, **rows, checks=[8, 2, 2], decompositions=[4, 2, 1])
    counts = intervals(trace, None, 24)
    assert counts.checks.tolist() == [8, 2] and counts.decompositions.tolist() == [4, 1]


@pytest.mark.parametrize(("period", "rate"), [(5, 20.0), (10, 10.0), (200, 0.5)])
@pytest.mark.parametrize("bins", [1, 7, 24])
def test_rates_per_factor_do_not_depend_on_the_period_of_checks(period: int, rate: float, bins: int) -> None:
    """Every policy here decomposes at each of its checks; what it pays is another matter."""
    trace = run(step=np.arange(1, 1001), loss=np.ones(1000), factors=infos(2))
    step = np.repeat(np.arange(period, 1001, period), 2)
    ones, owner = np.ones(len(step), np.int32), np.tile(np.arange(2, dtype=np.int32), len(step) // 2)
    checks(trace, step=step, factor=owner, checks=ones, decompositions=ones)
    counts = intervals(trace, None, bins)
    np.testing.assert_allclose(counts.per_factor, rate)
    np.testing.assert_allclose(counts.per_check, 1)
    found = refreshes(trace)
    assert (found.per_factor, found.per_check, found.first, found.last) == (rate, 1, 1, 1000)
    assert found.words == f"{number(len(step))} decompositions in {number(len(step))} checks (100\u202f%), " + (
        f"{number(rate)} per factor and 100 steps"
    )
    assert refreshes(trace, [1]).per_factor == rate and refreshes(trace, []) is None


def test_rates_of_logs_that_tell_less() -> None:
    bare = run(step=[100, 200], loss=[1.0, 0.5], decompositions=[20, 30])
    assert refreshes(bare).words == "30 decompositions" and refreshes(bare).per_factor is None
    named = run(step=[100, 200], loss=[1.0, 0.5], decompositions=[20, 30], factors=infos(2))
    assert refreshes(named).per_factor == 7.5 and refreshes(named, [0]) is None
    assert refreshes(run(step=[1], loss=[1.0])) is None
    trace = run(factors=infos(2))
    rows = {"step": [64, 64, 96, 96], "interval_start": [1, 1, 65, 65], "factor": [0, 1, 0, 1]}
    checks(trace, **rows, checks=[32, 32, 16, 16], decompositions=[3, 1, 0, 4])
    assert refreshes(trace).per_factor == pytest.approx(100 * 8 / 2 / 96)
    np.testing.assert_allclose(intervals(trace, None, 24).per_factor, [100 * 4 / 2 / 64, 100 * 4 / 2 / 32])


def test_what_was_not_counted_is_none() -> None:
    trace = run(factors=infos(1))
    assert cumulative(trace, "decompositions") is None and intervals(trace, None, 5) is None
    checks(trace, step=[1], factor=[0], decompositions=[1])
    assert intervals(trace, [0], 5) is None, "without checks there is no rate"
    assert (
        intervals(checks(run(factors=infos(2)), step=[1], factor=[0], checks=[1], decompositions=[1]), [1], 5) is None
    )
