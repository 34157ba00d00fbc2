"""What if: a recorded run under other thresholds. This is what is asked and what comes back; an engine computes it.

A replay is *open loop*: it decides about the factors as they were recorded. Another setting would have moved the
parameters elsewhere, and so the factors. A replay of the run's own setting is exact.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from foam_viz.optim.catalogue import ARTIFACT_NAMES, OPTIMIZERS
from foam_viz.optim.fields import Field, FieldError, require, unknown_key
from foam_viz.optim.optimizer_fields import EIGENVALUES
from foam_viz.optim.refresh import POLICIES, Foam, Policy, from_settings
from foam_viz.optim.spec import OptimizerSpec
from foam_viz.recording.stream import Spacing
from foam_viz.trace.manifest import Manifest

NEAR = 0.01
"""A decision is a near-tie where its number is within this share of the threshold."""

MAP_ERROR_EVERY = 5
"""The errors of a map are means over one check of so many."""

_NEW_EPSILON_MAX = 10.0
"""Where FOAM replaces a policy without a cap, eps_max begins at so many eps0, as it does on the digits."""

REPLAYABLE = {name: spec for name, spec in OPTIMIZERS.items() if spec.is_replayable}


class NoReplay(ValueError):
    """A run that cannot be replayed.

    Attributes:
        reason: Why.
        remedy: What to do about it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")
        self.reason, self.remedy = reason, remedy


def fields_of(spec: OptimizerSpec) -> tuple[Field, ...]:
    """What a replay may choose: the policy's settings, and what becomes of the smallest eigenvalues."""
    return (*spec.policy_fields, EIGENVALUES)


