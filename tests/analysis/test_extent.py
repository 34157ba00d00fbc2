from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foam_viz.analysis.extent import extent


@given(st.lists(st.floats(1e-3, 1e2), min_size=1, max_size=50).filter(lambda v: max(v) / np.median(v) < 900))
def test_an_ordinary_curve_is_held_whole(values: list[float]) -> None:
    assert extent(np.array(values), log=True) == (min(values), max(values))


def test_a_burst_belongs_to_its_curve_and_an_explosion_does_not() -> None:
    curve = np.full(300, 0.3)
    curve[200] = 15.5
    assert extent(curve, log=True) == (0.3, 15.5)
    curve[290:] = 10.0 ** np.arange(3, 33, 3)
    assert extent(curve, log=True) == (0.3, 15.5)


@pytest.mark.parametrize("log", [True, False])
def test_a_diverged_run_keeps_its_beginning(log: bool) -> None:
    curve = np.concatenate([np.linspace(2.3, 1.0, 50), [8.0, 1e5, 1e20, 1e36, np.inf, np.nan]])
    low, high = extent(curve, log=log, diverged=True)
    assert low == 1.0 and 2.3 <= high <= 8


def test_nothing_to_show() -> None:
    assert extent(np.array([np.nan, np.inf]), log=False) is None
    assert extent(np.array([-1.0, 0.0]), log=True) is None
    assert extent(np.array([-5.0, -1.0]), log=False) == (-5.0, -1.0)
    assert extent(np.zeros(4), log=False) == (0.0, 0.0)
