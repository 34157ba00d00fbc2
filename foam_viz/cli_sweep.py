"""``sweep``: chosen settings x seeds x tasks as real runs, without a browser."""

from __future__ import annotations

import argparse
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from foam_viz import settings
from foam_viz.engine.sweep import results, runner, spec
from foam_viz.engine.sweep.runner import SweepRunner
from foam_viz.optim.fields import FieldError
from foam_viz.trace.numbers import number

TABLE = "results.csv"
MOST_WORKERS = 1000


def add_command(commands: Any) -> None:
    """Adds the command to a parser's subcommands."""
    sweep = commands.add_parser("sweep", help="train settings x seeds x tasks, some at a time")
    sweep.add_argument("spec", metavar="SPEC.yaml", help="tasks, optimizers, seeds, steps and lists of settings")
    sweep.add_argument("--out", required=True, help="a new folder: one run bundle a run, and results.csv")
    sweep.add_argument("--resume", action="store_true", help="go on with the sweep in --out: finished runs stay")
    sweep.add_argument("--workers", type=int, help="runs at a time; default: one less than the cores of this machine")


def sweep(options: argparse.Namespace) -> int:
    """Trains a sweep; 0 where every run was trained, 1 where one failed or diverged, 130 where it was stopped.

    Raises:
        FieldError: The specification, or the number of workers, is refused.
        SchedulerError: The scheduler of the installation cannot be used.
        FileExistsError: The folder holds something.
        OSError: A file cannot be read or written.
    """
    if options.workers is not None and not 1 <= options.workers <= MOST_WORKERS:
        raise FieldError("--workers", options.workers, f"an integer from 1 to {MOST_WORKERS}")
    chosen = spec.read(options.spec)
    workers = runner.workers_of(settings.load().scheduler, options.workers)
    began = SweepRunner(chosen, options.out, resume=options.resume)
    kept = sum(outcome.kept for outcome in began.outcomes.values())
    print(f"{len(chosen.runs):,} runs by {workers.words}" + (f", {kept:,} of them there already" if kept else ""))
    if chosen.repeated:
        print(f"{chosen.repeated:,} that would repeat another are left out: their optimizer has not that setting")

    def stop(_: int, __: FrameType | None) -> None:
        if began.stopped:
            raise KeyboardInterrupt
        print("\nstopping; the same command with --resume goes on from here", file=sys.stderr)
        began.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    told: set[str] = set()
    try:
        began.run(workers, lambda one: _tell(one, told))
    finally:
        for signal_number, handler in before.items():
            signal.signal(signal_number, handler)
        workers.close()
    rows = results.read(options.out)
    (Path(options.out) / TABLE).write_text(results.to_csv(rows), encoding="utf-8")
    for found in results.best(rows):
        row = found.runs[0]
        varied = ", ".join(f"{name} = {row[name]}" for name in results.varied(rows) if row.get(name) is not None)
        by = f"{row['optimizer']}{' with ' if varied else ''}{varied}"
        print(f"least loss on {found.task}: {number(found.loss)} ({found.words}) by {by}: {row['name']}")
    counted = Counter(outcome.status for outcome in began.outcomes.values())
    print(", ".join(f"{count:,} {status}" for status, count in counted.items()) + f"; {Path(options.out) / TABLE}")
    if began.stopped:
        return 130
    return 0 if set(counted) <= {"finished"} else 1


def _tell(one: SweepRunner, told: set[str]) -> None:
    ended = [o for o in one.outcomes.values() if o.status in ("finished", "diverged", "failed") and not o.kept]
    for outcome in ended:
        if outcome.name not in told:
            told.add(outcome.name)
            why = f": {outcome.message}" if outcome.message else f" in {outcome.seconds:.1f} s"
            print(f"[{len(told):,}] {outcome.name} {outcome.status}{why}", flush=True)


COMMANDS = {"sweep": sweep}
