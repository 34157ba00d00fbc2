"""What a recorded run is replayed under: a refresh policy with its settings, and where a run says its own."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from foam_viz.optim.catalogue import ARTIFACT_NAMES, OPTIMIZERS
from foam_viz.optim.fields import Field, FieldError, require, unknown_key
from foam_viz.optim.optimizer_fields import EIGENVALUES
from foam_viz.optim.refresh import POLICIES, Foam, Policy, from_settings
from foam_viz.optim.spec import OptimizerSpec
from foam_viz.trace.manifest import Manifest

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
