"""The query of a link: an experiment as text in an address, and back. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from foam_viz.experiment import edits, releases
from foam_viz.experiment.config import FORK_KEY, build
from foam_viz.experiment.edits import Edit
from foam_viz.experiment.model import EDIT_KEY, Experiment, Parent
from foam_viz.experiment.run_fields import RUN_FIELDS
from foam_viz.optim import catalogue as optimizers
from foam_viz.optim.fields import Field, FieldError, unknown_key
from foam_viz.tasks import catalogue as tasks
from foam_viz.tasks.spec import TaskSpec

VERSION_KEY = "v"

_LISTS = ("lane", "run", EDIT_KEY, FORK_KEY)
_RUN_NAMES = tuple(field.name for field in RUN_FIELDS)


def to_query(experiment: Experiment) -> dict[str, str | list[str]]:
    """The query of a link: its version, the task, the lanes, and what differs from the defaults."""
    query: dict[str, str | list[str]] = {VERSION_KEY: str(releases.CURRENT), "task": experiment.task}
    for fields, settings in (
        (_told_fields(tasks.find(experiment.task), experiment.task_settings), experiment.task_settings),
        (RUN_FIELDS, experiment.run_settings),
    ):
        for field in fields:
            if settings[field.name] != field.default:
                query[field.name] = field.format(settings[field.name])
    query["lane"] = [lane.text() for lane in experiment.lanes]
    forks = [
        f"{number}:{lane.parent.lane}:{lane.parent.step}"
        for number, lane in enumerate(experiment.lanes, 1)
        if lane.parent is not None
    ]
    if forks:
        query[FORK_KEY] = forks
    if experiment.edits:
        query[EDIT_KEY] = [edits.written(edit, experiment.lanes) for edit in experiment.edits]
    return query


def _told_fields(spec: TaskSpec, settings: Mapping[str, Any]) -> tuple[Field, ...]:
    """The settings of a task that a link holds: those of files only where they name an upload."""
    return spec.all_fields if spec.uses_upload(settings) else spec.fields


def from_query(query: Mapping[str, Sequence[str]], *, relations: bool = True) -> tuple[Experiment, list[FieldError]]:
    """Reads a link: the experiment nearest to it, and everything in it that was refused.

    One that says no version is of the first release, and means what it meant then.

    Args:
        query: All values of each key.
        relations: As in :func:`build`.
    """
    errors: list[FieldError] = []
    flat = {key: values[-1] for key, values in query.items() if values}
    version = _version(flat, errors)
    task_name = flat.pop("task", None)
    task_spec = tasks.TASKS.get(task_name or tasks.DEFAULT_TASK, tasks.TASKS[tasks.DEFAULT_TASK])
    flat, local_errors = task_spec.foreign(flat)
    errors += local_errors
    lanes = []
    for text in query.get("lane", ()):
        name, _, settings_text = text.partition(":")
        spec = optimizers.OPTIMIZERS.get(name)
        parsed, lane_errors = _parse_all(spec.all_fields if spec else (), _pairs(settings_text))
        lanes.append((name, parsed))
        errors += lane_errors if spec else []
    parsed, top_errors = _parse_all((*_told_fields(task_spec, flat), *RUN_FIELDS), flat.items(), ignore=_LISTS)
    run_settings = {key: value for key, value in parsed.items() if key in _RUN_NAMES}
    task_settings = {key: value for key, value in parsed.items() if key not in _RUN_NAMES}
    changed, parents = _edits_and_forks(query, errors)
    experiment, build_errors = build(
        task_name, task_settings, run_settings, lanes or None, edited=changed, parents=parents, version=version,
        relations=relations,
    )  # fmt: skip
    return experiment, errors + top_errors + build_errors


def _edits_and_forks(
    query: Mapping[str, Sequence[str]], errors: list[FieldError]
) -> tuple[list[Edit], dict[int, Parent]]:
    changed: list[Edit] = []
    for text in query.get(EDIT_KEY, ()):
        try:
            changed.append(edits.read(text))
        except FieldError as error:
            errors.append(error)
    parents: dict[int, Parent] = {}
    for text in query.get(FORK_KEY, ()):
        numbers = text.split(":")
        if len(numbers) == 3 and all(number.isdecimal() and len(number) <= 12 for number in numbers):
            parents[int(numbers[0])] = Parent(int(numbers[1]), int(numbers[2]))
        else:
            errors.append(FieldError(FORK_KEY, text, "LANE:PARENT:STEP, for example 3:1:240"))
    return changed, parents


def _version(flat: dict[str, str], errors: list[FieldError]) -> int:
    """The version of a link, taken out of it; an address without a configuration has today's defaults."""
    told = flat.pop(VERSION_KEY, None)
    if told is None:
        return 1 if flat.keys() - {"run"} else releases.CURRENT
    if told.isdecimal() and 1 <= int(told) <= releases.CURRENT:
        return int(told)
    allowed = (
        f"a whole number from 1 to {releases.CURRENT}; the link was read with today's defaults for what it leaves out"
    )
    errors.append(FieldError(VERSION_KEY, told, allowed))
    return releases.CURRENT


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(key.strip(), value) for key, _, value in (part.partition("=") for part in text.split(",") if part)]


def _parse_all(
    fields: Sequence[Field], pairs: Iterable[tuple[str, str]], ignore: Sequence[str] = ()
) -> tuple[dict[str, Any], list[FieldError]]:
    """Typed values of texts; a text that is refused is left out and named."""
    by_name = {field.name: field for field in fields}
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    for key, text in pairs:
        if key in ignore:
            continue
        if key not in by_name:
            errors.append(unknown_key(key, by_name))
            continue
        try:
            values[key] = by_name[key].parse(text)
        except FieldError as error:
            errors.append(error)
    return values, errors
