"""Lines of one shape are read by one plan, and give what each would give alone."""

from __future__ import annotations

import re

import pytest

from foam_viz.logs.formats.block_catalogue import BLOCKS
from foam_viz.logs.parsing import line_pairs
from foam_viz.logs.parsing.line_pairs import values_of
from foam_viz.logs.parsing.line_shapes import ShapeCache, shape_of


@pytest.mark.parametrize(
    "first, second",
    [
        ("step 10 loss 2.5 acc@1 0.5", "step 20 loss 1.5 acc@5 0.7"),
        ("step: 10/500 lr.0: 0.1 lr.1: 0.2", "step: 20/500 lr.2: 0.1 lr.3: 0.2"),
        ("iter 1,000: loss 3e-04, 12 ms", "iter 2,000: loss 5e-11, 34 ms"),
        ("model.0.loss=1.5 train_wall=10", "model.1.loss=2.5 train_wall=20"),
        ("Episode's loss: 0.31 (0.29)", "Episode's loss: 0.11 (0.19)"),
    ],
)
def test_lines_give_what_each_gives_alone(first: str, second: str) -> None:
    line_pairs._plans.clear()
    alone = values_of(second)
    line_pairs._plans.clear()
    values_of(first)
    assert values_of(second) == alone


def test_names_tell_shapes_apart_and_numbers_do_not() -> None:
    assert shape_of("loss 1.25 top5 0.5") == shape_of("loss 7.31 top5 0.9")
    assert shape_of("loss 1.25 top5 0.5") != shape_of("loss 1.25 top1 0.5")
    assert shape_of("loss 1.25") != shape_of("loss 11.25")


def test_a_cache_stays_small() -> None:
    cache: ShapeCache[int] = ShapeCache()
    for number in range(10_000):
        assert cache.keep(str(number), number) == number
    assert len(cache) < 5_000


def test_styles_ask_for_no_certain_digit() -> None:
    """What opens a record is looked for once a shape, so it must not depend on which digits stand there."""
    for block in BLOCKS:
        for expression in (block.opens, block.inside):
            literal = re.sub(r"\{\d*,?\d*\}|\(\?P<\w+>|[A-Za-z]\w*\d(?:-\d+)?", "", expression)
            assert not re.search(r"\d", literal), (block.name, literal)
