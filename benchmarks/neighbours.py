"""How do FOAM's neighbours age? SOAP, KL-Shampoo, KL-SOAP and SPlus at f = 10 and 100, beside Shampoo with the floor.

Digits autoencoder and burst at a constant rate, seeds 20 to 24, which chose nothing. Each method has its own learning
rate: the best at f = 10 on the digits with seed 100, from a grid that grows while its edge is best; it serves f = 100
and the burst too. First decomposition at step 10 for all but SOAP, KL-Shampoo and KL-SOAP, whose first basis comes from
the first gradient. Shampoo has the rate that the comparison at equal decompositions chose, and the digits' own eps0.

Each run is kept in a file of its own in ``--cache=FOLDER``. ``--task=burst`` does a part; ``--known`` trains nothing
and tells what is there; ``--write`` keeps the results in docs/findings/neighbours.json and renews docs/findings.md.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.budget_rules import leader, next_trials, verdict
from benchmarks.budget_training import Cache, Problem, Trial, keep
from benchmarks.document import renew, table
from benchmarks.equal_budget import FOLDER, PROBLEMS
from benchmarks.fresh_seeds import SEEDS, rates, values

RESULTS, DOCUMENT = FOLDER / "neighbours.json", FOLDER.parent / "findings.md"
KEPT = ("loss", "held_out", "after", "factors", "decompositions")
PERIODS = (10, 100)
TUNING_SEEDS = (100,)
METHODS: dict[str, tuple[float, ...]] = {
    "soap": (2e-3, 5e-3, 1e-2),
    "kl-shampoo": (2e-3, 5e-3, 1e-2),
    "kl-soap": (2e-3, 5e-3, 1e-2),
    "splus": (5e-2, 1e-1, 2e-1),
}
"""Grids of learning rates."""
SHAMPOO = (("epsilon", 3e-6), ("eigenvalues", "floor"))


@dataclass(frozen=True)
class Row:
    """A method on a problem: results of all seeds by period, and the learning rate."""

    method: str
    rate: float
    runs: dict[int, list[dict[str, Any]]]


def trial(problem: Problem, method: str, period: int, rate: float, seed: int) -> Trial:
    """A run of a method."""
    settings = (("period", period), *(SHAMPOO if method == "shampoo" else ()))
    return Trial(problem, method, settings, rate, "constant", seed)


def tune(method: str, cache: Cache, only_known: bool) -> float | None:
    """The learning rate of a method; ``None`` where it is not known."""
    problem = PROBLEMS[0]
    if method == "shampoo":
        return rates(problem, "constant")[1]
    losses: dict[float, dict[int, float]] = {}
    while wanted := next_trials(losses, METHODS[method], TUNING_SEEDS):
        for rate, seed in wanted:
            one = trial(problem, method, PERIODS[0], rate, seed)
            if only_known and not cache.has(one):
                return None
            losses.setdefault(rate, {})[seed] = values([cache.result(one)], "loss")[0]
    return leader(losses)


def find(problem: Problem, cache: Cache, only_known: bool) -> list[Row]:
    """The rows of a problem, Shampoo first; those that are not known are left out."""
    rows = []
    for method in ("shampoo", *METHODS):
        rate = tune(method, cache, only_known)
        if rate is None:
            continue
        trials = {period: [trial(problem, method, period, rate, seed) for seed in SEEDS] for period in PERIODS}
        if only_known and not all(cache.has(one) for some in trials.values() for one in some):
            continue
        rows.append(Row(method, rate, {period: [cache.result(one) for one in some] for period, some in trials.items()}))
    return rows


def text(problem: Problem, rows: Sequence[Row]) -> str:
    """The table of a problem in Markdown."""
    first, last = PERIODS
    cells = []
    for row in rows:
        losses = {period: values(runs, "loss") for period, runs in row.runs.items()}
        counts = [mean(one["decompositions"] for one in row.runs[period]) for period in PERIODS]
        ageing = mean(losses[last]) / mean(losses[first]) - 1
        beside = [
            "" if row.method == "shampoo" else verdict(losses[period], values(rows[0].runs[period], "loss"))
            for period in PERIODS
        ]
        cells.append(
            [
                row.method, f"{row.rate:g}",
                *(
                    f"{mean(losses[period]):.3f} ({count:.0f})"
                    for period, count in zip(PERIODS, counts, strict=True)
                ),
                f"{100 * ageing:+.0f} %" if math.isfinite(ageing) else "diverged", *beside,
            ]
        )  # fmt: skip
    heads = ["method", "lr", *(f"f = {period}: loss (renewals)" for period in PERIODS), "ageing",
             *(f"against Shampoo, f = {period}" for period in PERIODS)]  # fmt: skip
    return f"{problem.label}, training loss:\n\n{table(heads, cells)}"


def _option(name: str, default: str = "") -> str:
    return next((word.partition("=")[2] for word in sys.argv[1:] if word.startswith(f"--{name}=")), default)


def main() -> int:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    cache = Cache(Path(_option("cache", str(Path(tempfile.gettempdir()) / "foam-viz-neighbours"))), known, KEPT)
    task, parts = _option("task"), []
    for problem in PROBLEMS[:2]:
        if task in ("", problem.name) and (rows := find(problem, cache, "--known" in sys.argv)):
            parts.append(text(problem, rows))
            print(parts[-1], flush=True)
    if "--write" in sys.argv:
        keep(cache.results, RESULTS)
        renew(DOCUMENT, {"neighbours": "\n\n".join(parts)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
