"""Reading logs: seconds and memory of our readers, and of TensorBoard's own, each in a fresh process.

The inputs are written into a temporary folder: an event file of 1,000,000 scalars (10 curves, some 60 MB), a CSV of
20 MB, and a folder of 200 runs of 1,000 steps, half of them CSV, half event files. What is timed is reading alone,
imports aside; the two readers of event files take turns, and the median counts. Memory is the peak of the process.
Then 200 runs are compared anew, and windows of a curve of 1,000,000 points are drawn.
"""

from __future__ import annotations

import json
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.report import Report
from foam_viz.figures.compare import comparison as compare
from foam_viz.figures.look import Look
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Manifest, Trace, record_batch

SCALARS, CURVES, CSV_BYTES, RUNS, RUN_STEPS, ROUNDS = 1_000_000, 10, 20 * 10**6, 200, 1_000, 3

_MEASURE = """
import json, resource, sys, time
from pathlib import Path
path = Path(sys.argv[1])
{prepare}
began, cpu_began = time.perf_counter(), time.process_time()
count = {read}
seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
status = Path("/proc/self/status")  # where there is none: the rusage of a process begins at that of its parent
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
if status.exists():
    peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
print(json.dumps([seconds, cpu_seconds, peak, count]))
"""
_ONE_FILE = """
from foam_viz.logs.core.reader import HEAD_BYTES, LogFile, Options
from foam_viz.logs.{module} import READER
import pandas, pyarrow.csv
with path.open("rb") as opened:
    file = LogFile(path.name, path, path.stat().st_size, opened.read(HEAD_BYTES))
"""
_READ_ONE = "sum(trace.rows('steps') for trace in READER.read(READER.find([file])[0], Options()))"
_ACCUMULATOR = """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
accumulator = EventAccumulator(str(path), {"scalars": 0, "tensors": 0})
"""
_PROGRAMS = {
    "tensorboard": (_ONE_FILE.format(module="tensorboard"), _READ_ONE),
    "accumulator": (
        _ACCUMULATOR,
        "accumulator.Reload() and sum(len(accumulator.Scalars(t)) for t in accumulator.Tags()['scalars'])",
    ),
    "table": (_ONE_FILE.format(module="table"), _READ_ONE),
    "folder": ("from foam_viz.logs import read_all\nimport pandas, pyarrow.csv", "len(read_all([path]).traces)"),
}


