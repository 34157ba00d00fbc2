"""The table of a comparison: a row a run, also for runs that have nothing to compare."""

from __future__ import annotations

import numpy as np

from foam_viz.analysis.comparison import compare
from tests.analysis.runs import run


def test_runs_that_have_nothing_say_why() -> None:
    rows = compare([run("empty"), run("other", step=[1], accuracy=[0.5])], "loss", target=1.0, baseline=0, at=1.0)
    assert all(row.missing for row in rows)
    assert all((row.best, row.last, row.at, row.reach, row.speed_up) == (None,) * 5 for row in rows)


def test_one_row_is_best_and_last() -> None:
    (row,) = compare([run(step=[3], loss=[2.0])], "loss", at=3)
    assert row.missing == "" and row.best is not None and row.last is not None and row.at is not None
    assert {row.best.value, row.last.value, row.at.value} == {2.0} and row.best.step == 3
    assert row.reach is None and row.speed_up is None


def test_what_is_no_number_is_never_the_best() -> None:
    (row,) = compare([run(step=[1, 2, 3], loss=[np.nan, 2.0, np.nan])], "loss")
    assert row.best is not None and (row.best.step, row.best.value) == (2, 2.0)


def test_a_run_is_faster_than_the_baseline_which_is_not_faster_than_itself() -> None:
    step = np.arange(1, 101)
    slow, fast = run("slow", step=step, loss=1.01 - step / 100), run("fast", step=step, loss=1.01 - step / 50)
    rows = compare([slow, fast, run("none")], "loss", target=0.5, baseline=0)
    assert rows[0].speed_up is None and rows[2].speed_up is None
    assert rows[1].speed_up is not None and rows[1].reach is not None and rows[1].reach.step == 26
    assert compare([slow, fast], "loss", target=0.5)[1].speed_up is None
