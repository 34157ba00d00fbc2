"""Kernels of a refresh: how often a run used each, and what one costs on this machine, measured alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

import torch

from foam_viz.optim import linalg
from foam_viz.optim.factor import CheckObservation
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.soap import SOAP

_REPEATS, _LEAST_SECONDS = 21, 2e-3


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


def unit_seconds(sizes: Iterable[int]) -> dict[str, float]:
    """CPU seconds of one call of each kernel on one float32 matrix of each size, one thread: the least of 21 goes,
    since other work on the machine can only add."""
    measured: dict[str, float] = {}
    for size in sorted(set(sizes)):
        generator = torch.Generator().manual_seed(size)
        rows = torch.randn(1, 2 * size, size, generator=generator) * torch.logspace(0, -3, size)
        old = rows.mT @ rows / (2 * size)
        eigenvalues, basis, _ = linalg.eigh_robust(old, 1e-9)
        fresh = rows + 0.1 * torch.randn(rows.shape, generator=generator) * torch.logspace(0, -3, size)
        factor, epsilon = fresh.mT @ fresh / (2 * size), torch.tensor([1e-9])
        for kernel, work in _kernels(factor, basis, eigenvalues, epsilon).items():
            measured[f"{kernel}/{size}"] = _seconds(work)
    return measured


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


def _seconds(work: Callable[[], object]) -> float:
    work()
    began = time.thread_time()
    work()
    calls = max(1, int(_LEAST_SECONDS / max(time.thread_time() - began, 1e-7)))
    goes = []
    for _ in range(_REPEATS):
        began = time.thread_time()
        for _ in range(calls):
            work()
        goes.append((time.thread_time() - began) / calls)
    return min(goes)
