from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from foam_viz.logs.core.counters import intervals


def test_growth_between_rows() -> None:
    found = intervals(np.array([10, 30, 60]), {"checks": np.array([5.0, 5.0, 20.0])})
    assert found.start.tolist() == [1, 11, 31] and found.step.tolist() == [10, 30, 60]
    assert found.counts["checks"].tolist() == [5, 0, 15] and found.repeated == 0 and not len(found.restarts)


def test_a_resume_logs_steps_again() -> None:
    steps = np.array([10, 20, 30, 20, 30, 40])
    found = intervals(steps, {"checks": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])})
    assert (
        found.rows.tolist() == [0, 3, 4, 5] and found.counts["checks"].tolist() == [1, 3, 1, 1] and found.repeated == 2
    )


def test_a_restart_counts_from_zero() -> None:
    found = intervals(np.array([10, 20, 30]), {"a": np.array([7.0, 3.0, 4.0]), "b": np.array([1.0, 1.0, 1.0])})
    assert found.counts["a"].tolist() == [7, 3, 1] and found.counts["b"].tolist() == [1, 0, 0]
    assert found.restarts.tolist() == [20]


def test_what_was_not_logged_stays_unknown_and_is_not_lost() -> None:
    found = intervals(np.array([1, 2, 3]), {"a": np.array([1.0, np.nan, 5.0]), "b": np.full(3, np.nan)})
    np.testing.assert_array_equal(found.counts["a"], [1, np.nan, 4])
    assert np.isnan(found.counts["b"]).all() and found.start.tolist() == [1, 2, 3]


def test_no_rows() -> None:
    found = intervals(np.empty(0, np.int64), {"a": np.empty(0)})
    assert len(found.rows) == len(found.start) == len(found.counts["a"]) == 0


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_differences_add_up_to_the_counter(growth: list[int]) -> None:
    steps = np.cumsum(np.ones(len(growth), np.int64) * 3)
    found = intervals(steps, {"a": np.cumsum(growth).astype(float)})
    assert found.counts["a"].tolist() == growth and found.step[-1] - found.start[0] + 1 == steps[-1]
    assert (found.start[1:] == found.step[:-1] + 1).all()
