"""What is left of a fresh inverse root at eps0: by staleness, by damping, and in all.

With s and k the checks of the basis in force and of now, Q_s diag(a) Q_s^T the inverse root used, U diag(b) U^T a fresh
one, and O = (Q_s^T U)^2 entrywise, || X_used - X_fresh ||_F^2 is the sum of O_ij (b_j - a_i)^2 over i and j. Its three
parts are summed in float64: the rounding of their difference is below 1e-7 of || X_fresh ||_F.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from foam_viz.engine.replay.measuring import Measures
from foam_viz.engine.replay.pairs import Pairs
from foam_viz.engine.replay.recorded_factors import RecordedStack
from foam_viz.engine.replay.tracks import Tracks
from foam_viz.optim import linalg

_ENTRIES, _OVERLAP_ENTRIES = 2**19, 2**17
"""Of eigenvalues, and of overlaps, that are treated together."""


@dataclass(frozen=True, eq=False)
class Held:
    """What is in force for the factors of a stack after recorded checks, whether a setting checks there or not.

    Settings that check at different times are compared at the same ones: right after a decomposition nothing is stale,
    so that a long period, looked at where it checks, would seem to leave no error.

    Attributes:
        setting: Number of the setting, rising, (N,).
        column: Place of the recorded check among those of the stack, rising for each setting, (N,).
        row: Place of the factor in its stack, (N,).
        check: Number of the recorded check, k, (N,).
        decomposed: Check of the decomposition; -1 where there is none, (N,).
        refreshed: Check of the eigenvalues, (N,).
        epsilon: Damping, (N,).
        fresh: eps0 at the step of the check, (N,).
    """

    setting: np.ndarray
    column: np.ndarray
    row: np.ndarray
    check: np.ndarray
    decomposed: np.ndarray
    refreshed: np.ndarray
    epsilon: np.ndarray
    fresh: np.ndarray

    @classmethod
    def of(cls, stack: RecordedStack, tracks: Tracks, every: int = 1) -> Held:
        """What is in force after one recorded check of so many, from the first one of a setting on.

        Args:
            stack: The factors.
            tracks: What settings did at the checks of the stack.
            every: Of so many recorded checks of each factor one is taken.
        """
        row, check = stack.rows, stack.numbers
        never = len(check)
        first = np.minimum.reduceat(np.where(tracks.made, check, never), stack.starts, axis=1)
        since = check - first[:, row]
        chosen = (since >= 0) & (since % every == 0)
        setting, column = np.nonzero(chosen)
        told = (one[chosen] for one in (tracks.decomposed, tracks.refreshed, tracks.epsilon, tracks.fresh))
        return cls(setting, column, row[column], check[column], *told)


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of what is held, relative to || X_fresh(eps0) ||_F; see ``analysis.replay.Replay``.

    Attributes:
        values: Error, its parts by staleness and by damping, and directions damped, (N, 4).
        known: Whether they could be measured: there was a basis, and the factor was finite, (N,).
    """

    values: np.ndarray
    known: np.ndarray


class ErrorMeter:
    """Errors of one stack of factors.

    Args:
        stack: The factors.
        measures: Knows the eigenvalues in force.
        pairs: Knows the overlaps of bases.

    Attributes:
        tick: Called before every portion; what it raises ends the work.
    """

    def __init__(self, stack: RecordedStack, measures: Measures, pairs: Pairs) -> None:
        self._stack, self._measures, self._pairs = stack, measures, pairs
        self.tick: Callable[[], None] = lambda: None

    def errors(self, held: Held, rule: str) -> Errors:
        """Errors of all that is held.

        Args:
            held: What is in force.
            rule: What becomes of the smallest eigenvalues.
        """
        known = (held.decomposed >= 0) & ~self._stack.failed[held.column]
        values = np.full((len(known), 4), np.nan)
        # By pair of checks, so that its overlap is read once for all that hold it.
        order = np.lexsort((held.check, held.decomposed, held.row))
        places = order[known[order]]
        portion = max(_ENTRIES // self._stack.size, 1)
        for first in range(0, len(places), portion):
            chosen = places[first : first + portion]
            values[chosen] = self._measure(held, chosen, rule)
        return Errors(values, known)

    def _measure(self, held: Held, chosen: np.ndarray, rule: str) -> np.ndarray:
        root = self._stack.root
        row, k, s, refreshed = (one[chosen] for one in (held.row, held.check, held.decomposed, held.refreshed))
        used = self._measures.eigenvalues_of(row, s, refreshed, rule)
        now = self._measures.eigenvalues_of(row, k, k, rule)
        epsilon, fresh = (torch.from_numpy(one[chosen]).to(used.dtype) for one in (held.epsilon, held.fresh))
        stale = linalg.damped(used, epsilon).pow_(-1.0 / root)
        # Fresh at eps0 and at eps, (N, 2, n): the distances to both are taken together.
        ideal = linalg.damped(now.unsqueeze(1), torch.stack([fresh, epsilon], -1)).pow_(-1.0 / root).double()
        sizes = torch.linalg.vector_norm(ideal[:, 0], dim=-1).numpy()
        damping = torch.linalg.vector_norm(ideal[:, 1] - ideal[:, 0], dim=-1).numpy() / sizes
        directions = (now < epsilon.unsqueeze(-1)).sum(-1).numpy()
        parts = np.stack([damping, np.zeros_like(damping)], -1)
        if len(apart := np.flatnonzero((s != k) | (refreshed != k))):
            squares = self._squares(row[apart], s[apart], k[apart], stale[apart].double().numpy(), ideal[apart].numpy())
            parts[apart] = np.sqrt(squares) / sizes[apart, None]
        return np.concatenate([parts, damping[:, None], directions[:, None]], -1)

    def _squares(
        self, row: np.ndarray, s: np.ndarray, k: np.ndarray, stale: np.ndarray, ideal: np.ndarray
    ) -> np.ndarray:
        """The sums of O_ij (b_j - a_i)^2, (N, 2), for a of ``stale``, (N, n), and both b of ``ideal``, (N, 2, n).

        Rows, bases and checks rise, in this order.
        """
        powers = np.stack([stale, stale**2, np.ones_like(stale)], 1)
        summed, size = np.empty_like(powers), stale.shape[-1]
        # Who holds the same pair of checks comes one after the other, and shares its overlap.
        pairs = np.flatnonzero(np.diff(row, prepend=-1) | np.diff(s, prepend=-1) | np.diff(k, prepend=-1))
        ends, portion = np.append(pairs[1:], len(k)), max(_OVERLAP_ENTRIES // size**2, 1)
        for number, first in enumerate(range(0, len(pairs), portion)):
            self._stack.release(number)
            self.tick()
            mine, last = pairs[first : first + portion], ends[first : first + portion]
            holders = last - mine
            everyone = slice(mine[0], last[-1])
            pair = np.repeat(np.arange(len(mine)), holders)
            place = np.arange(len(pair)) - (mine - mine[0])[pair]
            padded = np.zeros((len(mine), holders.max(), 3, size))
            padded[pair, place] = powers[everyone]
            overlaps = self._pairs.overlaps(row[mine], s[mine], k[mine])
            product = padded.reshape(len(mine), -1, size) @ overlaps
            summed[everyone] = product.reshape(padded.shape)[pair, place]
        products, squares, ones = (one[:, None] for one in summed.swapaxes(0, 1))
        return np.maximum((squares + ideal * (ones * ideal - 2 * products)).sum(-1), 0)
