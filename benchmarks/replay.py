"""What a replay costs, and whether it foretells: prepare, one move, a map; predictions against real runs.

A 600-step digits autoencoder (18 factors, 60 checks) under FOAM. Moves are random settings of (tau, eps0, eps_max)
around the run's own. The truth of a prediction is a run trained
under the setting, with the same seed; ``--quick`` leaves that out. ``--large`` measures a wide and long run instead.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks import replay_large
from benchmarks.report import Report
from foam_viz.analysis.replay_setting import Setting, default_map
from foam_viz.engine.replay.plan import Plan, prepare_path
from foam_viz.engine.worker.run import Run
from foam_viz.engine.worker.stream_saver import StreamSaver
from foam_viz.experiment import config
from foam_viz.trace.disk import bundle
from foam_viz.trace.model import Trace

STEPS, MOVES, TRUTHS = 600, 50, 30
PREPARE_SECONDS, MOVE_SECONDS, MAP_SECONDS, MEMORY_MB = 3.0, 0.1, 0.5, 500.0
RANK_CORRELATION, MEDIAN_ERROR = 0.9, 0.15


def _train(changes: dict[str, float], folder: Path | None = None) -> Run:
    experiment, errors = config.build(run_settings={"steps": STEPS}, lanes=[("foam", changes)])
    if errors:
        raise errors[0]
    run = Run(experiment.lane_config(0), run_id="benchmark", recording=folder is not None, stream=folder is not None)
    trace = Trace.empty(run.manifest(name="run"))
    while run.live:
        run.advance()
    if folder is not None:
        for table, rows in run.drain().items():
            trace.append(table, rows)
        trace.manifest = run.manifest(name="run")
        bundle.write(trace, folder)
        StreamSaver(run, folder).save()
    return run


def _random(own: Setting, generator: np.random.Generator) -> Setting:
    fresh = own.values["epsilon"] * 10 ** generator.uniform(-1, 1)
    return own.changed(
        {
            "tau": float(generator.uniform(0.1, 0.95)),
            "epsilon": float(fresh),
            "epsilon_max": float(fresh * 10 ** generator.uniform(0.3, 2)),
        }
    )


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and CPU seconds."""
    began, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - busy


def ranks(values: list[float]) -> np.ndarray:
    """Ranks with ties shared, as Spearman's correlation takes them."""
    ordered = np.sort(values)
    low, high = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return (low + high - 1) / 2


def _speed(report: Report, plan: Plan, generator: np.random.Generator) -> None:
    own = plan.own
    moves = [_seconds(partial(plan.run, _random(own, generator))) for _ in range(MOVES)]
    report.at_most("one move, s (median of 50 random settings)", statistics.median(m[0] for m in moves), MOVE_SECONDS)
    report.add("one move, CPU s", statistics.median(m[1] for m in moves))
    report.add("one move, s (slowest of 50)", max(m[0] for m in moves))
    taus, caps = default_map(own)
    took = _seconds(lambda: plan.map(own, taus, caps))
    report.at_most("map of 5 x 5, s (the first time)", took[0], MAP_SECONDS)
    report.add("map of 5 x 5, CPU s (the first time)", took[1])
    took = _seconds(lambda: plan.map(own, taus, caps))
    report.add("map of 5 x 5, s (computed before, while the engine was idle)", took[0])
    report.add("map of 5 x 5, CPU s (computed before)", took[1])
    report.at_most("matrices kept for one run, MB", plan.bytes / 1e6, MEMORY_MB)


def _truth(report: Report, plan: Plan, generator: np.random.Generator) -> None:
    predicted, trained = [], []
    for _ in range(TRUTHS):
        setting = _random(plan.own, generator)
        predicted.append(float(plan.summaries([setting], error_every=0)[0].decompositions))
        changes = {name: setting.values[name] for name in ("tau", "epsilon", "epsilon_max")}
        trained.append(float(sum(factor.decompositions for factor in _train(changes).optimizer.factors())))
    correlation = float(np.corrcoef(ranks(predicted), ranks(trained))[0, 1])
    errors = [abs(p - t) / t for p, t in zip(predicted, trained, strict=True)]
    report.at_least("decompositions, rank correlation with 30 real runs", correlation, RANK_CORRELATION)
    report.at_most("decompositions, median error against real runs", statistics.median(errors), MEDIAN_ERROR)
    report.add("decompositions, largest error against real runs", max(errors))


def main() -> int:
    torch.set_num_threads(1)
    report = Report("replay")
    if "--large" in sys.argv:
        replay_large.measure(report)
        return report.finish()
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        _train({}, place)
        plans: list[Plan] = []
        took = _seconds(lambda: plans.append(prepare_path(place)))
        report.at_most("preparation, s", took[0], PREPARE_SECONDS)
        report.add("preparation, CPU s", took[1])
        (plan,) = plans
        differs = plan.run().differs(bundle.read(place).checks)
        report.at_most("checks that differ under the run's own setting", differs, 0)
        _speed(report, plan, generator)
        if "--quick" not in sys.argv:
            _truth(report, plan, generator)
    report.add("largest resident memory, MB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
