"""Digits autoencoder at f = 200: how much of the loss is rounding, by damping, in float32 and in float64.

The first factors are near to singular, and their largest eigenvalue is about 70: float32 resolves nothing below
70 x 6e-8 = 4e-6, so that under eps0 = 1e-9 the inverse root of the small eigenvalues is one of rounding errors.
Long periods keep that basis longest.
"""

from __future__ import annotations

import statistics
import sys

import torch

from benchmarks.budget_rules import START, verdict
from benchmarks.report import Report
from foam_viz.optim import EveryCheck, Shampoo
from foam_viz.tasks.digits import DigitsAutoencoder

STEPS, PERIOD, SEEDS = 600, 200, (0, 1, 2, 3, 4)
DAMPINGS = (1e-9, 1e-6, 1e-5)


def train(seed: int, epsilon: float, dtype: torch.dtype) -> float:
    """Mean loss of the last 20 steps; model, batches and statistics in ``dtype``."""
    task = DigitsAutoencoder(seed=seed)
    model = task.model().to(dtype)
    optimizer = Shampoo(
        model.parameters(), lr=1e-2, refresh=EveryCheck(period=PERIOD, start=START, epsilon=epsilon)
    )  # fmt: skip
    losses = []
    for step in range(1, STEPS + 1):
        loss = task.loss(model, (task.batch(step)[0].to(dtype),))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return statistics.mean(losses[-20:])


def main() -> int:
    torch.set_num_threads(1)
    report = Report("precision")
    for epsilon in DAMPINGS:
        single, double = ([train(seed, epsilon, dtype) for seed in SEEDS] for dtype in (torch.float32, torch.float64))
        for name, losses in (("float32", single), ("float64", double)):
            shown = " ".join(f"{loss:.3f}" for loss in losses)
            report.add(f"eps0 = {epsilon:g}, {name}: loss ({shown})", statistics.mean(losses))
        report.add(f"eps0 = {epsilon:g}: float64 over float32 ({verdict(double, single)})",
                   statistics.mean(double) / statistics.mean(single))  # fmt: skip
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
