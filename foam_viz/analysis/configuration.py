"""What a run's configuration says about its size, found under the names that programs give it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from foam_viz.trace import Manifest, Trace, TraceView
from foam_viz.trace.schema import LARGEST_REAL

PLANNED_STEPS = (
    "steps_planned",
    "max_steps",
    "total_steps",
    "num_train_steps",
    "train_steps",
    "num_training_steps",
    "num_steps",
    "num_iterations",
    "total_iterations",
    "max_iters",
    "step_hint",
)
"""Names of the number of steps that a run was meant to take; the first that is found counts."""


def entries(config: Mapping[str, object]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every value of a nested configuration with its path, the shallowest first."""
    level: list[tuple[tuple[str, ...], Mapping[str, object]]] = [((), config)]
    while level:
        deeper = []
        for path, mapping in level:
            for key, value in mapping.items():
                if isinstance(value, Mapping):
                    deeper.append(((*path, str(key)), value))
                else:
                    yield (*path, str(key)), value
        level = deeper


def find(config: Mapping[str, object], names: tuple[str, ...]) -> object | None:
    """The value that is told under the first of several names, whatever it is nested in; None where there is none.

    A dotted key counts by its last part. Null and empty text are no values.
    """
    told: dict[str, object] = {}
    for path, value in entries(config):
        if value is not None and value != "":
            told.setdefault(path[-1].rpartition(".")[2].lower(), value)
    return next((told[name] for name in names if name in told), None)


def whole(value: object) -> int | None:
    """A positive whole number, also from text; None for anything else (programs write -1 for "not set")."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except ValueError:
        return None
    return int(number) if 1 <= number < 2**63 and number == int(number) else None


def planned_steps(trace: Trace | TraceView) -> int | None:
    """The number of steps that the run was meant to take; None where its log does not say.

    For runs of this project it is the step at which a decaying learning rate ends, else the step to stop after.
    """
    config = trace.manifest.config
    own = config.get("run_settings")
    if isinstance(own, Mapping):
        decays = str(own.get("schedule", "")).endswith("linear-decay")
        return whole(own.get("decay_steps" if decays else "steps"))
    return whole(find(config, PLANNED_STEPS))


_ARTIFACT = {"epsilon": "epsilon", "period": "precondition_frequency", "start": "start_preconditioning_step"}
_ARTIFACT_FOAM = {"tau": "matrix_root_inv_threshold", "epsilon_max": "max_epsilon"}
_ARTIFACT_RESIDUAL = {"tau": "diagonal_residual_threshold"}
"""Names of this project's settings in flat configurations of the FOAM artifact, which writes those of every optimizer
into each run."""


def goes_by_residual(manifest: Manifest) -> bool:
    """True for the optimizer that refreshes by the diagonalization residual and not by the proxy."""
    return manifest.optimizer.startswith(("dr-", "dr_"))


def optimizer_setting(manifest: Manifest, name: str) -> float | None:
    """A number among the optimizer's settings; None where its optimizer has no such thing or the log does not say.

    Args:
        manifest: Of the run.
        name: ``tau``, ``epsilon``, ``epsilon_max``, ``period`` or ``start``, as this project calls them.
    """
    own = manifest.config.get("optimizer_settings")
    if isinstance(own, Mapping):
        value = own.get(name)
    else:
        names = _ARTIFACT | (_ARTIFACT_FOAM if manifest.optimizer.startswith("foam") else {})
        names |= _ARTIFACT_RESIDUAL if goes_by_residual(manifest) else {}
        value = manifest.config.get(names.get(name, name))
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= LARGEST_REAL:
        return None
    return float(value)
