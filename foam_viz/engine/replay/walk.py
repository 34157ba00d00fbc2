"""Walks recorded factors from check to check under one or many settings, deciding as training does.

The run's own setting, and policies that refresh eigenvalues, are measured by the functions and in the portions of
training, so that every bit comes back. Any other setting is measured from what its pairs of checks keep: see ``pairs``.
Settings of one policy are judged together, by the rule that training asks for one check: ``Policy.judge``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from foam_viz.analysis.replay_setting import Setting
from foam_viz.engine.replay.measuring import Measures, Standing
from foam_viz.engine.replay.pairs import Curves, Pairs
from foam_viz.engine.replay.recorded_factors import RELEASE_EVERY, RecordedFactor
from foam_viz.engine.replay.recording import Recording
from foam_viz.engine.replay.tracks import REASONS, Tracks
from foam_viz.optim import check
from foam_viz.optim.refresh import Policy

_REUSE = REASONS.index("reuse")
_PAST = -1


@dataclass(eq=False)
class _State:
    """Of each factor under each setting, (S, P): what is in force, and the block of curves that h is read from.

    Attributes:
        epsilon: Damping.
        decomposed: Check of the decomposition, s.
        refreshed: Check of the eigenvalues.
        until: The check that ends the block; in the past where there is none.
        offset: Number of the curve of check k, less k.
    """

    epsilon: np.ndarray
    decomposed: np.ndarray
    refreshed: np.ndarray
    until: np.ndarray
    offset: np.ndarray

    @classmethod
    def begin(cls, settings: Sequence[Setting], factors: int) -> _State:
        """Before the first check."""
        whole = [np.full((len(settings), factors), value) for value in (-1, -1, _PAST, 0)]
        epsilon = np.array([setting.policy.epsilon for setting in settings])
        return cls(np.tile(epsilon[:, None], factors), *whole)


@dataclass(frozen=True, eq=False)
class _Group:
    """Settings that are checked together: of one policy, at the same recorded checks, measured in one way.

    Attributes:
        rows: Their numbers, (G, 1).
        policies: Of each.
        policy: All as one: see ``Policy.together``.
        rule: What becomes of the smallest eigenvalues.
        as_trained: Whether they are measured as training does.
        made: Whether each recorded check is one of theirs, (T,).
    """

    rows: np.ndarray
    policies: Sequence[Policy]
    policy: Policy
    rule: str
    as_trained: bool
    made: np.ndarray


@dataclass(frozen=True, eq=False)
class _Due:
    """What is checked at one step, (m,).

    Attributes:
        columns: Place of the recorded check among those of all factors.
        places: The factor.
        checks: k.
    """

    columns: np.ndarray
    places: np.ndarray
    checks: np.ndarray

    def only(self, chosen: np.ndarray) -> _Due:
        """Some of them."""
        return self if chosen.all() else _Due(self.columns[chosen], self.places[chosen], self.checks[chosen])


class Walker:
    """The walk over a recording. The place of a factor is its number among those of all stacks, one after the other.

    Args:
        recording: The factors, decomposed.
        measures: Of each stack, as training takes them.
        pairs: Of each stack: what pairs of checks keep.
        curves: h of pairs.

    Attributes:
        factors: By place.
        steps: Of the recorded checks of all factors, (T,).
        tick: Called at every step; what it raises ends the walk.
    """

    def __init__(
        self, recording: Recording, measures: Sequence[Measures], pairs: Sequence[Pairs], curves: Curves
    ) -> None:
        self._recording, self._grid = recording, recording.grid
        self._measures, self._pairs, self._curves = measures, pairs, curves
        self.tick: Callable[[], None] = lambda: None
        self.factors = [factor for stack in recording.stacks for factor in stack.factors]
        lengths = [len(stack.factors) for stack in recording.stacks]
        self._stack = np.repeat(np.arange(len(lengths)), lengths)
        self._row = np.concatenate([np.arange(length) for length in lengths])
        self.steps = np.concatenate([stack.steps for stack in recording.stacks])
        self._traces = np.concatenate([factor.traces for factor in self.factors])
        checks = np.concatenate([stack.numbers for stack in recording.stacks])
        places = np.repeat(np.arange(len(self.factors)), [len(factor.steps) for factor in self.factors])
        order = np.argsort(self.steps, kind="stable")
        _, begins = np.unique(self.steps[order], return_index=True)
        self._steps = [_Due(one, places[one], checks[one]) for one in np.split(order, begins[1:])]
        self._made: dict[tuple[object, ...], np.ndarray] = {}

    @cached_property
    def _failed(self) -> np.ndarray:
        return np.concatenate([stack.failed for stack in self._recording.stacks])

    def walk(self, settings: Sequence[Setting]) -> Tracks:
        """Every recorded check of every factor under every setting."""
        for measures in self._measures:
            measures.trim()
        made = [self._checks(setting) for setting in settings]
        tracks = Tracks.begin(settings, np.array(made).reshape(len(settings), len(self.steps)), self.steps)
        state = _State.begin(settings, len(self.factors))
        edited = any(setting.edits for setting in settings)
        groups = self._groups(settings, made, 0)
        for number, due in enumerate(self._steps):
            self.tick()
            if number % RELEASE_EVERY == 0:
                self._recording.release()
            if self._curves.is_full():
                self._curves.clear()
                state.until[:] = _PAST
            if edited:
                groups = self._groups(settings, made, int(self.steps[due.columns[0]]))
            for group in groups:
                mine = due.only(group.made[due.columns])
                if len(mine.columns):
                    self._check(group, mine, state, tracks)
            for name in ("epsilon", "decomposed", "refreshed"):
                getattr(tracks, name)[:, due.columns] = getattr(state, name)[:, due.places]
        return tracks

    def _groups(self, settings: Sequence[Setting], made: Sequence[np.ndarray], step: int) -> list[_Group]:
        """The settings by what is done for them together, as they are at a step."""
        now = [setting.at(step) for setting in settings]
        found: dict[tuple[object, ...], list[int]] = {}
        for i, (setting, current) in enumerate(zip(settings, now, strict=True)):
            key = type(current.policy), current.rule, self._needs_training(setting), id(made[i])
            found.setdefault(key, []).append(i)
        groups = []
        for rows in found.values():
            policies = [now[i].policy for i in rows]
            together = type(policies[0]).together(policies)
            as_trained = self._needs_training(settings[rows[0]])
            groups.append(
                _Group(np.array(rows)[:, None], policies, together, now[rows[0]].rule, as_trained, made[rows[0]])
            )
        return groups

    def _needs_training(self, setting: Setting) -> bool:
        """Whether a setting is measured as training measures it: the own one, and one that changes D between."""
        return setting == self._grid.own or setting.policy.refreshes_eigenvalues

    def _check(self, group: _Group, due: _Due, state: _State, tracks: Tracks) -> None:
        """One check of some factors under the settings of a group; arrays are (G, m)."""
        policy, k = group.policy, due.checks
        here, column = (group.rows, due.places), (group.rows, due.columns)
        before, decomposed = state.epsilon[here], state.decomposed[here]
        measured = (decomposed >= 0) & (policy.measures is not None)
        measure = np.full(before.shape, np.nan)
        measure[measured] = self._measure(group, due, state, measured)
        # Whatever is not judged by numbers, and what fails, is decided one by one.
        finite = np.isfinite(self._traces[due.columns])
        judged = (decomposed >= 0) & finite & ~(measured & np.isnan(measure))
        with np.errstate(all="ignore"):
            renew, damping = policy.judge(before, measure)
        renew = judged & renew
        refresh = judged & ~renew & policy.refreshes_eigenvalues
        epsilon = np.where(renew, policy.epsilon, damping)
        reason = np.where(renew, REASONS.index(policy.renewal), _REUSE)
        failed = self._failed[due.columns]
        for i, j in np.argwhere(~judged | (renew & failed)).tolist():
            factor = self.factors[due.places[j]]
            decision = check.decide(
                group.policies[i],
                epsilon=float(before[i, j]),
                measured=float(measure[i, j]) if measured[i, j] else None,
                trace=factor.traces[int(k[j])],
                can_judge=bool(decomposed[i, j] >= 0),
            )
            if decision.decompose and failed[j]:
                decision = check.after_failure(decision, float(before[i, j]))
            renew[i, j], refresh[i, j] = decision.decompose, decision.refresh_eigenvalues
            epsilon[i, j], reason[i, j] = decision.epsilon, REASONS.index(decision.reason)
        for i, j in np.argwhere(refresh).tolist():
            place = int(due.places[j])
            self._measures[self._stack[place]].note_refreshed(
                int(self._row[place]), int(decomposed[i, j]), int(k[j]), group.rule
            )
        state.epsilon[here] = epsilon
        state.decomposed[here] = np.where(renew, k, decomposed)
        state.refreshed[here] = np.where(renew | refresh, k, state.refreshed[here])
        state.until[here] = np.where(renew, _PAST, state.until[here])
        for found, value in (("before", before), ("measure", measure), ("measured", measured), ("reason", reason)):
            getattr(tracks, found)[column] = value

    def _measure(self, group: _Group, due: _Due, state: _State, wanted: np.ndarray) -> np.ndarray:
        """h or r of the checks of a group that ``wanted``, (G, m), chooses, in their order."""
        setting, place = np.nonzero(wanted)
        setting, place, k = group.rows[setting, 0], due.places[place], due.checks[place]
        if not len(setting):
            return np.empty(0)
        if not group.as_trained and group.policy.measures == "proxy":
            return self._read(group, state, setting, place, k)
        found = np.empty(len(setting))
        for stack, mine in self._by_stack(place):
            chosen = [self._standing(state, *one) for one in zip(setting[mine], place[mine], k[mine], strict=True)]
            found[mine] = self._measures[stack].of(str(group.policy.measures), group.rule, chosen)
        return found

    def _standing(self, state: _State, setting: int, place: int, k: int) -> Standing:
        here = setting, place
        decomposed, refreshed = int(state.decomposed[here]), int(state.refreshed[here])
        return Standing(int(self._row[place]), int(k), decomposed, refreshed, float(state.epsilon[here]))

    def _read(self, group: _Group, state: _State, setting: np.ndarray, place: np.ndarray, k: np.ndarray) -> np.ndarray:
        """h from what pairs keep, (N,); with a damping that they do not cover, it is measured by itself."""
        wanted = np.flatnonzero(k >= state.until[setting, place])
        for stack, mine in self._by_stack(place[wanted]):
            chosen = wanted[mine]
            here = setting[chosen], place[chosen]
            blocks = self._pairs[stack].blocks(group.rule, self._row[here[1]], state.decomposed[here], k[chosen])
            state.until[here], state.offset[here] = blocks
        here = setting, place
        found, covered = self._curves.read(state.offset[here] + k, state.epsilon[here])
        for one in np.flatnonzero(~covered).tolist():
            standing = self._standing(state, setting[one], place[one], k[one])
            found[one] = self._measures[int(self._stack[place[one]])].alone(standing, group.rule)
        return found

    def _by_stack(self, places: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Each stack of some factors, with where they are among them."""
        stacks = self._stack[places]
        for stack in range(len(self._pairs)):
            mine = np.flatnonzero(stacks == stack)
            if len(mine):
                yield stack, mine

    def _checks(self, setting: Setting) -> np.ndarray:
        """Whether each recorded check of all factors is one under a setting, (T,); the same array for the same."""
        policy = setting.policy
        when = policy.period, policy.first_check, getattr(policy, "stagger", False)
        key = (*when, self._grid.is_own(setting), any(name == "period" for _, name, _ in setting.edits))
        if key not in self._made:
            self._made[key] = np.array([turn for factor in self.factors for turn in self._turns(factor, setting)], bool)
        return self._made[key]

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