@dataclass(frozen=True)
class Setting:
    """A refresh policy with all its settings.

    Attributes:
        optimizer: Its name in the catalogue, one of ``REPLAYABLE``.
        values: All of ``fields_of``, by name, checked.
        edits: Step, name and value of what changes later, in order: each holds from its step on. Only a run that was
            edited while it trained has some.
    """

    optimizer: str
    values: Mapping[str, Any]
    edits: tuple[tuple[int, str, Any], ...] = ()

    def __post_init__(self) -> None:
        if self.optimizer not in REPLAYABLE:
            raise FieldError("optimizer", self.optimizer, "one of " + ", ".join(REPLAYABLE))
        checked = require(fields_of(self.spec), self.values, self.spec.constraints)
        object.__setattr__(self, "values", checked)
        object.__setattr__(self, "edits", tuple((int(step), str(name), value) for step, name, value in self.edits))

    def at(self, step: int) -> Setting:
        """The setting in force at a step.

        Raises:
            FieldError: The values of some edits do not fit each other.
        """
        due = sum(edit[0] <= step for edit in self.edits)
        if not due:
            return self
        if due not in self._later:
            now = {**self.values, **{name: value for _, name, value in self.edits[:due]}}
            self._later[due] = Setting(self.optimizer, now)
        return self._later[due]

    @cached_property
    def _later(self) -> dict[int, Setting]:
        return {}

    @property
    def spec(self) -> OptimizerSpec:
        """The optimizer."""
        return REPLAYABLE[self.optimizer]

    @cached_property
    def policy(self) -> Policy:
        """The policy as training would have it."""
        chosen = {field.name: self.values[field.name] for field in self.spec.policy_fields}
        assert self.spec.policy is not None  # of those in REPLAYABLE it judges factors
        return POLICIES[self.spec.policy](**chosen, **dict(self.spec.policy_settings))

    @property
    def rule(self) -> str:
        """``"floor"`` or ``"shift"``."""
        return self.values[EIGENVALUES.name]

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal settings."""
        return (self.optimizer, *sorted(self.values.items()), *self.edits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Setting) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def changed(self, changes: Mapping[str, Any]) -> Setting:
        """The setting with some values replaced; text is parsed.

        Args:
            changes: By name; ``optimizer`` names another policy, which takes over the values that it knows. What is
                replaced is replaced throughout: later edits of it are gone.

        Raises:
            FieldError: A key or value is refused.
        """
        changes = dict(changes)
        name = changes.pop("optimizer", self.optimizer)
        if name not in REPLAYABLE:
            raise FieldError("optimizer", name, "one of " + ", ".join(REPLAYABLE))
        fields = {field.name: field for field in fields_of(REPLAYABLE[name])}
        values = {key: value for key, value in self.values.items() if key in fields}
        for key, value in changes.items():
            if key not in fields:
                raise unknown_key(key, fields)
            values[key] = fields[key].parse(value) if isinstance(value, str) else fields[key].check(value)
        if "epsilon_max" in fields and "epsilon_max" not in values:
            values["epsilon_max"] = max(fields["epsilon_max"].default, _NEW_EPSILON_MAX * values["epsilon"])
        edits = tuple(edit for edit in self.edits if edit[1] in fields and edit[1] not in changes)
        return Setting(name, values, edits)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        told: dict[str, Any] = {"optimizer": self.optimizer, "values": dict(self.values)}
        return {**told, "edits": [list(edit) for edit in self.edits]} if self.edits else told

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Setting:
        """What ``to_json`` gave.

        Raises:
            FieldError: A value is refused.
        """
        return cls(str(data["optimizer"]), dict(data["values"]), tuple(tuple(edit) for edit in data.get("edits", ())))

    def label(self) -> str:
        """``FOAM τ = 0.5, ε₀ = 3e-6, ...``: the policy and all of its numbers."""
        told = [
            f"{one.symbol or one.name} = {one.format(self.values[one.name])}"
            for one in self.spec.policy_fields
            if self.values[one.name] is not None
        ]
        edited = f", edited {len(self.edits)} times" if len(self.edits) > 1 else ", edited once" if self.edits else ""
        return f"{self.spec.label} {', '.join(told)}{edited}"


def noted_setting(manifest: Manifest) -> Setting | None:
    """The setting that a ``Writer`` noted of an optimizer of this project in somebody's own training loop.

    None where it noted none, or one that nothing replays. What the loop changed later is not in it.
    """
    given = manifest.config.get("optimizer_settings")
    if not isinstance(given, Mapping) or "writer" not in manifest.config:
        return None
    try:
        policy = _policy(str(given.get("refresh"))[:500])
        values = {**vars(policy), EIGENVALUES.name: given.get(EIGENVALUES.name, "shift")}
        for name, spec in REPLAYABLE.items():
            fixed = {"stagger": False, **dict(spec.policy_settings)}
            fits = all(values.get(key, value) == value for key, value in fixed.items())
            if fits and spec.policy == type(policy).__name__:
                return Setting(name, {field.name: values[field.name] for field in fields_of(spec)})
    except (FieldError, ValueError, SyntaxError, TypeError):
        pass
    return None


def artifact_setting(manifest: Manifest, period: int) -> Setting | None:
    """Where a run of FOAM's artifact begins: its thresholds, at a period that its snapshots can answer.

    None where its configuration does not tell them.
    """
    config = manifest.config
    name = next((ours for ours, theirs in ARTIFACT_NAMES.items() if theirs == config.get("optimizer")), "")
    if name not in REPLAYABLE:
        return None
    tau = "diagonal_residual_threshold" if name == "dr-shampoo" else "matrix_root_inv_threshold"
    known = {"epsilon": config.get("epsilon"), "epsilon_max": config.get("max_epsilon"), "tau": config.get(tau)}
    names = {field.name for field in fields_of(REPLAYABLE[name])}
    values = {key: value for key, value in known.items() if key in names}
    try:
        return Setting(name, {**values, "period": period, "start": None, EIGENVALUES.name: "shift"})
    except FieldError:
        return None


def _policy(text: str) -> Policy:
    """The policy that ``Foam(period=10, tau=0.75)`` tells, as a policy prints itself.

    Raises:
        FieldError, ValueError, SyntaxError, TypeError: It tells none.
    """
    call = ast.parse(text, mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        raise ValueError(f"{text!r} is no policy")
    given = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
    return from_settings({"policy": call.func.id, **given})


def own_setting(manifest: Manifest) -> Setting | None:
    """The setting that a run of this program was trained under; None for runs of other programs.

    Raises:
        NoReplay: Its optimizer has no damped inverse roots.
        FieldError: What it says of its setting is refused.
    """
    config = manifest.config
    name, given = config.get("optimizer"), config.get("optimizer_settings")
    if not isinstance(name, str) or not isinstance(given, Mapping):
        return None
    if name not in OPTIMIZERS:
        return None
    if name not in REPLAYABLE:
        label = OPTIMIZERS[name].label
        raise NoReplay(
            f"{label} has no damped inverse roots, so there is no threshold to try",
            "Choose a run of one of these: " + "; ".join(spec.label for spec in REPLAYABLE.values()),
        )
    spec = REPLAYABLE[name]
    values = {one.name: given[one.name] for one in fields_of(spec) if one.name in given}
    known = {one.name: one for one in fields_of(spec)}
    edits = [
        (int(edit["step"]), edit["setting"], known[edit["setting"]].check(edit["value"]))
        for edit in config.get("edits") or ()
        if isinstance(edit, Mapping) and edit.get("setting") in known
    ]
    # Runs from before the rule could be chosen say nothing.
    return Setting(name, {EIGENVALUES.name: "shift", **values}, tuple(sorted(edits, key=lambda edit: edit[0])))


def default_setting(epsilon: float, period: int) -> Setting:
    """Where a run of another program begins: FOAM at the damping it was recorded with."""
    values = {"period": period, "start": None, "epsilon": epsilon, "epsilon_max": _NEW_EPSILON_MAX * epsilon}
    return Setting("foam", values)


@dataclass(frozen=True)
class Grid:
    """The checks that a stream holds, and with them the settings that it can answer.

    Attributes:
        spacing: Which steps were kept.
        first: The first recorded step.
        last: The last recorded step.
        own: The setting that the run was trained under; None where nobody knows.
    """

    spacing: Spacing
    first: int
    last: int
    own: Setting | None

    @property
    def period(self) -> int:
        """Steps between two recorded checks of a factor; periods offered are its multiples."""
        return self.spacing.every * self.spacing.stride

    @property
    def periods(self) -> tuple[int, ...]:
        """The periods that can be offered: multiples of the recorded one that leave at least one check."""
        return tuple(range(self.period, max(self.last, self.period) + 1, self.period))

    def is_own(self, setting: Setting) -> bool:
        """Whether a replay of a setting is exact: the run's own, with no check thinned out."""
        return setting == self.own and self.spacing.stride == 1

    def require(self, setting: Setting) -> None:
        """Checks that the stream can answer.

        Raises:
            FieldError: The period is no multiple of the recorded one, or the first check was not recorded.
        """
        period, start = setting.policy.period, setting.policy.first_check
        if period % self.period:
            near = max(round(period / self.period), 1) * self.period
            allowed = f"a multiple of {self.period}, the steps between recorded checks"
            raise FieldError("period", period, allowed, f"for example {near}")
        if not self.is_own(setting) and start not in (period, self.first) and start % self.period:
            raise FieldError("start", start, f"{self.first}, the first recorded check, or a multiple of {self.period}")


