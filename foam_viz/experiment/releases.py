"""Which defaults a link or a saved configuration leaves unsaid, by the version it was written with. Imports no torch.

A link writes what differs from the defaults, so it would train something else where defaults change. It therefore says
its version, and each version keeps the defaults it was written against. Version 1 is the first release, whose links say
none; the current version's defaults are those of the catalogues and of the task (``TaskSpec.optimizer_defaults``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from foam_viz.optim import catalogue as optimizers
from foam_viz.optim.fields import Field, with_defaults
from foam_viz.optim.spec import OptimizerSpec
from foam_viz.tasks import catalogue as tasks
from foam_viz.tasks.spec import TaskSpec

CURRENT = 2

# Settings that came later have the value by which they change nothing: precision, eigenvalues, equilibrate, columns.
_DIGITS = {"batch_size": 128, "width": 128, "depth": 2, "shift_at": 0}
_FIRST_TASKS: dict[str, dict[str, Any]] = {
    "digits-autoencoder": _DIGITS,
    "digits-classifier": _DIGITS,
    "digits-conv": {**_DIGITS, "width": 32},
    "digits-vit": {"batch_size": 64, "width": 64, "depth": 2, "attention_heads": 4, "shift_at": 0},
    "tiny-gpt": {
        "batch_size": 16, "width": 64, "depth": 2, "attention_heads": 4, "context": 64, "shift_at": 0, "text": None,
    },
    "spirals": {
        "batch_size": 128, "width": 64, "depth": 2, "arms": 2, "turns": 1.0, "noise": 0.05, "shift_at": 0,
    },
    "rotating-quadratic": {
        "batch_size": 32, "width": 2, "condition": 100.0, "speed": 0.5, "noise": 0.1, "shift_at": 0,
    },
    "matrix-factorization": {"batch_size": 512, "width": 64, "rank": 8, "condition": 100.0, "shift_at": 0},
    "csv": {"batch_size": 64, "width": 64, "depth": 2, "shift_at": 0, "table": None, "target": None, "columns": None},
}  # fmt: skip
_FIRST_RUN: dict[str, Any] = {
    "seed": 0, "schedule": "constant", "warmup_steps": 50, "decay_steps": 600, "steps": 100_000,
    "precision": "float32",
}  # fmt: skip
_CHECKS = {"period": 10, "start": 10}
_ADAM = {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0}
_SHAMPOO = {
    **_CHECKS, **_ADAM, "epsilon": 1e-9, "root": 2, "eigenvalues": "shift", "grafting": "adam", "grafting_beta2": None,
    "grafting_epsilon": 1e-8, "max_preconditioner_dim": 1024, "merge_dims": False, "precondition": "all",
}  # fmt: skip
_FOAM = {**_SHAMPOO, "tau": 0.75, "epsilon_max": 3e-7}
_SOAP = {
    **_CHECKS, "lr": 0.003, "beta1": 0.95, "beta2": 0.95, "shampoo_beta": None, "eps": 1e-8, "weight_decay": 0.01,
    "max_preconditioner_dim": 10_000, "precondition_1d": False, "precondition": "all",
}  # fmt: skip
_FIRST_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.0},
    "adamw": {**_ADAM, "eps": 1e-8},
    "shampoo": _SHAMPOO,
    "foam": _FOAM,
    "foam-fixed-damping": {**_SHAMPOO, "tau": 0.75},
    "foam-no-refresh": _FOAM,
    "dr-shampoo": {**_SHAMPOO, "tau": 0.2},
    "shampoo-staggered": _SHAMPOO,
    "foam-fresh-eigenvalues": _FOAM,
    "shampoo-eigenvalue-corrected": {
        **_CHECKS, **_ADAM, "eps": 1e-8, "max_preconditioner_dim": 1024, "merge_dims": False, "precondition": "all",
    },
    "soap": _SOAP,
    "soap-residual": {**_SOAP, "tau": 0.2},
    "muon": {**_ADAM, "momentum": 0.95, "eps": 1e-8, "equilibrate": "none"},
    "adafactor": {"lr": 0.01, "beta2_decay": -0.8, "d": 1.0, "weight_decay": 0.0},
}  # fmt: skip


def run_fields(fields: tuple[Field, ...], version: int = CURRENT) -> tuple[Field, ...]:
    """The settings of a run with the defaults of a version."""
    return with_defaults(fields, _FIRST_RUN) if version == 1 else fields


def task(name: str, version: int = CURRENT) -> TaskSpec:
    """A task with the defaults of a version; the current ones where that version did not have it.

    Raises:
        FieldError: No such task.
    """
    spec = tasks.find(name)
    frozen = _FIRST_TASKS.get(name, {}) if version == 1 else {}
    return replace(
        spec, fields=with_defaults(spec.fields, frozen), local_fields=with_defaults(spec.local_fields, frozen)
    )


def optimizer(name: str, task_name: str, version: int = CURRENT) -> OptimizerSpec:
    """An optimizer with the defaults of a version on a task; the current ones where that version did not have it.

    Raises:
        FieldError: No such optimizer or task.
    """
    current: Mapping[str, Any] = dict(tasks.find(task_name).optimizer_defaults)
    return optimizers.find(name).with_defaults(_FIRST_OPTIMIZERS.get(name, current) if version == 1 else current)
