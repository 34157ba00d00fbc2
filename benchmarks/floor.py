"""What an optimizer step costs at least: its matrix products and decompositions alone, timed as such.

Symmetric products (statistics, B, X) are charged half of a full product. Nothing else is charged: no elementwise work,
no copies, no Python. Products are timed in passes over the whole model, each with operands of its own as in a step, so
that they come from where a step finds them: the factors of a model do not fit into the caches. Solvers run warm.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.peers import PATTERN, PERIOD, Family

Shape = tuple[int, ...]


def milliseconds(run: Callable[[], object], rounds: int = 7) -> float:
    run()
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        taken.append((time.process_time() - began) * 1e3)
    return statistics.median(taken)


def products(operands: list[tuple[Tensor, Tensor]]) -> float:
    """One pass over products of operands, each into a place of its own."""
    places = [(left, right, torch.empty(left.shape[0], right.shape[1])) for left, right in operands]

    def run() -> None:
        for left, right, out in places:
            torch.mm(left, right, out=out)

    return milliseconds(run)


def _solver(size: int, family: Family) -> float:
    root = torch.randn(size, 2 * size) * torch.logspace(0, -3, size)[:, None]
    matrix = root @ root.T
    return milliseconds(lambda: torch.linalg.qr(matrix) if family == "soap" else torch.linalg.eigh(matrix), rounds=3)


def floor(shapes: list[Shape], family: Family, workload: str) -> dict[str, float]:
    """Milliseconds a step, amortized over a cycle, by part.

    Args:
        shapes: Shapes of the parameters that have factors.
        family: ``shampoo``, ``foam`` at the rate of the benchmark's pattern, or ``soap``.
        workload: A or B, for that rate.
    """
    matrices = [shape if len(shape) == 2 else (1, shape[0]) for shape in shapes]
    gradients = [torch.randn(shape) for shape in matrices]
    factors = [[torch.randn(size, size) for size in shape] for shape in shapes]
    accumulated = [(g.T, g) for g in gradients] + [(g, g.T) for g in gradients if len(g) > 1]
    applied = [(g, mine[-1]) for g, mine in zip(gradients, factors, strict=True)]
    applied += [(mine[0], g) for g, mine in zip(gradients, factors, strict=True) if len(mine) > 1]
    squares = [(factor, torch.randn_like(factor)) for mine in factors for factor in mine]
    # SOAP rotates the gradient and rotates the step back, and its momentum at a check.
    contractions = products(applied)
    # SOAP: A Q. FOAM: A Q, then half of Q^T (A Q), and half of X = Q s Q^T; a fixed period: X alone.
    per_check = {"soap": 1.0, "foam": 2.0, "shampoo": 0.5}[family] * products(squares)
    sizes = Counter(size for shape in shapes for size in shape)
    decompositions, checks = PATTERN[workload]
    rate = decompositions / checks if family == "foam" else 1.0
    return {
        "statistics": products(accumulated) / 2,
        "apply": contractions * (2 if family == "soap" else 1),
        "check: products": (per_check + (2 * contractions if family == "soap" else 0.0)) / PERIOD,
        "check: eigh or QR": sum(n * rate * _solver(size, family) for size, n in sizes.items()) / PERIOD,
    }
