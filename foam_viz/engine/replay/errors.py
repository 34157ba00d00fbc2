"""What is left of a fresh inverse root at eps0: by staleness, by damping, and in all.

With s and k the checks of the basis in force and of now, Q_s diag(a) Q_s^T the inverse root used and U diag(b) U^T a
fresh one, || X_used - X_fresh ||_F = || M o (b_j - a_i) ||_F for M = Q_s^T U: no two large matrices are subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from foam_viz.engine.replay.recording import RecordedStack
from foam_viz.engine.replay.walk import MOST_KNOWN, Held, Walker
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
    """

    def __init__(self, stack: RecordedStack, walker: Walker) -> None:
        self._stack, self._walker, self._pairs = stack, walker, walker.pairs
        self._known: dict[tuple[Any, ...], Errors] = {}

    def errors(self, held: Sequence[Sequence[Held]], fresh: Callable[[int], float], rule: str) -> list[list[Errors]]:
        """Errors of every check of every factor of the stack.

        Args:
            held: By factor: what is in force after each check.
            fresh: eps0 at a step.
            rule: What becomes of the smallest eigenvalues.
        """
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        keys: list[list[tuple[Any, ...]]] = [
            [(number, *one, fresh(factor.steps[one.check]), rule) for one in mine]
            for number, (factor, mine) in enumerate(zip(self._stack.factors, held, strict=True))
        ]
        missing = list(dict.fromkeys(key for mine in keys for key in mine if key not in self._known))
        computable = []
        for key in missing:
            if key[1] < 0 or self._stack.factors[key[0]].failed[key[3]]:
                self._known[key] = NOTHING
            else:
                computable.append(key)
        if computable:
            self._measure(computable, rule)
        return [[self._known[key] for key in mine] for mine in keys]

    def _measure(self, keys: list[tuple], rule: str) -> None:
        root, factors = self._stack.root, self._stack.factors
        used = self._walker.eigenvalues_of([(row, s, refreshed) for row, s, refreshed, *_ in keys], rule)
        now = self._walker.eigenvalues_of([(row, k, k) for row, _, _, k, *_ in keys], rule)
        epsilon, fresh = torch.tensor([key[4:6] for key in keys], dtype=used.dtype).unbind(-1)
        stale = linalg.damped(used, epsilon).pow_(-1.0 / root)
        # Fresh at eps0 and at eps, (N, 2, n): the distances to both are taken together.
        ideal = linalg.damped(now.unsqueeze(1), torch.stack([fresh, epsilon], -1)).pow_(-1.0 / root)
        sizes = torch.linalg.vector_norm(ideal[:, 0], dim=-1)
        damping = (torch.linalg.vector_norm(ideal[:, 1] - ideal[:, 0], dim=-1) / sizes).tolist()
        directions = (now < epsilon.unsqueeze(-1)).sum(-1).tolist()
        squares = np.zeros((len(keys), 2))
        size = factors[0].info.size
        apart = torch.empty(2, size, size, dtype=used.dtype)
        flat = apart.view(2, -1).numpy()
        columns, rows = ideal.unsqueeze(2).unbind(0), stale.unsqueeze(2).unbind(0)
        for place, (row, s, refreshed, k, *_) in enumerate(keys):
            if s != k or refreshed != k:
                self._stack.release(place)
                # The sum over i, j of O_ij (b_j - a_i)^2; of a broadcast difference torch is the faster.
                torch.sub(columns[place], rows[place], out=apart)
                np.multiply(flat, flat, out=flat)
                squares[place] = flat @ self._pairs.overlap(row, s, k)
        parts = (np.sqrt(squares) / sizes.numpy()[:, None]).tolist()
        for key, (error, staleness), damped, below in zip(keys, parts, damping, directions, strict=True):
            _, s, refreshed, k, *_ = key
            parts_of = (damped, 0.0) if s == k and refreshed == k else (error, staleness)
            self._known[key] = Errors(*parts_of, damped, below)
