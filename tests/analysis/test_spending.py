"""Where the seconds of a run went: by timed phases, estimated from its steps, or not known at all."""

from __future__ import annotations

import numpy as np
import pytest

from foam_viz.analysis.spending import matrix_bytes, spending
from foam_viz.trace import Trace
from tests.analysis.runs import checks, infos, run


def stepped(took: list[float], first: int = 1, **columns: object) -> Trace:
    """A run whose steps took so many seconds."""
    step = np.arange(first, first + len(took))
    return run(factors=infos(), step=step, optimizer_seconds=np.cumsum(took), **columns)


@pytest.mark.parametrize(
    "columns", [{}, {"step": [1], "loss": [1.0]}, {"step": [5], "optimizer_seconds": [1.0]},
                {"step": [1, 2], "optimizer_seconds": [np.nan, np.nan]}],
)  # fmt: skip
def test_nothing_is_known(columns: dict[str, list[float]]) -> None:
    assert spending(run(**columns).view()) is None


def test_the_first_step_alone_is_a_whole() -> None:
    found = spending(stepped([0.5]).view())
    assert found is not None and (found.first, found.last, dict(found.parts)) == (1, 1, {"every step": 0.5})
    assert found.each is None and found.decompositions is None and found.all_decomposed is None


def test_timed_phases_are_told_and_the_gradient_is_not_the_optimizers() -> None:
    timed = {f"{name}_seconds": [1.0, 2.0] for name in ("gradient", "check", "decomposition", "update")}
    trace = checks(stepped([3.0, 3.0], **timed), step=[1, 2], factor=[0, 0], checks=[1, 1], decompositions=[1, 0])
    found = spending(trace.view())
    assert found is not None and found.timed
    assert dict(found.parts) == {"gradient": 2.0, "check": 2.0, "decomposition": 2.0, "update": 2.0}
    assert found.total == 6.0 and (found.count, found.checked, found.each) == (1, 2, 2.0)
    assert found.all_decomposed == 10.0


def test_what_was_not_timed_is_estimated_from_the_kinds_of_steps() -> None:
    # Of 24 steps those of 4, 8, ... check, for 1 s more; of the checks the last decomposes, for 10 s more.
    took = [1.0 + (step % 4 == 0) + 10 * (step == 24) for step in range(1, 25)]
    trace = checks(
        stepped(took), step=range(4, 25, 4), factor=[0] * 6, checks=[1] * 6, decompositions=[0, 0, 0, 0, 0, 1]
    )
    found = spending(trace.view())
    assert found is not None and not found.timed
    assert found.parts == pytest.approx({"every step": 24.0, "check": 6.0, "decomposition": 10.0})
    assert found.all_decomposed == pytest.approx(40 + 10 * 5)


def test_a_lane_without_factors_is_not_taken_apart() -> None:
    found = spending(run(step=range(1, 31), optimizer_seconds=np.arange(1.0, 31.0)).view())
    assert found is not None and dict(found.parts) == {"every step": 30.0} and found.checked == 0


def test_rows_of_a_run_that_began_later_count_from_the_first() -> None:
    found = spending(stepped([2.0, 3.0, 4.0], first=7).view())
    assert found is not None and (found.first, found.last, found.total) == (8, 9, 7.0)


def test_a_matrix_for_every_factor() -> None:
    assert matrix_bytes(run(factors=infos(3)).view(), 4) == 3 * 64 * 4
    assert matrix_bytes(run().view(), 4) == 0
