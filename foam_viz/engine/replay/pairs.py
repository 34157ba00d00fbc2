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

from foam_viz.engine.replay.recorded_factors import RecordedStack

PER_DECADE = 8
_NODES = 10
_CURVE_BYTES = 100_000_000
"""Of h of all pairs of a run; beyond it they are computed again."""
_WEIGHT_BYTES = 60_000_000
"""Of weights that are kept for one stack of factors; beyond it they are computed again."""
_BLOCK_ENTRIES, _SHORTEST, _LONGEST = 2**15, 4, 32
_DRIFT_ENTRIES = 2**20
"""Of drifts that are computed together."""
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

    def read(self, curves: Sequence[int] | np.ndarray, epsilon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
        self._corrections = np.concatenate([factor.corrections for factor in stack.factors])
        traces = np.concatenate([factor.traces for factor in stack.factors])
        self._traces = np.where(np.isfinite(traces), traces, 0.0)
        self._spectra: dict[str, tuple[Tensor, np.ndarray]] = {}
        self._known: dict[tuple[str, int, int, int], int] = {}
        self._weights: dict[tuple[str, int, int], tuple[Tensor, np.ndarray]] = {}
        self._clearings = curves.clearings

    def blocks(self, rule: str, rows: np.ndarray, s: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where h of each pair and of those that follow is read: see Returns; missing curves are computed.

        A curve is NaN everywhere where the factor of its check is not finite.

        Args:
            rule: What becomes of the smallest eigenvalues.
            rows: The factors, (N,).
            s: Checks of the bases, (N,).
            k: Checks of the factors, each later than its s, (N,).

        Returns:
            The check that ends the block of each pair, and what is added to a check of the block to give the number
            of its curve, both (N,).
        """
        if self._clearings != self._curves.clearings:
            self._known.clear()
            self._clearings = self._curves.clearings
        first = k - (k - s - 1) % self.block
        keys = [(rule, *one) for one in zip(rows.tolist(), s.tolist(), first.tolist(), strict=True)]
        missing = [key[1:] for key in dict.fromkeys(keys) if key not in self._known]
        # Blocks of one length are computed together; those at the end of a run are shorter.
        lengths = [min(self.block, len(self._stack.factors[row].steps) - begin) for row, _, begin in missing]
        portion = max(_DRIFT_ENTRIES // (self.block * self._stack.size**2), 1)
        for length in dict.fromkeys(lengths):
            chosen = [one for one, mine in zip(missing, lengths, strict=True) if mine == length]
            for begin in range(0, len(chosen), portion):
                some = chosen[begin : begin + portion]
                numbers = self._curves.keep(self._compute(rule, some, length))
                self._known.update(zip([(rule, *one) for one in some], numbers[::length], strict=True))
        return first + self.block, np.array([self._known[key] for key in keys]) - first

    def overlaps(self, rows: np.ndarray, s: np.ndarray, k: np.ndarray) -> np.ndarray:
        """Overlaps of the bases of checks s with those of checks k, (N, n, n), in float64.

        Args:
            rows: The factors, (N,).
            s: Checks of the bases in force, (N,).
            k: Checks of the factors, (N,).
        """
        numbers = [factor.number for factor in self._stack.factors]
        keys = [(numbers[row], row, *one) for row, *one in zip(rows.tolist(), s.tolist(), k.tolist(), strict=True)]
        found = np.empty((len(keys), self._stack.size, self._stack.size))
        missing: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for place, (number, row, basis, check) in enumerate(keys):
            if (overlap := self._overlaps.find((number, basis, check))) is not None:
                found[place] = overlap
            else:
                missing.setdefault((row, basis), []).append((place, check))
        for (row, basis), some in missing.items():
            bases = self._stack.factors[row].basis
            checks = [check for _, check in some]
            neighbours = checks[-1] - checks[0] + 1 == len(checks)
            chosen = bases[checks[0] : checks[-1] + 1] if neighbours else bases[checks]
            computed = (bases[basis].mT @ chosen).square_().numpy()
            for (place, check), overlap in zip(some, computed, strict=True):
                found[place] = overlap
                self._overlaps.keep((numbers[row], basis, check), overlap.copy())  # no view of the whole stack
        return found

    def _compute(self, rule: str, blocks: Sequence[tuple[int, int, int]], length: int) -> np.ndarray:
        """Logarithms of h, (blocks * length, G): of ``length`` checks of each block, (row, s, first check)."""
        size, stack = self._stack.size, self._stack
        rows, bases, firsts = np.array(blocks).T
        starts = stack.starts[rows]
        checks = (starts + firsts)[:, None] + np.arange(length)
        scales = self._scales(rule, starts + bases, checks)
        drift = torch.empty(len(blocks), length, size, size, dtype=stack.dtype)
        for mine, (row, s, first), scale in zip(drift, blocks, scales.tolist(), strict=True):
            scaled = stack.factors[row].basis[s] * scale
            # The matrices of a block lie below each other: one product serves all of them.
            image = stack.factors[row].statistics[first : first + length].view(-1, size) @ scaled
            torch.matmul(scaled.mT, image.view(-1, size, size), out=mine)
        units = self._corrections[checks] * np.square(scales)[:, None]
        unit = torch.from_numpy(units).to(drift.dtype).unsqueeze(-1)
        drift.diagonal(dim1=-2, dim2=-1).sub_(unit * self._spectrum(rule)[0][starts + bases].unsqueeze(1))
        shares, known = self._weights_of(rule, [(row, s) for row, s, _ in blocks])
        # The drift is symmetric: with its matrices side by side one product serves here too.
        whitened = torch.empty(len(blocks), shares.shape[1], length * size, dtype=drift.dtype)
        for mine, share, moved in zip(whitened, shares, drift.square_(), strict=True):
            torch.mm(share, moved.view(-1, size).mT, out=mine)
        whitened = whitened.view(len(blocks), -1, length, size).mul_(shares.unsqueeze(2))
        squares = whitened.sum(-1).clamp_min_(0).double()  # (blocks, G, length)
        logarithms = squares.log_().mul_(0.5).transpose(1, 2).numpy() - np.log(units)[:, :, None] + known[:, None]
        logarithms[stack.failed[checks]] = np.nan
        return np.maximum(logarithms, -700.0).reshape(-1, logarithms.shape[-1])

    def _scales(self, rule: str, bases: np.ndarray, checks: np.ndarray) -> np.ndarray:
        """Powers of 2 that leave nothing larger than about 1, so that no square leaves the range of the dtype, (N,).

        Args:
            rule: What becomes of the smallest eigenvalues.
            bases: Checks of bases among those of all factors, (N,).
            checks: Of each block among those of all factors, (N, length).
        """
        largest = self._spectrum(rule)[1][bases] * self._corrections[checks].max(1)
        most = np.maximum(largest, self._traces[checks].max(1))
        return 2.0 ** -np.round(np.log2(np.where(most > 0, most, 1.0)) / 2)

    def _spectrum(self, rule: str) -> tuple[Tensor, np.ndarray]:
        """D of each recorded check of all factors, (T, n), and the largest of each, (T,), 0 where it is not finite."""
        if rule not in self._spectra:
            found = torch.cat([factor.spectrum(rule) for factor in self._stack.factors])
            self._spectra[rule] = found, np.nan_to_num(found[:, -1].double().numpy(), posinf=0.0)
        return self._spectra[rule]

    def _weights_of(self, rule: str, bases: Sequence[tuple[int, int]]) -> tuple[Tensor, np.ndarray]:
        """u = s_min / s at each damping, (N, G, n), and the logarithm of alpha / (p s_min), (N, G), of (row, s)."""
        if self.bytes > _WEIGHT_BYTES:
            self._weights.clear()
        if missing := [one for one in dict.fromkeys(bases) if (rule, *one) not in self._weights]:
            root = self._stack.root
            used = torch.stack([self._stack.factors[row].used(rule)[s] for row, s in missing]).unsqueeze(1)
            damped = used + torch.from_numpy(self._curves.epsilon).to(used.dtype).unsqueeze(-1)
            least = damped.amin(-1, keepdim=True)
            shares = least / damped
            alpha = torch.linalg.vector_norm(shares ** (1 / root), dim=-1, dtype=torch.float64).reciprocal_()
            known = (alpha / root / least.squeeze(-1).double()).log_().numpy()
            self._weights.update(zip([(rule, *one) for one in missing], zip(shares, known, strict=True), strict=True))
        found = [self._weights[rule, *one] for one in bases]
        if len(found) == 1:  # as it is, not copied
            return found[0][0].unsqueeze(0), found[0][1][None]
        return torch.stack([shares for shares, _ in found]), np.stack([known for _, known in found])

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
