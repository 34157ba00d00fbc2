"""A run's configuration as something to run elsewhere: a Python program, a command, the YAML of FOAM's artifact.

Imports no torch.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from foam_viz.experiment import config, edits
from foam_viz.experiment.config import Experiment
from foam_viz.optim import catalogue as optimizers
from foam_viz.optim.catalogue import ARTIFACT_NAMES
from foam_viz.optim.fields import FieldError, format_number
from foam_viz.tasks import catalogue as tasks
from foam_viz.tasks import uploads

_PROGRAM = '''"""{label} on {task_label}: {steps} steps, seed {seed}."""

import torch

from foam_viz.experiment.config import learning_rate_factor
from foam_viz.optim import {editing}find
{imports}from foam_viz.tasks import catalogue

SETTINGS = {settings}
RUN = {run}
{edits}
torch.set_num_threads(1)
task = catalogue.find({task!r}).build({task_settings}, seed=RUN["seed"], device="cpu", precision=RUN["precision"])
model = task.model()
optimizer = find({optimizer!r}).build({parameters}, SETTINGS)
for step in range(1, RUN["steps"] + 1):
{edit}    for group in optimizer.param_groups:
        group["lr"] = SETTINGS["lr"] * learning_rate_factor(RUN, step)
    loss = task.loss(model, task.batch(step))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, float(loss))
'''

_YOUR_FILE = "PATH-OF-YOUR-FILE"
"""In the place of an upload, which only the server that has it can find."""

_EDIT = """\
    if step in EDITS:
        RUN.update({name: value for name, value in EDITS[step].items() if name in RUN})
        SETTINGS.update({name: value for name, value in EDITS[step].items() if name in SETTINGS})
        editing.edit(optimizer, {name: SETTINGS[name] for name in EDITS[step] if name in SETTINGS})
