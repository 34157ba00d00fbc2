"""What a pair of checks (s, k) of one factor keeps for all settings: h as a function of eps, and the overlap of bases.

h is a smooth function of log eps: it is kept at some points a decade, and read between them by a polynomial through the
nearest ones, which is exact to seven digits. The overlap is (Q_s^T U)^2 entrywise, with U the basis of check k.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from foam_viz.engine.replay.recording import RecordedStack
from foam_viz.optim import check

PER_DECADE = 8
BLOCK = 4
"""Neighbouring checks k of one basis that are computed together."""
_NODES = 10
_MOST_BYTES = 60_000_000
"""Of h, and of weights, that are kept for one stack of factors; beyond it they are computed again."""
_STEP = math.log(10) / PER_DECADE
# Lagrange's weights of equidistant nodes: w_j = (-1)^j binomial(nodes - 1, j).
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
    """Drifts and overlaps of the pairs of the factors of one stack. A row is the place of a factor in it.

    Args:
        stack: The factors, decomposed.
        grid: The damping at which h is kept.
        overlaps: Where overlaps are kept.
    """

    def __init__(self, stack: RecordedStack, grid: Grid, overlaps: Overlaps) -> None:
        self._stack, self._grid, self._overlaps = stack, grid, overlaps
        self._corrections = [factor.corrections for factor in stack.factors]
        self._h: dict[tuple[str, int, int, int], np.ndarray] = {}
        self._weights: dict[tuple[str, int, int], tuple[Tensor, Tensor]] = {}

    def proxies(self, rule: str, chosen: Sequence[tuple[int, int, int]]) -> np.ndarray:
        """Logarithms of h at the points of the grid, (N, G); NaN where the factor of check k is not finite.

        Args:
            rule: What becomes of the smallest eigenvalues.
            chosen: Row, check s of the basis, and check k of the factor, later than s, of each pair.
        """
        missing = [(row, s, self._block(s, k)) for row, s, k in chosen if (rule, row, s, k) not in self._h]
        if missing:
            if len(self._h) * self._grid.epsilon.nbytes > _MOST_BYTES:
                self._h.clear()
                missing = [(row, s, self._block(s, k)) for row, s, k in chosen]
            self._compute(rule, list(dict.fromkeys(missing)))
        return np.stack([self._h[rule, row, s, k] for row, s, k in chosen])

    def overlap(self, row: int, s: int, k: int) -> np.ndarray:
        """The overlaps of the bases of two checks, row by row, (n^2,)."""
        factor = self._stack.factors[row]
        key = (factor.number, s, k)
        found = self._overlaps.find(key)
        if found is None:
            found = (factor.basis[s].mT @ factor.basis[k]).square_().numpy().ravel()
            self._overlaps.keep(key, found)
        return found

    def _block(self, s: int, k: int) -> int:
        return k - (k - s - 1) % BLOCK

    def _compute(self, rule: str, blocks: Sequence[tuple[int, int, int]]) -> None:
        """Compute h of blocks of pairs; those of one length go together, so that small matrices cost few calls."""
        lengths: dict[int, list[tuple[int, int, int]]] = {}
        for row, s, first in blocks:
            length = min(BLOCK, len(self._stack.factors[row].steps) - first)
            lengths.setdefault(length, []).append((row, s, first))
        portion = max(self._stack.portion // BLOCK, 1)
        for length, mine in lengths.items():
            for start in range(0, len(mine), portion):
                self._compute_some(rule, mine[start : start + portion], length)

    def _compute_some(self, rule: str, blocks: Sequence[tuple[int, int, int]], length: int) -> None:
        factors, count, size = self._stack.factors, len(blocks), self._stack.size
        statistics = torch.stack([factors[row].statistics[first : first + length] for row, _, first in blocks])
        basis = torch.stack([factors[row].basis[s] for row, s, _ in blocks]).unsqueeze(1)
        corrections = [self._corrections[row][first : first + length] for row, _, first in blocks]
        correction = torch.tensor(corrections, dtype=statistics.dtype)[..., None, None]
        drift = check.rotate(statistics, basis.expand(statistics.shape), correction)
        spectrum = torch.stack([factors[row].spectrum(rule)[s] for row, s, _ in blocks])
        drift.diagonal(dim1=-2, dim2=-1).sub_(spectrum.unsqueeze(1))
        # Divided by the largest entry, so that no square leaves the range of the dtype.
        largest = drift.abs().amax((-2, -1)).clamp_min_(torch.finfo(drift.dtype).tiny)
        drift.div_(largest[..., None, None]).square_()
        shares, known = self._weights_of(rule, [(row, s) for row, s, _ in blocks])
        # The drift is symmetric: with its matrices side by side one product serves a block.
        whitened = (shares @ drift.view(count, length * size, size).mT).view(count, -1, length, size)
        squares = whitened.mul_(shares.unsqueeze(2)).sum(-1).clamp_min_(0).double()  # (blocks, G, length)
        logarithms = (squares.log_().mul_(0.5) + largest.double().log_().unsqueeze(1) + known.unsqueeze(-1)).numpy()
        logarithms = np.ascontiguousarray(np.maximum(logarithms, -700.0).swapaxes(1, 2))
        for (row, s, first), values in zip(blocks, logarithms, strict=True):
            failed = factors[row].failed
            for k, mine in enumerate(values, first):
                self._h[rule, row, s, k] = np.full_like(mine, np.nan) if failed[k] else mine

    def _weights_of(self, rule: str, chosen: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """u = s_min / s at each damping, (N, G, n), and the logarithm of alpha / (p s_min), (N, G)."""
        missing = [key for key in dict.fromkeys(chosen) if (rule, *key) not in self._weights]
        if missing:
            if len(self._weights) * self._stack.size * len(self._grid.epsilon) * 4 > _MOST_BYTES:
                self._weights.clear()
                missing = list(dict.fromkeys(chosen))
            used = torch.stack([self._stack.factors[row].used(rule)[s] for row, s in missing])
            damped = used.unsqueeze(1) + torch.from_numpy(self._grid.epsilon).to(used.dtype).unsqueeze(-1)
            least = damped.amin(-1, keepdim=True)
            shares = least / damped
            root = self._stack.root
            alpha = torch.linalg.vector_norm(shares ** (1 / root), dim=-1, dtype=torch.float64).reciprocal_()
            known = (alpha / root / least.squeeze(-1).double()).log_()
            for key, *mine in zip(missing, shares.unbind(), known.unbind(), strict=True):
                self._weights[rule, *key] = mine[0], mine[1]
        found = [self._weights[rule, *key] for key in chosen]
        return torch.stack([one[0] for one in found]), torch.stack([one[1] for one in found])

    @property
    def bytes(self) -> int:
        """Bytes of what is kept here."""
        weights = sum(shares.numel() * shares.element_size() for shares, _ in self._weights.values())
        return len(self._h) * self._grid.epsilon.nbytes + weights


class Overlaps:
    """Overlaps of all factors, the longest unused of which go when there are too many.

    Args:
        limit: Bytes of all.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self.bytes = limit, 0
        self._kept: OrderedDict[tuple[int, int, int], np.ndarray] = OrderedDict()

    def find(self, key: tuple[int, int, int]) -> np.ndarray | None:
        """A matrix that is kept."""
        if (found := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: tuple[int, int, int], overlap: np.ndarray) -> None:
        """Keep a matrix."""
        self._kept[key] = overlap
        self.bytes += overlap.nbytes
        while self.bytes > self._limit and len(self._kept) > 1:
            self.bytes -= self._kept.popitem(last=False)[1].nbytes
