"""Every task at a size that trains in milliseconds."""

from __future__ import annotations

from typing import Any

from foam_viz.tasks.catalogue import TASKS
from foam_viz.tasks.task import Task

SMALL: dict[str, dict[str, Any]] = {
    "digits-autoencoder": {"batch_size": 32, "width": 16, "depth": 1},
    "digits-classifier": {"batch_size": 32, "width": 16},
    "digits-conv": {"batch_size": 32, "width": 8},
    "digits-vit": {"batch_size": 16, "width": 16, "depth": 1},
    "tiny-gpt": {"batch_size": 8, "width": 16, "depth": 1, "context": 16},
    "spirals": {"batch_size": 32, "width": 16},
    "rotating-quadratic": {"width": 8},
    "matrix-factorization": {"width": 32, "rank": 2, "batch_size": 256},
    "csv": {"batch_size": 32, "width": 8},
}


def small(name: str, *, seed: int = 0, **settings: Any) -> Task:
    """The task of that name, small, with some settings of the caller's own."""
    complete, errors = TASKS[name].review({**SMALL.get(name, {}), **settings})
    assert not errors, [str(error) for error in errors]
    return TASKS[name].build(complete, seed=seed)
