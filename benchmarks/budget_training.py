"""One run of the comparison, and the ledger of all that were made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.budget_kernels import KernelCounter
from benchmarks.budget_rules import START
from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config
from foam_viz.optim import catalogue as optimizers

LAST_STEPS = 20
"""The training loss of a run is the mean of so many last steps."""


@dataclass(frozen=True)
class Problem:
    """What is trained.

    Attributes:
        name: Its name here, in ``--task=`` and in file names.
        label: Its title.
        task: The task of the catalogue.
        steps: Length of a run.
        task_settings: What differs from the task's defaults.
        precondition: Which parameters have factors.
        after: Training loss around this step is kept too; 0 for none.
    """

    name: str
    label: str
    task: str
    steps: int
    task_settings: tuple[tuple[str, Any], ...] = ()
    precondition: str = "all"
    after: int = 0


@dataclass(frozen=True)
class Trial:
    """One run: a problem, an optimizer with its settings, a learning rate with its schedule, a seed, a precision."""

    problem: Problem
    optimizer: str
    settings: tuple[tuple[str, Any], ...]
    rate: float
    schedule: str
    seed: int
    precision: str = "float32"

    @property
    def key(self) -> str:
        settings = ",".join(f"{name}={value}" for name, value in self.settings)
        parts = (self.problem.name, self.problem.steps, self.optimizer, settings, self.rate, self.schedule, self.seed)
        return " ".join(map(str, parts)) + ("" if self.precision == "float32" else f" {self.precision}")


def start(trial: Trial) -> Run:
    """A run at its beginning, as the app has it, without recording; one thread."""
    torch.set_num_threads(1)
    problem = trial.problem
    settings = {**dict(trial.settings), "lr": trial.rate}
    if optimizers.find(trial.optimizer).has_factors:
        settings |= {"start": START, "precondition": problem.precondition}
    run_settings = {
        "seed": trial.seed, "steps": problem.steps, "schedule": trial.schedule, "decay_steps": problem.steps,
        "precision": trial.precision,
    }  # fmt: skip
    # The runs that are kept were made with the defaults of the first release for what a trial does not say.
    experiment, errors = config.build(
        problem.task, dict(problem.task_settings), run_settings, [(trial.optimizer, settings)], version=1
    )
    if errors:
        raise errors[0]
    return Run(experiment.lane_config(0), run_id="equal-budget", recording=False)


def train(trial: Trial) -> dict[str, Any]:
    """Trains.

    Returns:
        ``loss`` (mean of the last 20 steps), ``held_out``, ``after`` (mean of 20 steps up to ``Problem.after``),
        ``factors``, ``decompositions`` and ``kernels``; losses are None for a run that diverged.
    """
    run, problem = start(trial), trial.problem
    counter = KernelCounter(run.optimizer) if run.factors else None
    while run.live:
        run.advance()
    losses = run.drain()["steps"]["loss"].to_pylist()
    finished = run.status == "finished"
    factors = run.optimizer.factors() if run.factors else ()
    return {
        "loss": _mean(losses[-LAST_STEPS:]) if finished else None,
        "held_out": float(run.task.held_out_loss(run.model, problem.steps)) if finished else None,
        "after": _mean(losses[problem.after - LAST_STEPS : problem.after]) if finished and problem.after else None,
        "factors": len(factors),
        "decompositions": sum(factor.decompositions for factor in factors),
        "kernels": dict(counter.counts) if counter else {},
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


class Ledger:
    """Results by trial, kept in a JSON file so that an interrupted comparison goes on where it stopped.

    ``unit_seconds`` and ``stacked_seconds`` are what kernels cost for one matrix, alone and in the stack of a check.

    Args:
        path: The file; None keeps results in memory alone.
        train: Makes one run.
    """

    def __init__(self, path: Path | None, train: Callable[[Trial], dict[str, Any]] = train) -> None:
        self._path, self._train = path, train
        saved: Mapping[str, Any] = json.loads(path.read_text()) if path and path.exists() else {}
        self.runs: dict[str, dict[str, Any]] = dict(saved.get("runs", {}))
        self.unit_seconds: dict[str, float] = dict(saved.get("unit_seconds", {}))
        self.stacked_seconds: dict[str, float] = dict(saved.get("stacked_seconds", {}))

    def result(self, trial: Trial) -> dict[str, Any]:
        """The result of a trial, trained now unless it is known."""
        if trial.key not in self.runs:
            self.runs[trial.key] = self._train(trial)
            self.save()
        return self.runs[trial.key]

    def save(self) -> None:
        """Writes the file, one line a run."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{json.dumps(key)}: {json.dumps(run)}" for key, run in sorted(self.runs.items())]
        costs = {"unit_seconds": self.unit_seconds, "stacked_seconds": self.stacked_seconds}
        told = "".join(f"{json.dumps(name)}: {json.dumps(seconds)},\n" for name, seconds in costs.items())
        text = f'{{{told}"runs": {{\n' + ",\n".join(lines) + "\n}}\n"
        fresh = self._path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._path)


class Cache:
    """Results by trial: those of the repository, and a folder with one file a run, for several processes at once.

    Args:
        folder: Where new results go.
        known: Results by key.
        names: What is kept of a result.
        train: Makes one run.
    """

    def __init__(
        self, folder: Path, known: Mapping[str, dict[str, Any]], names: Sequence[str],
        train: Callable[[Trial], dict[str, Any]] = train,
    ) -> None:  # fmt: skip
        self._folder, self.results, self._names, self._train = folder, dict(known), names, train
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
                found = self._train(wanted)
                fresh = path.with_suffix(f".{id(self)}.new")
                fresh.write_text(json.dumps({name: found[name] for name in self._names}))
                fresh.replace(path)
            self.results[wanted.key] = json.loads(path.read_text())
        return self.results[wanted.key]


def keep(results: Mapping[str, dict[str, Any]], path: Path) -> None:
    """Writes results by key as JSON, one line a run."""
    lines = [f"{json.dumps(key)}: {json.dumps(result)}" for key, result in sorted(results.items())]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
