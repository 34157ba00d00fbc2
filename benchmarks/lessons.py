"""Do the claims of the lessons hold? Each stage over seeds 30 to 34, which chose nothing; exits 1 where one does not.

``--write`` keeps the results in foam_viz/lessons/measured.json, and what the curves of the seeds span in bands.json,
which the pages read; ``--bands`` keeps the second alone. ``--cache=FOLDER`` keeps each run in a file of its own, so
that an interrupted measurement goes on; ``--lesson=ID`` does one, ``--figure=ID`` the runs behind a paper's figure
instead, which make no claim. Runs go side by side in two processes (``--processes=N``), one thread each; a run that
several stages ask for is trained once.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from foam_viz.lessons import measured, sandbox
from foam_viz.lessons.catalogue import BY_ID, LESSONS
from foam_viz.lessons.lesson import Lesson, Place, Stage
from foam_viz.lessons.paper_figures import FIGURES, PaperFigure
from foam_viz.trace.manifest import FactorInfo

LAST_STEPS = 20
POINTS = 60
"""Steps at which a band is kept, at most."""


Result = dict[str, Any]
Study = Lesson | PaperFigure


def run(stage: Stage, lane: int, seed: int) -> Result:
    """Train one lane of a stage without recording; returns every measure, the CPU seconds of it, and the curve."""
    import torch

    from foam_viz.engine.worker.run import Run

    torch.set_num_threads(1)
    began = time.process_time()
    trained = Run(stage.experiment(seed).lane_config(lane), run_id="lesson", recording=False)
    while trained.live:
        trained.advance()
    losses = trained.drain()["steps"]["loss"].to_pylist()
    whole = trained.status == "finished"
    factors = trained.optimizer.factors() if trained.factors else ()
    sides = [(factor.order, factor.dim, factor.decompositions) for factor in factors]
    return {
        "loss": _mean(losses[-LAST_STEPS:]) if whole else None,
        "held_out": _held_out(trained, stage.steps) if whole else None,
        "after": _mean(losses[stage.after - LAST_STEPS : stage.after]) if whole and stage.after else None,
        "decompositions": sum(count for _, _, count in sides),
        "checks": sum(factor.checks for factor in factors),
        "left": sum(count for order, dim, count in sides if order == 2 and dim == 0),
        "right": sum(count for order, dim, count in sides if order == 2 and dim == 1),
        "seconds": trained.optimizer_seconds,
        "kinds": _kinds(trained.factors, [count for _, _, count in sides]),
        "curve": _curve(losses) if whole else None,
        "cpu": time.process_time() - began,
    }


def _kinds(factors: Sequence[FactorInfo], decompositions: Sequence[int]) -> dict[str, float]:
    """Decompositions per factor by kind of parameter: ``blocks.0.widen.weight`` is of the kind ``widen``."""
    kinds: dict[str, list[int]] = {}
    for factor, count in zip(factors, decompositions, strict=True):
        words = [word for word in factor.parameter.split(".") if not word.isdigit() and word != "blocks"]
        if len(words) > 1 and words[-1] == "weight":
            words.pop()
        kinds.setdefault(" ".join(words), []).append(count)
    return {kind: _mean(counts) for kind, counts in kinds.items()}


def _curve(losses: Sequence[float]) -> list[float]:
    """The centred mean that the page draws, at the steps of :func:`curve_steps`."""
    import numpy as np

    from foam_viz.analysis.downsample import smoothing_width
    from foam_viz.analysis.smoothing import centred_mean

    steps = np.arange(1, len(losses) + 1, dtype=float)
    mean = centred_mean(steps, np.asarray(losses), smoothing_width(steps))
    return [float(f"{mean[step - 1]:.4g}") for step in curve_steps(len(losses))]


def curve_steps(steps: int) -> list[int]:
    """The steps at which a band is kept: dense at the start, where the loss falls fast."""
    return sorted({round(1 + (steps - 1) * (place / (POINTS - 1)) ** 2) for place in range(POINTS)})


def _held_out(trained: Any, step: int) -> float:
    from contextlib import nullcontext

    with getattr(trained.optimizer, "evaluation_weights", nullcontext)():
        return float(trained.task.held_out_loss(trained.model, step))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def kept(path: Path, stage: Stage, lane: int, seed: int) -> Result:
    """The result of a run, from its file or trained now."""
    if path.exists():
        return {**json.loads(path.read_text()), "cpu": 0.0}
    found = run(stage, lane, seed)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(found))
    fresh.replace(path)
    return found


def file_of(stage: Stage, lane: int, seed: int) -> str:
    """The name of the file of a run: one for all stages that ask for the same."""
    config = json.dumps([stage.experiment(seed).lane_config(lane), stage.after], sort_keys=True)
    return f"{hashlib.sha256(config.encode()).hexdigest()[:24]}.json"


def submit(
    pool: ProcessPoolExecutor, folder: Path, studies: Sequence[Study]
) -> dict[tuple[str, Place], list[Future[Result]]]:
    """Ask for every lane of every stage under every seed, each different run once."""
    asked: dict[str, Future[Result]] = {}
    waiting: dict[tuple[str, Place], list[Future[Result]]] = {}
    for study in studies:
        for number, stage in enumerate(study.stages):
            for lane in range(len(stage.labels())):
                for seed in measured.SEEDS:
                    name = file_of(stage, lane, seed)
                    if name not in asked:
                        asked[name] = pool.submit(kept, folder / name, stage, lane, seed)
                    waiting.setdefault((study.id, Place(number, lane)), []).append(asked[name])
    return waiting


def check(lesson: Lesson, found: measured.Results) -> list[str]:
    """Print every claim of a lesson with what was measured; returns those that do not hold."""
    failed = []
    print(f"{lesson.title}")
    for claim in lesson.claims:
        said, _ = measured.decide(claim, found)
        line = measured.sentence(lesson, claim, found)
        print(f"  {'ok    ' if said == claim.says else 'FAILED'} {line}")
        if said != claim.says:
            failed.append(f"{lesson.id}: says {claim.says!r}, measured {said!r}: {line}")
    for item in lesson.calculations:
        value = float(getattr(sandbox.read(item.setting), item.reading))
        holds = math.isclose(value, item.value, rel_tol=item.tolerance, abs_tol=1e-9)
        print(f"  {'ok    ' if holds else 'FAILED'} {item.text} ({item.reading} = {value:.4g})")
        if not holds:
            failed.append(f"{lesson.id}: {item.text} The sandbox says {value:.4g}.")
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns the exit code."""
    told = sys.argv[1:] if arguments is None else list(arguments)
    options = dict(item.removeprefix("--").partition("=")[::2] for item in told if item.startswith("--"))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(int(options.get("processes", 2))) as pool:
        folder = Path(options.get("cache", scratch))
        folder.mkdir(parents=True, exist_ok=True)
        studies = chosen(options)
        waiting = submit(pool, folder, studies)
        failed: list[str] = []
        results: dict[str, dict[Place, list[Result]]] = {study.id: {} for study in studies}
        for study in studies:
            for (name, place), futures in waiting.items():
                if name == study.id:
                    results[name][place] = [future.result() for future in futures]
            if isinstance(study, Lesson):
                failed += check(study, results[study.id])
    if "write" in options:
        write(results)
    if "write" in options or "bands" in options:
        write_bands({name: found for name, found in results.items() if name in BY_ID})
    runs = {id(future): future.result() for futures in waiting.values() for future in futures}
    asked, cpu = sum(map(len, waiting.values())), sum(found["cpu"] for found in runs.values())
    print(f"  {asked} runs asked for, {len(runs)} different ones trained")
    print(f"  {time.monotonic() - began:.0f} s, {cpu:.0f} s of CPU time in them")
    print(f"  {len(failed)} claims do not hold")
    return 1 if failed else 0


