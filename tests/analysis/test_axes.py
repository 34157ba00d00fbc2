from __future__ import annotations

import numpy as np
import pytest

from foam_viz.analysis.axes import AXES, BY_ID, at_steps
from tests.analysis.runs import checks, infos, run


def test_the_catalogue_has_every_axis_once_with_words() -> None:
    assert [axis.id for axis in AXES] == [
        "step", "relative", "total_time", "fair_time", "epochs", "tokens", "decompositions",
    ]  # fmt: skip
    assert all(axis.label and axis.help for axis in AXES)
    assert BY_ID["fair_time"].title == "training time (s)" and BY_ID["tokens"].title == "tokens"
    assert {axis.id for axis in AXES if axis.measure == "time"} == {"total_time", "fair_time"}


@pytest.mark.parametrize(
    ("axis", "column"),
    [("total_time", "total_seconds"), ("fair_time", "optimizer_seconds"), ("epochs", "epoch"), ("tokens", "tokens")],
)
def test_recorded_axes_are_the_columns(axis: str, column: str) -> None:
    trace = run(step=[1, 2, 3], **{column: [1.5, 2.5, 4.0]})
    assert BY_ID[axis].values(trace).values.tolist() == [1.5, 2.5, 4.0]
    missing = BY_ID[axis].values(run(step=[1, 2, 3]))
    assert missing.values is None and column in missing.reason


def test_rows_without_a_time_take_it_from_their_neighbours_and_never_from_beyond() -> None:
    trace = run(step=[1, 2, 4, 5, 6], optimizer_seconds=[None, 10.0, None, 40.0, None])
    along = BY_ID["fair_time"].values(trace)
    np.testing.assert_allclose(along.values, [np.nan, 10, 30, 40, np.nan])
    assert along.interpolated == 1 and "1 rows" in along.note and "2 rows have no training time" in along.note


def test_a_clock_that_starts_again_is_said_and_not_interpolated() -> None:
    along = BY_ID["total_time"].values(run(step=[1, 2, 3, 4], total_seconds=[5.0, 9.0, 1.0, None]))
    assert not along.monotone and "started again" in along.note
    np.testing.assert_allclose(along.values, [5, 9, 1, np.nan])


@pytest.mark.parametrize(
    ("config", "end", "words"),
    [
        ({"max_steps": 200}, 200, "planned 200 steps"),
        ({"training": {"total_steps": "400"}}, 400, "planned 400"),
        ({"max_steps": -1}, 100, "does not tell"),
        ({}, 100, "does not tell"),
        ({"max_steps": 50}, 100, "beyond the planned 50"),
        ({"run_settings": {"steps": 1000, "schedule": "linear-decay", "decay_steps": 500}}, 500, "planned 500"),
        ({"run_settings": {"steps": 1000, "schedule": "constant", "decay_steps": 500}}, 1000, "planned 1,000"),
    ],
)
def test_relative_steps_say_what_one_is(config: dict, end: int, words: str) -> None:
    along = BY_ID["relative"].values(run(step=[50, 100], config=config))
    np.testing.assert_allclose(along.values, np.array([50, 100]) / end)
    assert words in along.note


def test_decompositions_are_the_recorded_count_where_there_is_one() -> None:
    trace = checks(run(step=[10, 20], decompositions=[4, 9]), step=[10], factor=[0], checks=[1], decompositions=[1])
    assert BY_ID["decompositions"].values(trace).values.tolist() == [4, 9]


def test_single_checks_are_added_up_exactly() -> None:
    trace = run(step=[1, 9, 10, 15, 20, 30], factors=infos(2))
    checks(trace, step=[10, 10, 20, 20], factor=[0, 1, 0, 1], checks=[1] * 4, decompositions=[1, 1, 0, 1])
    along = BY_ID["decompositions"].values(trace)
    assert along.values.tolist() == [0, 0, 2, 2, 3, 3] and along.interpolated == 0


def test_counts_of_intervals_are_known_at_their_ends() -> None:
    trace = run(step=[0, 5, 10, 15, 20, 25], factors=infos(2))
    rows = {"step": [10, 10, 20, 20], "interval_start": [1, 1, 11, 11], "factor": [0, 1, 0, 1]}
    checks(trace, **rows, checks=[5] * 4, decompositions=[3, 1, 0, 2])
    along = BY_ID["decompositions"].values(trace)
    np.testing.assert_allclose(along.values, [0, 2, 4, 5, 6, np.nan])
    assert along.interpolated == 2 and "by interval" in along.note and "outside" in along.note


def test_totals_of_all_factors_are_not_counted_twice() -> None:
    trace = run(step=[10, 20, 30], factors=infos(2))
    rows = {"step": [10, 10, 10, 20], "factor": [None, 0, 1, 0], "checks": [2, 1, 1, 1]}
    checks(trace, **rows, decompositions=[2, 1, 1, 1])
    np.testing.assert_allclose(BY_ID["decompositions"].values(trace).values, [2, 3, 3])


def test_steps_between_rows_find_their_place() -> None:
    trace = run(step=[30, 10, 20], optimizer_seconds=[3.0, 1.0, 2.0])
    np.testing.assert_allclose(at_steps(trace, "fair_time", np.array([5, 10, 15, 30, 31])), [np.nan, 1, 1.5, 3, np.nan])
    assert at_steps(trace, "step", np.array([7])).tolist() == [7]
    np.testing.assert_allclose(at_steps(trace, "relative", np.array([0, 3, 30])), [0, 0.1, 1])
    assert at_steps(trace, "tokens", np.array([7])) is None
