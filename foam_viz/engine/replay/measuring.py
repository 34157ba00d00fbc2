"""Measures of recorded checks, by the functions and in the portions of training, so that every bit comes back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from foam_viz.engine.replay.recorded_factors import RecordedStack
from foam_viz.optim import check, linalg

MOST_KNOWN = 200_000
"""Measures that are remembered, about 60 MB; beyond it they are computed again."""


class Standing(NamedTuple):
    """What a factor is measured against at a check.

    Attributes:
        row: Place of the factor in its stack.
        check: Number of the recorded check, k.
        decomposed: Check of the decomposition in force, s.
        refreshed: Check of the eigenvalues in force; s, or later where they were refreshed since.
        epsilon: Damping in force.
    """

    row: int
    check: int
    decomposed: int
    refreshed: int
    epsilon: float


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


class Measures:
    """The measures of one stack of factors, and the eigenvalues that are in force.

    Args:
        stack: The factors, decomposed.
        pairs: Keeps B of pairs.
    """

    def __init__(self, stack: RecordedStack, pairs: PairStore) -> None:
        self._stack, self._pairs = stack, pairs
        self._corrections = [factor.corrections for factor in stack.factors]
        self._known: dict[tuple[object, ...], float] = {}
        self._diagonals: dict[tuple[str, int, int, int], Tensor] = {}
        self._used: dict[str, Tensor] = {}

    def trim(self) -> None:
        """Forget what was measured, where that is much."""
        if len(self._known) > MOST_KNOWN:
            self._known.clear()

    def of(self, kind: str, rule: str, chosen: Sequence[Standing]) -> list[float]:
        """h or r of each.

        Args:
            kind: ``"proxy"`` or ``"residual"``.
            rule: What becomes of the smallest eigenvalues.
            chosen: The checks of one step.
        """
        # The residual is that of B alone; what h measures depends on what is in force.
        if kind != "proxy":
            chosen = [one._replace(refreshed=one.decomposed, epsilon=0.0) for one in chosen]
        missing = [one for one in dict.fromkeys(chosen) if (kind, rule, one) not in self._known]
        portion = self._stack.portion
        for first in range(0, len(missing), portion):
            self._measure(missing[first : first + portion], kind, rule)
        return [self._known[kind, rule, one] for one in chosen]

    def alone(self, one: Standing, rule: str) -> float:
        """h of one check, of which nothing is kept."""
        factor = self._stack.factors[one.row]
        s = slice(one.decomposed, one.decomposed + 1)
        k = slice(one.check, one.check + 1)
        rotated = check.rotate(factor.statistics[k], factor.basis[s], self._corrections[one.row][one.check])
        in_force = factor.spectrum(rule)[s], torch.tensor([one.epsilon], dtype=rotated.dtype)
        return float(check.measure(rotated, in_force, self._stack.root, self._floor(rule))[0])

    def note_refreshed(self, row: int, s: int, k: int, rule: str) -> None:
        """Take note that the eigenvalues of the basis of check s were refreshed at check k."""
        if (rule, row, s, k) not in self._diagonals:
            rotated = self._pairs.stack([(self._stack.factors[row].number, s, k)], self._rotate)
            self._diagonals[rule, row, s, k] = check.refreshed(rotated, rule)[0].clone()

    def eigenvalues(self, row: int, decomposed: int, refreshed: int, rule: str) -> Tensor:
        """D in force, (n,), floored where training floors it."""
        if refreshed == decomposed:
            return self._stack.factors[row].used(rule)[decomposed]
        return linalg.floored(self._diagonals[rule, row, decomposed, refreshed], self._floor(rule))

    def eigenvalues_of(self, rows: np.ndarray, decomposed: np.ndarray, refreshed: np.ndarray, rule: str) -> Tensor:
        """``eigenvalues`` of many, (N, n)."""
        if rule not in self._used:
            self._used[rule] = torch.cat([factor.used(rule) for factor in self._stack.factors])
        found = self._used[rule][torch.from_numpy(self._stack.starts[rows] + decomposed)]
        for place in np.flatnonzero(refreshed != decomposed).tolist():
            found[place] = self.eigenvalues(int(rows[place]), int(decomposed[place]), int(refreshed[place]), rule)
        return found

    def _measure(self, chosen: list[Standing], kind: str, rule: str) -> None:
        rotated = self._pairs.stack(
            [(self._stack.factors[one.row].number, one.decomposed, one.check) for one in chosen], self._rotate
        )
        in_force = None
        if kind == "proxy":
            eigenvalues = torch.stack([self._unfloored(one, rule) for one in chosen])
            in_force = eigenvalues, torch.tensor([one.epsilon for one in chosen], dtype=rotated.dtype)
        measured = check.measure(rotated, in_force, self._stack.root, self._floor(rule))
        for one, value in zip(chosen, measured[0].tolist(), strict=True):
            self._known[kind, rule, one] = value

    def _rotate(self, missing: list[tuple[int, int, int]]) -> Tensor:
        rows = {factor.number: row for row, factor in enumerate(self._stack.factors)}
        chosen = [(rows[number], s, k) for number, s, k in missing]
        statistics = torch.stack([self._stack.factors[row].statistics[k] for row, _, k in chosen])
        basis = torch.stack([self._stack.factors[row].basis[s] for row, s, _ in chosen])
        corrections = [self._corrections[row][k] for row, _, k in chosen]
        same = len(set(corrections)) == 1
        correction = corrections[0] if same else torch.tensor(corrections, dtype=statistics.dtype).view(-1, 1, 1)
        return check.rotate(statistics, basis, correction)

    def _unfloored(self, one: Standing, rule: str) -> Tensor:
        if one.refreshed == one.decomposed:
            return self._stack.factors[one.row].spectrum(rule)[one.decomposed]
        return self._diagonals[rule, one.row, one.decomposed, one.refreshed]

    def _floor(self, rule: str) -> float | None:
        """Floor of D as a share of lambda_max."""
        return torch.finfo(self._stack.dtype).eps if rule == "floor" else None