class Measured(NamedTuple):
    """What reading cost in one fresh process, and what it counted."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    count: int


def _run(program: str, path: Path) -> Measured:
    prepare, read = _PROGRAMS[program]
    script = _MEASURE.format(prepare=prepare, read=read)
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    return Measured(*json.loads(done.stdout.splitlines()[-1]))


def write_events(path: Path, curves: int, steps: int) -> None:
    """An event file as torch writes it: one scalar a record, the curves in turn."""
    from google_crc32c import value as crc32c

    def masked(data: bytes) -> bytes:
        crc = crc32c(data)
        return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)

    def record(data: bytes) -> bytes:
        length = struct.pack("<Q", len(data))
        return length + masked(length) + data + masked(data)

    def varint(number: int) -> bytes:
        return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + varint(number >> 7)

    tags = [f"{'train' if i % 2 else 'validation'}/metric_{i}".encode() for i in range(curves)]
    numbers = np.random.default_rng(0).standard_normal((steps, curves)).astype("<f4")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(record(b"\x09" + struct.pack("<d", 1.7e9) + b"\x1a\x0dbrain.Event:2"))
        for step in range(steps):
            head = b"\x09" + struct.pack("<d", 1.7e9 + step / 100) + (b"\x10" + varint(step) if step else b"")
            for tag, number in zip(tags, numbers[step], strict=True):
                value = b"\x0a" + bytes([len(tag)]) + tag + b"\x15" + number.tobytes()
                file.write(record(head + b"\x2a" + bytes([len(value) + 2]) + b"\x0a" + bytes([len(value)]) + value))


def write_csv(path: Path, rows: int) -> None:
    """A table of a step and seven metrics."""
    numbers = np.random.default_rng(0).standard_normal((rows, 7))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.write("step,train_loss,val_loss,lr,grad_norm,train_seconds,val_accuracy,weight_norm\n")
        for step, row in enumerate(numbers.tolist()):
            file.write(f"{step},{','.join(f'{number:.9g}' for number in row)}\n")


def _run_of(steps: int, number: int) -> Lane:
    """A falling, noisy loss."""
    step = np.arange(1, steps + 1)
    loss = np.exp(-step / steps) + 0.05 * np.random.default_rng(number).standard_normal(steps) + 0.1
    trace = Trace.empty(Manifest(run_id=str(number), name=f"run {number}"))
    trace.append("steps", record_batch("steps", {"step": step, "loss": loss, "optimizer_seconds": step * 0.01}))
    return Lane(trace, trace.manifest.name, number)


def _redraws(report: Report) -> None:
    """Comparisons drawn again, as figures for the browser: other smoothing, another axis, another window."""
    many = [_run_of(RUN_STEPS, number) for number in range(RUNS)]
    seconds = []
    for scale in range(10, 10 + ROUNDS):
        for axis in ("step", "fair_time"):
            began = time.perf_counter()
            compare.draw(Scene(many, Look(x=axis, smoothing="ema", scale=scale, seeds=False)))
            seconds.append(time.perf_counter() - began)
    report.at_most("200 runs compared anew, s", statistics.median(seconds), 1)
    long = [_run_of(1_000_000, 0)]
    compare.draw(Scene(long))
    seconds = []
    for start in np.linspace(0, 5e5, 10):
        began = time.perf_counter()
        compare.draw(Scene(long, Look(x_from=start, x_to=start + 3e5)))
        seconds.append(time.perf_counter() - began)
    report.at_most("a window of a curve of 1,000,000 points drawn anew, ms", statistics.median(seconds) * 1e3, 50)


def main() -> int:
    report = Report("logs")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        events, table, runs = folder / "events.out.tfevents.1700000000.host", folder / "metrics.csv", folder / "runs"
        write_events(events, CURVES, SCALARS // CURVES)
        write_csv(table, CSV_BYTES // 88)
        for run in range(RUNS // 2):
            write_events(runs / f"tb_{run}" / events.name, 5, RUN_STEPS)
            write_csv(runs / f"csv_{run}" / "metrics.csv", RUN_STEPS)
        ours, theirs = zip(
            *((_run("tensorboard", events), _run("accumulator", events)) for _ in range(ROUNDS)), strict=True
        )
        tables = [_run("table", table) for _ in range(ROUNDS)]
        folders = [_run("folder", runs) for _ in range(ROUNDS)]
    assert all(run.count == SCALARS // CURVES for run in ours), "scalars are missing"
    assert all(run.count == SCALARS for run in theirs)
    assert all(run.count == RUNS for run in folders), f"{folders[0].count} of {RUNS} runs were read"
    _add(report, "1,000,000 TensorBoard scalars", ours, 2.3)
    report.at_most("1,000,000 TensorBoard scalars, peak MB", max(run.peak_mb for run in ours), 300)
    _add(report, "the same by tensorboard's EventAccumulator", theirs)
    report.add("the same by tensorboard's EventAccumulator, peak MB", max(run.peak_mb for run in theirs))
    _add(report, "CSV of 20 MB", tables, 0.3)
    report.add("CSV of 20 MB, peak MB", max(run.peak_mb for run in tables))
    _add(report, "folder of 200 runs", folders, 3)
    _redraws(report)
    return report.finish()


def _add(report: Report, name: str, runs: Sequence[Measured], limit: float | None = None) -> None:
    """Seconds by the clock, with their limit, and CPU seconds, which tell a slow machine from a busy one."""
    seconds = statistics.median(run.seconds for run in runs)
    if limit is None:
        report.add(f"{name}, s", seconds)
    else:
        report.at_most(f"{name}, s", seconds, limit)
    report.add(f"{name}, CPU s", statistics.median(run.cpu_seconds for run in runs))


if __name__ == "__main__":
    sys.exit(main())
