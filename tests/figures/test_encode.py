from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foam_viz.figures import encode


def test_typed_arrays_hold_the_values() -> None:
    spec = encode.typed(np.array([[1.5, 2.5, 3.5]]))
    assert spec["shape"] == "1,3"
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(spec["bdata"]), "f4"), [1.5, 2.5, 3.5])


@pytest.mark.parametrize(
    ("highest", "kind"), [(255, "u1"), (256, "u2"), (65_535, "u2"), (65_536, "i4"), (2**31 - 1, "i4"), (2**31, "f8")]
)
def test_integers_take_the_smallest_exact_type(highest: int, kind: str) -> None:
    spec = encode.integers(np.array([0, highest]))
    assert spec["dtype"] == kind
    assert np.frombuffer(base64.b64decode(spec["bdata"]), kind)[-1] == highest


@given(st.floats(1e-6, 1e9), st.floats(1.0, 1.5))
def test_ranges_contain_their_data_and_only_grow(last: float, growth: float) -> None:
    before, after = encode.time_range(last), encode.time_range(last * growth)
    assert before[1] >= last and after[1] >= before[1]


def test_a_time_range_seldom_changes() -> None:
    assert len({tuple(encode.time_range(step)) for step in range(1, 10_001)}) < 80
    assert all(encode.time_range(step)[1] <= 1.15 * step for step in range(100, 10_001, 7))


@given(st.floats(1e-12, 1e6), st.floats(1.0, 1e6))
def test_log_ranges_are_rounded_outwards(low: float, ratio: float) -> None:
    bottom, top = encode.log_range(low, low * ratio)
    assert 10**bottom <= low * 1.0001 and 10**top >= low * ratio * 0.9999
    assert bottom * 2 == round(bottom * 2) and top * 2 == round(top * 2) and top > bottom


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_spread_keeps_labels_apart_and_in_order(wished: list[float]) -> None:
    placed = encode.spread(wished, 10.0)
    order = np.argsort(wished, kind="stable")
    assert (np.diff(np.array(placed)[order]) >= 10 - 1e-6).all()


def test_spread_keeps_labels_within_their_bounds() -> None:
    assert encode.spread([1.0, 2.0, 3.0], 10.0, 5.0, 100.0) == [5.0, 15.0, 25.0]
    assert encode.spread([99.0, 2.0, 98.0], 10.0, 5.0, 100.0) == [100.0, 5.0, 90.0]


def test_spread_leaves_labels_that_fit() -> None:
    assert encode.spread([0.0, 50.0, 20.0], 10.0) == [0.0, 50.0, 20.0]


def test_escape_disarms_markup() -> None:
    assert encode.escape("<a href='x'>&") == "&lt;a href='x'&gt;&amp;"
