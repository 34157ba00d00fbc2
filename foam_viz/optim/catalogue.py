"""Every optimizer with its hyperparameters. UI, CLI, links and export read this one list; torch is not imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from foam_viz.optim.fields import Constraint, Field, FieldError, check_all, require, with_defaults
from foam_viz.optim.refresh import POLICIES
from foam_viz.optim.refresh_fields import PERIOD, STAGGER

# Why a setting stays as it is while a run trains.
_DECAYS = "the mean that it decays, and its bias correction, are those of one decay over the whole run"
_SHAPES = "it shapes the state that the optimizer has kept since its first step"

LR = Field(
    name="lr", kind="real", default=1e-2, low=0, high=1e6, label="Learning rate", symbol="lr", logarithmic=True,
    help="lr: length of a step; with grafting, the same scale as for the method grafted from", editable=True,
)  # fmt: skip
BETA1 = Field(
    name="beta1", kind="real", default=0.9, low=0, high=1, high_open=True, label="Momentum", symbol="β₁",
    help="β₁: decay of the first moment of the gradient", fixed=_DECAYS,
)  # fmt: skip
BETA2 = Field(
    name="beta2", kind="real", default=0.99, low=0, high=1, low_open=True, label="Factor decay", symbol="β₂",
    help="β₂: decay of the factor statistics; 1 means a plain sum", fixed=_DECAYS,
)  # fmt: skip
WEIGHT_DECAY = Field(
    name="weight_decay", kind="real", default=0.0, low=0, high=1e6, label="Weight decay", symbol="wd",
    help="wd: decoupled weight decay, W <- W - lr wd W", editable=True,
)  # fmt: skip
ROOT = Field(
    name="root", kind="integer", default=2, low=1, high=8, optional=True, label="Root", symbol="p",
    help="p: factors enter with the power -1/p; none means twice the number of dimensions", fixed=_SHAPES,
)  # fmt: skip
EIGENVALUES = Field(
    name="eigenvalues", kind="choice", default="floor", choices=("floor", "shift"), label="Smallest eigenvalues",
    help="Computed eigenvalues near 0 are rounding: floor raises each to machine epsilon times the largest, shift "
    "lifts all by the most negative one, as the FOAM reference does", fixed=_SHAPES,
)  # fmt: skip
GRAFTING = Field(
    name="grafting", kind="choice", default="adam", choices=(None, "sgd", "adam"), label="Grafting",
    help="The method that gives the step its length; Shampoo gives the direction", editable=True,
)  # fmt: skip
GRAFTING_BETA2 = Field(
    name="grafting_beta2", kind="real", default=None, low=0, high=1, low_open=True, optional=True,
    label="Grafting decay", symbol="β_g", help="Decay of Adam grafting's second moment; none means β₂", fixed=_DECAYS,
)  # fmt: skip
GRAFTING_EPSILON = Field(
    name="grafting_epsilon", kind="real", default=1e-8, low=0, low_open=True, label="Grafting epsilon",
    symbol="ε_g", unit="gradient", logarithmic=True, help="ε_g: added to Adam grafting's denominator", editable=True,
)  # fmt: skip
MAX_DIM = Field(
    name="max_preconditioner_dim", kind="integer", default=1024, low=1, high=1_000_000, label="Largest factor",
    unit="rows", help="Dimensions larger than this are cut into blocks, each with its own factors", fixed=_SHAPES,
)  # fmt: skip
MERGE_DIMS = Field(
    name="merge_dims", kind="boolean", default=False, label="Merge small dimensions",
    help="Whether neighbouring dimensions are merged while their product stays within the largest factor",
    fixed=_SHAPES,
)  # fmt: skip
PRECONDITION = Field(
    name="precondition", kind="choice", default="all", choices=("all", "matrices", "none"),
    label="Preconditioned", help="all parameters, hidden matrices only (the rest by AdamW), or none (AdamW)",
    fixed=_SHAPES,
)  # fmt: skip

# What the constructor of Shampoo checks, group by group; betas arrive there as a pair.
SHAMPOO_FIELDS = (
    LR, BETA1, BETA2, WEIGHT_DECAY, ROOT, EIGENVALUES, GRAFTING, GRAFTING_BETA2, GRAFTING_EPSILON, MAX_DIM,
    MERGE_DIMS, PRECONDITION,
)  # fmt: skip

# What the constructor of SOAP checks; the catalogue offers its period as the policy's.
SOAP_FIELDS = (
    replace(LR, default=3e-3, help="lr: length of a step"),
    replace(BETA1, default=0.95, help="β₁: decay of the first moment of the rotated gradient"),
    replace(
        BETA2, default=0.95, high_open=True, label="Second-moment decay",
        help="β₂: decay of the second moment of the rotated gradient",
    ),
    Field(
        name="shampoo_beta", kind="real", default=None, low=0, high=1, high_open=True, optional=True,
        label="Factor decay", symbol="βₛ", help="βₛ: decay of the factor statistics; none means β₂",
        fixed=_DECAYS,
    ),
    replace(GRAFTING_EPSILON, name="eps", label="Epsilon", symbol="ε", help="ε: added to the denominator"),
    replace(WEIGHT_DECAY, default=0.01),
    replace(MAX_DIM, default=10_000, help="Dimensions larger than this have no factor and are not rotated"),
    Field(
        name="precondition_1d", kind="boolean", default=False, label="Precondition vectors",
        help="Whether vectors have a factor too; without, they are updated by plain Adam", fixed=_SHAPES,
    ),
    PRECONDITION,
)  # fmt: skip
SOAP_SETTINGS = (*SOAP_FIELDS, PERIOD)

# Eigenvalue-corrected Shampoo: no grafting and no damping.
CORRECTED_FIELDS = (
    replace(LR, help="lr: length of a step"), BETA1,
    replace(BETA2, help="β₂: decay of the factor statistics and of the second moment in their basis"),
    replace(GRAFTING_EPSILON, name="eps", label="Epsilon", symbol="ε", help="ε: added to the denominator"),
    WEIGHT_DECAY, MAX_DIM, MERGE_DIMS, PRECONDITION,
)  # fmt: skip

# KL-Shampoo and KL-SOAP: eigenvalues of their own, no damping.
KL_FIELDS = (
    replace(LR, default=3e-3, help="lr: length of a step"), BETA1,
    replace(
        BETA2, default=0.98, high_open=True, help="β₂: decay of the factors, of their eigenvalues and of v"
    ),
    replace(
        GRAFTING_EPSILON, name="eps", label="Epsilon", symbol="ε", help="ε: added to the denominator, √(l r) or √v",
        unit="",
    ),
    replace(WEIGHT_DECAY, default=0.01),
    replace(MAX_DIM, default=10_000, help="Parameters with a larger side have no factors and are updated by Adam"),
    PRECONDITION,
)  # fmt: skip

SPLUS_FIELDS = (
    replace(LR, default=0.1, help="lr: length of a step, times 2 / (rows + columns) for a matrix"), BETA1,
    replace(BETA2, default=0.999, high_open=True, help="β₂: decay of the factor statistics"),
    Field(
        name="ema", kind="real", default=0.999, low=0, high=1, high_open=True, label="Mean of weights", symbol="c",
        help="c: decay of the mean of the weights, with which the model is evaluated; 0 evaluates the weights",
        fixed=_DECAYS,
    ),
    replace(WEIGHT_DECAY, default=0.01),
    replace(MAX_DIM, default=10_000, help="A side as large as this has no basis"),
    PRECONDITION,
)  # fmt: skip

# Longer than the library's default (one period): comparisons deceive unless all lanes start preconditioning together.
EQUAL_START = 10
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


def _policy_fields(policy: str, names: Iterable[str] | None = None) -> tuple[Field, ...]:
    # Every lane starts alike; a policy's own default of tau (0.2 for the residual) comes from its class.
    own = POLICIES[policy]
    return tuple(
        replace(field, default=EQUAL_START if field.name == "start" else getattr(own, field.name))
        for field in own.fields
        if names is None or field.name in names
    )


def _shampoo(
    name: str, label: str, policy: str, summary: str, source: str, *, stagger: bool = False, is_ours: bool = False
) -> OptimizerSpec:
    fields = tuple(field for field in _policy_fields(policy) if field.name != STAGGER.name)
    return OptimizerSpec(
        name=name, label=label, summary=summary, source=source, fields=SHAMPOO_FIELDS,
        factory=SHAMPOO_FACTORY, policy=policy, policy_fields=fields,
        policy_settings=((STAGGER.name, True),) if stagger else (),
        constraints=POLICIES[policy].constraints, has_factors=True, is_ours=is_ours,
    )  # fmt: skip


def _soap(name: str, label: str, policy: str, summary: str, source: str) -> OptimizerSpec:
    first = "The first gradient gives a basis; the update that renews it first; none means one period"
    fields = tuple(
        replace(field, label="First renewal", help=first) if field.name == "start" else field
        for field in _policy_fields(policy, ("period", "start", "tau"))
    )
    return OptimizerSpec(
        name=name, label=label, summary=summary, source=source, fields=SOAP_FIELDS,
        factory="foam_viz.optim.soap:SOAP", policy=policy, policy_fields=fields, has_factors=True,
    )  # fmt: skip


def _kl(name: str, label: str, factory: str, summary: str) -> OptimizerSpec:
    return OptimizerSpec(
        name=name, label=label, summary=summary, source="Lin et al. 2025, arXiv 2509.03378", fields=KL_FIELDS,
        factory=f"foam_viz.optim.kl:{factory}", policy="EveryCheck", has_factors=True,
        policy_fields=tuple(
            replace(field, label=_RENEWALS[field.name]) for field in _policy_fields("EveryCheck", ("period", "start"))
        ),
    )  # fmt: skip


_RENEWALS = {"period": "Renewal period", "start": "First renewal"}
_FOAM_SOURCE = "Nam & Ahn, ICML 2026, arXiv 2606.02365"
_PURIFYING_SOURCE = "Eschenhagen et al. 2025, arXiv 2506.03595"
_SOAP_SOURCE = "Vyas et al. 2024, arXiv 2409.11321"

OPTIMIZERS: dict[str, OptimizerSpec] = {
    spec.name: spec
    for spec in (
        OptimizerSpec(
            name="sgd", label="SGD", summary="Gradient descent with momentum.", factory="torch.optim:SGD",
            source="Robbins & Monro 1951; Polyak 1964",
            fields=(
                LR,
                replace(BETA1, name="momentum", symbol="μ", help="μ: share of the last step that is kept"),
                replace(WEIGHT_DECAY, help="wd: L2 decay, added to the gradient"),
            ),
        ),  # fmt: skip
        OptimizerSpec(
            name="adamw", label="AdamW", summary="Adam with decoupled weight decay.",
            factory="torch.optim:AdamW", source="Loshchilov & Hutter 2019, arXiv 1711.05101",
            fields=(
                LR, BETA1,
                replace(
                    BETA2, high_open=True, label="Second-moment decay",
                    help="β₂: decay of the second moment of the gradient",
                ),
                replace(
                    GRAFTING_EPSILON, name="eps", label="Epsilon", symbol="ε", help="ε: added to the denominator"
                ),
                WEIGHT_DECAY,
            ),
        ),  # fmt: skip
        _shampoo(
            "shampoo", "Shampoo", "EveryCheck", "Decomposes every factor each f steps, whether it needs it or not.",
            "Gupta, Koren & Singer 2018; Shi et al. 2023, arXiv 2309.06497",
        ),
        _shampoo(
            "foam", "FOAM", "Foam",
            "Raises damping while a basis ages, and decomposes again only when damping no longer suffices.",
            _FOAM_SOURCE,
        ),
        _shampoo(
            "foam-fixed-damping", "FOAM, fixed damping", "FoamFixedDamping",
            "Ablation: decomposes when the proxy exceeds τ, at the damping ε₀.", _FOAM_SOURCE,
        ),
        _shampoo(
            "foam-no-refresh", "FOAM, no refresh", "FoamNoRefresh",
            "Ablation: adapts damping up to εₘₐₓ and keeps the first basis.", _FOAM_SOURCE,
        ),
        _shampoo(
            "dr-shampoo", "DR Shampoo", "DiagonalizationResidual",
            "Decomposes when the basis no longer diagonalizes the factor; refreshes eigenvalues otherwise.",
            _PURIFYING_SOURCE,
        ),
        _shampoo(
            "shampoo-staggered", "Shampoo, taking turns", "EveryCheck",
            "Variant of this project: each factor once every f steps, but a few at a time.",
            "This project, after Gupta, Koren & Singer 2018", stagger=True, is_ours=True,
        ),
        _shampoo(
            "foam-fresh-eigenvalues", "FOAM, fresh eigenvalues", "FoamFreshEigenvalues",
            "Variant of this project: FOAM that refreshes the eigenvalues of the bases it keeps.",
            f"This project, after {_FOAM_SOURCE} and {_PURIFYING_SOURCE}", is_ours=True,
        ),
        OptimizerSpec(
            name="shampoo-eigenvalue-corrected", label="Shampoo, eigenvalue-corrected",
            summary="Shampoo's bases, renewed each f steps, with a second moment kept in them at every step.",
            factory="foam_viz.optim.eigenvalue_corrected:EigenvalueCorrectedShampoo", source=_PURIFYING_SOURCE,
            fields=CORRECTED_FIELDS, policy="EveryCheck",
            policy_fields=_policy_fields("EveryCheck", ("period", "start")), has_factors=True,
        ),
        _soap(
            "soap", "SOAP", "EveryCheck", "Adam in the eigenbasis of Shampoo's factors, renewed each f updates.",
            _SOAP_SOURCE,
        ),
        _soap(
            "soap-residual", "SOAP, residual", "DiagonalizationResidual",
            "SOAP that renews a basis only when it no longer diagonalizes its factor.",
            f"{_SOAP_SOURCE}; criterion of {_PURIFYING_SOURCE}",
        ),
        _kl(
            "kl-shampoo", "KL-Shampoo", "KLShampoo",
            "Factors that weigh the gradient by each other: eigenvalues of every step, bases renewed each f updates.",
        ),
        _kl("kl-soap", "KL-SOAP", "KLSOAP", "Adam in the bases of KL-Shampoo's factors."),
        OptimizerSpec(
            name="splus", label="SPlus",
            summary="The sign of the momentum in the eigenbasis: no eigenvalue, no damping, one mean of the weights.",
            source="Frans, Levine & Abbeel 2025, arXiv 2506.07254", fields=SPLUS_FIELDS,
            factory="foam_viz.optim.splus:SPlus", policy="EveryCheck", has_factors=True,
            policy_fields=tuple(
                replace(field, default={"period": 100, "start": 1}[field.name], label=_RENEWALS[field.name])
                for field in _policy_fields("EveryCheck", ("period", "start"))
            ),
        ),
        OptimizerSpec(
            name="muon", label="Muon", summary="Orthogonalized momentum for matrices, AdamW for the rest.",
            factory="foam_viz.optim.muon:MuonWithAdamW", source="Jordan et al. 2024; Liu et al. 2025, arXiv 2502.16982",
            fields=(
                replace(LR, help="lr: length of a step, of Muon and of AdamW"),
                replace(
                    BETA1, name="momentum", default=0.95, label="Muon's momentum", symbol="μ",
                    help="μ: decay of the gradient's mean that is orthogonalized",
                ),
                Field(
                    name="equilibrate", kind="choice", default="none", choices=("none", "rows", "columns", "both"),
                    label="Equilibrate", help="Which sides of the matrix are scaled to length 1 before it is "
                    "orthogonalized (MuonEq, Chang et al., arXiv 2603.28254)",
                    fixed=_SHAPES,
                ),
                replace(BETA1, label="AdamW's momentum", help="β₁: decay of AdamW's first moment"),
                replace(
                    BETA2, high_open=True, label="AdamW's second-moment decay",
                    help="β₂: decay of AdamW's second moment",
                ),
                replace(
                    GRAFTING_EPSILON, name="eps", label="AdamW's epsilon", symbol="ε",
                    help="ε: added to AdamW's denominator", editable=False,
                    fixed="Muon and AdamW call different things by its name",
                ),
                WEIGHT_DECAY,
            ),
        ),
        OptimizerSpec(
            name="adafactor", label="Adafactor", summary="A second moment of rows and columns instead of entries.",
            factory="torch.optim:Adafactor", source="Shazeer & Stern 2018, arXiv 1804.04235",
            fields=(
                replace(LR, help="lr: largest step, relative to the size of a parameter"),
                Field(
                    name="beta2_decay", kind="real", default=-0.8, high=0, label="Second-moment decay",
                    help="The second moment decays by 1 - t^this", symbol="c", fixed=_DECAYS,
                ),
                Field(
                    name="d", kind="real", default=1.0, low=0, low_open=True, label="Clipping", symbol="d",
                    help="d: largest root mean square of an update before the learning rate",
                    editable=True,
                ),
                WEIGHT_DECAY,
            ),
        ),
    )
}  # fmt: skip


def find(name: str) -> OptimizerSpec:
    """The optimizer of that name.

    Raises:
        FieldError: There is none; the message names the known ones and the closest.
    """
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    close = get_close_matches(str(name).lower(), OPTIMIZERS, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise FieldError("optimizer", name, "one of " + ", ".join(OPTIMIZERS) + hint)
