"""Names of factors in few letters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from foam_viz.figures.names import fitting

GPT = [
    f"blocks.{block}.{module} {side}"
    for block in range(2)
    for module in ("attention.inward", "attention.outward", "widen", "narrow")
    for side in ("left", "right")
]


def test_names_that_fit_stay() -> None:
    assert fitting(["layer 1 left", "layer 1 right"], 15) == ["layer 1 left", "layer 1 right"]


def test_factors_of_different_blocks_are_told_apart() -> None:
    shown = fitting(GPT, 15)
    assert shown[:4] == ["0.att.inw left", "0.att.inw right", "0.att.out left", "0.att.out right"]
    assert len(set(shown)) == len(GPT) and max(map(len, shown)) <= 15


def test_numbers_stay_whole_where_words_are_shortened() -> None:
    shown = fitting([f"parameter {place} {side}" for place in (6, 10, 34) for side in ("left", "right")], 15)
    assert shown[-2:] == ["parame 34 left", "parame 34 right"]


@given(st.lists(st.text("ab. 01", min_size=1, max_size=30), max_size=8), st.integers(5, 20))
def test_names_always_fit(names: list[str], most: int) -> None:
    shown = fitting(names, most)
    assert len(shown) == len(names) and all(len(name) <= most for name in shown)
