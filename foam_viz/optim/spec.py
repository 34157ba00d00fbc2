"""What an optimizer is as data: its settings, and how it is built from them. Torch is not imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from foam_viz.optim.fields import Constraint, Field, FieldError, check_all, require, with_defaults
from foam_viz.optim.refresh import POLICIES

SHAMPOO_FACTORY = "foam_viz.optim.shampoo:Shampoo"


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    """One optimizer.

    Attributes:
        name: The name in settings, links and ``--optimizer``.
        label: Title.
        summary: One line.
        source: Citation.
        fields: Hyperparameters of the optimizer itself.
        factory: ``module:attribute``, imported when an optimizer is built.
        policy: Class name of the refresh policy; ``None`` for first-order methods.
        policy_fields: Its hyperparameters.
        policy_settings: Hyperparameters of the policy that make this optimizer what it is, and are not offered.
        constraints: Relations between the fields.
        has_factors: Whether it keeps Kronecker factors, and so is a ``FactoredOptimizer``.
        is_ours: Whether it is a variant of this project, in no paper.
    """

    name: str
    label: str
    summary: str
    source: str
    fields: tuple[Field, ...]
    factory: str
    policy: str | None = None
    policy_fields: tuple[Field, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    policy_settings: tuple[tuple[str, Any], ...] = ()
    has_factors: bool = False
    is_ours: bool = False

    @property
    def is_replayable(self) -> bool:
        """Whether a policy decides about damped inverse roots, so that recorded factors say what it would decide."""
        return self.factory == SHAMPOO_FACTORY

    @property
    def all_fields(self) -> tuple[Field, ...]:
        """Every hyperparameter, the policy's first: they are what one tunes."""
        return self.policy_fields + self.fields

    def with_defaults(self, defaults: Mapping[str, Any]) -> OptimizerSpec:
        """The optimizer with other defaults where some are given by name."""
        return replace(
            self,
            fields=with_defaults(self.fields, defaults),
            policy_fields=with_defaults(self.policy_fields, defaults),
        )

    def validate(self, settings: Mapping[str, object]) -> dict[str, Any]:
        """Complete, typed settings.

        Raises:
            FieldError: The first value or key that is refused.
        """
        return require(self.all_fields, settings, self.constraints)

    def review(self, settings: Mapping[str, object]) -> tuple[dict[str, Any], list[FieldError]]:
        """Complete, typed settings with defaults for what is refused, and every error."""
        return check_all(self.all_fields, settings, self.constraints)

    def build(self, params: Iterable[Any], settings: Mapping[str, object]) -> Any:
        """A torch optimizer.

        Args:
            params: Parameters or parameter groups.
            settings: Values by field name; missing ones take their defaults.

        Raises:
            FieldError: The first value or key that is refused.
        """
        arguments = self.validate(settings)
        if self.policy is not None:
            chosen = {field.name: arguments.pop(field.name) for field in self.policy_fields}
            arguments["refresh"] = POLICIES[self.policy](**chosen, **dict(self.policy_settings))
        if "beta1" in arguments:
            arguments["betas"] = (arguments.pop("beta1"), arguments.pop("beta2"))
        module, attribute = self.factory.split(":")
        return getattr(import_module(module), attribute)(params, **arguments)
