"""Mean and standard deviation of what seeds reached."""

from __future__ import annotations

import math

import numpy as np
import pytest

from foam_viz.analysis.comparison import compare
from foam_viz.analysis.spread import group_row, spread
from tests.analysis.runs import run


def test_mean_and_sample_deviation_of_what_is_there() -> None:
    found = spread([1.0, 2.0, 6.0])
    assert (found.mean, found.count, found.runs) == (3.0, 3, 3)
    assert found.deviation == pytest.approx(np.std([1, 2, 6], ddof=1))
    assert found.text == "3.00 ± 2.65"
    lacking = spread([1.0, None, math.nan, 3.0])
    assert lacking.text == "2.00 ± 1.41 (2 of 4)" and "2 of 4 runs" in lacking.words
    assert spread([4.0, None]).text == "4.00 (1 of 2)"
    assert spread([None, math.inf]).text == "–"


def test_only_runs_that_reached_the_target_have_steps_to_it() -> None:
    step = list(range(1, 6))
    losses = ([5, 4, 3, 2, 1], [5, 3, 2, 1, 1], [9, 9, 9, 9, 9])
    rows = compare([run(step=step, loss=[float(v) for v in each]) for each in losses], "loss", target=2.5)
    row = group_row(rows)
    assert (row.steps.mean, row.steps.count, row.steps.runs) == (3.5, 2, 3)
    assert row.best.mean == pytest.approx(11 / 3) and row.at.text == "–"
