"""What the writer costs somebody's training loop, as a share of a step.

Two models under Shampoo with f = 10, one thread, the writer at its defaults, logging the loss at every step: a
transformer of realistic proportions for a CPU (width 128, 4 blocks of attention and MLP, factors of 128 to 512 rows),
and the digits autoencoder, whose step is so short that every microsecond shows: it has no limit. The writer's calls
are timed where they happen, inside the loop, in CPU seconds of the thread: its share is a percent, and the difference
of two loops, one with it and one without, drowns in the noise of a shared machine. A flush, one a second, and a
snapshot, one every 1000 steps, are timed apart and added as their shares: the mean flush, since every sixteenth also
merges.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits
from torch import nn

from benchmarks.report import Report
from foam_viz.optim import catalogue as optimizers
from foam_viz.optim.refresh import EveryCheck
from foam_viz.optim.shampoo import Shampoo
from foam_viz.recording.writer import FLUSH_SECONDS
from foam_viz.tasks import catalogue as tasks
from foam_viz.trace import Writer

LIMIT = 2.0
SNAPSHOT_PERIOD = 1000


@dataclass(frozen=True)
class Loop:
    """A training loop: its optimizer, and a step that returns the loss."""

    optimizer: torch.optim.Optimizer
    step: Callable[[], torch.Tensor]


def transformer() -> Loop:
    """Four pre-norm blocks of width 128 on random sequences."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, norm_first=True, batch_first=True)
    model = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
    optimizer = Shampoo(
        model.parameters(), lr=1e-3, refresh=EveryCheck(period=10, epsilon=1e-9), precondition="matrices"
    )
    batch = torch.randn(4, 64, 128)

    def step() -> torch.Tensor:
        loss = (model(batch) - batch.roll(1, 1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return Loop(optimizer, step)


def autoencoder() -> Loop:
    """The digits autoencoder, as the live lab trains it."""
    task = tasks.find("digits-autoencoder").build({}, seed=0)
    model = task.model()
    optimizer = optimizers.find("shampoo").build(model.parameters(), {"period": 10})
    steps = iter(range(1, 10**9))

    def step() -> torch.Tensor:
        loss = task.loss(model, task.batch(next(steps)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return Loop(optimizer, step)


def measure(
    report: Report, name: str, make: Callable[[], Loop], blocks: int, block_steps: int, folder: Path, limited: bool
) -> None:
    loop = make()
    writer = Writer(folder / name.replace(" ", "-"))
    writer.observe(loop.optimizer)
    writer._flush_after = float("inf")  # by hand, below
    (observer,) = writer._observers.values()
    observe, inside = observer.after_step, [0.0]

    def timed(step: int) -> None:
        began = time.thread_time()
        observe(step)
        inside[0] += time.thread_time() - began

    observer.after_step = timed
    step, shares, seconds, flushes, snapshots = 0, [], [], [], []
    for _ in range(blocks):
        inside[0], began = 0.0, time.thread_time()
        for _ in range(block_steps):
            step += 1
            loss = loop.step().item()
            called = time.thread_time()
            writer.log(step, loss=loss)
            inside[0] += time.thread_time() - called
        ended = time.thread_time()
        writer.flush()
        writer._flush_after = float("inf")
        flushes.append(time.thread_time() - ended)
        seconds.append((ended - began - inside[0]) / block_steps)
        shares.append(inside[0] / (ended - began - inside[0]))
    step_seconds, rows = statistics.median(seconds[1:]), statistics.median(shares[1:])
    for _ in range(3):
        for observer in writer._observers.values():
            began = time.thread_time()
            for seen in observer._pictured:
                seen.before = seen.view.matrices()
                observer._picture(seen, step, None)
            snapshots.append(time.thread_time() - began)
    writer.close()
    flush = statistics.mean(flushes[1:]) / FLUSH_SECONDS
    snapshot = statistics.median(snapshots) / (SNAPSHOT_PERIOD * step_seconds)
    report.add(f"{name}: step without the writer, ms", step_seconds * 1e3)
    report.add(f"{name}: rows add, %", rows * 100)
    report.add(f"{name}: a flush of {block_steps} steps every second adds, %", flush * 100)
    report.add(f"{name}: a snapshot, ms", statistics.median(snapshots) * 1e3)
    report.add(f"{name}: a snapshot every {SNAPSHOT_PERIOD} steps adds, %", snapshot * 100)
    figure = f"{name}: the writer adds to a step, %", (rows + flush + snapshot) * 100
    if limited:
        report.at_most(*figure, LIMIT)
    else:
        report.add(*figure)


def main() -> int:
    torch.set_num_threads(1)
    report = Report("writer")
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):  # numpy's threads too: they wait by spinning
        measure(report, "transformer", transformer, 17, 20, Path(folder), limited=True)
        measure(report, "digits autoencoder", autoencoder, 25, 100, Path(folder), limited=False)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
