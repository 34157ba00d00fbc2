"""Whose steps come next on an engine that many runs share. Imports no torch.

Runs are served in turns of a few milliseconds, which shrink as the runs grow in number, so that a round of all takes
about :data:`ROUND_SECONDS`. Two rules make it fair:

* No run makes more than twice the steps of another in a round, so the slowest makes at least half the mean. Without it
  a run whose steps are short would make many of them while another makes one.
* Each priority has a share of the engine, :data:`SHARES`: runs that somebody watches have nine times what unwatched
  ones have together, and a run that is presented to a class has as much as all that are watched. A share that nobody
  needs goes to the others. Where two are due, the higher one begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from foam_viz.engine.wire.commands import Priority

ROUND_SECONDS = 0.25
SLICE_SECONDS = 0.015
_LEAST_SECONDS = 0.001
_MOST_STEPS_RATIO = 2
SHARES: Mapping[Priority, float] = {Priority.UNWATCHED: 1.0, Priority.WATCHED: 9.0, Priority.PRESENTED: 9.0}


@dataclass(frozen=True)
class Turn:
    """What a run may do now.

    Attributes:
        view_id: The run.
        seconds: Length of the turn; a step that is under way is finished.
        steps: Steps that it may make at most.
    """

    view_id: str
    seconds: float
    steps: int


@dataclass
class _Class:
    """The runs of one priority.

    Attributes:
        used: Seconds that it had, over its share.
        order: Runs that have their turn still, in this round.
        made: Steps of each run in this round.
        least: Fewest steps that a run made in the round before.
    """

    used: float = 0.0
    order: deque[str] = field(default_factory=deque)
    made: dict[str, int] = field(default_factory=dict)
    least: int = 0


class Scheduler:
    """Gives turns to runs."""

    def __init__(self) -> None:
        self._classes = {priority: _Class() for priority in Priority}
        self._priority = Priority.WATCHED

    def next(self, due: Iterable[tuple[str, Priority]]) -> Turn | None:
        """The next turn, or None where nothing is due.

        Args:
            due: Runs that could make a step now, each with its priority, in an order that stays.
        """
        runs: dict[Priority, list[str]] = {}
        for view_id, priority in due:
            runs.setdefault(priority, []).append(view_id)
        if not runs:
            return None
        self._priority = min(runs, key=lambda priority: (self._classes[priority].used, -priority))
        # One that needed nothing for a while has not saved it up.
        now = self._classes[self._priority].used
        for priority, held in self._classes.items():
            if priority not in runs:
                held.used = max(held.used, now)
        chosen, ready = self._classes[self._priority], runs[self._priority]
        if not any(view_id in ready for view_id in chosen.order):
            self._begin_round(chosen, ready)
        while (view_id := chosen.order.popleft()) not in ready:
            pass
        seconds = max(_LEAST_SECONDS, min(SLICE_SECONDS, ROUND_SECONDS / sum(map(len, runs.values()))))
        most = _MOST_STEPS_RATIO * chosen.least if len(ready) > 1 and chosen.least else 10**9
        return Turn(view_id, seconds, most)

    def _begin_round(self, chosen: _Class, ready: list[str]) -> None:
        chosen.least = min((steps for view_id, steps in chosen.made.items() if view_id in ready and steps), default=0)
        if not chosen.least and len(ready) > 1:
            chosen.least = 1
        chosen.order, chosen.made = deque(ready), {}

    def took(self, turn: Turn, steps: int, seconds: float) -> None:
        """A turn is over.

        Args:
            turn: Of :meth:`next`, the last one.
            steps: That were made.
            seconds: That they took.
        """
        held = self._classes[self._priority]
        held.used += seconds / SHARES[self._priority]
        held.made[turn.view_id] = held.made.get(turn.view_id, 0) + steps
