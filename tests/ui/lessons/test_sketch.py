from __future__ import annotations

import math

import pytest

from foam_viz.lessons.lesson import Sketch
from foam_viz.ui.lessons import sketch

ASKED = Sketch("Period f, steps", 0.2, 0.5)


def test_a_loss_for_each_lane_is_taken() -> None:
    assert sketch.checked(ASKED, 3, [0.2, 0.5, 0.3]) == [0.2, 0.5, 0.3]


@pytest.mark.parametrize(
    "losses",
    [None, "0.3", {}, [], [0.3], [0.3] * 4, [0.3, 0.3, "0.3"], [0.3, 0.3, True], [0.3, 0.3, None], [0.3, 0.3, math.nan],
     [0.3, 0.3, math.inf], [0.3, 0.3, 0.6], [0.3, 0.3, 0.1], [0.3, 0.3, [0.3]]],
)  # fmt: skip
def test_what_a_browser_cannot_have_drawn_is_not_taken(losses: object) -> None:
    assert sketch.checked(ASKED, 3, losses) is None
