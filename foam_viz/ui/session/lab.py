"""What a session of the live lab knows: the configuration on the page, the run it steers, and the link of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import streamlit as st

from foam_viz.engine import commands, config
from foam_viz.engine.config import Experiment
from foam_viz.engine.hub import ControlRefused, HubFull, TooCostly
from foam_viz.engine.lab_run import LabRun
from foam_viz.engine.store import is_identity
from foam_viz.optim import catalogue as optimizers
from foam_viz.optim.fields import FieldError
from foam_viz.ui.server import hub, session_id

if TYPE_CHECKING:
    from foam_viz.ui.session import Session

# How long a click waits for the engine's answer before the page is drawn without it.
_ANSWER_SECONDS = 0.2


@dataclass
class Lab:
    """What one tab has on the page of the live lab.

    Attributes:
        session: Of the tab.
        experiment: The configuration on the page; complete and valid.
        lane_ids: One identity a lane, so that a lane's widgets stay its own when another lane goes.
        rejected: Values of a link or a widget that were refused.
        view_id: The run on the page, or None.
        factor: Followed factor, or None for the run's own choice.
        lane: Lane whose factor is followed.
        problem: What the last command could not do.
    """

    session: Session
    experiment: Experiment
    lane_ids: list[int]
    rejected: list[FieldError] = field(default_factory=list)
    view_id: str | None = None
    factor: int | None = None
    lane: int = 0
    speed: float | None = None
    device: str = "auto"
    problem: str = ""
    next_lane_id: int = 0

    # --- the run

    @property
    def control_key(self) -> str | None:
        """The key with which this browser controls the run; None where it only watches."""
        return self.session.browser.control_keys.get(self.view_id or "")

    def run(self) -> LabRun | None:
        """The run on the page: live, or reopened from its autosave."""
        return hub().find(self.view_id, **self._whose()) if self.view_id else None

    def may_control(self, run: LabRun | None) -> bool:
        """Say whether this browser may control a run; anybody may where there is none yet."""
        return run is None or hub().controls(run.view_id, self.control_key, self._browser)

    def changed_since(self, run: LabRun | None) -> bool:
        """True where the page's configuration is not the run's."""
        return run is not None and run.experiment != self.experiment

    def command(self, name: str, **arguments: object) -> None:
        """Carries out a click: creates the run where there is none, and waits a moment for the answer."""
        self.problem = ""
        server, run = hub(), self.run()
        try:
            if run is None:
                run = self._created(
                    *server.create(self.experiment, **self._whose(), device=self.device, speed=self.speed)
                )
            elif name == "reset" or (run.step == 0 and not run.running and self.changed_since(run)):
                run = self._created(
                    *server.renew(run.view_id, self.control_key, self.experiment, **self._whose(), speed=self.speed)
                )
            if name != "reset":
                server.command(run.view_id, self.control_key, commands.make(name, **arguments), owner=self._browser)
            run.wait(_ANSWER_SECONDS)
        except (ControlRefused, HubFull, TooCostly) as error:
            self.problem = str(error)

    @property
    def _browser(self) -> str:
        return self.session.browser.id

    def _whose(self) -> dict[str, str]:
        return {"session": session_id(), "owner": self._browser}

    def _created(self, run: LabRun, key: str) -> LabRun:
        self.view_id, self.session.browser.control_keys[run.view_id] = run.view_id, key
        self.factor = None
        return run

    def take_copy(self) -> None:
        """A run of one's own under the configuration of the one watched."""
        if (run := self.run()) is not None:
            self.use(run.experiment)
        self.view_id = None

    def watch(self, view_id: str) -> None:
        """The page shows another run, as it is configured."""
        self.view_id = view_id
        if (run := self.run()) is not None:
            self.use(run.experiment)

    def take_control(self, view_id: str, control_key: str) -> None:
        """Accept the control key that a reloaded tab remembers."""
        if view_id == self.view_id and is_identity(control_key) and hub().controls(view_id, control_key):
            self.session.browser.control_keys[view_id] = control_key

    # --- the configuration

    def use(self, experiment: Experiment) -> None:
        """Puts another configuration on the page; its widgets begin anew."""
        self.experiment = experiment
        self.lane_ids = self._new_ids(len(experiment.lanes))
        for key in [key for key in st.session_state if str(key).startswith("set.")]:
            del st.session_state[key]

    def _new_ids(self, count: int) -> list[int]:
        first = self.next_lane_id
        self.next_lane_id += count
        return list(range(first, first + count))

    def use_task(self, task: str) -> None:
        """Another task on the page: settings that were at the old task's defaults go to the new one's."""
        lanes = [(lane.optimizer, lane.becoming(lane.optimizer, task)[1]) for lane in self.experiment.lanes]
        self.experiment = config.build(task, {}, self.experiment.run_settings, lanes)[0]
        for key in [key for key in st.session_state if str(key).startswith("set.lane.")]:
            if not key.endswith(".optimizer"):
                del st.session_state[key]

    def add_lane(self) -> None:
        """Another optimizer: the first of the catalogue that is not there yet."""
        present = {lane.optimizer for lane in self.experiment.lanes}
        name = next((name for name in optimizers.OPTIMIZERS if name not in present), "shampoo")
        lanes = [(lane.optimizer, lane.settings) for lane in self.experiment.lanes] + [(name, {})]
        self.experiment = self._rebuilt(lanes)
        self.lane_ids += self._new_ids(1)

    def remove_lane(self, lane_id: int) -> None:
        """Take a lane out of the experiment."""
        place = self.lane_ids.index(lane_id)
        lanes = [(lane.optimizer, lane.settings) for i, lane in enumerate(self.experiment.lanes) if i != place]
        self.experiment = self._rebuilt(lanes)
        self.lane_ids.remove(lane_id)
        self.lane = 0

    def _rebuilt(self, lanes: list[tuple[str, dict]]) -> Experiment:
        now = self.experiment
        return config.build(now.task, now.task_settings, now.run_settings, lanes)[0]

    # --- the link

    @classmethod
    def opened(cls, session: Session) -> Lab:
        """Return what the link asks for."""
        query = {key: st.query_params.get_all(key) for key in st.query_params}
        experiment, rejected = config.from_query(query)
        made = cls(session, experiment, [], rejected)
        made.lane_ids = made._new_ids(len(experiment.lanes))
        view_id = (query.get("run") or [None])[-1]
        if is_identity(view_id):
            made.view_id = view_id
        elif view_id is not None:
            made.rejected.append(FieldError("run", view_id, "the view id of a run: 32 hexadecimal digits"))
        return made

    def query(self) -> dict[str, str | list[str]]:
        """The query of the page's address: the configuration, and the run for those who watch."""
        query = config.to_query(self.experiment)
        if self.view_id:
            query["run"] = self.view_id
        return query

    def write_address(self) -> None:
        """Write what the page shows into its address."""
        query = self.query()
        now = {key: st.query_params.get_all(key) for key in st.query_params}
        wanted = {key: value if isinstance(value, list) else [value] for key, value in query.items()}
        if now != wanted:
            st.query_params.from_dict(query)
