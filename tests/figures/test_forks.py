"""The past that lanes share is drawn once, on every panel that lays lanes over each other."""

from __future__ import annotations

import numpy as np
import pytest

from foam_viz.figures.catalogue import BY_ID
from foam_viz.figures.look import Look
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Trace, record_batch
from tests.figures.reading import values
from tests.synthetic import SyntheticRun


def _lane(number: int, parent: tuple[int, int] | None = None) -> Lane:
    """Lane 1 of a lab run, or a fork: another lane up to a step."""
    run = SyntheticRun("foam").advance(600)
    config = dict(run.trace.manifest.config)
    if parent is not None:
        config["parent"] = {"lane": parent[0], "step": parent[1]}
    trace = Trace.empty(run.trace.manifest.with_(run_id=f"run-{number}", config=config))
    steps = np.arange(10, 601, 10)
    norms = {"step": steps, "gradient_norm": 1.0 / steps, "update_norm": 0.1 / steps}
    trace.append("steps", record_batch("steps", {**norms, "loss": 1.0 / steps}))
    for table in ("checks", "snapshots"):
        trace.append(table, run.trace.table(table))
    return Lane(trace, f"lane {number}", number - 1)


PARENT, CHILD, GRANDCHILD, SIBLING = _lane(1), _lane(2, (1, 200)), _lane(3, (2, 400)), _lane(4, (1, 300))


@pytest.mark.parametrize(
    ("lane", "others", "step"),
    [
        (CHILD, [PARENT], 200),
        (PARENT, [CHILD], 200),
        (GRANDCHILD, [PARENT], 200),
        (GRANDCHILD, [CHILD], 400),
        (GRANDCHILD, [PARENT, CHILD], 400),
        (SIBLING, [CHILD], 200),
        (PARENT, [], 0),
    ],
)
def test_what_is_drawn_already_is_known_over_generations(lane: Lane, others: list[Lane], step: int) -> None:
    assert Scene([PARENT, CHILD, GRANDCHILD, SIBLING]).drawn_before(lane, others) == step


def test_lanes_of_other_runs_share_nothing() -> None:
    trace = Trace(PARENT.trace.manifest.with_(run_id="other-1"), steps=PARENT.trace.table("steps"))
    assert Scene([PARENT, CHILD]).drawn_before(CHILD, [Lane(trace, "other", 5)]) == 0


@pytest.mark.parametrize("panel", ["damping", "turn", "loss", "norms"])
@pytest.mark.parametrize("followed", [0, 1])
def test_the_followed_lane_is_drawn_whole_and_the_other_from_the_fork_on(panel: str, followed: int) -> None:
    by_card = panel in ("loss", "norms")
    look = Look(factor=0, lane=followed, quantity="norms" if panel == "norms" else "loss", max_points=10_000)
    figure = BY_ID["loss" if by_card else panel].draw(Scene([PARENT, CHILD], look)).figure
    whole = 0 if by_card else followed
    first: dict[int, float] = {}
    for drawn in figure["data"]:
        if drawn.get("mode") == "lines" and "lane" in (drawn.get("meta") or {}):
            x = values(drawn["x"])
            place = drawn["meta"]["lane"]
            first[place] = min(first.get(place, np.inf), float(x[np.isfinite(x)].min()))
    assert first[whole] < 50
    # A turn begins at 0 where the basis in force at the fork was decomposed.
    assert 100 < first[1 - whole] <= 220 if panel == "turn" else first[1 - whole] == 200
