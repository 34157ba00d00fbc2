"""Merging and cutting of dimensions."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foam_viz.optim.blocks import cut, matrix_shape, merge_small_dims


@pytest.mark.parametrize(
    ("shape", "limit", "merged"),
    [
        ((4, 3, 3, 3), 16, (12, 9)),
        ((4, 3, 3, 3), 36, (36, 3)),
        ((4, 3, 3, 3), 1024, (108,)),
        ((1, 5, 1), 16, (5,)),
        ((1, 1), 16, (1,)),
        ((), 16, (1,)),
        ((20, 2, 2), 16, (20, 4)),
        ((2, 20, 2), 16, (2, 20, 2)),
    ],
)
def test_merging(shape: tuple[int, ...], limit: int, merged: tuple[int, ...]) -> None:
    assert merge_small_dims(shape, limit) == merged
    assert matrix_shape(shape, limit, merge=True) == merged
    assert matrix_shape(shape, limit, merge=False) == (shape or (1,))


def test_cutting_runs_over_the_last_dimension_fastest() -> None:
    assert cut((5, 3), 2) == [
        (slice(0, 2), slice(0, 2)), (slice(0, 2), slice(2, 3)),
        (slice(2, 4), slice(0, 2)), (slice(2, 4), slice(2, 3)),
        (slice(4, 5), slice(0, 2)), (slice(4, 5), slice(2, 3)),
    ]  # fmt: skip
    assert cut((4,), 4) == [(slice(0, 4),)]
    assert cut((0, 4), 4) == []


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple), st.integers(1, 8))
def test_blocks_cover_every_element_once(shape: tuple[int, ...], limit: int) -> None:
    seen = np.zeros(shape, dtype=int)
    for slices in cut(shape, limit):
        assert all(0 < s.stop - s.start <= limit for s in slices)
        seen[slices] += 1
    assert (seen == 1).all()
    merged = merge_small_dims(shape, limit)
    assert prod(merged) == prod(shape)
