"""Turns: fair among runs of one priority, in shares among priorities, short where runs are many."""

from __future__ import annotations

import pytest

from foam_viz.engine.wire.commands import Priority
from foam_viz.engine.worker.scheduling import ROUND_SECONDS, SLICE_SECONDS, Scheduler

W, U, P = Priority.WATCHED, Priority.UNWATCHED, Priority.PRESENTED


def train(runs: dict[str, tuple[float, Priority]], seconds: float, pace: float = 0.0) -> dict[str, int]:
    """Steps that each run makes in so many seconds; ``runs`` tells the seconds of a step and the priority.

    Args:
        runs: By name.
        seconds: Of training.
        pace: Seconds between two steps of the run "paced".
    """
    scheduler, now, made, next_due = Scheduler(), 0.0, dict.fromkeys(runs, 0), 0.0
    while now < seconds:
        due = [(name, of) for name, (_, of) in runs.items() if name != "paced" or now >= next_due]
        turn = scheduler.next(due)
        if turn is None:
            now = next_due
            continue
        began, steps = now, 0
        while now - began < turn.seconds and steps < turn.steps and (turn.view_id != "paced" or now >= next_due):
            now, steps = now + runs[turn.view_id][0], steps + 1
            if turn.view_id == "paced":
                next_due = now + pace
        scheduler.took(turn, steps, now - began)
        made[turn.view_id] += steps
    return made


def fair(made: dict[str, int]) -> float:
    return min(made.values()) / (sum(made.values()) / len(made))


@pytest.mark.parametrize(
    "steps",
    [
        [0.01] * 30,
        [0.0005] * 29 + [0.02],
        [0.001, 0.3],
        [0.0005, 0.002, 0.01, 0.05],
        [0.0003] * 15 + [0.04] * 15,
    ],
)
def test_the_slowest_run_makes_at_least_half_the_mean(steps: list[float]) -> None:
    assert fair(train({str(i): (seconds, W) for i, seconds in enumerate(steps)}, 60)) >= 0.5


def test_watched_runs_go_before_unwatched_ones_which_do_not_starve() -> None:
    made = train({"seen": (0.005, W), **{str(i): (0.005, U) for i in range(29)}}, 20)
    rest = sum(made.values()) - made["seen"]
    assert 0.85 < made["seen"] / sum(made.values()) < 0.95
    assert rest > 0 and all(made.values())


def test_a_presented_run_has_as_much_as_a_class() -> None:
    made = train({"shown": (0.005, P), **{str(i): (0.005, W) for i in range(29)}}, 20)
    assert 0.45 < made["shown"] / sum(made.values()) < 0.55
    assert fair({name: steps for name, steps in made.items() if name != "shown"}) > 0.9


def test_a_share_that_nobody_needs_is_used() -> None:
    assert train({"alone": (0.005, U)}, 1)["alone"] >= 199


@pytest.mark.parametrize("priority", [W, P])
def test_a_run_of_five_steps_a_second_keeps_its_pace_among_thirty(priority: Priority) -> None:
    made = train({"paced": (0.005, priority), **{str(i): (0.01, W) for i in range(30)}}, 20, pace=0.2)
    assert made["paced"] > (45 if priority == W else 90)


def test_turns_shrink_as_runs_grow_in_number() -> None:
    def longest(count: int) -> float:
        return Scheduler().next([(str(i), W) for i in range(count)]).seconds

    assert longest(1) == longest(10) == SLICE_SECONDS
    assert longest(100) == ROUND_SECONDS / 100


def test_nothing_is_due() -> None:
    assert Scheduler().next([]) is None
