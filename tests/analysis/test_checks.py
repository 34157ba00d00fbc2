"""The checks of a run as columns: of all factors and of one, with everything that a log may leave out."""

from __future__ import annotations

import numpy as np
import pytest

from foam_viz.analysis.checks import DECISION_ORDER, checks, checks_of
from tests.analysis.runs import checks as with_checks
from tests.analysis.runs import infos, run


def test_a_run_without_checks_has_none() -> None:
    found = checks(run(factors=infos()).view())
    assert len(found) == 0 and not found.counted
    assert len(checks_of(run(factors=infos()).view(), 1)) == 0


def test_one_row_with_all_that_was_left_out() -> None:
    trace = with_checks(run(factors=infos()), step=[10], factor=[1])
    found = checks_of(trace.view(), 1)
    assert (list(found.step), list(found.start), list(found.factor)) == ([10], [10], [1])
    assert (list(found.decision), list(found.checks), list(found.decompositions)) == ([-1], [0], [0])
    assert np.isnan([*found.proxy, *found.epsilon, *found.residual, *found.last_decomposition]).all()
    assert len(checks_of(trace.view(), 0)) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_number_stay_what_they_are(value: float) -> None:
    trace = with_checks(run(factors=infos()), step=[10, 20], factor=[0, 0], proxy=[value, 0.5], checks=[1, 1])
    assert np.array_equal(checks_of(trace.view(), 0).proxy, [value, 0.5], equal_nan=True)


def test_decisions_are_codes_and_unknown_ones_none() -> None:
    words = [*DECISION_ORDER, None]
    trace = with_checks(run(factors=infos()), step=range(1, 8), factor=[0] * 7, decision=words)
    assert list(checks(trace.view()).decision) == [0, 1, 2, 3, 4, 5, -1]


def test_rows_that_count_intervals_say_so() -> None:
    once = with_checks(run(factors=infos()), step=[10, 20], factor=[0, 0], checks=[1, 1])
    several = with_checks(run(factors=infos()), step=[20], factor=[-1], interval_start=[11], checks=[4])
    assert not checks(once.view()).counted and checks(several.view()).counted
    assert list(checks(several.view()).factor) == [-1]


def test_new_rows_are_seen_and_a_view_of_before_keeps_its_own() -> None:
    trace = with_checks(run(factors=infos()), step=[10, 10], factor=[0, 1], decision=["first", "first"])
    before = trace.view()
    assert len(checks_of(before, 0)) == 1
    with_checks(trace, step=[20, 20], factor=[0, 1], decision=["reuse", "cap"])
    assert list(checks_of(trace.view(), 1).decision) == [DECISION_ORDER.index("first"), DECISION_ORDER.index("cap")]
    assert list(checks_of(before, 1).step) == [10]


def test_rows_are_picked_by_a_mask_or_by_number() -> None:
    trace = with_checks(run(factors=infos()), step=[1, 2, 3], factor=[0, 0, 0], epsilon=[1e-9, 2e-9, 3e-9])
    found = checks(trace.view())
    assert list(found.where(found.step > 1).epsilon) == [2e-9, 3e-9]
    picked = found.where(np.array([2, 0]))
    assert list(picked.step) == [3, 1] and len(picked) == 2
    with pytest.raises(AttributeError):
        _ = picked.missing
