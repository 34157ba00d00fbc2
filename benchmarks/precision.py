"""How much of what staleness seems to cost is rounding: shift and floor in float32, and float64 as the judge.

Three problems, eight seeds, fixed periods from 10 to 200 beside FOAM and the diagonalization residual, all at lr 1e-2
and eps0 = 1e-9, first decomposition at step 10. In float32 the smallest computed eigenvalue of a factor is rounding of
size 2^-23 lambda_max. The shift lifts all eigenvalues by the most negative one, which leaves that direction at
1/sqrt(eps0); the floor raises it to 2^-23 lambda_max.

Each run is kept in a file of its own in ``--cache=FOLDER``, so that several processes may share the work and an
interrupted one goes on. ``--seeds=N`` takes the first N seeds, ``--task=NAME`` one problem. ``--write`` keeps the
results in docs/findings/precision.json, where later calls find them, and renews the tables of docs/findings.md;
``--known`` trains nothing and tells what is there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.budget_rules import verdict
from benchmarks.budget_training import Cache, Problem, Trial, keep
from benchmarks.document import renew, table
from benchmarks.equal_budget import PROBLEMS

SEEDS = tuple(range(8))
RATE = 1e-2
DOCUMENT = Path(__file__).parent.parent / "docs" / "findings.md"
RESULTS = DOCUMENT.parent / "findings" / "precision.json"
NUMERICS = (("shift", "float32"), ("floor", "float32"), ("shift", "float64"))
"""Rule for small eigenvalues and precision; in float64 the rules differ by 1e-16 of the largest eigenvalue."""

_DAMPING = (("epsilon", 1e-9),)
METHODS: dict[str, tuple[str, tuple[tuple[str, Any], ...]]] = {
    **{f"f = {period}": ("shampoo", (("period", period), *_DAMPING)) for period in (10, 50, 100, 200)},
    "FOAM": ("foam", (("period", 10), ("tau", 0.75), ("epsilon_max", 3e-7), *_DAMPING)),
    "residual": ("dr-shampoo", (("period", 10), ("tau", 0.2), *_DAMPING)),
}


@dataclass(frozen=True)
class Cell:
    """Eight runs of one method in one numeric.

    Attributes:
        losses: Training loss, mean of the last 20 steps, a seed each; infinite for a run that diverged.
        decompositions: A seed each.
    """

    losses: list[float]
    decompositions: list[int]


def trial(problem: Problem, method: str, rule: str, precision: str, seed: int) -> Trial:
    """One run of the study."""
    optimizer, settings = METHODS[method]
    return Trial(problem, optimizer, (*settings, ("eigenvalues", rule)), RATE, "constant", seed, precision)


def compare(problem: Problem, seeds: Sequence[int], cache: Cache) -> dict[str, list[Cell]]:
    """The cells of a problem by method, in the order of ``NUMERICS``."""
    found: dict[str, list[Cell]] = {}
    for method in METHODS:
        found[method] = []
        for rule, precision in NUMERICS:
            runs = [cache.result(trial(problem, method, rule, precision, seed)) for seed in seeds]
            losses = [float("inf") if one["loss"] is None else one["loss"] for one in runs]
            found[method].append(Cell(losses, [one["decompositions"] for one in runs]))
    return found


def markdown(problem: Problem, found: Mapping[str, Sequence[Cell]]) -> str:
    """The table of a problem."""
    numerics = [rule if precision == "float32" else precision for rule, precision in NUMERICS]
    seeds = len(next(iter(found.values()))[0].losses)
    rows = []
    for method, cells in found.items():
        shown = [f"{mean(cell.losses):.3f} ({mean(cell.decompositions):.0f})" for cell in cells]
        ratios = [
            f"{mean(cell.losses) / mean(cells[0].losses):.3f}, {verdict(cell.losses, cells[0].losses)}"
            for cell in cells[1:]
        ]
        rows.append([method, *shown, *ratios])
    heads = ["method", *numerics, *(f"{numeric} / shift" for numeric in numerics[1:])]
    return f"{problem.label}, {seeds} seeds:\n\n{table(heads, rows)}\n"


def known_seeds(problem: Problem, seeds: Sequence[int], cache: Cache) -> Sequence[int]:
    """The first seeds of which every run is known."""

    def whole(seed: int) -> bool:
        return all(
            cache.has(trial(problem, method, rule, precision, seed))
            for method in METHODS
            for rule, precision in NUMERICS
        )

    return seeds[: next((count for count, seed in enumerate(seeds) if not whole(seed)), len(seeds))]


def _option(name: str, default: str) -> str:
    return next((word.partition("=")[2] for word in sys.argv[1:] if word.startswith(f"--{name}=")), default)


def main() -> int:
    seeds = SEEDS[: int(_option("seeds", str(len(SEEDS))))]
    wanted = _option("task", "")
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    cache = Cache(
        Path(_option("cache", str(Path(tempfile.gettempdir()) / "foam-viz-precision"))),
        known,
        ("loss", "decompositions"),
    )
    problems = [problem for problem in PROBLEMS if not wanted or problem.name == wanted]
    if "--known" not in sys.argv:
        # Few seeds of everything before many of one thing: an interrupted study has a whole table of fewer seeds.
        for count in range(1, len(seeds) + 1):
            for problem in problems:
                compare(problem, seeds[:count], cache)
            print(f"{count} of {len(seeds)} seeds", flush=True)
    done = {problem: known_seeds(problem, seeds, cache) for problem in problems}
    tables = [markdown(problem, compare(problem, some, cache)) for problem, some in done.items() if some]
    print("\n" + "\n".join(tables))
    if "--write" in sys.argv:
        keep(cache.results, RESULTS)
        renew(DOCUMENT, {"precision": "\n".join(tables)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
