"""Which fixed period takes as much CPU time as FOAM? Whole runs of the digits autoencoder, one thread.

The cost of refreshing is the CPU time of a run above that of one decomposed at step 10 alone. Runs are repeated by
turns. A run does the same at a step each time, so the least time of every step counts, and other work on the machine
hardly enters. ``--rounds=N`` sets how often; ``--write`` renews the table of docs/findings.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.budget_training import Trial, start
from benchmarks.document import renew, table
from benchmarks.equal_budget import PROBLEMS

ROUNDS = 6
DOCUMENT = Path(__file__).parent.parent / "docs" / "findings.md"
_SHARED = (("epsilon", 1e-9), ("eigenvalues", "floor"))
_FOAM = Trial(
    PROBLEMS[0], "foam", (("period", 10), ("tau", 0.75), ("epsilon_max", 3e-7), *_SHARED), 5e-3, "constant", 20
)
TRIALS = {
    "decomposed once": replace(_FOAM, optimizer="shampoo", settings=(("period", 10_000), *_SHARED)),
    "FOAM, checked each 10 steps": _FOAM,
    **{
        f"fixed period, f = {period}": replace(_FOAM, optimizer="shampoo", settings=(("period", period), *_SHARED))
        for period in (15, 20)
    },
}


def step_seconds(trial: Trial) -> tuple[list[float], int]:
    """CPU seconds of each step of a run, and its decompositions."""
    run, seconds = start(trial), []
    while run.live:
        began = time.thread_time()
        run.advance()
        seconds.append(time.thread_time() - began)
    return seconds, sum(factor.decompositions for factor in run.optimizer.factors())


def least(goes: Sequence[Sequence[float]]) -> float:
    """The sum over the steps of the least time that each took."""
    return sum(map(min, zip(*goes, strict=True)))


def told(seconds: Mapping[str, float], counts: Mapping[str, int]) -> str:
    """Milliseconds of each run, and above the first, which is decomposed once; a table in Markdown."""
    first = next(iter(seconds.values()))
    rows = [
        [name, str(counts[name]), f"{1e3 * total:.0f}", f"{1e3 * (total - first):.0f}"]
        for name, total in seconds.items()
    ]
    return table(["method", "decompositions", "CPU ms of a run", "above the first"], rows)


def main() -> int:
    torch.set_num_threads(1)
    rounds = next((int(word.partition("=")[2]) for word in sys.argv if word.startswith("--rounds=")), ROUNDS)
    goes: dict[str, list[list[float]]] = {name: [] for name in TRIALS}
    counts: dict[str, int] = {}
    for done in range(rounds):
        for name, trial in TRIALS.items():
            seconds, counts[name] = step_seconds(trial)
            goes[name].append(seconds)
        words = told({name: least(some) for name, some in goes.items()}, counts)
        print(f"{done + 1} of {rounds} rounds\n\n{words}\n", flush=True)
    if "--write" in sys.argv:
        renew(DOCUMENT, {"refresh cost": words})
    return 0


if __name__ == "__main__":
    sys.exit(main())
