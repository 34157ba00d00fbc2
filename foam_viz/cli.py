"""Train, inspect and replay without a browser, or start the app: ``foam_viz train``, ``inspect``, ``replay``, ``app``.

Where the package is not installed, the command is ``python -m foam_viz``.

Exit codes: 0 done, 1 nothing was recognised or the run diverged, 2 the command cannot be carried out as written, 130
interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foam_viz import __version__, cli_app, cli_replay, cli_sweep, cli_train, settings
from foam_viz.analysis.replay_setting import NoReplay
from foam_viz.logs.core.reader import Options
from foam_viz.logs.intake import safe
from foam_viz.logs.intake.limits import Limits
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.optim.fields import FieldError
from foam_viz.tasks.catalogue import DEFAULT_TASK, TASKS
from foam_viz.trace.counts import refreshes
from foam_viz.trace.disk.bundle import BundleError
from foam_viz.trace.final import final_of
from foam_viz.trace.numbers import THIN, number
from foam_viz.trace.summary import summarize


class _Once(argparse.Action):
    """An option that may be given once: of two values the last would win in silence."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        given = namespace.__dict__.setdefault("_given", set())
        if self.dest in given:
            parser.error(f"argument {option}: given twice")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def _parser() -> argparse.ArgumentParser:
    name = "python -m foam_viz" if Path(sys.argv[0]).name == "__main__.py" else "foam_viz"
    parser = argparse.ArgumentParser(prog=name, description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--version", action="version", version=f"foam_viz {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    app = commands.add_parser("app", help="start the app and print its address")
    app.add_argument("--port", type=cli_app.port, action=_Once, help="port to listen on (default 8501)")
    app.add_argument("--address", action=_Once, help="address to listen on (default 127.0.0.1, this machine alone)")
    train = commands.add_parser("train", help="train one optimizer on one task and write a run bundle")
    train.add_argument(
        "--task", action=_Once, default=DEFAULT_TASK, help=f"one of {', '.join(TASKS)} (default %(default)s)"
    )
    train.add_argument(
        "--optimizer", action=_Once, default="foam", help=f"one of {', '.join(OPTIMIZERS)} (default %(default)s)"
    )
    train.add_argument("--steps", action=_Once, help=f"optimizer steps (default {cli_train.DEFAULTS['steps']})")
    seed = cli_train.DEFAULTS["seed"]
    train.add_argument("--seed", action=_Once, help=f"seed of weights and batches (default {seed})")
    train.add_argument("--device", action=_Once, choices=settings.DEVICES, help="default: as configured, or auto")
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="assignments",
        help="a setting of the optimizer, its policy, the task or the run, for example lr=1e-2 or tau=0.75",
    )
    train.add_argument(
        "--edit",
        action="append",
        default=[],
        metavar="STEP:SETTING=VALUE",
        dest="edits",
        help="another value from that step on, for example 120:tau=0.5 or 300:lr=1e-3; may be given often",
    )
    train.add_argument(
        "--out", required=True, action=_Once, help="where the run bundle goes: a new directory or a .zip"
    )
    train.add_argument(
        "--stream", action="store_true", help="keep the factors of every check too, for replay and calibrate"
    )
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    inspect = commands.add_parser("inspect", help="say what is in logs and run bundles")
    inspect.add_argument("paths", nargs="+", metavar="PATH", help="a log, a run bundle, a folder, an archive")
    inspect.add_argument(
        "--json", action="store_true", help="strict JSON: a list with one object for each run, keys in docs/inspect.md"
    )
    inspect.add_argument("--show-secrets", action="store_true", help="do not mask secrets and e-mail addresses")
    inspect.add_argument(
        "--branch",
        type=_branch,
        metavar="NUMBER",
        help="of a run that went on from an earlier step, what it recorded before: 0 is the first branch, default the "
        "newest",
    )
    cli_replay.add_commands(commands)
    cli_sweep.add_command(commands)
    return parser


def _branch(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{_printable(text[:80])}: must be an integer from 0 to 1000000")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code.

    Args:
        arguments: The words of the command line; None for those of the process.
    """
    options = _parser().parse_args(arguments)
    try:
        settings.load()  # a misspelt variable is told whatever the command reads of it
        commands = {
            "app": cli_app.serve,
            "train": _train,
            "inspect": _inspect,
            **cli_replay.COMMANDS,
            **cli_sweep.COMMANDS,
        }
        code = commands[options.command](options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read the output has gone, as `| head` does. Python would flush once more at its end, and complain.
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except (FieldError, NoReplay, settings.SettingsError, BundleError, OSError) as error:
        print(_printable(f"error: {error}"), file=sys.stderr)
    return 2


def _train(options: argparse.Namespace) -> int:
    chosen = cli_train.run_config(options)
    target = cli_train.Target(options.out)
    with cli_train.Interrupt() as interrupt:
        run = cli_train.build(chosen, options.device, stream=options.stream)
        target.create(run)
        if target.folder != target.path and not options.quiet:
            print(f"until it ends, the run is saved in {_printable(str(target.folder))}", file=sys.stderr)
        try:
            cli_train.train(run, target, interrupt, quiet=options.quiet)
        except BaseException:
            run.status = "interrupted"
            _, place = target.finish(run)
            print(
                f"\nTraining failed at step {run.step:,}; what it recorded is in {_printable(str(place))}",
                file=sys.stderr,
            )
            raise
        trace, place = target.finish(run)
    if not options.quiet:
        print(file=sys.stderr)
    if run.status == "interrupted":
        steps = chosen["run_settings"]["steps"]
        print(f"interrupted at step {run.step:,} of {steps:,}; saved as {_printable(str(place))}", file=sys.stderr)
        return 128 + interrupt.number
    print(_printable(_summary_line(trace, chosen, run.step)))
    if place != target.path:
        return 2
    return 1 if run.status == "diverged" else 0


def _summary_line(trace: Any, run_config: dict[str, Any], step: int) -> str:
    found = summarize(trace)
    last = final_of(trace, "loss")
    parts = [
        f"{run_config['optimizer']} on {run_config['task']}, seed {run_config['run_settings']['seed']}",
        f"step {step}",
        f"loss {number(last.value)} ({last.words})" if last.count else "no loss",
    ]
    if counted := refreshes(trace):
        parts.append(counted.words)
    parts.append(f"{found['optimizer_seconds']:.2f} s in the optimizer")
    if found["diverged"]:
        parts.append(f"DIVERGED at step {trace.manifest.diverged_step}")
    return "; ".join(parts)


def _inspect(options: argparse.Namespace) -> int:
    for text in options.paths:
        if not text.strip():
            raise FieldError("PATH", repr(text), "a file or folder; . is the current one")
        if not Path(text).exists():
            raise FieldError("PATH", text, "an existing file or folder")
        if not (Path(text).is_file() or Path(text).is_dir()):
            raise FieldError("PATH", text, "a file or folder, no pipe or device: save what it gives to a file")
    chosen = settings.load()
    limits = Limits.of(
        seconds=chosen.log_seconds,
        memory_mb=chosen.log_memory_mb,
        unpacked_mb=chosen.log_unpacked_mb,
        result_mb=chosen.log_kept_mb,
    )
    chosen_options = Options(show_secrets=options.show_secrets, branch=options.branch)
    reading = safe.read([Path(text) for text in options.paths], chosen_options, limits)
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
