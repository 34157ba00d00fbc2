from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foam_viz.analysis.levels import sample, window_rows


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 6000), st.integers(16, 500), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.001, 0.3, 1.0]))
def test_ends_extremes_and_gaps_stay(count: int, limit: int, seed: int, broken: float) -> None:
    random = np.random.default_rng(seed)
    x, y = np.cumsum(random.random(count)), random.standard_normal(count)
    y[random.random(count) < broken] = random.choice([np.nan, np.inf, -np.inf])
    rows = sample(x, y, limit)
    assert (np.diff(rows) > 0).all() and len(rows) <= limit * 11 / 8 + 2
    assert rows[0] == 0 or np.isnan(broken) or not np.isfinite(y[0]) or 0 in rows
    finite = np.isfinite(y)
    if finite.any():
        assert {y[finite].min(), y[finite].max()} <= set(y[rows])
        assert {np.flatnonzero(finite)[0], np.flatnonzero(finite)[-1]} <= set(rows)
    assert finite.all() == np.isfinite(y[rows]).all(), "a gap is not closed"


def test_every_gap_keeps_its_borders_while_there_are_few() -> None:
    y = np.sin(np.arange(100_000) / 500)
    y[20_000:20_003] = np.nan
    y[70_000] = np.inf
    rows = set(sample(np.arange(100_000.0), y, 400).tolist())
    assert {19_999, 20_000, 20_003, 69_999, 70_000, 70_001} <= rows


def test_every_spike_of_one_point_survives() -> None:
    y = np.zeros(300_000)
    at = np.random.default_rng(0).choice(300_000, 20, replace=False)
    y[at] = np.arange(1, 21)
    rows = sample(np.arange(300_000.0), y, 800)
    assert set(at) <= set(rows)


def test_a_window_is_cut_with_one_neighbour_on_either_side() -> None:
    x = np.arange(0, 1000, 10.0)
    assert window_rows(x, 100, 200) == (9, 22) and window_rows(x) == (0, 100)
    assert window_rows(x, -5, 5000) == (0, 100) and window_rows(x, 5000, 6000) == (99, 100)
    assert sample(x, x, 50, 100, 200).tolist() == list(range(9, 22))


def test_zooming_in_reaches_every_point() -> None:
    x = np.arange(1_000_000.0)
    y = np.random.default_rng(1).standard_normal(1_000_000)
    assert sample(x, y, 400, 500_000, 500_300).tolist() == list(range(499_999, 500_302))


def test_bins_stand_still_while_the_window_moves() -> None:
    x, y = np.arange(100_000.0), np.random.default_rng(2).standard_normal(100_000)
    one, other = sample(x, y, 400, 10_000, 60_000), sample(x, y, 400, 10_100, 60_100)
    inside = [set(rows[(rows > 11_000) & (rows < 59_000)]) for rows in (one, other)]
    assert inside[0] == inside[1]


@pytest.mark.parametrize("broken", [False, True])
def test_a_million_points_take_milliseconds(broken: bool) -> None:
    x, y = np.arange(1_000_000.0), np.random.default_rng(3).standard_normal(1_000_000)
    if broken:
        y[::10_000] = np.nan
    spent = []
    for low in np.linspace(0, 400_000, 7):
        begin = time.thread_time()
        sample(x, y, 800, low, low + 600_000)
        spent.append(time.thread_time() - begin)
    assert min(spent) < 0.05
