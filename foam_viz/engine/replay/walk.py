"""Walks recorded factors from check to check under one or many settings, deciding as training does.

The run's own setting, and policies that refresh eigenvalues, are measured by the functions and in the portions of
training, so that every bit comes back. Any other setting is measured from what its pairs of checks keep: see ``pairs``.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from foam_viz.analysis.replay import Grid, Setting
from foam_viz.engine.replay import pairs as pairs_of
from foam_viz.engine.replay.pairs import Overlaps, Pairs
from foam_viz.engine.replay.recording import RecordedFactor, RecordedStack
from foam_viz.optim import check, linalg
from foam_viz.optim.refresh import Decision

MOST_KNOWN = 200_000
"""Numbers of checks that are remembered, about 60 MB; beyond it they are computed again."""


class Row(NamedTuple):
    """One check of one factor under one setting, after its decision.

    Attributes:
        check: Number of the recorded check, k.
        decision: What was carried out.
        epsilon_before: Damping before.
        measure: h or r; None where nothing was measured.
        decomposed: Check of the decomposition in force, s; -1 where there is none.
        refreshed: Check of the eigenvalues in force; s, or later where they were refreshed since.
    """

    check: int
    decision: Decision
    epsilon_before: float
    measure: float | None
    decomposed: int
    refreshed: int


class Held(NamedTuple):
    """What is in force for a factor after a recorded check, whether the setting checks there or not.

    Attributes:
        decomposed: Check of the decomposition; -1 where there is none.
        refreshed: Check of the eigenvalues.
        check: Number of the recorded check, k.
        epsilon: Damping.
    """

    decomposed: int
    refreshed: int
    check: int
    epsilon: float


def held(track: Sequence[Row], checks: int) -> list[Held]:
    """What is in force after each recorded check, from the first one of a setting on.

    Settings that check at different times are compared at the same ones: right after a decomposition nothing is stale,
    so that a long period, looked at where it checks, would seem to leave no error.

    Args:
        track: The checks of a factor under a setting.
        checks: Recorded checks of the factor.
    """
    found: list[Held] = []
    for place, row in enumerate(track):
        end = track[place + 1].check if place + 1 < len(track) else checks
        epsilon = row.decision.epsilon
        found += [Held(row.decomposed, row.refreshed, k, epsilon) for k in range(row.check, end)]
    return found


@dataclass(slots=True)
class _Standing:
    """Of one factor under one setting: the basis, eigenvalues and damping in force."""

    epsilon: float
    decomposed: int = -1
    refreshed: int = -1
    rows: list[Row] = field(default_factory=list)


class PairStore:
    """Matrices by pair of checks, the longest unused of which go when there are too many.

    Args:
        limit: Bytes of all matrices.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self.bytes = limit, 0
        self._kept: OrderedDict[tuple[int, int, int], Tensor] = OrderedDict()

    def stack(
        self, keys: Sequence[tuple[int, int, int]], compute: Callable[[list[tuple[int, int, int]]], Tensor]
    ) -> Tensor:
        """Matrices of some pairs, (N, n, n); what is missing is computed together."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._kept]
        stacked = compute(missing) if missing else None
        computed = () if stacked is None else stacked.unbind(0)
        if stacked is not None and missing == list(keys):
            result = stacked
        else:
            found = dict(zip(missing, computed, strict=True))
            result = torch.stack([found[key] if key in found else self._kept[key] for key in keys])
            for key in keys:
                if key not in found:
                    self._kept.move_to_end(key)
        for key, matrix in zip(missing, computed, strict=True):
            self._kept[key] = matrix.clone()  # a view would keep its whole stack in memory
            self.bytes += matrix.numel() * matrix.element_size()
        while self.bytes > self._limit and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self.bytes -= dropped.numel() * dropped.element_size()
        return result


class Walker:
    """The walk over one stack of factors.

    Args:
        stack: The factors.
        grid: Which checks there are.
        count: Factors of the whole run, for taking turns.
        pairs: Keeps B of pairs.
        damping: The damping at which h of pairs is kept.
        overlaps: Keeps overlaps of pairs.

    Attributes:
        pairs: What is kept of the pairs of checks.
        tick: Called at every step; what it raises ends the walk.
    """

    def __init__(
        self, stack: RecordedStack, grid: Grid, count: int, pairs: PairStore, damping: pairs_of.Grid, overlaps: Overlaps
    ) -> None:
        self._stack, self._grid, self._count = stack, grid, count
        self._pairs, self._damping = pairs, damping
        self.tick: Callable[[], None] = lambda: None
        self.pairs = Pairs(stack, damping, overlaps)
        self._corrections = [factor.corrections for factor in stack.factors]
        self._measures: dict[tuple[object, ...], tuple[float, ...]] = {}
        self._diagonals: dict[tuple[str, int, int, int], Tensor] = {}
        self._used: dict[str, Tensor] = {}
        counts = [len(factor.steps) for factor in stack.factors]
        self._starts = list(accumulate(counts, initial=0))
        self._due: dict[tuple[object, ...], list[list[bool]]] = {}

    def walk(self, settings: Sequence[Setting]) -> list[list[list[Row]]]:
        """Every check of every factor: by setting, by factor, in order."""
        factors = self._stack.factors
        if len(self._measures) > MOST_KNOWN:
            self._measures.clear()
        exact = [self._needs_training(setting) for setting in settings]
        due = [self._turns(setting) for setting in settings]
        standing = [[_Standing(setting.policy.epsilon) for _ in factors] for setting in settings]
        for number, (step, present) in enumerate(self._stack.checks.items()):
            self.tick()
            self._stack.release(number)
            now = [setting.at(step) for setting in settings]
            judged: dict[tuple[str | None, str, bool], list[tuple[int, int, int]]] = {}
            for i, setting in enumerate(now):
                mine, turns, policy = standing[i], due[i], setting.policy
                for row, k in present:
                    if not turns[row][k]:
                        continue
                    if mine[row].decomposed < 0:
                        trace = factors[row].traces[k]
                        decision = check.decide(
                            policy, epsilon=mine[row].epsilon, measured=None, trace=trace, can_judge=False
                        )
                        self._carry_out(mine[row], row, k, decision, None, setting.rule)
                    else:
                        judged.setdefault((policy.measures, setting.rule, exact[i]), []).append((i, row, k))
            for (kind, rule, as_trained), chosen in judged.items():
                if kind == "proxy" and not as_trained:
                    self._judge_quickly(chosen, rule, now, standing)
                else:
                    self._judge(chosen, kind, rule, now, standing)
        return [[one.rows for one in mine] for mine in standing]

    def _needs_training(self, setting: Setting) -> bool:
        """Whether a setting is measured as training measures it: the own one, and one that changes D between."""
        return setting == self._grid.own or setting.policy.refreshes_eigenvalues

    def _judge_quickly(
        self,
        chosen: list[tuple[int, int, int]],
        rule: str,
        settings: Sequence[Setting],
        standing: list[list[_Standing]],
    ) -> None:
        """Decide from what pairs keep, all at once; with a damping that they do not cover, h is measured by itself."""
        now = [standing[i][row] for i, row, _ in chosen]
        pairs = [(row, one.decomposed, k) for (_, row, k), one in zip(chosen, now, strict=True)]
        logarithms = self.pairs.proxies(rule, pairs)
        epsilon = np.array([one.epsilon for one in now])
        measured = self._damping.read(logarithms, epsilon).tolist()
        for place in np.flatnonzero(~self._damping.covers(epsilon)).tolist():
            _, row, k = chosen[place]
            measured[place] = self._alone(row, now[place], k, rule)
        for (i, row, k), one, h in zip(chosen, now, measured, strict=True):
            self._decide(one, row, k, settings[i], h)

    def _alone(self, row: int, now: _Standing, k: int, rule: str) -> float:
        factor = self._stack.factors[row]
        s = slice(now.decomposed, now.decomposed + 1)
        rotated = check.rotate(factor.statistics[k : k + 1], factor.basis[s], self._corrections[row][k])
        in_force = factor.spectrum(rule)[s], torch.tensor([now.epsilon], dtype=rotated.dtype)
        return float(check.measure(rotated, in_force, self._stack.root, self.floor(rule))[0])

    def _judge(
        self,
        chosen: list[tuple[int, int, int]],
        kind: str | None,
        rule: str,
        settings: Sequence[Setting],
        standing: list[list[_Standing]],
    ) -> None:
        if kind is None:
            for i, row, k in chosen:
                self._decide(standing[i][row], row, k, settings[i], None)
            return
        keys = []
        for i, row, k in chosen:
            now = standing[i][row]
            # The residual is that of B alone; what h measures depends on what is in force.
            in_force = (now.refreshed, now.epsilon) if kind == "proxy" else None
            keys.append((kind, rule, row, now.decomposed, k, in_force))
        missing = list(dict.fromkeys(key for key in keys if key not in self._measures))
        portion = self._stack.portion
        for first in range(0, len(missing), portion):
            self._measure(missing[first : first + portion], kind, rule)
        for (i, row, k), key in zip(chosen, keys, strict=True):
            self._decide(standing[i][row], row, k, settings[i], self._measures[key][0])

    def _measure(self, keys: list[tuple], kind: str, rule: str) -> None:
        pairs = [(row, s, k) for _, _, row, s, k, _ in keys]
        rotated = self._pairs.stack([(self._stack.factors[row].number, s, k) for row, s, k in pairs], self._rotate)
        in_force = None
        if kind == "proxy":
            eigenvalues = torch.stack(
                [self._eigenvalues(row, s, key[5][0], rule) for key, (row, s, _) in zip(keys, pairs, strict=True)]
            )
            in_force = eigenvalues, torch.tensor([key[5][1] for key in keys], dtype=rotated.dtype)
        measured = check.measure(rotated, in_force, self._stack.root, self.floor(rule))
        for key, values in zip(keys, torch.stack(measured, -1).tolist(), strict=True):
            self._measures[key] = tuple(values)

    def _rotate(self, missing: list[tuple[int, int, int]]) -> Tensor:
        rows = {factor.number: row for row, factor in enumerate(self._stack.factors)}
        chosen = [(rows[number], s, k) for number, s, k in missing]
        statistics = torch.stack([self._stack.factors[row].statistics[k] for row, _, k in chosen])
        basis = torch.stack([self._stack.factors[row].basis[s] for row, s, _ in chosen])
        corrections = [self._corrections[row][k] for row, _, k in chosen]
        same = len(set(corrections)) == 1
        correction = corrections[0] if same else torch.tensor(corrections, dtype=statistics.dtype).view(-1, 1, 1)
        return check.rotate(statistics, basis, correction)

    def floor(self, rule: str) -> float | None:
        """Floor of D as a share of lambda_max."""
        return torch.finfo(self._stack.dtype).eps if rule == "floor" else None

    def _eigenvalues(self, row: int, decomposed: int, refreshed: int, rule: str) -> Tensor:
        if refreshed == decomposed:
            return self._stack.factors[row].spectrum(rule)[decomposed]
        return self._diagonals[rule, row, decomposed, refreshed]

    def eigenvalues(self, row: int, decomposed: int, refreshed: int, rule: str) -> Tensor:
        """D in force, (n,), floored where training floors it."""
        if refreshed == decomposed:
            return self._stack.factors[row].used(rule)[decomposed]
        return linalg.floored(self._eigenvalues(row, decomposed, refreshed, rule), self.floor(rule))

    def eigenvalues_of(self, chosen: Sequence[tuple[int, int, int]], rule: str) -> Tensor:
        """``eigenvalues`` of many (row, decomposed, refreshed), (N, n)."""
        if rule not in self._used:
            self._used[rule] = torch.cat([factor.used(rule) for factor in self._stack.factors])
        found = self._used[rule][[self._starts[row] + decomposed for row, decomposed, _ in chosen]]
        for place, (row, decomposed, refreshed) in enumerate(chosen):
            if refreshed != decomposed:
                found[place] = self.eigenvalues(row, decomposed, refreshed, rule)
        return found

    def _decide(self, now: _Standing, row: int, k: int, setting: Setting, measured: float | None) -> None:
        trace = self._stack.factors[row].traces[k]
        decision = check.decide(setting.policy, epsilon=now.epsilon, measured=measured, trace=trace, can_judge=True)
        self._carry_out(now, row, k, decision, measured, setting.rule)

    def _carry_out(
        self, now: _Standing, row: int, k: int, decision: Decision, measured: float | None, rule: str
    ) -> None:
        before = now.epsilon
        if decision.decompose and self._stack.factors[row].failed[k]:
            decision = check.after_failure(decision, before)
        if decision.decompose:
            now.decomposed = now.refreshed = k
        elif decision.refresh_eigenvalues:
            now.refreshed = k
            self._note_diagonal(row, now.decomposed, k, rule)
        now.epsilon = decision.epsilon
        now.rows.append(Row(k, decision, before, measured, now.decomposed, now.refreshed))

    def _note_diagonal(self, row: int, s: int, k: int, rule: str) -> None:
        if (rule, row, s, k) not in self._diagonals:
            rotated = self._pairs.stack([(self._stack.factors[row].number, s, k)], self._rotate)
            self._diagonals[rule, row, s, k] = check.refreshed(rotated, rule)[0].clone()

    def _turns(self, setting: Setting) -> list[list[bool]]:
        """Whether each recorded check of each factor is one under a setting."""
        key = (setting == self._grid.own, setting.policy, setting.edits)
        if key not in self._due:
            self._due[key] = [self._turns_of(factor, setting) for factor in self._stack.factors]
        return self._due[key]

    def _turns_of(self, factor: RecordedFactor, setting: Setting) -> list[bool]:
        policy, grid = setting.policy, self._grid
        if grid.is_own(setting):  # recorded because they were checks, whatever the period was then
            return [True] * len(factor.steps)
        every, first = grid.spacing.every, max(policy.first_check, grid.first)
        if getattr(policy, "stagger", False):
            # Turns fall on recorded checks: of the m checks of a period, factor i of N has that of number floor(i m/N).
            checks = policy.period // grid.period
            turn = factor.number * checks // self._count
            due = [step // grid.period % checks == turn for step in factor.steps]
        else:
            # Where the run itself took turns, every factor has recorded checks of its own, at its own distance.
            due = [step // every * every % policy.period == 0 for step in factor.steps]
        started = next((k for k, step in enumerate(factor.steps) if step >= first), math.inf)
        return [k == started or (k > started and due[k]) for k in range(len(due))]
