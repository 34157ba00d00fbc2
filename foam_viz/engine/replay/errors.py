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
        self._stack, self._walker, self._overlaps = stack, walker, walker.pairs
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
        root = self._stack.root
        used = torch.stack([self._walker.eigenvalues(row, s, r, rule) for row, s, r, *_ in keys])
        now = torch.stack([self._walker.eigenvalues(row, k, k, rule) for row, _, _, k, *_ in keys])
        epsilon = torch.tensor([key[4] for key in keys], dtype=used.dtype)
        a = linalg.damped(used, epsilon).pow_(-1.0 / root)
        b = linalg.damped(now, epsilon).pow_(-1.0 / root)
        b0 = linalg.damped(now, torch.tensor([key[5] for key in keys], dtype=used.dtype)).pow_(-1.0 / root)
        sizes = torch.linalg.vector_norm(b0, dim=-1).tolist()
        damping = (torch.linalg.vector_norm(b - b0, dim=-1) / torch.linalg.vector_norm(b0, dim=-1)).tolist()
        directions = (now < epsilon.unsqueeze(-1)).sum(-1).tolist()
        stale, fresh, truth = a.numpy(), b.numpy(), b0.numpy()
        total, staleness = list(damping), [0.0] * len(keys)  # of a basis that is fresh
        blocks: dict[int, tuple[np.ndarray, list[tuple[int, int]]]] = {}
        for place, (row, s, refreshed, k, *_) in enumerate(keys):
            if (s, refreshed) != (k, k):
                overlap, inside = self._overlaps[row].overlap(s, k)
                blocks.setdefault(id(overlap), (overlap, []))[1].append((place, inside))
        for overlap, members in blocks.values():
            places, inside = (list(one) for one in zip(*members, strict=True))
            mine = overlap if inside == list(range(len(overlap))) else overlap[inside]
            apart = _distance(mine, stale[places], truth[places])
            alike = _distance(mine, stale[places], fresh[places])
            for place, in_all, part in zip(places, apart, alike, strict=True):
                total[place], staleness[place] = in_all / sizes[place], part / sizes[place]
        for key, error, stale_part, damped_part, below in zip(keys, total, staleness, damping, directions, strict=True):
            self._known[key] = Errors(error, stale_part, damped_part, below)


def _distance(overlap: np.ndarray, stale: np.ndarray, fresh: np.ndarray) -> list[float]:
    """Root of the sum over i, j of O_ij (b_j - a_i)^2, for each of N pairs."""
    apart = fresh[:, None, :] - stale[:, :, None]
    np.square(apart, out=apart)
    count = len(apart)
    summed = overlap.reshape(count, 1, -1) @ apart.reshape(count, -1, 1)
    return np.sqrt(summed.ravel()).tolist()
