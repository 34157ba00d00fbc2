"""Loss against decompositions and kernel time, each optimizer at its best learning rate, five seeds.

Three problems (digits autoencoder, the same with its pixels permuted half-way, tiny GPT), a constant and a linearly
decayed learning rate, the first decomposition at step 10 for all. The rate of each optimizer is the best of a grid on
seeds that evaluate nothing. Beside each method stands the fixed period nearest in decompositions, paired by seed.

``--task=NAME`` and ``--schedule=NAME`` do a part, ``--quick`` a few seconds of it, ``--json`` prints all as one line.
Runs are kept in docs/findings/runs.json and not made twice (without the file, all are made anew); ``--write`` draws
figures there and renews the tables of docs/findings/tables.md and the costs in docs/findings.md.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.budget_kernels import ROUNDS, STACKS, unit_seconds
from benchmarks.budget_rules import kernel_seconds, leader, nearest_period, next_trials, verdict
from benchmarks.budget_training import Ledger, Problem, Trial
from benchmarks.document import renew
from foam_viz.figures.theme import setting

GRID = (2e-3, 5e-3, 1e-2, 2e-2)
TUNING_SEEDS, SEEDS = (100, 101), (0, 1, 2, 3, 4)
SCHEDULES = ("constant", "linear-decay")
FOLDER = Path(__file__).parent.parent / "docs" / "findings"

PROBLEMS = (
    Problem("digits", "Digits autoencoder, 600 steps", "digits-autoencoder", 600),
    Problem(
        "burst", "Digits autoencoder, pixels permuted at step 400 of 800", "digits-autoencoder", 800,
        (("shift_at", 400),), after=450,
    ),
    Problem("tiny-gpt", "Tiny GPT, 300 steps", "tiny-gpt", 300, precondition="matrices"),
)  # fmt: skip

Settings = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Method:
    """An optimizer and the settings under which it is compared.

    Attributes:
        name: Its name in tables.
        optimizer: Its name in the catalogue.
        settings: What its learning rate is chosen with, and what it is compared with everywhere.
        further: Other settings that it is compared with on the first problem at a constant rate.
        also: Other settings that it is compared with everywhere.
    """

    name: str
    optimizer: str
    settings: Settings
    further: tuple[Settings, ...] = ()
    also: tuple[Settings, ...] = ()

    def variants(self, problem: Problem, schedule: str) -> list[Settings]:
        """Its settings for a problem and a schedule, in order."""
        first = problem.name == PROBLEMS[0].name and schedule == SCHEDULES[0]
        return sorted([self.settings, *self.also, *(self.further if first else ())])


def _periods(*periods: int) -> tuple[Settings, ...]:
    return tuple((("period", period),) for period in periods)


def _foam(tau: float, epsilon_max: float) -> Settings:
    return (("period", 10), ("tau", tau), ("epsilon_max", epsilon_max))


def _residual(tau: float) -> Settings:
    return (("period", 10), ("tau", tau))


FIXED = Method("fixed period", "shampoo", *_periods(50), _periods(100, 200), _periods(10, 20))
METHODS = (
    Method("AdamW", "adamw", ()),
    FIXED,
    Method("taking turns", "shampoo-staggered", *_periods(50), _periods(100, 200)),
    Method("FOAM", "foam", _foam(0.75, 3e-7), (_foam(0.25, 1e-5), _foam(0.75, 1e-5))),
    Method("FOAM, fresh eigenvalues", "foam-fresh-eigenvalues", _foam(0.75, 3e-7)),
    Method("residual", "dr-shampoo", _residual(0.2), (_residual(0.3),)),
    Method("SOAP", "soap", *_periods(50), _periods(10)),
)


@dataclass(frozen=True)
class Row:
    """One method under one setting: five runs.

    Attributes:
        method: Name of the method.
        settings: What it was run with.
        rate: Its learning rate.
        results: The five results, by seed.
        seconds: Kernel seconds of each.
    """

    method: str
    settings: Settings
    rate: float
    results: list[dict[str, Any]]
    seconds: list[float]

    @property
    def label(self) -> str:
        """``fixed period, f = 50``."""
        symbols = {"period": "f", "epsilon_max": "eps_max"}
        hidden = any(name == "tau" for name, _ in self.settings)  # every such one checks each 10 steps
        told = [f"{symbols.get(k, k)} = {setting(v)}" for k, v in self.settings if not (hidden and k == "period")]
        return ", ".join([self.method, *told])

    def values(self, name: str) -> list[float]:
        """One number of each run; infinite for a run that diverged."""
        return [math.inf if result[name] is None else result[name] for result in self.results]

    @property
    def mean_seconds(self) -> float:
        """Kernel seconds of a run, on average."""
        return sum(self.seconds) / len(self.seconds)

    def mean(self, name: str) -> float:
        """The mean of ``values``."""
        values = self.values(name)
        return sum(values) / len(values)


@dataclass(frozen=True)
class Pair:
    """A row beside a fixed period of nearly its budget, paired by seed.

    Attributes:
        row: The row.
        fixed: The fixed period.
        verdicts: By name of a loss, ``loss``, ``held_out`` and, where there is a burst, ``after``.
    """

    row: Row
    fixed: Row
    verdicts: dict[str, str]


@dataclass(frozen=True)
class Comparison:
    """All of one problem under one schedule.

    Attributes:
        problem: The problem.
        schedule: The schedule.
        tuning: By method the tuning losses by rate and seed.
        rates: By method the rate chosen.
        rows: The methods and settings, fixed periods first.
        by_count: Each beside the fixed period nearest in decompositions, run for this purpose.
        by_time: Each beside the fixed period nearest in kernel time of those that were run.
    """

    problem: Problem
    schedule: str
    tuning: dict[str, dict[float, dict[int, float]]]
    rates: dict[str, float]
    rows: list[Row]
    by_count: list[Pair]
    by_time: list[Pair]


def tune(ledger: Ledger, problem: Problem, schedule: str, method: Method) -> dict[float, dict[int, float]]:
    """Losses by rate and seed, as many as the choice of a rate takes."""
    losses: dict[float, dict[int, float]] = {}
    while wanted := next_trials(losses, GRID, TUNING_SEEDS):
        for rate, seed in wanted:
            trial = Trial(problem, method.optimizer, method.settings, rate, schedule, seed)
            loss = ledger.result(trial)["loss"]
            losses.setdefault(rate, {})[seed] = math.inf if loss is None else loss
    return losses


def evaluate(
    ledger: Ledger, problem: Problem, schedule: str, method: Method, settings: Settings, rate: float,
    seeds: Sequence[int] = SEEDS,
) -> Row:  # fmt: skip
    """The runs of all seeds under one setting."""
    results = [ledger.result(Trial(problem, method.optimizer, settings, rate, schedule, seed)) for seed in seeds]
    seconds = [kernel_seconds(result["kernels"], ledger.stacked_seconds) for result in results]
    return Row(method.name, settings, rate, results, seconds)


def compare(ledger: Ledger, problem: Problem, schedule: str, seeds: Sequence[int] = SEEDS) -> Comparison:
    """Tunes and evaluates every method, and sets beside each the fixed period nearest in decompositions."""
    tuning = {method.name: tune(ledger, problem, schedule, method) for method in METHODS}
    rates = {name: leader(losses) for name, losses in tuning.items()}
    rows = [
        evaluate(ledger, problem, schedule, method, settings, rates[method.name], seeds)
        for method in METHODS
        for settings in method.variants(problem, schedule)
    ]
    fixed = {row.settings: row for row in rows if row.method == FIXED.name}
    factors = next(iter(fixed.values())).results[0]["factors"]
    others = [row for row in rows if row.method != FIXED.name]
    judged = [row for row in others if row.results[0]["factors"]]
    by_count = []
    for row in judged:
        near = (("period", nearest_period(row.mean("decompositions"), factors, problem.steps)),)
        if near not in fixed:
            fixed[near] = evaluate(ledger, problem, schedule, FIXED, near, rates[FIXED.name], seeds)
        by_count.append(_pair(row, fixed[near]))
    ordered = sorted(fixed.values(), key=lambda row: row.settings)
    by_time = [
        _pair(row, min(ordered, key=lambda near: abs(math.log(sum(near.seconds) / sum(row.seconds))))) for row in judged
    ]
    return Comparison(problem, schedule, tuning, rates, ordered + others, by_count, by_time)


def _pair(row: Row, fixed: Row) -> Pair:
    names = [name for name in ("loss", "held_out", "after") if any(result[name] for result in fixed.results)]
    return Pair(row, fixed, {name: verdict(row.values(name), fixed.values(name)) for name in names})


def _option(name: str) -> str | None:
    return next((word.partition("=")[2] for word in sys.argv if word.startswith(f"--{name}=")), None)


def main() -> int:
    from benchmarks import budget_tables

    quick, task, wanted = "--quick" in sys.argv, _option("task"), _option("schedule")
    problems = [problem for problem in PROBLEMS if task in (None, problem.name, problem.task)]
    schedules = [schedule for schedule in SCHEDULES if wanted in (None, schedule)]
    if not problems or not schedules:
        print(f"known: {', '.join(p.name for p in PROBLEMS)}; {', '.join(SCHEDULES)}", file=sys.stderr)
        return 2
    if quick:
        problems, schedules = [replace(problem, steps=40, after=0) for problem in problems[:1]], schedules[:1]
    ledger = Ledger(None if quick else FOLDER / "runs.json")
    if not ledger.stacked_seconds:
        ledger.unit_seconds, ledger.stacked_seconds = unit_seconds(
            dict.fromkeys(STACKS, 1), STACKS, rounds=3 if quick else ROUNDS
        )
        ledger.save()
    found = []
    for problem in problems:
        for schedule in schedules:
            comparison = compare(ledger, problem, schedule, SEEDS[:2] if quick else SEEDS)
            print(budget_tables.text(comparison), flush=True)
            found.append(comparison)
    if "--write" in sys.argv:
        from benchmarks import budget_drawing

        costs = budget_tables.costs(ledger.unit_seconds, ledger.stacked_seconds)
        renew(FOLDER.parent / "findings.md", {"costs": costs})
        renew(FOLDER / "tables.md", budget_tables.parts(found))
        for comparison in found:
            path = FOLDER / f"{comparison.problem.name}-{comparison.schedule}.svg"
            path.write_text(budget_drawing.svg(comparison))
    if "--json" in sys.argv:
        print(json.dumps({"title": "equal_budget", "comparisons": [budget_tables.plain(c) for c in found]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
