"""What is trained: a run is a function of its configuration, and this is the configuration. Imports no torch.

An :class:`Experiment` is one task under one to six optimizers in lockstep; each lane of it is a run. The same
fields give the widgets of the page, the options of the CLI, the query of a link and the validation of all three.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from foam_viz.experiment import edits, releases
from foam_viz.experiment.edits import Edit
from foam_viz.experiment.run_fields import RUN_FIELDS as RUN_FIELDS
from foam_viz.experiment.run_fields import learning_rate_factor as learning_rate_factor
from foam_viz.optim import catalogue as optimizers
from foam_viz.optim.fields import Field, FieldError, check_all, unknown_key
from foam_viz.tasks import catalogue as tasks

MAXIMUM_LANES = 6
VERSION_KEY, EDIT_KEY, FORK_KEY = "v", "edit", "fork"
DEFAULT_LANES = ("foam", "shampoo")

_LISTS = ("lane", "run", EDIT_KEY, FORK_KEY)
_LAST_STEP = 10_000_000
_RUN_NAMES = tuple(field.name for field in RUN_FIELDS)


@dataclass(frozen=True)
class Parent:
    """What a fork shares.

    Attributes:
        lane: Number of the lane it comes from, counted from 1.
        step: The last step that the two share.
    """

    lane: int
    step: int


@dataclass(frozen=True)
class LaneConfig:
    """One optimizer of an experiment, with all of its settings as they are at the first step.

    Attributes:
        optimizer: Name of the optimizer.
        settings: All of its settings.
        task: Name of the task.
        parent: Of a fork, whose past it shares: its optimizer and settings are those of its parent.
    """

    optimizer: str
    settings: dict[str, Any]
    task: str = tasks.DEFAULT_TASK
    parent: Parent | None = None

    @property
    def spec(self) -> optimizers.OptimizerSpec:
        """The optimizer, with the defaults that it has on the task."""
        return releases.optimizer(self.optimizer, self.task)

    def becoming(self, optimizer: str, task: str) -> tuple[optimizers.OptimizerSpec, dict[str, Any]]:
        """Another optimizer or task: its spec, and its settings, in which what was set here and fits is kept."""
        spec = releases.optimizer(optimizer, task)
        known = {field.name for field in spec.all_fields}
        kept = {
            field.name: self.settings[field.name]
            for field in self.spec.all_fields
            if field.name in known and self.settings[field.name] != field.default
        }
        return spec, spec.review(kept)[0]

    def text(self) -> str:
        """``foam:tau=0.5,period=20``: the optimizer, what differs from its defaults, and what is the task's own."""
        own = dict(tasks.find(self.task).optimizer_defaults)
        told = [
            f"{field.name}={field.format(self.settings[field.name])}"
            for field in self.spec.all_fields
            if self.settings[field.name] != field.default or field.name in own
        ]
        return self.optimizer + (":" + ",".join(told) if told else "")

    def label(self) -> str:
        """``FOAM τ = 0.5, f = 20``: what a person calls it; what differs from its defaults on the task is told."""
        changed = [
            f"{field.symbol or field.name} = {field.format(self.settings[field.name])}"
            for field in self.spec.all_fields
            if self.settings[field.name] != field.default
        ]
        return " ".join([self.spec.label, ", ".join(changed)]).strip()