def chosen(options: Mapping[str, str]) -> list[Study]:
    """Return what the options name: a lesson, a paper's figure, or all lessons."""
    if "figure" in options:
        return [figure for figure in FIGURES if figure.id == options["figure"]]
    return [BY_ID[options["lesson"]]] if "lesson" in options else list(LESSONS)


def write(results: Mapping[str, Mapping[Place, Sequence[Result]]]) -> None:
    """Keep results beside those of others, one line a lane; kinds of parameters are a figure's."""
    left_out = {"curve", "cpu"}
    known = json.loads(measured.FILE.read_text()) if measured.FILE.exists() else {}
    known |= {
        name: {
            f"{place.stage}/{place.lane}": [
                {key: run[key] for key in run if key not in {*left_out, *(("kinds",) if name in BY_ID else ())}}
                for run in runs
            ]
            for place, runs in places.items()
        }
        for name, places in results.items()
        if places
    }
    lessons = [
        f"{json.dumps(name)}: {{\n"
        + ",\n".join(f" {json.dumps(place)}: {json.dumps(runs)}" for place, runs in places.items())
        + "\n}"
        for name, places in known.items()
    ]
    measured.FILE.write_text("{\n" + ",\n".join(lessons) + "\n}\n")


def write_bands(results: Mapping[str, Mapping[Place, Sequence[Mapping[str, Any]]]]) -> None:
    """Keep what the curves of the seeds span, a line a lane; a lane in which a run diverged has no band."""
    known = json.loads(measured.BANDS.read_text()) if measured.BANDS.exists() else {}
    for name, places in results.items():
        known[name] = {}
        for place, runs in places.items():
            curves = [run["curve"] for run in runs]
            if all(curves):
                known[name][f"{place.stage}/{place.lane}"] = {
                    "step": curve_steps(BY_ID[name].stages[place.stage].steps),
                    "low": [min(values) for values in zip(*curves, strict=True)],
                    "high": [max(values) for values in zip(*curves, strict=True)],
                }
    lessons = [
        f"{json.dumps(name)}: {{\n"
        + ",\n".join(f" {json.dumps(place)}: {json.dumps(band)}" for place, band in places.items())
        + "\n}"
        for name, places in known.items()
        if places
    ]
    measured.BANDS.write_text("{\n" + ",\n".join(lessons) + "\n}\n")


if __name__ == "__main__":
    sys.exit(main())
