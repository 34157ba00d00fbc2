"""What is said of a run as a whole: its factors, the one that is followed, and the manifest of its trace."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import torch

from foam_viz import __version__
from foam_viz import device as devices
from foam_viz.optim import catalogue as optimizers
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.tasks import catalogue as tasks
from foam_viz.trace.manifest import FactorInfo, Manifest

if TYPE_CHECKING:
    from foam_viz.engine.worker.run import Run


def factor_infos(optimizer: torch.optim.Optimizer, model: torch.nn.Module) -> tuple[FactorInfo, ...]:
    """The factors of an optimizer, by the names that the model gives to its parameters; none where it has none."""
    if not isinstance(optimizer, FactoredOptimizer):
        return ()
    # Factors count parameters in the order of the groups, which need not be that of the model.
    name_of = {id(parameter): name for name, parameter in model.named_parameters()}
    names = [name_of[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    return tuple(
        FactorInfo(
            id=factor.id,
            parameter=names[factor.parameter],
            block=factor.block,
            dim=factor.dim,
            order=factor.order,
            size=factor.size,
        )
        for factor in optimizer.factors()
    )


def default_followed(factors: Sequence[FactorInfo]) -> int:
    """The left factor of the largest matrix: where staleness is easiest to see."""
    matrices = [i for i, factor in enumerate(factors) if factor.order == 2 and factor.dim == 0]
    return max(matrices or range(len(factors)), key=lambda i: factors[i].size)


def manifest(run: Run, name: str | None, shared_machine: bool) -> Manifest:
    """The manifest of a run as it is now.

    Args:
        run: The run.
        name: What it is called; None takes the label of its optimizer.
        shared_machine: Whether others trained at the same time, so that its seconds do not compare.
    """
    task = tasks.find(run.config["task"])
    return Manifest(
        run_id=run.run_id,
        name=name or optimizers.find(run.config["optimizer"]).label,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=run.config["task"],
        optimizer=run.config["optimizer"],
        config=run.config,
        factors=run.factors,
        picture=task.picture or "",
        loss_floor=run.task.loss_floor,
        device=run.device,
        hardware=devices.hardware(run.device),
        software={"foam_viz": __version__, "torch": torch.__version__, "python": platform.python_version()},
        status=run.status,
        diverged_step=run.diverged_step,
        shared_machine=shared_machine,
        recorder=run.recorder.schedule.to_json(),
    )
