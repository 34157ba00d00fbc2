"""Kernels of a refresh: how often a run used each, and what one costs on this machine, alone and in a stack."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping

import torch

from foam_viz.optim import linalg
from foam_viz.optim.factor import CheckObservation
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.soap import SOAP

ROUNDS, _LEAST_SECONDS = 60, 2e-3
STACKS = {16: 3, 64: 9, 128: 6, 192: 2, 256: 4}
"""How many factors of a size one check takes together: of the digits autoencoder, and of tiny GPT above 128."""


class KernelCounter:
    """Counts the kernels of one run, a name being ``<kernel>/<size>``.

    Kernels: ``eigh`` (a decomposition), ``proxy`` and ``residual`` (rotating a factor into the old basis, and the
    measure itself), ``rebuild`` (an inverse root from basis and eigenvalues), ``qr`` (SOAP's step of orthogonal
    iteration). Products for statistics and for the direction are the same for all and not counted.

    Args:
        optimizer: Its checks are observed from now on.
    """

    def __init__(self, optimizer: FactoredOptimizer) -> None:
        self.counts: Counter[str] = Counter()
        self._is_soap = isinstance(optimizer, SOAP)
        self._measures = [group["refresh"].measures for group in optimizer.param_groups if group["refresh"]]
        optimizer.observer = self._note

    def _note(self, seen: CheckObservation) -> None:
        size, has_basis = seen.basis.shape[-1], seen.basis_before is not None
        if has_basis and self._measures[0]:
            self.counts[f"{self._measures[0]}/{size}"] += len(seen.positions)
        for decision, before in zip(seen.decisions, seen.epsilon_before, strict=True):
            if decision.decompose:
                self.counts[f"{'qr' if self._is_soap and has_basis else 'eigh'}/{size}"] += 1
            changed = decision.decompose or decision.refresh_eigenvalues or decision.epsilon != before
            if changed and not self._is_soap:
                self.counts[f"rebuild/{size}"] += 1


def unit_seconds(*stacks: Mapping[int, int], rounds: int = ROUNDS) -> list[dict[str, float]]:
    """CPU seconds that each kernel takes for one float32 matrix, one thread.

    All are timed by turns, so that a busy minute of the machine meets all of them; the least time counts, since other
    work can only add.

    Args:
        stacks: By size of the matrices, how many one call takes together.
        rounds: How often each is timed.

    Returns:
        For each of ``stacks`` the seconds by ``<kernel>/<size>``, a matrix each.
    """
    works = [
        (measured, f"{kernel}/{size}", count, work)
        for measured, sizes in ((dict[str, float](), sizes) for sizes in stacks)
        for size, count in sorted(sizes.items())
        for kernel, work in _stack(size, count).items()
    ]
    calls = [_calls(work) for *_, work in works]
    for _ in range(rounds):
        for (measured, name, count, work), repeats in zip(works, calls, strict=True):
            measured[name] = min(measured.get(name, math.inf), _seconds(work, repeats) / count)
    return list({id(measured): measured for measured, *_ in works}.values())


def _stack(size: int, count: int) -> dict[str, Callable[[], object]]:
    """The kernels on matrices that have drifted a little since they were decomposed."""
    generator = torch.Generator().manual_seed(size)
    scale = torch.logspace(0, -3, size)
    rows = torch.randn(count, 2 * size, size, generator=generator) * scale
    eigenvalues, basis, _ = linalg.eigh_robust(rows.mT @ rows / (2 * size), 1e-9)
    fresh = rows + 0.1 * torch.randn(rows.shape, generator=generator) * scale
    return _kernels(fresh.mT @ fresh / (2 * size), basis, eigenvalues, torch.full((count,), 1e-9))


def _kernels(
    factor: torch.Tensor, basis: torch.Tensor, eigenvalues: torch.Tensor, epsilon: torch.Tensor
) -> dict[str, Callable[[], object]]:
    return {
        "eigh": lambda: linalg.eigh_robust(factor, 1e-9),
        "proxy": lambda: linalg.proxy(linalg.rotate(basis, factor), eigenvalues, epsilon, 2),
        "residual": lambda: linalg.diagonalization_residual(linalg.rotate(basis, factor)),
        "rebuild": lambda: linalg.inverse_root(basis, eigenvalues, epsilon, 2),
        "qr": lambda: linalg.iterate_basis(factor, basis),
    }


def _calls(work: Callable[[], object]) -> int:
    """How many calls last long enough to be timed."""
    work()
    return max(1, int(_LEAST_SECONDS / max(_seconds(work, 1), 1e-7)))


def _seconds(work: Callable[[], object], calls: int) -> float:
    began = time.thread_time()
    for _ in range(calls):
        work()
    return (time.thread_time() - began) / calls
