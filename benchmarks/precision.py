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

import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.budget_rules import verdict
from benchmarks.budget_training import Problem, Trial, train
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


class Cache:
    """Results by trial: those of the repository, and a folder with one file a run.

    Args:
        folder: Where new results go.
        known: Results by key.
    """

    def __init__(self, folder: Path, known: Mapping[str, dict[str, Any]]) -> None:
        self._folder, self.results = folder, dict(known)
        folder.mkdir(parents=True, exist_ok=True)

    def _path(self, wanted: Trial) -> Path:
        return self._folder / f"{hashlib.sha256(wanted.key.encode()).hexdigest()[:24]}.json"

    def has(self, wanted: Trial) -> bool:
        """Whether the result of a trial is known."""
        return wanted.key in self.results or self._path(wanted).exists()

    def result(self, wanted: Trial) -> dict[str, Any]:
        """The result of a trial, trained now unless it is known."""
        if wanted.key not in self.results:
            path = self._path(wanted)
            if not path.exists():
                found = {name: value for name, value in train(wanted).items() if name in ("loss", "decompositions")}
                fresh = path.with_suffix(f".{id(self)}.new")
                fresh.write_text(json.dumps(found))
                fresh.replace(path)
            self.results[wanted.key] = json.loads(path.read_text())
        return self.results[wanted.key]


def compare(problem: Problem, seeds: Sequence[int], cache: Cache) -> dict[str, list[Cell]]:
    """The cells of a problem by method, in the order of ``NUMERICS``."""
    table: dict[str, list[Cell]] = {}
    for method in METHODS:
        table[method] = []
        for rule, precision in NUMERICS:
            found = [cache.result(trial(problem, method, rule, precision, seed)) for seed in seeds]
            losses = [float("inf") if one["loss"] is None else one["loss"] for one in found]
            table[method].append(Cell(losses, [one["decompositions"] for one in found]))
    return table


def markdown(problem: Problem, table: Mapping[str, Sequence[Cell]]) -> str:
    """The table of a problem."""
    head = ["", *(rule if precision == "float32" else precision for rule, precision in NUMERICS), "floor / shift",
            "float64 / shift"]  # fmt: skip
    seeds = len(next(iter(table.values()))[0].losses)
    lines = [f"{problem.label}, {seeds} seeds:", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for method, cells in table.items():
        shown = [f"{mean(cell.losses):.3f} ({mean(cell.decompositions):.0f})" for cell in cells]
        ratios = [
            f"{mean(cell.losses) / mean(cells[0].losses):.3f}, {verdict(cell.losses, cells[0].losses)}"
            for cell in cells[1:]
        ]
        lines.append("| " + " | ".join([method, *shown, *ratios]) + " |")
    return "\n".join(lines) + "\n"


def write(tables: Sequence[str], results: Mapping[str, dict[str, Any]]) -> None:
    """Keeps results and tables; the document has a line ``<!-- precision -->`` and, after it, ``<!-- end -->``."""
    lines = [f"{json.dumps(key)}: {json.dumps(result)}" for key, result in sorted(results.items())]
    RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    written = DOCUMENT.read_text()
    before, mark, rest = written.partition("<!-- precision -->\n")
    after = rest[rest.index("<!-- end -->") :]
    DOCUMENT.write_text(f"{before}{mark}" + "\n".join(tables) + after)


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
    cache = Cache(Path(_option("cache", str(Path(tempfile.gettempdir()) / "foam-viz-precision"))), known)
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
        write(tables, cache.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
