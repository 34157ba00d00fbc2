"""What a pair of checks (s, k) of one factor keeps for all settings: h as a function of eps, and the overlap of bases.

h is a smooth function of log eps: it is kept at points ten a decade, and read between them by a polynomial through the
eight nearest, which is exact to about eight digits. The overlap is (Q_s^T U)^2 entrywise, with U the basis of check k.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

from foam_viz.engine.replay.recording import RecordedFactor
from foam_viz.optim import check

PER_DECADE = 10
BLOCK = 4
"""Neighbouring checks k of one basis that are computed together."""
_NODES = 8
_MOST_PAIRS, _MOST_BASES = 20_000, 8
"""Of one factor that are kept, about 15 MB, and of which the weights are; beyond them they are computed again."""
_STEP = math.log(10) / PER_DECADE
# Lagrange's weights of equidistant nodes: w_j = (-1)^j binomial(7, j).
_BARYCENTRIC = np.array([(-1) ** j * math.comb(_NODES - 1, j) for j in range(_NODES)], float)


class Grid:
    """The damping at which h of pairs is known.

    Args:
        low: Smallest damping that is asked for.
        high: Largest one.
    """

    def __init__(self, low: float, high: float) -> None:
        first = math.floor(math.log10(low) * PER_DECADE) - _NODES // 2
        count = math.ceil(math.log10(high) * PER_DECADE) + _NODES // 2 - first + 1
        self._first = first * _STEP
        self.epsilon = np.exp(self._first + _STEP * np.arange(count))

    def covers(self, epsilon: np.ndarray) -> np.ndarray:
        """Whether h can be read at each damping."""
        place = (np.log(epsilon) - self._first) / _STEP
        return (place >= _NODES // 2 - 1) & (place <= len(self.epsilon) - _NODES // 2)

    def read(self, logarithms: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
        """h at each damping, (N,), from its logarithms at the points of the grid, (N, G)."""
        place = (np.log(epsilon) - self._first) / _STEP
        start = np.clip(np.floor(place).astype(np.int64) - _NODES // 2 + 1, 0, len(self.epsilon) - _NODES)
        nodes = start[:, None] + np.arange(_NODES)
        values = logarithms[np.arange(len(nodes))[:, None], nodes]
        apart = place[:, None] - nodes
        on = apart == 0
        weights = _BARYCENTRIC / np.where(on, 1.0, apart)
        weights = np.where(on.any(1)[:, None], on, weights)
        return np.exp((weights * values).sum(1) / weights.sum(1))


class Pairs:
    """Drifts and overlaps of the pairs of one factor.

    Args:
        factor: The factor, decomposed.
        grid: The damping at which h is kept.
        overlaps: Where overlaps are kept.
    """

    def __init__(self, factor: RecordedFactor, grid: Grid, overlaps: Overlaps) -> None:
        self._factor, self._grid, self._overlaps = factor, grid, overlaps
        self._h: dict[tuple[str, int, int], np.ndarray] = {}
        self._shares: dict[tuple[str, int], tuple[Tensor, np.ndarray]] = {}

    def proxies(self, rule: str, s: int, k: int) -> np.ndarray:
        """Logarithms of h at the points of the grid, (G,); NaN where the factor of check k is not finite.

        Args:
            rule: What becomes of the smallest eigenvalues.
            s: Check of the basis.
            k: Check of the factor, later than s.
        """
        if (found := self._h.get((rule, s, k))) is None:
            if len(self._h) > _MOST_PAIRS:
                self._h.clear()
            self._compute(rule, s, k)
            found = self._h[rule, s, k]
        return found

    def overlap(self, s: int, k: int) -> tuple[np.ndarray, int]:
        """The overlaps of a block of pairs, (N, n, n), and which of them is that of s and k."""
        first = self._block(s, k)
        key = (self._factor.number, s, first)
        block = self._overlaps.find(key)
        if block is None:
            basis = self._factor.basis
            block = (basis[s].mT @ basis[first : first + BLOCK]).square_().numpy()
            self._overlaps.keep(key, block)
        return block, k - first

    @property
    def checks(self) -> int:
        """Recorded checks of the factor."""
        return len(self._factor.steps)

    def _block(self, s: int, k: int) -> int:
        return k - (k - s - 1) % BLOCK

    def _compute(self, rule: str, s: int, k: int) -> None:
        factor, first = self._factor, self._block(s, k)
        statistics = factor.statistics[first : first + BLOCK]
        corrections = factor.corrections[first : first + BLOCK]
        drift = check.rotate(
            statistics, factor.basis[s : s + 1], torch.tensor(corrections, dtype=statistics.dtype).view(-1, 1, 1)
        )
        drift.diagonal(dim1=-2, dim2=-1).sub_(factor.spectrum(rule)[s])
        # Divided by the largest entry, so that no square leaves the range of the dtype.
        largest = drift.abs().amax((-2, -1)).clamp_min(torch.finfo(drift.dtype).tiny)
        drift.div_(largest[:, None, None]).square_()
        shares, known = self._weights(rule, s)
        norm = ((shares @ drift) * shares).sum(-1).clamp_min(0).double().sqrt().numpy() * largest.double()[
            :, None
        ].numpy()
        with np.errstate(divide="ignore"):
            logarithms = np.log(norm) + known
        for place, values in enumerate(logarithms):
            bad = factor.failed[first + place]
            self._h[rule, s, first + place] = np.full_like(values, np.nan) if bad else np.maximum(values, -700.0)

    def _weights(self, rule: str, s: int) -> tuple[Tensor, np.ndarray]:
        """u = s_min / s at each damping, (G, n), and the logarithm of alpha / (p s_min), (G,)."""
        if (rule, s) not in self._shares:
            if len(self._shares) >= _MOST_BASES:
                self._shares.clear()
            factor = self._factor
            used = factor.used(rule)[s]
            epsilon = torch.from_numpy(self._grid.epsilon).to(used.dtype)
            damped = used + epsilon[:, None]
            least = damped.amin(-1)
            shares = least[:, None] / damped
            alpha = torch.linalg.vector_norm(shares.double() ** (1 / factor.root), dim=-1).reciprocal()
            self._shares[rule, s] = shares, (alpha / factor.root / least.double()).log().numpy()
        return self._shares[rule, s]

    @property
    def bytes(self) -> int:
        """Bytes of what is kept here."""
        return len(self._h) * self._grid.epsilon.nbytes + sum(
            shares.numel() * shares.element_size() for shares, _ in self._shares.values()
        )


class Overlaps:
    """Overlaps of all factors, the longest unused of which go when there are too many.

    Args:
        limit: Bytes of all.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self.bytes = limit, 0
        self._kept: OrderedDict[tuple[int, int, int], np.ndarray] = OrderedDict()

    def find(self, key: tuple[int, int, int]) -> np.ndarray | None:
        """A block that is kept."""
        if (found := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: tuple[int, int, int], block: np.ndarray) -> None:
        """Keep a block."""
        self._kept[key] = block
        self.bytes += block.nbytes
        while self.bytes > self._limit and len(self._kept) > 1:
            self.bytes -= self._kept.popitem(last=False)[1].nbytes
