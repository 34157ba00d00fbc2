"""What is left of a fresh inverse root at eps0: by staleness, by damping, and in all.

With s and k the checks of the basis in force and of now, Q_s diag(a) Q_s^T the inverse root used and U diag(b) U^T a
fresh one, || X_used - X_fresh ||_F = || M o (b_j - a_i) ||_F for M = Q_s^T U: no two large matrices are subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from foam_viz.engine.replay.recording import RecordedStack
from foam_viz.engine.replay.walk import MOST_KNOWN, PairStore, Row, Walker
from foam_viz.optim import linalg


class Errors(NamedTuple):
    """Of one check, relative to || X_fresh(eps0) ||_F; see ``analysis.replay.Replay``."""

    error: float
    staleness: float
    damping: float
    directions_damped: int


NOTHING = Errors(float("nan"), float("nan"), float("nan"), 0)


class ErrorMeter:
    """Errors of one stack of factors.

    Args:
        stack: The factors.
        walker: Knows the eigenvalues in force.
        pairs: Keeps squares of M of pairs.
    """

    def __init__(self, stack: RecordedStack, walker: Walker, pairs: PairStore) -> None:
        self._stack, self._walker, self._pairs = stack, walker, pairs
        self._known: dict[tuple[object, ...], Errors] = {}

    def errors(self, rows: Sequence[Sequence[Row]], fresh_epsilon: float, rule: str) -> list[list[Errors]]:
        """Errors of every check of every factor of the stack.

        Args:
            rows: By factor.
            fresh_epsilon: eps0.
            rule: What becomes of the smallest eigenvalues.
        """
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        keys = [
            [
                (number, row.decomposed, row.refreshed, row.check, row.decision.epsilon, fresh_epsilon, rule)
                for row in mine
            ]
            for number, mine in enumerate(rows)
        ]
        missing = list(dict.fromkeys(key for mine in keys for key in mine if key not in self._known))
        computable = []
        for key in missing:
            if key[1] < 0 or self._stack.factors[key[0]].failed[key[3]]:
                self._known[key] = NOTHING
            else:
                computable.append(key)
        portion = self._stack.portion
        for first in range(0, len(computable), portion):
            self._measure(computable[first : first + portion], rule)
        return [[self._known[key] for key in mine] for mine in keys]

    def _measure(self, keys: list[tuple], rule: str) -> None:
        factors, root = self._stack.factors, self._stack.root
        used = torch.stack([self._walker.eigenvalues(row, s, r, rule) for row, s, r, *_ in keys])
        now = torch.stack([self._walker.eigenvalues(row, k, k, rule) for row, _, _, k, *_ in keys])
        epsilon = torch.tensor([key[4] for key in keys], dtype=used.dtype)
        fresh_epsilon = keys[0][5]
        a = linalg.damped(used, epsilon).pow_(-1.0 / root)
        b = linalg.damped(now, epsilon).pow_(-1.0 / root)
        b0 = linalg.damped(now, fresh_epsilon).pow_(-1.0 / root)
        scale = torch.linalg.vector_norm(b0, dim=-1)
        damping = torch.linalg.vector_norm(b - b0, dim=-1) / scale
        total, stale = damping.clone(), torch.zeros_like(damping)  # of a basis that is fresh
        if old := [i for i, (_, s, r, k, *_) in enumerate(keys) if (s, r) != (k, k)]:
            pairs = [(factors[keys[i][0]].number, keys[i][1], keys[i][3]) for i in old]
            overlap = self._pairs.stack(pairs, self._overlap)
            for result, fresh in ((total, b0), (stale, b)):
                result[old] = _distance(overlap, a[old], fresh[old]).sqrt_() / scale[old]
        directions = (now < epsilon.unsqueeze(-1)).sum(-1)
        columns = zip(keys, total.tolist(), stale.tolist(), damping.tolist(), directions.tolist(), strict=True)
        for key, *values in columns:
            self._known[key] = Errors(*values)

    def _overlap(self, missing: list[tuple[int, int, int]]) -> Tensor:
        factors = {factor.number: factor for factor in self._stack.factors}
        stale = torch.stack([factors[number].basis[s] for number, s, _ in missing])
        fresh = torch.stack([factors[number].basis[k] for number, _, k in missing])
        return (stale.mT @ fresh).square_()


def _distance(overlap: Tensor, stale: Tensor, fresh: Tensor) -> Tensor:
    """Sum over i, j of O_ij (b_j - a_i)^2, (N,)."""
    return (fresh.unsqueeze(-2) - stale.unsqueeze(-1)).square_().mul_(overlap).flatten(1).sum(-1)
