"""What an optimizer step costs at least: its matrix products and decompositions alone, timed as such.

Symmetric products (statistics, B, X) are charged half of a full product. Nothing else is charged: no elementwise work,
no copies, no Python. The floor is what this machine's libraries take for these sizes now, with warm caches.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable

import torch

from benchmarks.peers import PATTERN, PERIOD, Family

Shape = tuple[int, ...]


def _milliseconds(run: Callable[[], object], rounds: int = 7) -> float:
    run()
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        taken.append((time.process_time() - began) * 1e3)
    return statistics.median(taken)


def _product(rows: int, inner: int, columns: int) -> float:
    left, right, out = torch.randn(rows, inner), torch.randn(inner, columns), torch.empty(rows, columns)
    return _milliseconds(lambda: torch.mm(left, right, out=out))


def _solver(size: int, family: Family) -> float:
    root = torch.randn(size, 2 * size) * torch.logspace(0, -3, size)[:, None]
    matrix = root @ root.T
    return _milliseconds(lambda: torch.linalg.qr(matrix) if family == "soap" else torch.linalg.eigh(matrix), rounds=3)


def floor(shapes: list[Shape], family: Family, workload: str) -> dict[str, float]:
    """Milliseconds a step, amortized over a cycle, by part.

    Args:
        shapes: Shapes of the parameters that have factors.
        family: ``shampoo``, ``foam`` at the rate of the benchmark's pattern, or ``soap``.
        workload: A or B, for that rate.
    """
    decompositions, checks = PATTERN[workload]
    rate = decompositions / checks if family == "foam" else 1.0
    parts = dict.fromkeys(("statistics", "apply", "check: products", "check: eigh or QR"), 0.0)
    square: Counter[int] = Counter(size for shape in shapes for size in shape)
    for shape, count in Counter(shapes).items():
        left, right = shape if len(shape) == 2 else (1, shape[0])
        applied = _product(left, right, right) + (_product(left, left, right) if len(shape) == 2 else 0.0)
        accumulated = _product(right, left, right) + (_product(left, right, left) if len(shape) == 2 else 0.0)
        parts["statistics"] += count * accumulated / 2
        # SOAP rotates the gradient there and the step back, and its momentum at a check.
        parts["apply"] += count * applied * (2 if family == "soap" else 1)
        parts["check: products"] += count * applied * 2 / PERIOD if family == "soap" else 0.0
    for size, count in square.items():
        product = _product(size, size, size)
        # SOAP: A Q. FOAM: A Q, then half of Q^T (A Q), and half of X = Q s Q^T; a fixed period: X alone.
        per_check = {"soap": 1.0, "foam": 2.0, "shampoo": 0.5}[family]
        parts["check: products"] += count * per_check * product / PERIOD
        parts["check: eigh or QR"] += count * rate * _solver(size, family) / PERIOD
    return parts
