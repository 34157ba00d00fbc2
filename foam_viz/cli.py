"""Train and inspect without a browser: ``python -m foam_viz train`` and ``python -m foam_viz inspect``.

Exit codes: 0 done, 1 nothing was recognised or the run diverged, 2 the command cannot be carried out as written.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foam_viz import settings
from foam_viz.engine import config, cost
from foam_viz.logs import safe
from foam_viz.logs.limits import Limits
from foam_viz.logs.reader import Options
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.optim.fields import FieldError
from foam_viz.tasks.catalogue import DEFAULT_TASK, TASKS
from foam_viz.trace import bundle
from foam_viz.trace.counts import refreshes
from foam_viz.trace.numbers import THIN, number
from foam_viz.trace.summary import summarize

_SAVE_SECONDS = 1.0
_BAR = 30


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m foam_viz", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train one optimizer on one task and write a run bundle")
    train.add_argument("--task", default=DEFAULT_TASK, help=f"one of {', '.join(TASKS)} (default %(default)s)")
    train.add_argument("--optimizer", default="foam", help=f"one of {', '.join(OPTIMIZERS)} (default %(default)s)")
    train.add_argument("--steps", default="600", help="optimizer steps (default %(default)s)")
    train.add_argument("--seed", default="0", help="seed of weights and batches (default %(default)s)")
    train.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="assignments",
        help="a setting of the optimizer, its policy, the task or the run, for example lr=1e-2 or tau=0.75",
    )
    train.add_argument("--out", required=True, type=Path, help="where the run bundle goes: a new directory or a .zip")
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    inspect = commands.add_parser("inspect", help="say what is in logs and run bundles")
    inspect.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a log, a run bundle, a folder, an archive"
    )
    inspect.add_argument(
        "--json", action="store_true", help="strict JSON: a list with one object for each run, keys in docs/inspect.md"
    )
    inspect.add_argument("--show-secrets", action="store_true", help="do not mask secrets and e-mail addresses")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return _train(options) if options.command == "train" else _inspect(options)
    except (FieldError, settings.SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
    return 2


def _run_config(options: argparse.Namespace) -> dict[str, Any]:
    assignments = []
    for text in options.assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise FieldError("--set", text, "KEY=VALUE, for example lr=1e-2")
        assignments.append((key.strip(), value.strip()))
    named = {key for key, _ in assignments}
    assignments += [("steps", options.steps), ("seed", options.seed)]
    if "decay_steps" not in named:
        assignments.append(("decay_steps", options.steps))
    for_optimizer, for_task, for_run = config.route(options.task, options.optimizer, assignments)
    experiment, errors = config.build(options.task, for_task, for_run, [(options.optimizer, for_optimizer)])
    if errors:
        raise errors[0]
    for error in cost.review(experiment, settings.load(), on_cpu=options.device in ("auto", "cpu")):
        print(f"warning: the live lab would not train this: {error}", file=sys.stderr)
    return experiment.lane_config(0)


def _train(options: argparse.Namespace) -> int:
    run_config = _run_config(options)
    target = options.out
    if target.exists() and (target.is_file() or any(target.iterdir())):
        raise FieldError("--out", str(target), "a directory that is new or empty, or a .zip that does not exist")
    import torch

    from foam_viz.engine.run import Run
    from foam_viz.trace.autosave import Autosave
    from foam_viz.trace.model import Trace

    torch.set_num_threads(1)  # small matrices: more threads cost more than they give, and runs stay reproducible
    run = Run(run_config, run_id=secrets.token_hex(16), device=options.device)
    run.status = "running"
    name = target.stem if target.suffix == ".zip" else target.name
    as_zip = target.suffix == ".zip"
    trace = Trace.empty(run.manifest(name=name))
    autosave = None if as_zip else Autosave(target, trace.manifest)
    steps = run_config["run_settings"]["steps"]
    began = saved = time.monotonic()
    while run.live:
        run.advance()
        now = time.monotonic()
        if now - saved >= _SAVE_SECONDS or not run.live:
            saved = now
            for table, rows in run.drain().items():
                trace.append(table, rows)
                if autosave:
                    autosave.append(table, rows)
            if autosave:
                autosave.flush()
            if not options.quiet:
                _progress(run.step, steps, now - began)
    trace.manifest = run.manifest(name=name)
    if as_zip:
        target.parent.mkdir(parents=True, exist_ok=True)
        bundle.write(trace, target)
    else:
        autosave.write_manifest(trace.manifest)
    if not options.quiet:
        print(file=sys.stderr)
    print(_printable(_summary_line(trace, run_config, run.step)))
    return 1 if run.status == "diverged" else 0


def _progress(step: int, steps: int, seconds: float) -> None:
    done = round(_BAR * step / steps)
    rate = step / seconds if seconds else 0.0
    print(
        f"\r[{'#' * done}{'.' * (_BAR - done)}] step {step:,} of {steps:,}  {rate:,.0f} steps/s ",
        end="",
        file=sys.stderr,
        flush=True,
    )


def _summary_line(trace: Any, run_config: dict[str, Any], step: int) -> str:
    found = summarize(trace)
    loss = "none" if found["final_loss"] is None else number(found["final_loss"])
    parts = [
        f"{run_config['optimizer']} on {run_config['task']}, seed {run_config['run_settings']['seed']}",
        f"step {step}",
        f"loss {loss} (mean of the last 20 steps)",
    ]
    if counted := refreshes(trace):
        parts.append(counted.words)
    parts.append(f"{found['optimizer_seconds']:.2f} s in the optimizer")
    if found["diverged"]:
        parts.append(f"DIVERGED at step {trace.manifest.diverged_step}")
    return "; ".join(parts)


def _inspect(options: argparse.Namespace) -> int:
    for path in options.paths:
        if not path.exists():
            raise FieldError("PATH", str(path), "an existing file or folder")
    chosen = settings.load()
    limits = Limits.of(
        seconds=chosen.log_seconds,
        memory_mb=chosen.log_memory_mb,
        unpacked_mb=chosen.log_unpacked_mb,
        result_mb=chosen.log_kept_mb,
    )
    reading = safe.read(options.paths, Options(show_secrets=options.show_secrets), limits)
    for problem in reading.problems:
        print(_printable(str(problem)), file=sys.stderr)
    found = [summarize(trace) for trace in reading.traces]
    if not found:
        print("no run was recognised in what was given", file=sys.stderr)
    if options.json:
        print(json.dumps(found, allow_nan=False, indent=1))
    else:
        for entry, trace in zip(found, reading.traces, strict=True):
            _print_run(entry, trace)
    return 0 if found else 1


def _print_run(entry: dict[str, Any], trace: Any) -> None:
    loss = "-" if entry["final_loss"] is None else number(entry["final_loss"])
    steps = f"{entry['first_step']} to {entry['last_step']}" if entry["rows"] else "none"
    parts = [f"{entry['name']} [{entry['format']}]: {entry['rows']} rows (steps {steps}), loss {loss}"]
    if counted := refreshes(trace):
        parts.append(counted.words)
    if entry["diverged"]:
        parts.append("diverged")
    print(_printable("; ".join(parts)))
    for note in entry["notes"]:
        print(_printable(f"  note: {note}"))


def _printable(text: str) -> str:
    """Text from files may hold control characters, with which it would steer the terminal."""
    text = text.replace(THIN, " ")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
