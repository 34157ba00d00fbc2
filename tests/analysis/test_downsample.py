from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foam_viz.analysis.downsample import bin_width, bins_of, minmax, smoothing_width, strided


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5000), st.integers(4, 400), st.integers(0, 2**32 - 1))
def test_minmax_keeps_ends_extremes_and_the_limit(count: int, limit: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(count)
    chosen = minmax(values, limit)
    assert len(chosen) <= max(limit, 4)
    assert chosen[0] == 0 and chosen[-1] == count - 1
    assert (np.diff(chosen) > 0).all()
    assert values[chosen].min() == values.min() and values[chosen].max() == values.max()


def test_every_bin_keeps_its_own_extremes() -> None:
    values = np.random.default_rng(0).standard_normal(4096)
    chosen = set(minmax(values, 130).tolist())
    for start in range(0, 4096, 64):
        block = values[start : start + 64]
        assert {start + int(block.argmin()), start + int(block.argmax())} <= chosen


def test_bins_stand_still_while_a_series_grows() -> None:
    values = np.random.default_rng(1).standard_normal(3000)
    shorter, longer = minmax(values[:2900], 400), minmax(values, 400)
    assert set(shorter[shorter < 2816]) == set(longer[longer < 2816]) | {0}


@pytest.mark.parametrize(("count", "bins", "width"), [(10, 10, 1), (11, 10, 2), (100, 10, 16), (1, 1, 1)])
def test_bin_width_is_the_smallest_power_of_two(count: int, bins: int, width: int) -> None:
    assert bin_width(count, bins) == width


def test_strided_keeps_the_last_point() -> None:
    assert strided(10, 4).tolist() == [0, 4, 8, 9]
    assert strided(0, 4).tolist() == []
    assert len(strided(1000, 50)) <= 50


def test_smoothing_starts_at_twenty_values_and_seldom_changes() -> None:
    assert smoothing_width(np.arange(600)) == 20
    assert [smoothing_width(np.arange(n)) for n in (4000, 4001, 10_000)] == [20, 40, 80]
    assert smoothing_width(np.arange(0, 6000, 10)) == 200
    assert smoothing_width(np.array([5])) == 20


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 400), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_events_that_share_a_mark_are_counted(count: int, bins: int, seed: int) -> None:
    at = np.sort(np.random.default_rng(seed).integers(0, 3000, count))
    first, counts = bins_of(at, bins)
    assert counts.sum() == count and len(first) <= bins
    if count:
        width = bin_width(int(at[-1]) + 1, bins)
        assert set(at // width) == set(at[first] // width), "each event has a mark in its own bin"
