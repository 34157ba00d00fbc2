"""Every optimizer with its hyperparameters. UI, CLI, links and export read this one list; torch is not imported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

from foam_viz.optim.fields import Field, FieldError
from foam_viz.optim.optimizer_fields import (
    BETA1,
    BETA2,
    CORRECTED_FIELDS,
    DECAYS,
    GRAFTING_EPSILON,
    KL_FIELDS,
    LR,
    SHAMPOO_FIELDS,
    SHAPES,
    SOAP_FIELDS,
    SPLUS_FIELDS,
    WEIGHT_DECAY,
)
from foam_viz.optim.refresh import POLICIES
from foam_viz.optim.refresh_fields import STAGGER
from foam_viz.optim.spec import SHAMPOO_FACTORY, OptimizerSpec

# Longer than the library's default (one period): comparisons deceive unless all lanes start preconditioning together.
EQUAL_START = 10


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
                    fixed=SHAPES,
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
                    help="The second moment decays by 1 - t^this", symbol="c", fixed=DECAYS,
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


ARTIFACT_NAMES = {
    "shampoo": "stale_shampoo",
    "foam": "foam",
    "foam-fixed-damping": "foam_no_adaptive_epsilon",
    "foam-no-refresh": "foam_no_evd_refresh",
    "dr-shampoo": "dr_shampoo",
    "adamw": "adamw",
}
"""Names of optimizers in FOAM's artifact; it has no others of ours."""
