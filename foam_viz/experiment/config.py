"""What is trained: a run is a function of its configuration, and this is the configuration. Imports no torch.

Every way in ends here: the widgets of the page, the options of the CLI, the query of a link and the manifest of a run
are checked against the same fields and give the same :class:`Experiment`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from foam_viz.experiment import edits, releases
from foam_viz.experiment.edits import Edit
from foam_viz.experiment.model import MAXIMUM_LANES as MAXIMUM_LANES
from foam_viz.experiment.model import Experiment as Experiment
from foam_viz.experiment.model import LaneConfig as LaneConfig
from foam_viz.experiment.model import Parent as Parent
from foam_viz.experiment.run_fields import RUN_FIELDS as RUN_FIELDS
from foam_viz.experiment.run_fields import learning_rate_factor as learning_rate_factor
from foam_viz.optim import catalogue as optimizers
from foam_viz.optim.fields import Field, FieldError, check_all, unknown_key
from foam_viz.tasks import catalogue as tasks

FORK_KEY = "fork"
"""What an error of a fork blames, and where a link holds them."""
DEFAULT_LANES = ("foam", "shampoo")

_LAST_STEP = 10_000_000


def build(
    task: str | None = None,
    task_settings: Mapping[str, Any] | None = None,
    run_settings: Mapping[str, Any] | None = None,
    lanes: Sequence[tuple[str, Mapping[str, Any]]] | None = None,
    *,
    edited: Sequence[Edit] = (),
    parents: Mapping[int, Parent] | None = None,
    version: int = releases.CURRENT,
    relations: bool = True,
) -> tuple[Experiment, list[FieldError]]:
    """The experiment nearest to what was asked, and everything that was refused.

    What is missing takes its default; what is refused takes its default and is named in the errors, so that the
    rest of a configuration is never lost. Defaults are those of ``version``: see :mod:`foam_viz.experiment.releases`.

    Args:
        task: Name of the task.
        task_settings: Its settings that differ from the defaults.
        run_settings: Those of the run.
        lanes: Optimizers and their settings.
        edited: What changes while it trains.
        parents: Of each fork, by its number, counted from 1.
        version: Whose defaults hold.
        relations: Refuse values that do not fit each other, too. Without it they stay as they were asked for, and
            :meth:`Experiment.misfits` tells them: whoever edits them must see what was typed.
    """
    errors: list[FieldError] = []
    task = tasks.DEFAULT_TASK if task is None else task
    try:
        task_spec = releases.task(task, version)
    except FieldError as error:
        errors.append(error)
        task_spec = releases.task(tasks.DEFAULT_TASK, version)
    task_relations = task_spec.constraints if relations else ()
    checked_task, task_errors = check_all(task_spec.all_fields, task_settings or {}, task_relations)
    checked_run, run_errors = check_all(releases.run_fields(RUN_FIELDS, version), run_settings or {})
    errors += task_errors + run_errors
    chosen = []
    asked = list(lanes) if lanes else [(name, {}) for name in DEFAULT_LANES]
    if len(asked) > MAXIMUM_LANES:
        errors.append(FieldError("lane", len(asked), f"at most {MAXIMUM_LANES} optimizers; the first are kept"))
    for name, settings in asked[:MAXIMUM_LANES]:
        try:
            spec = releases.optimizer(name, task_spec.name, version)
        except FieldError as error:
            errors.append(error)
            continue
        checked, lane_errors = check_all(spec.all_fields, settings, spec.constraints if relations else ())
        errors += lane_errors
        chosen.append(LaneConfig(name, checked, task_spec.name))
    if not chosen:
        specs = [releases.optimizer(name, task_spec.name, version) for name in DEFAULT_LANES]
        chosen = [LaneConfig(spec.name, spec.review({})[0], task_spec.name) for spec in specs]
    lanes_made = _with_parents(chosen, parents or {}, errors)
    kept, edit_errors = edits.check(lanes_made, checked_run, edited)
    return Experiment(task_spec.name, checked_task, checked_run, lanes_made, kept), errors + edit_errors


def _with_parents(
    lanes: Sequence[LaneConfig], parents: Mapping[int, Parent], errors: list[FieldError]
) -> tuple[LaneConfig, ...]:
    """The lanes with their parents; a fork has its parent's optimizer and settings."""
    made = list(lanes)
    for number, parent in sorted(parents.items()):
        text = f"{number}:{parent.lane}:{parent.step}"
        if not 1 <= parent.lane < number <= len(made) or not 0 <= parent.step <= _LAST_STEP:
            allowed = "LANE:PARENT:STEP, a lane that is there, one before it, and the last step that they share"
            errors.append(FieldError(FORK_KEY, text, allowed))
            continue
        made[number - 1] = replace(made[parent.lane - 1], parent=parent)
    return tuple(made)


