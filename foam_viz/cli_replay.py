"""``replay``, ``calibrate`` and ``export``: what a recorded run says of other thresholds, without a browser."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foam_viz.analysis import calibrate
from foam_viz.experiment import export
from foam_viz.optim.fields import FieldError
from foam_viz.trace.disk import bundle
from foam_viz.trace.numbers import number

if TYPE_CHECKING:
    from foam_viz.engine.replay.plan import Plan


def add_commands(commands: Any) -> None:
    """Adds the commands to a parser's subcommands."""
    replay = commands.add_parser("replay", help="decide about a run's recorded factors under other thresholds")
    replay.add_argument("run", metavar="RUN", help="a run bundle with a factor stream: train --stream writes one")
    replay.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="assignments",
        help="a setting of the policy, for example tau=0.5, or optimizer=shampoo; without any, the run's own",
    )
    replay.add_argument("--json", action="store_true", help="one strict JSON object")
    calibrated = commands.add_parser("calibrate", help="suggest thresholds from a run's recorded factors")
    calibrated.add_argument("run", metavar="RUN", help="a run bundle with a factor stream")
    calibrated.add_argument("--json", action="store_true", help="one strict JSON object")
    exported = commands.add_parser("export", help="a run's configuration as code, as a command or as FOAM's YAML")
    exported.add_argument("run", metavar="RUN", help="a run bundle of this program")
    exported.add_argument("--as", dest="form", required=True, choices=list(export.FORMS))


def changes_of(assignments: Sequence[str]) -> dict[str, str]:
    """``KEY=VALUE`` texts by key.

    Raises:
        FieldError: One is none, or a key is given twice.
    """
    found: dict[str, str] = {}
    for text in assignments:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (key and equals):
            raise FieldError("--set", text or "''", "KEY=VALUE, for example tau=0.5")
        if key in found:
            raise FieldError(f"--set {key}", value, f"given once; {key} = {found[key]} came before")
        found[key] = value
    return found


def _prepared(path: str) -> Plan:
    import torch

    from foam_viz.engine.replay.plan import prepare_path

    torch.set_num_threads(1)

    def progress(share: float, words: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{share:4.0%} {words:<60}", end="\n" if share == 1 else "", file=sys.stderr, flush=True)

    return prepare_path(Path(path), progress)


def replay(options: argparse.Namespace) -> int:
    """Prints what a setting would have decided.

    Raises:
        NoReplay: The run cannot be replayed.
        FieldError: A setting is refused.
        BundleError: The run cannot be read.
    """
    changes = changes_of(options.assignments)
    plan = _prepared(options.run)
    checks = bundle.read(options.run).checks
    found = plan.run(plan.own.changed(changes))
    totals = found.summary()
    result = {
        **{name: totals[name] for name in ("checks", "decompositions", "reuses", "cap_refreshes")},
        "per_factor": found.per_factor(),
        "differs": found.differs(checks),
        **{name: value for name, value in totals.items() if name not in ("checks", "decompositions", "reuses",
                                                                          "cap_refreshes")},
    }  # fmt: skip
    if options.json:
        print(json.dumps(result, allow_nan=False, indent=1))
        return 0
    print(found.setting.label() + ("" if found.exact else "  (open loop: the factors are those of the recorded run)"))
    print(
        f"{found.decompositions:,} decompositions in {found.checks:,} checks, {found.reuses:,} reuses, "
        f"{found.cap_refreshes:,} of the decompositions at eps_max; {found.near_ties:,} near-ties"
    )
    if not math.isnan(found.error_left):
        print(
            f"error left {number(found.error_left)}: staleness {number(found.mean('staleness_error'))}, damping "
            f"{number(found.mean('damping_error'))}; {number(found.mean('directions_damped'))} directions damped"
        )
    print(f"{result['differs']:,} checks differ from the record in decision or damping")
    for note in found.notes:
        print(f"  note: {note}")
    return 0


def calibrated(options: argparse.Namespace) -> int:
    """Prints thresholds suggested for the task of a run, with the reasons.

    Raises:
        NoReplay: The run has no factors to read.
        FieldError: What is suggested is refused.
        BundleError: The run cannot be read.
    """
    plan = _prepared(options.run)
    suggestion = calibrate.suggest(plan.spectra(), plan.own)
    if options.json:
        print(json.dumps(suggestion.to_json(), allow_nan=False, indent=1))
        return 0
    for name, value, reason in suggestion.reasons:
        print(f"{name} = {value}: {reason}")
    for row in calibrate.PAPER:
        told = ", ".join(f"{name} = {value}" for name, value in row.items() if name != "experiment")
        print(f"  the paper, {row['experiment']}: {told}")
    return 0


def exported(options: argparse.Namespace) -> int:
    """Prints a run's configuration in another form.

    Raises:
        FieldError: It is no run of this program, or has no such form.
        BundleError: The run cannot be read.
    """
    print(export.FORMS[options.form](bundle.read(options.run).manifest.config), end="")
    return 0


COMMANDS = {"replay": replay, "calibrate": calibrated, "export": exported}
