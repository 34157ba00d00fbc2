"""Digits autoencoder by the CLI: what staleness costs and what FOAM saves, 600 steps, equal start, three seeds.

Shampoo f = 10 < 50 < 100 < 200 < AdamW in loss; FOAM (f = 10, the task's own damping) within 15 % of the loss of
f = 10 with at most 25 % of its decompositions. Beside FOAM stands the fixed period nearest in decompositions: what
the same budget buys without watching anything.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Report

SEEDS = (0, 1, 2)
PERIODS = (10, 50, 100, 200)
# Periods tried beside FOAM to find the one nearest in decompositions.
NEAR = (50, 60, 70)


def train(optimizer: str, seed: int, directory: Path, **settings: object) -> dict:
    """One run by the CLI, as ``inspect --json`` sees it."""
    name = "-".join([optimizer, *(f"{k}{v}" for k, v in settings.items()), f"seed{seed}"])
    out = directory / name
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "foam_viz"]
    subprocess.run(
        [*command, "train", "--task", "digits-autoencoder", "--optimizer", optimizer, "--steps", "600",
         "--seed", str(seed), *sets, "--quiet", "--out", str(out)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    shown = subprocess.run([*command, "inspect", str(out), "--json"], check=True, capture_output=True, text=True)
    return json.loads(shown.stdout)[0]


def mean(optimizer: str, directory: Path, **settings: object) -> tuple[float, float]:
    """Mean loss and mean decompositions over the seeds."""
    runs = [train(optimizer, seed, directory, **settings) for seed in SEEDS]
    return (
        statistics.mean(run["final_loss"] for run in runs),
        statistics.mean(run["decompositions"] or 0 for run in runs),
    )


def main() -> int:
    report = Report("staleness")
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        previous = 0.0
        fixed = {p: mean("shampoo", directory, period=p, start=10, lr="1e-2") for p in sorted({*PERIODS, *NEAR})}
        for period in PERIODS:
            loss, count = fixed[period]
            report.add(f"Shampoo f = {period}: decompositions", count)
            report.add(f"Shampoo f = {period}: loss", loss, f"above {previous:.4g}", loss > previous)
            previous = loss
        adamw, _ = mean("adamw", directory, lr="1e-2")
        report.add("AdamW: loss", adamw, f"above {previous:.4g}", adamw > previous)
        loss, count = mean("foam", directory, period=10, start=10, lr="1e-2")
        report.add("FOAM f = 10: loss", loss)
        report.add("FOAM f = 10: decompositions", count)
        report.at_most("FOAM f = 10: loss over Shampoo f = 10", loss / fixed[10][0], 1.15)
        report.at_most("FOAM f = 10: decompositions over Shampoo f = 10", count / fixed[10][1], 0.25)
        period = min(NEAR, key=lambda p: abs(fixed[p][1] - count))
        report.add(f"  the fixed period nearest in decompositions, f = {period}: decompositions", fixed[period][1])
        report.add(f"  the fixed period nearest in decompositions, f = {period}: loss", fixed[period][0])
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
