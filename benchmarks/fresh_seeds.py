"""Do the verdicts on FOAM hold on seeds that chose nothing, and in every numeric? Seeds 20 to 24, digits and burst.

FOAM stands beside the fixed period of its count, beside f = 20, which takes about its CPU time, and beside f = 10,
whose loss it tries to keep: at a constant learning rate and under linear decay, in float32 by the shift and by the
floor, and in float64. The learning rates are those that the comparison at equal decompositions chose. ``paper`` has
eps0 = 1e-9 and eps_max = 3e-7, ``task`` the defaults of the digits autoencoder, eps0 = 3e-6 and eps_max = 3e-5, and
``setting`` the paper's betas and check period too (.95, .995, f = 20), with the damping of ``task``; in all methods
alike.

Each run is kept in a file of its own in ``--cache=FOLDER``, so that an interrupted study goes on. ``--damping=paper``,
``--task=burst``, ``--schedule=constant``, ``--numeric=floor`` and ``--partners=20`` do a part; ``--known`` trains
nothing and tells what is there; ``--write`` keeps the results in docs/findings/fresh_seeds.json and renews the tables
of docs/findings.md.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.budget_rules import leader, nearest_period, verdict
from benchmarks.budget_training import Cache, Ledger, Problem, Trial, keep
from benchmarks.document import renew, table
from benchmarks.equal_budget import FIXED, FOLDER, METHODS, PROBLEMS, SCHEDULES, tune
from benchmarks.precision import NUMERICS
from foam_viz.figures.theme import setting as setting_text

SEEDS = (20, 21, 22, 23, 24)
RESULTS, DOCUMENT = FOLDER / "fresh_seeds.json", FOLDER.parent / "findings.md"
KEPT = ("loss", "held_out", "after", "factors", "decompositions")
FOAM = next(method for method in METHODS if method.name == "FOAM")
PARTNERS = (20, 10)
"""Fixed periods beside the one of FOAM's count."""


@dataclass(frozen=True)
class Choice:
    """What FOAM and its partners have alike.

    Attributes:
        epsilon: eps0.
        epsilon_max: eps_max.
        period: Steps between two checks of FOAM.
        betas: beta1 and beta2; the catalogue's where there are none.
    """

    epsilon: float
    epsilon_max: float
    period: int = 10
    betas: tuple[float, ...] = ()

    @property
    def shared(self) -> tuple[tuple[str, Any], ...]:
        """The settings of every method."""
        return (*zip(("beta1", "beta2"), self.betas, strict=False), ("epsilon", self.epsilon))

    @property
    def label(self) -> str:
        """``eps0 = 1e-9, eps_max = 3e-7``, and what else differs."""
        told = f"eps0 = {setting_text(self.epsilon)}, eps_max = {setting_text(self.epsilon_max)}"
        return told + (f", FOAM checks each {self.period} steps, betas {self.betas}" if self.betas else "")


DAMPINGS = {
    "paper": Choice(1e-9, 3e-7),
    "task": Choice(3e-6, 3e-5),
    "setting": Choice(3e-6, 3e-5, 20, (0.95, 0.995)),
}
LOSSES = {"loss": "Training loss", "held_out": "Held-out loss", "after": "Training loss, steps 431-450"}


@dataclass(frozen=True)
class Setting:
    """What is the same for FOAM and its partners: problem, schedule, damping, numeric."""

    problem: Problem
    schedule: str
    damping: str
    rule: str
    precision: str

    @property
    def numeric(self) -> str:
        """``shift``, ``floor`` or ``float64``."""
        return self.rule if self.precision == "float32" else self.precision

    def foam(self, rate: float, seed: int) -> Trial:
        """A run of FOAM."""
        choice = DAMPINGS[self.damping]
        settings = (("period", choice.period), ("tau", 0.75), ("epsilon_max", choice.epsilon_max), *self._shared)
        return Trial(self.problem, "foam", settings, rate, self.schedule, seed, self.precision)

    def fixed(self, period: int, rate: float, seed: int) -> Trial:
        """A run with a fixed period."""
        settings = (("period", period), *self._shared)
        return Trial(self.problem, "shampoo", settings, rate, self.schedule, seed, self.precision)

    @property
    def _shared(self) -> tuple[tuple[str, Any], ...]:
        return (*DAMPINGS[self.damping].shared, ("eigenvalues", self.rule))


def rates(problem: Problem, schedule: str) -> tuple[float, float]:
    """The learning rates of FOAM and of fixed periods that the comparison at equal decompositions chose."""
    ledger = Ledger(FOLDER / "runs.json")
    foam, fixed = (leader(tune(ledger, problem, schedule, method)) for method in (FOAM, FIXED))
    return foam, fixed


