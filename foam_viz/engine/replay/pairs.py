"""What a pair of checks (s, k) of one factor keeps for all settings: h as a function of eps, and the overlap of bases.

h is a smooth function of log eps: it is kept at some points a decade, and read between them by a polynomial through the
nearest ones, which is exact to seven digits. The overlap is (Q_s^T U)^2 entrywise, with U the basis of check k.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from foam_viz.engine.replay.recording import RecordedStack

PER_DECADE = 8
_NODES = 10
_CURVE_BYTES = 100_000_000
"""Of h of all pairs of a run; beyond it they are computed again."""
_WEIGHT_BYTES = 60_000_000
"""Of weights that are kept for one stack of factors; beyond it they are computed again."""
_BLOCK_ENTRIES, _SHORTEST, _LONGEST = 2**15, 4, 32
_OVERLAP_ENTRIES = 2**20
"""Of overlaps that are computed together."""
_STEP = math.log(10) / PER_DECADE
# Lagrange's weights of equidistant nodes: w_j = (-1)^j binomial(nodes - 1, j).
_BARYCENTRIC = np.array([(-1) ** j * math.comb(_NODES - 1, j) for j in range(_NODES)], float)
_NEXT_TO = 1e-30


class Curves:
    """h of pairs, as curves over a grid of damping.

    Args:
        low: Smallest damping that is asked for.
        high: Largest one.

    Attributes:
        epsilon: The damping at the points of the grid, (G,).
    """

    def __init__(self, low: float, high: float) -> None:
        first = math.floor(math.log10(low) * PER_DECADE) - _NODES // 2
        count = math.ceil(math.log10(high) * PER_DECADE) + _NODES // 2 - first + 1
        self._first = first * _STEP
        self.epsilon = np.exp(self._first + _STEP * np.arange(count))
        self._most = max(_CURVE_BYTES // self.epsilon.nbytes, 1)
        self._values = np.empty((1024, count))
        self._count = self.clearings = 0

    @property
    def bytes(self) -> int:
        """Bytes of what is kept."""
        return self._count * self.epsilon.nbytes

    def is_full(self) -> bool:
        """Whether the next curves should be the first again."""
        return self._count >= self._most

    def clear(self) -> None:
        """Forget every curve; the numbers that ``keep`` gave mean nothing any more."""
        self._count = 0
        self.clearings += 1

    def keep(self, logarithms: np.ndarray) -> range:
        """Keep logarithms of h, (N, G); returns the numbers of the curves."""
        first, last = self._count, self._count + len(logarithms)
        if last > len(self._values):
            more = np.empty((max(2 * len(self._values), last), self._values.shape[1]))
            more[:first] = self._values[:first]
            self._values = more
        self._values[first:last] = logarithms
        self._count = last
        return range(first, last)

    def read(self, curves: Sequence[int], epsilon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """h of curves at a damping each, and whether the grid covers that damping; both (N,)."""
        place = (np.log(epsilon) - self._first) / _STEP
        last = len(self.epsilon) - _NODES
        start = np.floor(place).astype(np.int64) - (_NODES // 2 - 1)
        covered = (start >= 0) & (start <= last)
        nodes = np.minimum(np.maximum(start, 0), last)[:, None] + np.arange(_NODES)
        apart = place[:, None] - nodes
        apart[apart == 0] = _NEXT_TO  # on a node, its weight drowns the others
        weights = _BARYCENTRIC / apart
        values = self._values[np.array(curves)[:, None], nodes]
        return np.exp((weights * values).sum(1) / weights.sum(1)), covered


class Pairs:
    """Drifts and overlaps of the pairs of the factors of one stack. A row is the place of a factor in it.

    Args:
        stack: The factors, decomposed.
        curves: Where h is kept.
        overlaps: Where overlaps are kept.

    Attributes:
        block: Neighbouring checks k of one basis that are computed together.
    """

    def __init__(self, stack: RecordedStack, curves: Curves, overlaps: Overlaps) -> None:
        self._stack, self._curves, self._overlaps = stack, curves, overlaps
        self.block = min(max(_BLOCK_ENTRIES // stack.size**2, _SHORTEST), _LONGEST)
        self._corrections = [np.array(factor.corrections) for factor in stack.factors]
        self._known: dict[tuple[str, int, int, int], int] = {}
        self._weights: dict[tuple[str, int, int], tuple[Tensor, np.ndarray]] = {}
        self._clearings = curves.clearings

    def curve(self, rule: str, row: int, s: int, k: int) -> int:
        """The number of the curve of h; NaN everywhere where the factor of check k is not finite.

        Args:
            rule: What becomes of the smallest eigenvalues.
            row: The factor.
            s: Check of the basis.
            k: Check of the factor, later than s.
        """
        if self._clearings != self._curves.clearings:
            self._known.clear()
            self._clearings = self._curves.clearings
        found = self._known.get((rule, row, s, k))
        if found is None:
            first = k - (k - s - 1) % self.block
            last = min(first + self.block, len(self._stack.factors[row].steps))
            for one, number in enumerate(self._curves.keep(self._compute(rule, row, s, first, last)), first):
                self._known[rule, row, s, one] = number
            found = self._known[rule, row, s, k]
        return found

    def overlaps(self, row: int, s: int, checks: Sequence[int]) -> Iterator[np.ndarray]:
        """The overlaps of the basis of check s with those of some checks, rising, one after the other, (n, n) each."""
        factor = self._stack.factors[row]
        portion = max(_OVERLAP_ENTRIES // self._stack.size**2, 1)
        for first in range(0, len(checks), portion):
            chosen = checks[first : first + portion]
            known = {k: self._overlaps.find((factor.number, s, k)) for k in chosen}
            found = {k: overlap for k, overlap in known.items() if overlap is not None}
            if missing := [k for k in chosen if k not in found]:
                start, stop = missing[0], missing[-1] + 1
                bases = factor.basis[start:stop] if stop - start == len(missing) else factor.basis[missing]
                for k, overlap in zip(missing, (factor.basis[s].mT @ bases).square_().numpy(), strict=True):
                    found[k] = overlap.copy()  # a view would keep its whole stack in memory
                    self._overlaps.keep((factor.number, s, k), found[k])
            for k in chosen:
                yield found[k]

    def _compute(self, rule: str, row: int, s: int, first: int, last: int) -> np.ndarray:
        """Logarithms of h of the checks from ``first`` to before ``last``, (last - first, G)."""
        factor, size = self._stack.factors[row], self._stack.size
        corrections, basis, spectrum = self._corrections[row][first:last], factor.basis[s], factor.spectrum(rule)[s]
        # A power of 2 that leaves nothing larger than about 1, so that no square leaves the range of the dtype.
        largest = [float(spectrum[-1]) * corrections.max(), *factor.traces[first:last]]
        largest = max(filter(math.isfinite, largest), default=0.0)
        scale = 2.0 ** -round(math.log2(largest) / 2) if largest > 0 else 1.0
        scaled = basis * scale
        # The matrices of a block lie below each other: one product serves all of them.
        image = (factor.statistics[first:last].view(-1, size) @ scaled).view(-1, size, size)
        drift = scaled.mT @ image
        units = corrections * scale**2
        drift.diagonal(dim1=-2, dim2=-1).sub_(torch.from_numpy(units).to(drift.dtype).unsqueeze(-1) * spectrum)
        shares, known = self._weights_of(rule, row, s)
        # The drift is symmetric: with its matrices side by side one product serves here too.
        whitened = (shares @ drift.square_().view(-1, size).mT).view(len(shares), -1, size)
        squares = whitened.mul_(shares.unsqueeze(1)).sum(-1).clamp_min_(0).double()  # (G, last - first)
        logarithms = squares.log_().mul_(0.5).numpy().T - np.log(units)[:, None] + known
        logarithms[factor.failed[first:last]] = np.nan
        return np.maximum(logarithms, -700.0)

    def _weights_of(self, rule: str, row: int, s: int) -> tuple[Tensor, np.ndarray]:
        """u = s_min / s at each damping, (G, n), and the logarithm of alpha / (p s_min), (G,)."""
        found = self._weights.get((rule, row, s))
        if found is None:
            if self.bytes > _WEIGHT_BYTES:
                self._weights.clear()
            used, root = self._stack.factors[row].used(rule)[s], self._stack.root
            damped = used + torch.from_numpy(self._curves.epsilon).to(used.dtype).unsqueeze(-1)
            least = damped.amin(-1, keepdim=True)
            shares = least / damped
            alpha = torch.linalg.vector_norm(shares ** (1 / root), dim=-1, dtype=torch.float64).reciprocal_()
            known = (alpha / root / least.squeeze(-1).double()).log_().numpy()
            found = self._weights[rule, row, s] = shares, known
        return found

    @property
    def bytes(self) -> int:
        """Bytes of what is kept here."""
        return len(self._weights) * self._stack.size * len(self._curves.epsilon) * self._stack.dtype.itemsize


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
