"""Do the defaults of a task show the method? Checks the damping that the page starts with, five seeds, 600 steps.

Per task that has defaults of its own: eps0 is resolved by float32 (at least 4 x 2^-23 of the median factor's lambda_max
at step 100); the damping bites (at its peaks after step 100, 10 to 70 % of the followed factor's directions lie under
eps, and at least ten points more than under eps0); FOAM stays within 15 % of the loss of f = 10 with at most 25 % of
its decompositions. ``--task=NAME`` checks one task, ``--seeds=N`` takes the first N seeds, ``--set=NAME=VALUE`` tries
another setting of both lanes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any

import torch

from benchmarks.report import Report
from foam_viz.engine.worker.description import default_followed
from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config
from foam_viz.optim.factor import CheckObservation
from foam_viz.tasks.catalogue import TASKS

STEPS, SEEDS, SETTLED, LAST = 600, (0, 1, 2, 3, 4), 100, 20
RESOLUTION = 4 * 2.0**-23


@dataclass(frozen=True)
class Peak:
    """The damping of the followed factor at its highest between two decompositions.

    Attributes:
        step: Step of the check that set it.
        epsilon: Damping, gradient^2.
        under: Share of the factor's directions under it, by the eigenvalues of that step.
        under_fresh: Share under eps0.
    """

    step: int
    epsilon: float
    under: float
    under_fresh: float


@dataclass
class Watch:
    """What a run is watched for; an observer of its optimizer.

    Attributes:
        followed: Position of the followed factor.
        largest: lambda_max by position, at the first check from step 100 on.
        peaks: Of the followed factor, from step 100 on.
    """

    followed: int
    fresh: float
    largest: dict[int, float] = field(default_factory=dict)
    peaks: list[Peak] = field(default_factory=list)
    _highest: Peak | None = None

    def __call__(self, seen: CheckObservation) -> None:
        for row, position in enumerate(seen.positions):
            if seen.step >= SETTLED and position not in self.largest:
                self.largest[position] = torch.linalg.eigvalsh(seen.current[row].double())[-1].item()
            if position == self.followed:
                self._follow(seen, row)

    def _follow(self, seen: CheckObservation, row: int) -> None:
        if seen.decisions[row].decompose:
            self.close()
        values = torch.linalg.eigvalsh(seen.current[row].double())
        epsilon = seen.epsilon[row]
        if seen.step > SETTLED and (self._highest is None or epsilon > self._highest.epsilon):
            shares = [(values < limit).double().mean().item() for limit in (epsilon, self.fresh)]
            self._highest = Peak(seen.step, epsilon, *shares)

    def close(self) -> None:
        """Keeps the highest damping since the last decomposition as a peak."""
        if self._highest is not None:
            self.peaks.append(self._highest)
        self._highest = None


@dataclass(frozen=True)
class Measured:
    """What one seed gave.

    Attributes:
        loss: Of FOAM over that of f = 10, means of the last 20 steps.
        decompositions: Of FOAM over those of f = 10.
        resolved: eps0 over 2^-23 times lambda_max of the median factor at step 100.
        under: Median share of directions under eps at the peaks.
        under_fresh: Median share under eps0 at the same steps.
        counts: Decompositions of FOAM and of f = 10.
        losses: Of FOAM and of f = 10.
    """

    loss: float
    decompositions: float
    resolved: float
    under: float
    under_fresh: float
    counts: tuple[int, int]
    losses: tuple[float, float]


def measure(task: str, seed: int, settings: Mapping[str, Any] | None = None, steps: int = STEPS) -> Measured:
    """Trains FOAM and Shampoo at f = 10 as the page would, and watches the damping.

    Args:
        task: A task of the catalogue.
        seed: Of weights and batches.
        settings: What differs from the page's defaults, in both lanes.
        steps: Length of the runs.
    """
    chosen = dict(settings or {})
    shared = {name: value for name, value in chosen.items() if name not in ("tau", "epsilon_max")}
    experiment, errors = config.build(
        task, {}, {"seed": seed, "steps": steps}, [("foam", chosen), ("shampoo", {**shared, "period": 10})]
    )
    if errors:
        raise errors[0]
    watch, losses, counts = None, [], []
    for lane in (0, 1):
        run = Run(experiment.lane_config(lane), run_id="defaults", recording=False)
        if lane == 0:
            watch = Watch(default_followed(run.factors), experiment.lanes[0].settings["epsilon"])
            run.optimizer.observer = watch
        while run.live:
            run.advance()
        losses.append(mean(run.drain()["steps"]["loss"].to_pylist()[-LAST:]))
        counts.append(sum(factor.decompositions for factor in run.optimizer.factors()))
    watch.close()
    return Measured(
        losses[0] / losses[1],
        counts[0] / counts[1],
        watch.fresh / (2.0**-23 * median(watch.largest.values())),
        median(peak.under for peak in watch.peaks),
        median(peak.under_fresh for peak in watch.peaks),
        (counts[0], counts[1]),
        (losses[0], losses[1]),
    )


def main() -> int:
    torch.set_num_threads(1)
    report = Report("defaults")
    words = [word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if "=" in word]
    options = {name: value for name, value in words if name != "set"}
    tried = dict(value.split("=", 1) for name, value in words if name == "set")
    chosen = [options["task"]] if "task" in options else [n for n, spec in TASKS.items() if spec.optimizer_defaults]
    for task in chosen:
        found = [
            measure(task, seed, {name: float(value) for name, value in tried.items()})
            for seed in SEEDS[: int(options.get("seeds", len(SEEDS)))]
        ]
        check(report, task, found)
    return report.finish()


def check(report: Report, task: str, found: list[Measured]) -> None:
    """Reports the figures of a task beside their limits."""
    under, fresh = mean(one.under for one in found), mean(one.under_fresh for one in found)
    report.at_least(f"{task}: eps0 over 2^-23 lambda_max", min(one.resolved for one in found), 4)
    report.add(f"{task}: directions under eps at its peaks", under, "0.1 to 0.7", 0.1 <= under <= 0.7)
    report.at_least(f"{task}: more than under eps0 by", under - fresh, 0.1)
    report.at_most(f"{task}: loss of FOAM over f = 10", mean(one.loss for one in found), 1.15)
    report.at_most(f"{task}: decompositions of FOAM over f = 10", mean(one.decompositions for one in found), 0.25)
    report.add(f"{task}: loss of FOAM", mean(one.losses[0] for one in found))
    report.add(f"{task}: decompositions of FOAM", mean(one.counts[0] for one in found))


if __name__ == "__main__":
    sys.exit(main())