@dataclass(frozen=True)
class Experiment:
    """A task, the settings of the run, one to six lanes and the edits of them; complete and checked.

    Attributes:
        task: Name of the task.
        task_settings: All settings of the task.
        run_settings: Seed, schedule and length.
        lanes: The optimizers, in order.
        edits: What changes while it trains, in the order in which it was asked for.
    """

    task: str
    task_settings: dict[str, Any]
    run_settings: dict[str, Any]
    lanes: tuple[LaneConfig, ...]
    edits: tuple[Edit, ...] = ()

    def edits_of(self, lane: int) -> tuple[Edit, ...]:
        """The edits that act in a lane, counted from 0, by step; those of its parents before it began included."""
        return edits.of_lane(self.lanes, self.edits, lane + 1)

    def edited(self, new: Sequence[Edit]) -> tuple[Experiment, list[FieldError]]:
        """The experiment with further edits, and what was refused; edits that change nothing are left out."""
        kept, errors = edits.check(self.lanes, self.run_settings, (*self.edits, *new))
        made = replace(self, edits=kept)
        for edit in [edit for edit in kept if any(edit.key == one.key for one in new)]:
            without = replace(made, edits=tuple(one for one in made.edits if one != edit))
            if all(without.settings_at(i, edit.step) == made.settings_at(i, edit.step) for i in range(len(self.lanes))):
                made = without
        return made, errors

    def undone(self, step: int) -> tuple[Experiment, list[FieldError]]:
        """The experiment in which the last edit holds no longer from a step on, and why it cannot be; see ``edited``.

        Edits of one step that only fit together are taken back together.
        """
        if not self.edits:
            return self, [FieldError(EDIT_KEY, "(none)", "there to be undone")]
        last = self.edits[-1]
        for taken in ([last], [edit for edit in self.edits if edit.step == last.step]):
            before = replace(self, edits=tuple(edit for edit in self.edits if edit not in taken))
            new = []
            for edit in taken:
                numbers = edits.concerned(edit, self.lanes)
                values = {n: before.settings_at(n - 1, edit.step)[edit.setting] for n in numbers}
                if edit.lane is None and len(set(values.values())) == 1:
                    new.append(replace(edit, step=step, value=values[numbers[0]]))
                else:
                    new += [Edit(step, n, edit.setting, value) for n, value in values.items()]
            start = before if last.step == step else self
            made, errors = start.edited(new)
            if not errors:
                break
        return made, errors

    def settings_at(self, lane: int, step: int) -> dict[str, Any]:
        """The settings of a lane, counted from 0, and of the run, with which a step is made."""
        both = {**self.run_settings, **self.lanes[lane].settings}
        return edits.in_force(both, self.edits_of(lane), step)

    def forked(self, lane: int, step: int) -> Experiment:
        """The experiment with one more lane, which is a lane, counted from 0, up to a step."""
        parent = self.lanes[lane]
        return replace(self, lanes=(*self.lanes, replace(parent, parent=Parent(lane + 1, step))))

    def without(self, lane: int) -> Experiment:
        """The experiment without a lane, counted from 0; what was forked from it keeps the past that they shared."""
        gone = lane + 1

        def number(old: int) -> int:
            return old - (old > gone)

        kept = [
            replace(edit, lane=None if edit.lane is None else number(edit.lane))
            for edit in self.edits
            if edit.lane != gone
        ]
        lanes = []
        for old, config in enumerate(self.lanes, 1):
            if old == gone:
                continue
            parent = config.parent
            if parent is not None and parent.lane == gone:
                inherited = [edit for edit in self.edits_of(old - 1) if edit.lane == gone]
                kept += [replace(edit, lane=number(old)) for edit in inherited]
                grandparent = self.lanes[lane].parent
                parent = None if grandparent is None else Parent(number(grandparent.lane), grandparent.step)
            elif parent is not None:
                parent = Parent(number(parent.lane), parent.step)
            lanes.append(replace(config, parent=parent))
        return replace(self, lanes=tuple(lanes), edits=tuple(kept))

    def plain(self) -> Experiment:
        """What was begun: without edits and forks."""
        return replace(self, lanes=tuple(lane for lane in self.lanes if lane.parent is None), edits=())

    def labels(self) -> tuple[str, ...]:
        """One name for each lane, no two alike: lanes of one configuration are numbered."""
        plain = [self.label(place) for place in range(len(self.lanes))]
        return tuple(
            f"{label} ({plain[: place + 1].count(label)})" if plain.count(label) > 1 else label
            for place, label in enumerate(plain)
        )

    def label(self, lane: int) -> str:
        """What a person calls a lane, counted from 0; of a fork, with where it began and what is changed there."""
        config = self.lanes[lane]
        if config.parent is None:
            return config.label()
        fields = {field.name: field for field in (*config.spec.all_fields, *RUN_FIELDS)}
        first = config.parent.step + 1
        changed = [
            f"{fields[edit.setting].symbol or edit.setting} = {fields[edit.setting].format(edit.value)}"
            for edit in self.edits_of(lane)
            if edit.step == first and edit.lane is not None
        ]
        return ", ".join([f"{config.label()} from step {config.parent.step:,}", *changed])

    def misfits(self) -> list[tuple[int | None, FieldError]]:
        """Return the settings that do not fit each other, each with the place of its lane, None for the task's own."""
        found: list[tuple[int | None, FieldError]] = []
        found += [(None, error) for error in releases.task(self.task).review(self.task_settings)[1]]
        for place, lane in enumerate(self.lanes):
            found += [(place, error) for error in lane.spec.review(lane.settings)[1]]
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the wire and the manifest."""
        return {
            "task": self.task,
            "task_settings": self.task_settings,
            "run_settings": self.run_settings,
            "lanes": [
                {
                    "optimizer": lane.optimizer,
                    "settings": lane.settings,
                    "parent": None if lane.parent is None else [lane.parent.lane, lane.parent.step],
                }
                for lane in self.lanes
            ],
            "edits": [edit.to_json() for edit in self.edits],
        }

    def lane_config(self, lane: int) -> dict[str, Any]:
        """The configuration of one run, flat, as its manifest stores it."""
        chosen, mine = self.lanes[lane], self.edits_of(lane)
        told: dict[str, Any] = {
            "task": self.task,
            "task_settings": self.task_settings,
            "run_settings": self.run_settings,
            "optimizer": chosen.optimizer,
            "optimizer_settings": chosen.settings,
        }
        if mine:  # of a run by itself: there is one lane, which all are
            told["edits"] = [replace(edit, lane=None).to_json() for edit in mine]
        if chosen.parent is not None:
            told["parent"] = {"lane": chosen.parent.lane, "step": chosen.parent.step}
        return told


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
    rest of a configuration is never lost. Defaults are those of ``version``: see ``engine.releases``.

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


def _told_fields(spec: tasks.TaskSpec, settings: Mapping[str, Any]) -> tuple[Field, ...]:
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
