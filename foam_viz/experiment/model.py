"""An experiment: one task under one to six optimizers in lockstep. Each lane of it is a run. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from foam_viz.experiment import edits, releases
from foam_viz.experiment.edits import Edit
from foam_viz.experiment.run_fields import RUN_FIELDS
from foam_viz.optim.fields import FieldError
from foam_viz.optim.spec import OptimizerSpec
from foam_viz.tasks import catalogue as tasks

MAXIMUM_LANES = 6
EDIT_KEY = "edit"
"""What an error of an edit blames, and where a link holds them."""


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
    def spec(self) -> OptimizerSpec:
        """The optimizer, with the defaults that it has on the task."""
        return releases.optimizer(self.optimizer, self.task)

    def becoming(self, optimizer: str, task: str) -> tuple[OptimizerSpec, dict[str, Any]]:
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
        plain = [self.label(position) for position in range(len(self.lanes))]
        return tuple(
            f"{label} ({plain[: position + 1].count(label)})" if plain.count(label) > 1 else label
            for position, label in enumerate(plain)
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
        """The settings that do not fit each other, each with the position of its lane, None for the task's own."""
        found: list[tuple[int | None, FieldError]] = []
        found += [(None, error) for error in releases.task(self.task).review(self.task_settings)[1]]
        for position, lane in enumerate(self.lanes):
            found += [(position, error) for error in lane.spec.review(lane.settings)[1]]
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
