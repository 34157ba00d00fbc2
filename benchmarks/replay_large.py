"""A replay of a wide and long run: two factors of width 512 at 1,000 checks, which no memory of a server should hold.

The statistics are made up: gradients of rank 64 whose directions drift slowly. What counts here are sizes and times.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report import Report
from foam_viz.analysis.replay import MAP_ERROR_EVERY
from foam_viz.engine.replay.plan import prepare_path
from foam_viz.recording.stream import Sample
from foam_viz.recording.stream.writing import StreamFile
from foam_viz.trace import Manifest, Trace
from foam_viz.trace.disk import bundle
from foam_viz.trace.manifest import FactorInfo

WIDTH, CHECKS, PERIOD, RANK, BETA = 512, 1_000, 10, 64, 0.95
MEMORY_MB = 2_000.0


def _record(place: Path, checks: int) -> None:
    factors = [
        FactorInfo(id=f"0.block_0.{dim}", parameter="layer.weight", block=0, dim=dim, order=2, size=WIDTH)
        for dim in (0, 1)
    ]
    bundle.write(Trace(Manifest(run_id="wide", name="wide", factors=tuple(factors), optimizer="foam")), place)
    file = StreamFile(place, 2**40, every=PERIOD)
    generator = np.random.default_rng(0)
    scale = (10.0 ** -np.linspace(0, 3, WIDTH)).astype(np.float32)
    drift = [np.eye(WIDTH, RANK, dtype=np.float32) for _ in factors]
    statistics = [np.zeros((WIDTH, WIDTH), np.float32) for _ in factors]
    for check in range(1, checks + 1):
        samples = []
        for place_of, info in enumerate(factors):
            drift[place_of] = 0.98 * drift[place_of] + 0.2 * generator.standard_normal((WIDTH, RANK)).astype(np.float32)
            gradient = 1e-3 * scale[:, None] * drift[place_of]
            new = gradient @ gradient.T
            statistics[place_of] = BETA * statistics[place_of] + (1 - BETA) * (new + new.T) / 2
            samples.append(Sample(check * PERIOD, "factor", info.id, statistics[place_of], 2, 1e-9, BETA, check))
        file.add(samples)
    file.flush()


def measure(report: Report, checks: int = CHECKS) -> None:
    """Prepare such a run, and make two moves."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        _record(place, checks)
        words: list[str] = []
        began, busy = time.perf_counter(), time.process_time()
        plan = prepare_path(place, lambda _, told: words.append(told))
        print(f"  told beforehand: {next(told for told in words if told.startswith('it takes'))}")
        report.add("reports of progress", len(words))
        report.add("preparation, s", time.perf_counter() - began)
        report.add("preparation, CPU s", time.process_time() - busy)
        report.add("temporary files, GB", plan.recording.spill.bytes / 1e9 if plan.recording.spill else 0.0)
        for number, tau in enumerate((0.4, 0.41), 1):
            began = time.perf_counter()
            found = plan.run(plan.own.changed({"tau": tau}))
            report.add(f"move {number}, s", time.perf_counter() - began)
            report.add(f"move {number}, decompositions of {found.checks:,} checks", found.decompositions)
        began = time.perf_counter()
        plan.summaries([plan.own.changed({"tau": 0.42})], error_every=MAP_ERROR_EVERY)
        report.add("one cell of the map, s", time.perf_counter() - began)
        report.at_most("largest resident memory, MB",
                       resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, MEMORY_MB)  # fmt: skip
        plan.close()