def settings(damping: str = "", task: str = "", schedule: str = "", numeric: str = "") -> Iterator[Setting]:
    """All settings, or a part of them."""
    for name in DAMPINGS:
        for told in reversed(SCHEDULES):
            for problem in PROBLEMS[:2]:
                for rule, precision in NUMERICS:
                    one = Setting(problem, told, name, rule, precision)
                    wanted = ((damping, name), (task, problem.name), (schedule, told), (numeric, one.numeric))
                    if all(asked in ("", has) for asked, has in wanted):
                        yield one


@dataclass(frozen=True)
class Found:
    """FOAM and its partners in one setting.

    Attributes:
        setting: The setting.
        foam: Results of FOAM, a seed each.
        equal: The fixed period of FOAM's count.
        fixed: Results by period: the one of equal count, 20 and 10 where they are known.
    """

    setting: Setting
    foam: list[dict[str, Any]]
    equal: int
    fixed: dict[int, list[dict[str, Any]]]


def find(
    setting: Setting, cache: Cache, only_known: bool, partners: Sequence[int] = PARTNERS, seeds: Sequence[int] = SEEDS
) -> Found | None:
    """Trains what is wanted, or looks up what is known; None where FOAM or its equal is not."""

    def runs(trials: list[Trial]) -> list[dict[str, Any]] | None:
        known = all(map(cache.has, trials))
        return [cache.result(trial) for trial in trials] if known or not only_known else None

    foam_rate, fixed_rate = rates(setting.problem, setting.schedule)
    foam = runs([setting.foam(foam_rate, seed) for seed in seeds])
    if foam is None:
        return None
    count = mean(one["decompositions"] for one in foam)
    equal = nearest_period(count, foam[0]["factors"], setting.problem.steps)
    found = {
        period: results
        for period in (equal, *partners)
        if (results := runs([setting.fixed(period, fixed_rate, seed) for seed in seeds])) is not None
    }
    return Found(setting, foam, equal, found) if equal in found else None


def values(results: Sequence[dict[str, Any]], name: str) -> list[float]:
    """A loss of each run; infinite for a run that diverged."""
    return [math.inf if one[name] is None else one[name] for one in results]


def against(found: Found, period: int | None, name: str) -> str:
    """``-5.9 % better``: FOAM's mean loss against that of a fixed period, and the verdict by seeds."""
    if period not in found.fixed:
        return "not measured"
    ours, theirs = values(found.foam, name), values(found.fixed[period], name)
    return f"{100 * (mean(ours) / mean(theirs) - 1):+.1f} % {verdict(ours, theirs)}"


def compared(found: Sequence[Found], name: str) -> str:
    """One loss of all settings; a table in Markdown."""
    rows = []
    for one in found:
        fixed, setting = one.fixed[one.equal], one.setting
        counts = [mean(run["decompositions"] for run in runs) for runs in (one.foam, fixed)]
        rows.append(
            [
                f"{setting.problem.name}, {setting.schedule}", setting.numeric,
                f"{mean(values(one.foam, name)):.3f} ({counts[0]:.0f})",
                f"{mean(values(fixed, name)):.3f} (f = {one.equal}, {counts[1]:.0f})",
                *(against(one, period, name) for period in (one.equal, *PARTNERS)),
            ]
        )  # fmt: skip
    heads = ["problem, learning rate", "numeric", "FOAM (decompositions)", "fixed period of its count",
             "against it", *(f"against f = {period}" for period in PARTNERS)]  # fmt: skip
    return table(heads, rows)


def text(found: Sequence[Found]) -> str:
    """The tables by damping and loss."""
    parts = []
    for name, choice in DAMPINGS.items():
        for loss, title in LOSSES.items():
            told = [
                one for one in found if one.setting.damping == name and (loss != "after" or one.setting.problem.after)
            ]
            if told:
                parts += [f"{title}, {choice.label}:", compared(told, loss)]
    return "\n\n".join(parts)


def _option(name: str, default: str = "") -> str:
    return next((word.partition("=")[2] for word in sys.argv[1:] if word.startswith(f"--{name}=")), default)


def main() -> int:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    folder = Path(_option("cache", str(Path(tempfile.gettempdir()) / "foam-viz-fresh-seeds")))
    cache = Cache(folder, known, KEPT)
    found = []
    partners = [int(period) for period in _option("partners", "20,10").split(",")]
    for setting in settings(*map(_option, ("damping", "task", "schedule", "numeric"))):
        one = find(setting, cache, "--known" in sys.argv, partners)
        if one is not None:
            found.append(one)
            print(f"{setting.damping}, {compared([one], 'loss')}\n", flush=True)
    print("\n" + text(found))
    if "--write" in sys.argv:
        keep(cache.results, RESULTS)
        renew(DOCUMENT, {"fresh seeds": text(found)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