"""


def _one_lane(chosen: Mapping[str, Any]) -> Experiment:
    if not isinstance(chosen.get("run_settings"), Mapping) or chosen.get("optimizer") not in optimizers.OPTIMIZERS:
        raise FieldError(
            "RUN", str(chosen.get("optimizer", "")) or "(no optimizer)", "a run that this program trained",
            "logs of other programs do not say all that a run needs",
        )  # fmt: skip
    experiment, errors = config.from_manifest(chosen)
    if errors:
        raise errors[0]
    settings = {
        name: _YOUR_FILE if uploads.is_upload(value) else value for name, value in experiment.task_settings.items()
    }
    return replace(experiment, task_settings=settings)


def as_cli(chosen: Mapping[str, Any]) -> str:
    """The command that trains the run again, with every setting spelled out.

    Args:
        chosen: The ``config`` of its manifest.

    Raises:
        FieldError: It is no run of this program, or a setting is refused.
    """
    experiment = _one_lane(chosen)
    lane, task = experiment.lanes[0], tasks.find(experiment.task)
    parts = ["python", "-m", "foam_viz", "train", "--task", experiment.task, "--optimizer", lane.optimizer]
    parts += ["--steps", str(experiment.run_settings["steps"]), "--seed", str(experiment.run_settings["seed"])]
    stores = (
        (
            [f for f in task.all_fields if f in task.fields or experiment.task_settings[f.name] is not None],
            experiment.task_settings,
        ),
        ([f for f in config.RUN_FIELDS if f.name not in ("steps", "seed")], experiment.run_settings),
        (lane.spec.all_fields, lane.settings),
    )
    for fields, settings in stores:
        for field in fields:
            parts += ["--set", f"{field.name}={field.format(settings[field.name])}"]
    for edit in experiment.edits:
        parts += ["--edit", edits.written(edit, experiment.lanes)]
    return shlex.join([*parts, "--out", "run"]) + "\n"


def as_python(chosen: Mapping[str, Any]) -> str:
    """A program that trains the run again and prints its losses.

    Raises:
        FieldError: It is no run of this program, or a setting is refused.
    """
    experiment = _one_lane(chosen)
    lane = experiment.lanes[0]
    matrices = lane.settings.get("precondition") == "matrices"
    by_step: dict[int, dict[str, Any]] = {}
    for edit in experiment.edits_of(0):
        by_step.setdefault(edit.step, {})[edit.setting] = edit.value
    return _PROGRAM.format(
        label=lane.spec.label,
        task_label=tasks.find(experiment.task).label,
        steps=experiment.run_settings["steps"],
        seed=experiment.run_settings["seed"],
        imports="from foam_viz.optim.grouping import hidden_matrices\n" if matrices else "",
        settings=_literal(lane.settings),
        run=_literal(experiment.run_settings),
        editing="editing, " if by_step else "",
        edits=f"EDITS = {by_step!r}\n" if by_step else "",
        edit=_EDIT if by_step else "",
        task=experiment.task,
        task_settings=_literal(experiment.task_settings),
        optimizer=lane.optimizer,
        parameters="hidden_matrices(model, task.heads(model))" if matrices else "model.parameters()",
    )


def _literal(settings: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name!r}: {value!r}" for name, value in settings.items()) + "}"


def as_artifact_yaml(chosen: Mapping[str, Any]) -> str:
    """The run's optimizer in the names of FOAM's artifact (its ``resolved_config.yaml``); its task has none there.

    Raises:
        FieldError: It is no run of this program, or the artifact has no such optimizer or setting.
    """
    experiment = _one_lane(chosen)
    lane = experiment.lanes[0]
    if lane.optimizer not in ARTIFACT_NAMES:
        raise FieldError("optimizer", lane.optimizer, "one that FOAM's artifact has: " + ", ".join(ARTIFACT_NAMES))
    settings, run = lane.settings, experiment.run_settings
    told: dict[str, Any] = {
        "optimizer": ARTIFACT_NAMES[lane.optimizer],
        "seed": run["seed"],
        "max_steps": run["steps"],
        "base_lr": settings["lr"],
        "warmup_steps": run["warmup_steps"] if run["schedule"].startswith("warm-up") else 0,
        "weight_decay": settings["weight_decay"],
        "beta1": settings["beta1"],
        "beta2": settings["beta2"],
        "precision": {"float32": "fp32", "float64": "fp64"}.get(run["precision"], run["precision"]),
    }
    notes = [f"the task was {experiment.task}, which the artifact does not have: data and model are yours to choose"]
    notes += [
        f"from step {edit.step} on {edit.setting} was {edit.value}, which the artifact cannot do"
        for edit in experiment.edits
    ]
    if lane.spec.is_replayable:
        told |= _factored(lane.spec.policy or "", settings, notes)
    lines = [f"# {note}" for note in notes]
    return "\n".join([*lines, *(f"{name}: {_yaml(value)}" for name, value in told.items())]) + "\n"


def _factored(policy: str, settings: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    if settings["grafting"] != "adam":
        raise FieldError("grafting", settings["grafting"], "adam: FOAM's artifact grafts from nothing else")
    if settings["eigenvalues"] == "floor":
        notes.append("eigenvalues was floor; the artifact lifts all eigenvalues by the most negative one (shift)")
    residual, proxy = policy == "DiagonalizationResidual", "tau" in settings and policy != "DiagonalizationResidual"
    beta = settings["grafting_beta2"]
    return {
        "epsilon": settings["epsilon"],
        "epsilon_left": None,
        "epsilon_right": None,
        "matrix_root_inv_threshold": settings["tau"] if proxy else 0.0,
        "max_epsilon": settings.get("epsilon_max", settings["epsilon"]),
        "diagonal_residual_threshold": settings["tau"] if residual else 0.5,
        "precondition_frequency": settings["period"],
        "start_preconditioning_step": settings["start"] or settings["period"],
        "max_preconditioner_dim": settings["max_preconditioner_dim"],
        "inv_root_override": settings["root"] or 0,
        "exponent_multiplier": 1.0,
        "adam_grafting_beta2": settings["beta2"] if beta is None else beta,
        "grafting_epsilon": settings["grafting_epsilon"],
        "use_bias_correction": True,
        "use_merge_dims": settings["merge_dims"],
        "use_decoupled_weight_decay": True,
        "use_normalized_grafting": False,
    }


def _yaml(value: Any) -> str:
    """As YAML 1.1 reads it back: a float needs a point before its exponent."""
    if isinstance(value, float):
        text = format_number(value)
        mantissa, mark, exponent = text.partition("e")
        mantissa = mantissa if "." in mantissa else mantissa + ".0"
        return f"{mantissa}e{int(exponent):+d}" if mark else mantissa
    return json.dumps(value)


FORMS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "python": as_python,
    "cli": as_cli,
    "artifact-yaml": as_artifact_yaml,
}
