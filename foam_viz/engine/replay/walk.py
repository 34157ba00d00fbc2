"""Walks recorded factors from check to check under one or many settings, deciding as training does.

The run's own setting, and policies that refresh eigenvalues, are measured by the functions and in the portions of
training, so that every bit comes back. Any other setting is measured from what its pairs of checks keep: see ``pairs``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from foam_viz.analysis.replay import Setting
from foam_viz.engine.replay.measuring import Measures, Standing
from foam_viz.engine.replay.pairs import Curves, Pairs
from foam_viz.engine.replay.recording import RELEASE_EVERY, RecordedFactor, Recording
from foam_viz.optim import check
from foam_viz.optim.refresh import Reason


class Row(NamedTuple):
    """One check of one factor under one setting, after its decision.

    Attributes:
        check: Number of the recorded check, k.
        reason: Of what was carried out.
        epsilon_before: Damping before.
        epsilon: Damping after.
        measure: h or r; None where nothing was measured.
        decomposed: Check of the decomposition in force, s; -1 where there is none.
        refreshed: Check of the eigenvalues in force; s, or later where they were refreshed since.
    """

    check: int
    reason: Reason
    epsilon_before: float
    epsilon: float
    measure: float | None
    decomposed: int
    refreshed: int


@dataclass(slots=True)
class _State:
    """Of one factor under one setting: the basis, eigenvalues and damping in force."""

    epsilon: float
    decomposed: int = -1
    refreshed: int = -1
    rows: list[Row] = field(default_factory=list)


class _Due(NamedTuple):
    """A check whose measure comes from what pairs keep."""

    state: _State
    place: int
    check: int
    setting: Setting


class Walker:
    """The walk over a recording. The place of a factor is its number among those of all stacks, one after the other.

    Args:
        recording: The factors, decomposed.
        measures: Of each stack, as training takes them.
        pairs: Of each stack: what pairs of checks keep.
        curves: h of pairs.

    Attributes:
        factors: By place.
        tick: Called at every step; what it raises ends the walk.
    """

    def __init__(
        self, recording: Recording, measures: Sequence[Measures], pairs: Sequence[Pairs], curves: Curves
    ) -> None:
        self._recording, self._grid = recording, recording.grid
        self._measures, self._pairs, self._curves = measures, pairs, curves
        self.tick: Callable[[], None] = lambda: None
        self.factors = [factor for stack in recording.stacks for factor in stack.factors]
        self._rows = [
            (number, row) for number, stack in enumerate(recording.stacks) for row in range(len(stack.factors))
        ]
        steps: dict[int, list[tuple[int, int]]] = {}
        for place, factor in enumerate(self.factors):
            for k, step in enumerate(factor.steps):
                steps.setdefault(step, []).append((place, k))
        self._steps = dict(sorted(steps.items()))
        self._due: dict[tuple[object, ...], list[list[tuple[int, int]]]] = {}

    def walk(self, settings: Sequence[Setting]) -> list[list[list[Row]]]:
        """Every check of every factor: by setting, by place, in order."""
        for measures in self._measures:
            measures.trim()
        as_trained = [self._needs_training(setting) for setting in settings]
        due = [self._checks(setting) for setting in settings]
        states = [[_State(setting.policy.epsilon) for _ in self.factors] for setting in settings]
        for number, step in enumerate(self._steps):
            self.tick()
            if number % RELEASE_EVERY == 0:
                self._recording.release()
            if self._curves.is_full():
                self._curves.clear()
            quick: list[_Due] = []
            measured: dict[tuple[int, str, str], list[_Due]] = {}
            for i, setting in enumerate(settings):
                now, mine = setting.at(step), states[i]
                kind = now.policy.measures
                for place, k in due[i][number]:
                    one = _Due(mine[place], place, k, now)
                    if kind is None or one.state.decomposed < 0:
                        self._decide(one, None)
                    elif kind == "proxy" and not as_trained[i]:
                        quick.append(one)
                    else:
                        measured.setdefault((self._rows[place][0], kind, setting.rule), []).append(one)
            if quick:
                self._decide_quickly(quick)
            for (stack, kind, rule), chosen in measured.items():
                standing = [self._standing(one) for one in chosen]
                for one, value in zip(chosen, self._measures[stack].of(kind, rule, standing), strict=True):
                    self._decide(one, value)
        return [[state.rows for state in mine] for mine in states]

    def _needs_training(self, setting: Setting) -> bool:
        """Whether a setting is measured as training measures it: the own one, and one that changes D between."""
        return setting == self._grid.own or setting.policy.refreshes_eigenvalues

    def _standing(self, one: _Due) -> Standing:
        state = one.state
        return Standing(self._rows[one.place][1], one.check, state.decomposed, state.refreshed, state.epsilon)

    def _decide_quickly(self, chosen: list[_Due]) -> None:
        """Decide from what pairs keep, all at once; with a damping that they do not cover, h is measured by itself."""
        curves = []
        for state, place, k, setting in chosen:
            stack, row = self._rows[place]
            curves.append(self._pairs[stack].curve(setting.rule, row, state.decomposed, k))
        epsilon = np.array([one.state.epsilon for one in chosen])
        found, covered = self._curves.read(curves, epsilon)
        measured = found.tolist()
        for place in np.flatnonzero(~covered).tolist():
            one = chosen[place]
            measured[place] = self._measures[self._rows[one.place][0]].alone(self._standing(one), one.setting.rule)
        for one, h in zip(chosen, measured, strict=True):
            self._decide(one, h)

    def _decide(self, due: _Due, measured: float | None) -> None:
        state, place, k, setting = due
        factor, policy, before = self.factors[place], setting.policy, state.epsilon
        decision = check.decide(
            policy, epsilon=before, measured=measured, trace=factor.traces[k], can_judge=state.decomposed >= 0
        )
        if decision.decompose and factor.failed[k]:
            decision = check.after_failure(decision, before)
        if decision.decompose:
            state.decomposed = state.refreshed = k
        elif decision.refresh_eigenvalues:
            state.refreshed = k
            stack, row = self._rows[place]
            self._measures[stack].note_refreshed(row, state.decomposed, k, setting.rule)
        state.epsilon = decision.epsilon
        state.rows.append(
            Row(k, decision.reason, before, decision.epsilon, measured, state.decomposed, state.refreshed)
        )

    def _checks(self, setting: Setting) -> list[list[tuple[int, int]]]:
        """The place and number of each recorded check that is one under a setting, by step."""
        key = (setting == self._grid.own, setting.policy, setting.edits)
        if key not in self._due:
            turns = [self._turns(factor, setting) for factor in self.factors]
            self._due[key] = [[(place, k) for place, k in one if turns[place][k]] for one in self._steps.values()]
        return self._due[key]

    def _turns(self, factor: RecordedFactor, setting: Setting) -> list[bool]:
        """Whether each recorded check of a factor is one under a setting."""
        policy, grid = setting.policy, self._grid
        every, first = grid.spacing.every, max(policy.first_check, grid.first)
        edited = any(name == "period" for _, name, _ in setting.edits)
        are_checks = edited or (policy.period <= every and policy.first_check <= factor.steps[0])
        if grid.is_own(setting) and are_checks:  # whatever the period was then; a Writer may record more
            return [True] * len(factor.steps)
        if getattr(policy, "stagger", False):
            # Turns fall on recorded checks: of the m checks of a period, factor i of N has that of number floor(i m/N).
            checks = policy.period // grid.period
            turn = factor.number * checks // len(self._recording.manifest.factors)
            due = [step // grid.period % checks == turn for step in factor.steps]
        else:
            # Where the run itself took turns, every factor has recorded checks of its own, at its own distance.
            due = [step // every * every % policy.period == 0 for step in factor.steps]
        started = next((k for k, step in enumerate(factor.steps) if step >= first), math.inf)
        return [k == started or (k > started and due[k]) for k in range(len(due))]