def from_json(data: Mapping[str, Any]) -> Experiment:
    """The experiment of :meth:`Experiment.to_json`; what one of the first release does not say means what it did then.

    Raises:
        FieldError: The first thing that is not valid.
    """
    experiment, errors = build(
        data.get("task"),
        data.get("task_settings"),
        data.get("run_settings"),
        [(lane["optimizer"], lane["settings"]) for lane in data.get("lanes", ())],
        edited=[edits.from_json(edit) for edit in data.get("edits", ())],
        parents={
            number: Parent(*lane["parent"])
            for number, lane in enumerate(data.get("lanes", ()), 1)
            if lane.get("parent")
        },
        version=1,
    )
    if errors:
        raise errors[0]
    return experiment


def from_manifest(config: Mapping[str, Any]) -> tuple[Experiment, list[FieldError]]:
    """The experiment that repeats a run whose manifest came from elsewhere, as an upload for one.

    Args:
        config: The manifest's ``config``, in the form of :meth:`Experiment.lane_config`; nothing in it is trusted.
            It is complete, so a setting that is missing did not exist: it means what was done without it.

    Returns:
        The experiment nearest to it, of one lane, and everything that was refused. Settings that name local files are
        always refused: a manifest must not choose what is read from the disk of whoever opens it.
    """
    errors: list[FieldError] = []

    def part(name: str, kind: type, default: Any) -> Any:
        value = config.get(name, default)
        if isinstance(value, kind):
            return value
        errors.append(
            FieldError(name, str(value), {dict: "a set of settings by name", list: "a list"}.get(kind, "a name"))
        )
        return default

    task_name, task_settings = part("task", str, tasks.DEFAULT_TASK), part("task_settings", dict, {})
    if task_name in tasks.TASKS:
        task_settings, local_errors = tasks.TASKS[task_name].foreign(task_settings)
        errors += local_errors
    else:  # the task named in its place has other settings
        task_settings = {}
    lane = (part("optimizer", str, DEFAULT_LANES[0]), part("optimizer_settings", dict, {}))
    changed = []
    for one in part("edits", list, []):
        try:
            changed.append(edits.from_json(one))
        except FieldError as error:
            errors.append(error)
    experiment, build_errors = build(
        task_name, task_settings, part("run_settings", dict, {}), [lane], edited=changed, version=1
    )
    return experiment, errors + build_errors


def route(task: str, optimizer: str, assignments: Iterable[tuple[str, Any]]) -> tuple[dict, dict, dict]:
    """Sorts ``key, value`` pairs into settings of the optimizer (or its policy), the task and the run.

    Raises:
        FieldError: A key that belongs to none of them; the closest are named.
    """
    spec, task_spec = optimizers.find(optimizer), tasks.find(task)
    owners: dict[str, tuple[dict, Field]] = {}
    for_run: dict[str, Any] = {}
    for_task: dict[str, Any] = {}
    for_optimizer: dict[str, Any] = {}
    for store, fields in ((for_run, RUN_FIELDS), (for_task, task_spec.all_fields), (for_optimizer, spec.all_fields)):
        owners |= {field.name: (store, field) for field in fields}
    for key, value in assignments:
        if key not in owners:
            raise unknown_key(key, owners)
        store, field = owners[key]
        store[key] = field.parse(value) if isinstance(value, str) else field.check(value)
    return for_optimizer, for_task, for_run