TABLE = pa.schema(
    [
        pa.field("step", pa.int64()),
        pa.field("factor", pa.int32()),
        pa.field("decision", pa.string()),
        pa.field("epsilon_before", pa.float64()),
        pa.field("epsilon", pa.float64()),
        pa.field("measure", pa.float64()),
        pa.field("last_decomposition_step", pa.int64()),
        pa.field("error", pa.float64()),
        pa.field("staleness_error", pa.float64()),
        pa.field("damping_error", pa.float64()),
        pa.field("directions_damped", pa.int32()),
    ]
)


ERRORS = ("error", "staleness_error", "damping_error", "directions_damped")
COURSE = pa.schema([TABLE.field(name) for name in ("step", "factor", *ERRORS)])


@dataclass(frozen=True, eq=False)
class Replay:
    """What a setting would have done with the recorded factors.

    Attributes:
        setting: The setting.
        exact: True for the run's own setting: these are the run's own decisions. False means open loop.
        table: One row a check and factor, by step and factor, columns of ``TABLE``. ``measure`` is h or r, what the
            policy decides on; null where it measured nothing. Errors belong to the time after the decision, each
            relative to ``|| X_fresh(eps0) ||_F``, with X_fresh that of the factor of the same step: ``error`` is
            ``|| X_used - X_fresh(eps0) ||_F``, ``staleness_error`` ``|| X_used - X_fresh(eps) ||_F``,
            ``damping_error`` ``|| X_fresh(eps) - X_fresh(eps0) ||_F``; the first is at most the sum of the others.
            ``directions_damped`` counts eigenvalues of the current factor under eps.
        course: One row a factor and *recorded* check from the setting's first one on, columns of ``COURSE``: the errors
            of what was in force there, whether the setting checks there or not. Means are taken over these, so that
            settings of different periods are compared at the same moments.
        factors: Ids, by number.
        near_ties: Decisions whose number is within 1 % of the threshold: a rounding, or a slightly different run,
            might have decided otherwise.
        kernel_seconds: Projected seconds in decompositions, measures and rebuilds of inverse roots, on this machine.
        updates: Rows ``step, parameter, error, grafted_error, cosine`` where gradients were kept; the gradient stands
            for the momentum, which no stream keeps. Empty where none were asked for.
        notes: What a reader should know.
    """

    setting: Setting
    exact: bool
    table: pa.Table
    course: pa.Table
    factors: tuple[str, ...]
    near_ties: int
    kernel_seconds: float
    updates: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    _columns: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def values(self, name: str) -> np.ndarray:
        """A column as numpy; NaN for null."""
        if name not in self._columns:
            self._columns[name] = self.table[name].to_numpy(zero_copy_only=False)
        return self._columns[name]

    def held(self, name: str) -> np.ndarray:
        """A column of the course as float64; NaN for null."""
        key = f"course {name}"
        if key not in self._columns:
            self._columns[key] = self.course[name].to_numpy(zero_copy_only=False).astype(float)
        return self._columns[key]

    @property
    def open_loop(self) -> bool:
        """Whether the factors are those of another setting."""
        return not self.exact

    @property
    def checks(self) -> int:
        """Checks of all factors."""
        return len(self.table)

    @property
    def decomposes(self) -> np.ndarray:
        """Whether each check decomposed, (K,)."""
        return ~np.isin(self.values("decision"), ["reuse", "failure"])

    @property
    def decompositions(self) -> int:
        """Decompositions of all factors."""
        return int(self.decomposes.sum())

    @property
    def reuses(self) -> int:
        """Checks that kept a basis by decision."""
        return int((self.values("decision") == "reuse").sum())

    @property
    def cap_refreshes(self) -> int:
        """Decompositions because eps would have passed eps_max."""
        return int((self.values("decision") == "cap").sum())

    def mean(self, name: str) -> float:
        """Mean of an error over all recorded checks of all factors where it is finite; NaN where it is nowhere."""
        values = self.held(name)
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else math.nan

    @property
    def error_left(self) -> float:
        """Mean of ``error`` over all recorded checks: what staleness and damping together leave of a fresh one."""
        return self.mean("error")

    def per_factor(self) -> list[dict[str, Any]]:
        """Counts of each factor."""
        number, decision, decomposes = self.values("factor"), self.values("decision"), self.decomposes
        return [
            {
                "factor": name,
                "checks": int((mine := number == i).sum()),
                "decompositions": int((mine & decomposes).sum()),
                "reuses": int((mine & (decision == "reuse")).sum()),
                "cap_refreshes": int((mine & (decision == "cap")).sum()),
            }
            for i, name in enumerate(self.factors)
        ]

    def differs(self, checks: pa.Table) -> int:
        """How many of the replayed checks the run decided otherwise, or damped otherwise.

        Args:
            checks: The run's table of checks.
        """
        recorded = {
            (row["step"], row["factor"]): (row["decision"], row["epsilon"])
            for row in checks.select(["step", "factor", "decision", "epsilon"]).to_pylist()
        }
        found = zip(*(self.table[name].to_pylist() for name in ("step", "factor", "decision", "epsilon")), strict=True)
        return sum(recorded.get((step, factor)) != (decision, epsilon) for step, factor, decision, epsilon in found)

    def summary(self) -> dict[str, Any]:
        """The totals, as plain values."""
        return {
            "setting": self.setting.to_json(),
            "open_loop": self.open_loop,
            "checks": self.checks,
            "decompositions": self.decompositions,
            "reuses": self.reuses,
            "cap_refreshes": self.cap_refreshes,
            "near_ties": self.near_ties,
            "error_left": _finite(self.error_left),
            "staleness_error": _finite(self.mean("staleness_error")),
            "damping_error": _finite(self.mean("damping_error")),
            "directions_damped": _finite(self.mean("directions_damped")),
            "kernel_seconds": self.kernel_seconds,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The totals of a replay; see :class:`Replay` for what they mean. Errors are means over all checks."""

    setting: Setting
    exact: bool
    checks: int
    decompositions: int
    cap_refreshes: int
    error_left: float
    staleness_error: float
    damping_error: float
    directions_damped: float
    kernel_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values; null for an error that was not measured."""
        plain = {name: value for name, value in vars(self).items() if name != "setting"}
        finite = {k: _finite(v) if isinstance(v, float) else v for k, v in plain.items()}
        return {"setting": self.setting.to_json(), **finite}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Summary:
        """What ``to_json`` gave."""
        values = {k: math.nan if v is None else v for k, v in data.items()}
        return cls(**{**values, "setting": Setting.from_json(data["setting"])})


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def default_map(setting: Setting) -> tuple[list[float], list[float]]:
    """Five tau and five eps_max around a setting: the map that a page opens with, computed while nobody asks."""
    cap = setting.values.get("epsilon_max", _NEW_EPSILON_MAX * setting.values["epsilon"])
    fresh = setting.values["epsilon"]
    caps = [max(float(f"{cap * 10**exponent:.2g}"), fresh) for exponent in (-1, -0.5, 0, 0.5, 1)]
    return [0.15, 0.35, 0.55, 0.75, 0.95], caps


def tau_and_cap(setting: Setting, taus: Sequence[float], caps: Sequence[float]) -> list[Setting]:
    """The settings of a map over (tau, eps_max), row by row of eps_max.

    Raises:
        FieldError: The policy has no eps_max, or a value is refused.
    """
    if not isinstance(setting.policy, Foam):
        setting = setting.changed({"optimizer": "foam"})
    return [setting.changed({"tau": tau, "epsilon_max": cap}) for cap in caps for tau in taus]
