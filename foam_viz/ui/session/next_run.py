"""The configuration of the next run, as the widgets of a tab show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from foam_viz.experiment import config, edits, releases
from foam_viz.experiment.config import Experiment, LaneConfig
from foam_viz.optim import catalogue as optimizers
from foam_viz.optim.fields import Field, FieldError
from foam_viz.tasks import catalogue as tasks
from foam_viz.tasks import uploads
from foam_viz.tasks.shared_fields import require_precision
from foam_viz.ui.server import hub
from foam_viz.ui.widgets import keep, read_fields


@dataclass
class NextRun:
    """What a tab would train next.

    Attributes:
        experiment: As the widgets show it; complete.
        device: Where it trains.
        lane_ids: One identity a lane, so that a lane's widgets stay its own when another lane goes.
        refused: Settings that cannot be trained, each with the position of its lane; None for the task and the run.
        errors: The same by key of the widget.
        beyond: In what it goes beyond what this installation allows.
        file_problem: Why the file that was given last to train on cannot be used.
    """

    experiment: Experiment
    device: str = "auto"
    lane_ids: list[int] = field(default_factory=list)
    refused: list[tuple[int | None, FieldError]] = field(default_factory=list)
    errors: dict[str, FieldError] = field(default_factory=dict)
    beyond: list[FieldError] = field(default_factory=list)
    file_problem: FieldError | None = None
    _next_lane_id: int = 0

    def take_in(self) -> None:
        """Bring the configuration up to what the widgets say, and find what cannot be trained.

        A value that cannot be is kept where it was typed; until it is mended, nothing can be started.
        """
        now = self.experiment
        errors: dict[str, FieldError] = {}
        self.refused = []

        def read(
            fields: Sequence[Field], prefix: str, settings: Mapping[str, Any], position: int | None
        ) -> dict[str, Any]:
            values, refused = read_fields(fields, prefix, settings)
            errors.update({f"{prefix}.{name}": error for name, error in refused.items()})
            self.refused += [(position, error) for error in refused.values()]
            return {**settings, **values}

        task_settings = read(tasks.find(now.task).fields, f"set.task.{now.task}", now.task_settings, None)
        run_settings = read(config.RUN_FIELDS, "set.run", now.run_settings, None)
        lanes = []
        for position, (lane_id, lane) in enumerate(zip(self.lane_ids, now.lanes, strict=True)):
            if lane.parent is not None:
                lanes.append(replace(lanes[lane.parent.lane - 1], parent=lane.parent))
                continue
            key = f"set.lane.{lane_id}"
            name = st.session_state.get(f"{key}.optimizer", lane.optimizer)
            settings = lane.settings
            if name != lane.optimizer:
                settings = lane.becoming(name, now.task)[1]
            lane = LaneConfig(name, settings, now.task)
            lanes.append(LaneConfig(name, read(lane.spec.all_fields, f"{key}.{name}", settings, position), now.task))
        self.experiment = Experiment(now.task, task_settings, run_settings, tuple(lanes), now.edits)
        wrong = {position for position, _ in self.refused}
        for position, error in self.experiment.misfits():
            if position in wrong:
                continue  # what was typed there is not what would not fit
            prefix = f"set.task.{now.task}"
            if position is not None:
                prefix = f"set.lane.{self.lane_ids[position]}.{lanes[position].optimizer}"
            errors.setdefault(f"{prefix}.{error.field}", error)
            self.refused.append((position, error))
        if not self.refused:
            misfits = edits.check(self.experiment.lanes, run_settings, now.edits)[1]
            self.refused += [(None, error) for error in misfits]
        self.device = st.session_state.get("device", self.device)
        try:
            require_precision(run_settings["precision"], hub().device(self.device))
        except FieldError as error:
            errors["set.run.precision"] = error
            self.refused.append((None, error))
        self.refused += [(None, error) for error in self._file_errors(task_settings)]
        self.errors = errors
        self.beyond = [] if self.refused else hub().review(self.experiment, self.device)

    def keep_typed(self) -> None:
        """Keep what those widgets of the next run say that were not drawn.

        Not those of an optimizer or a task that was left: whoever comes back has what was set meanwhile.
        """
        now = self.experiment
        boxes = [f"set.task.{now.task}.", "set.run."]
        for lane_id, lane in zip(self.lane_ids, now.lanes, strict=True):
            boxes.append(f"set.lane.{lane_id}.{lane.optimizer}.")
            keep(f"set.lane.{lane_id}.optimizer")
        keep("set.task", *(str(key) for key in st.session_state if str(key).startswith(tuple(boxes))))

    def _file_errors(self, settings: Mapping[str, Any]) -> list[FieldError]:
        """What speaks against the file that the task is trained on; invalid, it must not become the task's own data."""
        found = [] if self.file_problem is None else [self.file_problem]
        for name, value in settings.items():
            if uploads.is_upload(value):
                try:
                    uploads.path_of(name, value)
                except FieldError as error:
                    found.append(error)
        return found

    def use_file(self, task: str, settings: Mapping[str, Any] | None) -> None:
        """Train on an upload, or with None on the task's own data; a page that shows another task stays as it is."""
        self.file_problem = None
        if self.experiment.task == task:
            own = {field.name: field.default for field in tasks.find(task).local_fields}
            changed = {**self.experiment.task_settings, **own, **(settings or {})}
            self.experiment = replace(self.experiment, task_settings=changed)

    def use(self, experiment: Experiment) -> None:
        """Puts another configuration on the page; its widgets begin anew."""
        self.experiment = experiment
        self.lane_ids = self._new_ids(len(experiment.lanes))
        for key in [key for key in st.session_state if str(key).startswith("set.")]:
            del st.session_state[key]

    def _new_ids(self, count: int) -> list[int]:
        first = self._next_lane_id
        self._next_lane_id += count
        return list(range(first, first + count))

    def use_task(self, task: str) -> None:
        """Another task on the page: settings that were at the old task's defaults go to the new one's."""
        self.file_problem = None
        roots = [position for position, lane in enumerate(self.experiment.lanes) if lane.parent is None]
        self.lane_ids = [self.lane_ids[position] for position in roots]
        own = [self.experiment.lanes[position] for position in roots]
        lanes = [(lane.optimizer, lane.becoming(lane.optimizer, task)[1]) for lane in own]
        self.experiment = config.build(task, {}, self.experiment.run_settings, lanes, relations=False)[0]
        for key in [key for key in st.session_state if str(key).startswith("set.lane.")]:
            if not key.endswith(".optimizer"):
                del st.session_state[key]

    def add_lane(self) -> None:
        """Another optimizer: the first of the catalogue that is not there yet."""
        self.take_in()
        present = {lane.optimizer for lane in self.experiment.lanes}
        name = next((name for name in optimizers.OPTIMIZERS if name not in present), "shampoo")
        added = LaneConfig(name, releases.optimizer(name, self.experiment.task).review({})[0], self.experiment.task)
        self.experiment = replace(self.experiment, lanes=(*self.experiment.lanes, added))
        self.lane_ids += self._new_ids(1)

    def remove_lane(self, lane_id: int) -> None:
        """Take a lane out, by its identity."""
        self.take_in()
        position = self.lane_ids.index(lane_id)
        self.experiment = self.experiment.without(position)
        self.lane_ids.remove(lane_id)
