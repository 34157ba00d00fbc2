"""What the default recording costs: seconds of a step with recorder and factor stream on and off, interleaved.

Shampoo f = 10 with the floor on the digits autoencoder, one thread. Blocks of 100 steps (one whole recording cycle)
alternate between a run that records and one that does not; the figure is the median over blocks of the ratio of their
CPU seconds, so that a noisy machine disturbs both alike.
"""

from __future__ import annotations

import statistics
import sys
import time

import torch

from benchmarks.report import Report
from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config

BLOCKS, BLOCK_STEPS, LIMIT = 15, 100, 15.0


def _block(run: Run) -> float:
    began = time.thread_time()
    for _ in range(BLOCK_STEPS):
        run.advance()
    run.drain()
    run.drain_stream()
    return time.thread_time() - began


def main() -> int:
    torch.set_num_threads(1)
    report = Report("recording")
    experiment, _ = config.build(lanes=[("shampoo", {"period": 10})])
    runs = [Run(experiment.lane_config(0), run_id="benchmark", recording=on, stream=on) for on in (True, False)]
    for run in runs:
        _block(run)
    ratios, off = [], []
    for _ in range(BLOCKS):
        on_seconds, off_seconds = (_block(run) for run in runs)
        ratios.append(on_seconds / off_seconds)
        off.append(off_seconds)
    report.add("step without recording, ms", statistics.median(off) / BLOCK_STEPS * 1e3)
    report.at_most("recording adds to a step, %", (statistics.median(ratios) - 1) * 100, LIMIT)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
