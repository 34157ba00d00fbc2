"""What a session of the live lab knows: the configuration on the page, the run it steers, and the link of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

import streamlit as st

from foam_viz.engine.server.hub import ControlRefused, HubFull, TooCostly
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.engine.store import is_identity
from foam_viz.engine.wire import commands
from foam_viz.engine.wire.commands import Change
from foam_viz.experiment import config, links
from foam_viz.experiment.config import Experiment
from foam_viz.experiment.edits import Edit
from foam_viz.figures.look_fields import BY_NAME
from foam_viz.optim.fields import FieldError
from foam_viz.ui import address
from foam_viz.ui.server import hub
from foam_viz.ui.session.next_run import NextRun

if TYPE_CHECKING:
    from foam_viz.ui.session import Session

PAGE = "lab"
ON_CARDS = ("quantity", "loss_axis", "loss_log", "measure", "cost", "side_by_side")
"""What the reader chooses on the cards."""
Settings = dict[str, Any]
# How long a click waits for the engine's answer before the page is drawn without it.
_ANSWER_SECONDS = 0.2
_TRAINS = ("start", "step", "phase", "check", "refresh")


@dataclass
class Lab:
    """What one tab has on the page of the live lab.

    Attributes:
        session: Of the tab.
        next: The configuration on the page.
        rejected: What a link asked for and could not have.
        unedited: Edits of the run that could not be, by key of the widget, in words.
        shown: What the widgets of the run's settings showed last, by key.
        view_id: The run on the page, or None.
        factor: Followed factor, or None for the run's own choice.
        lane: Lane whose factor is followed.
        look: What the reader chose on the cards, by field of the look.
        cards: Cards that are shown; all where none is named.
        moment: Step that is shown; None for the newest.
        speed: Steps a second at most of the next run; None for as many as the machine can.
        seen: View id of the run whose settings were compared with those of the link.
        problem: What the last command could not do.
    """

    session: Session
    next: NextRun
    rejected: list[FieldError] = field(default_factory=list)
    unedited: dict[str, str] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)
    view_id: str | None = None
    factor: int | None = None
    lane: int = 0
    look: dict[str, Any] = field(default_factory=dict)
    cards: tuple[str, ...] = ()
    moment: int | None = None
    speed: float | None = None
    seen: str = ""
    problem: str = ""

    @property
    def experiment(self) -> Experiment:
        """The configuration on the page."""
        return self.next.experiment

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

    def meet(self) -> None:
        """Show the settings of a run that is only watched, whatever the link says; once for each run."""
        run = self.run()
        if run is None or not self.session.known or self.seen == run.view_id:
            return
        self.seen = run.view_id
        if not self.may_control(run) and self.changed_since(run):
            self.next.use(run.experiment)

    def changed_since(self, run: LabRun | None) -> bool:
        """True where the configuration of the next run is not what the run began with."""
        return run is not None and run.experiment.plain() != self.experiment.plain()

    def stopped_by(self, run: LabRun | None) -> str:
        """Why nothing can be trained now; empty if it can.

        Args:
            run: The run that would train on; it has settings of its own once it has begun. None asks of a new one.
        """
        if self.next.refused and not begun(run):
            return " ".join(f"{whose(self.experiment, position)}{error}." for position, error in self.next.refused)
        return ""

    def command(self, name: str, **arguments: object) -> None:
        """Carries out a click: creates the run where there is none, and waits a moment for the answer."""
        self.problem = ""
        if name not in ("edit", "fork"):
            self.unedited.clear()
        self.next.take_in()  # what was typed a moment before the click
        run = self.run()
        if (name in _TRAINS and (why := self.stopped_by(run))) or (name == "reset" and (why := self.stopped_by(None))):
            self.problem = f"Nothing was started. {why}"
            return
        try:
            if run is None:
                run = self._created(
                    *hub().create(self.experiment, **self._whose(), device=self.next.device, speed=self.speed)
                )
            elif name == "reset" or (not begun(run) and run.experiment != self.experiment):
                run = self._renew(run)
            if name != "reset":
                hub().command(run.view_id, self.control_key, commands.make(name, **arguments), owner=self._browser)
            run.wait(_ANSWER_SECONDS)
        except (ControlRefused, HubFull, TooCostly) as error:
            self.problem = str(error)

    # --- the settings of the run

    def edit(self, key: str, lane: int | None, setting: str, value: Any) -> None:
        """Give a setting of the run another value from the next step on.

        Args:
            key: Of the widget, beside which a refusal is said.
            lane: Number of the lane, counted from 1; None for all.
            setting: Name of the setting.
            value: The new value, or the text that was typed.
        """
        self.problem = ""
        self.unedited.pop(key, None)
        if (run := self.run()) is None:
            return
        whose_is_it = "" if lane is None else whose(run.experiment, lane - 1)
        if run.ended:
            self.unedited[key] = f"{whose_is_it}the run has ended at step {run.step:,}: {setting} stays as it was."
            return
        made, errors = run.experiment.edited([Edit(run.step + 1, lane, setting, value)])
        if errors:
            wrong = errors[0]
            self.unedited[key] = f"{whose_is_it}{FieldError(setting, wrong.value, wrong.allowed, wrong.remedy)}."
            return
        typed = made.settings_at(0 if lane is None else lane - 1, run.step + 1)[setting]
        self.command("edit", changes=(Change(lane, setting, typed, self.shown.get(key)),))

    def fork_step(self, run: LabRun) -> int | None:
        """The step after which a fork begins: the time cursor's, None for the newest."""
        return None if self.moment is None or self.moment >= run.step else self.moment

    def fork(self, key: str, lane: int, setting: str | None, text: str) -> None:
        """Fork a lane of the run at the time cursor.

        Args:
            key: Of the controls, beside which a refusal is said.
            lane: Number of the lane, counted from 1.
            setting: What is otherwise from there on; None for nothing.
            text: Its value as it was typed.
        """
        self.problem = ""
        self.unedited.pop(key, None)
        if (run := self.run()) is None:
            return
        step, changes = self.fork_step(run), ()
        if setting is not None:
            shared = run.step if step is None else step
            forked = run.experiment.forked(lane - 1, shared)
            made, errors = forked.edited([Edit(shared + 1, len(forked.lanes), setting, text)])
            if errors:
                wrong = errors[0]
                told = FieldError(setting, wrong.value, wrong.allowed, wrong.remedy)
                self.unedited[key] = f"{whose(run.experiment, lane - 1)}{told}."
                return
            changes = (Change(lane, setting, made.settings_at(len(made.lanes) - 1, shared + 1)[setting]),)
        self.command("fork", lane=lane, step=step, changes=changes)

    def repeat_edits(self) -> None:
        """Let the next run have the edits and forks of this one, too."""
        if (run := self.run()) is not None:
            self.next.use(run.experiment)

    def forget_edits(self) -> None:
        """Let the next run begin as this page says and stay so."""
        self.next.take_in()
        self.next.use(self.experiment.plain())

    def begin(self, experiment: Experiment) -> None:
        """Put another configuration on the page. Over a run it makes a new one; the old one is paused and kept."""
        self.problem = ""
        self.next.use(experiment)
        run = self.run()
        if run is not None and self.may_control(run):
            self._replace(run)
        else:
            self.view_id = None

    def _replace(self, run: LabRun) -> None:
        """A new run with the page's settings, where there is room for it; else none."""
        try:
            self._renew(run).wait(_ANSWER_SECONDS)
        except (ControlRefused, HubFull, TooCostly) as error:
            self.problem, self.view_id = str(error), None

    def _renew(self, old: LabRun) -> LabRun:
        """A new run in the place of another, which is paused and kept."""
        speed, device = self.speed_of(old), self.next.device
        return self._created(
            *hub().renew(old.view_id, self.control_key, self.experiment, **self._whose(), device=device, speed=speed)
        )

    @property
    def _browser(self) -> str:
        return self.session.browser.id

    def _whose(self) -> dict[str, str]:
        return {"session": self.session.tab, "owner": self._browser}

    def _created(self, run: LabRun, key: str) -> LabRun:
        self.view_id, self.session.browser.control_keys[run.view_id] = run.view_id, key
        self.factor, self.moment = None, None
        return run

    def speed_of(self, run: LabRun | None) -> float | None:
        """Steps a second at most, of the run where there is one; None for as many as the machine can."""
        return self.speed if run is None or "speed" not in run.header else run.header["speed"]

    def take_copy(self) -> None:
        """A run of one's own under the configuration of the one watched."""
        if (run := self.run()) is not None:
            self.next.use(run.experiment)
            self.speed = self.speed_of(run)
        self.view_id = None

    def watch(self, view_id: str) -> None:
        """The page shows another run, as it is configured."""
        self.view_id = view_id
        if (run := self.run()) is not None:
            self.next.use(run.experiment)

    def use_own(self) -> None:
        """Show the settings of the run again."""
        if (run := self.run()) is not None:
            self.next.use(run.experiment)

    def take_control(self, view_id: str, control_key: str) -> None:
        """Accept the control key that a reloaded tab remembers."""
        if view_id == self.view_id and is_identity(control_key) and hub().controls(view_id, control_key):
            self.session.browser.control_keys[view_id] = control_key

    def remove_lane(self, lane_id: int) -> None:
        """Take a lane out of the next run. Over a run that has made steps it makes a new one without the lane."""
        self.next.remove_lane(lane_id)
        self.lane = 0
        run = self.run()
        if run is not None and run.step > 0 and self.may_control(run) and not self.next.refused:
            self._replace(run)

    # --- the link

    @classmethod
    def opened(cls, session: Session) -> Lab:
        """Return what the link asks for."""
        made = cls(session, NextRun(config.build()[0]))
        made.follow(address.shown())
        return made

    def follow(self, query: address.Query) -> None:
        """Show what a link asks for. Values that do not fit each other stay as it says: the page shows them as such."""
        values, refused, rest = address.read(PAGE, query)
        experiment, unusable = links.from_query(rest, relations=False)
        self.rejected = [*refused, *unusable]
        self.next.use(experiment)
        self.view_id = values["run"]
        self.factor, self.lane = values["factor"], values["followed_lane"]
        self.look = {name: values[name] for name in ON_CARDS}
        self.cards, self.moment = values["panel"], values["moment"]
        self.speed = address.SPEEDS[values["steps_per_second"]]
        self.next.device = values["device"]
        known = ["auto", *(name for name, _ in hub().devices)]
        if self.next.device not in known:
            self.rejected.append(FieldError("device", self.next.device, f"one of {', '.join(known)} on this server"))
            self.next.device = "auto"
        st.session_state.pop("device", None)

    def query(self) -> address.Query:
        """The query of the page's address: the configuration, the run, and what is looked at."""
        run = self.run()
        speeds = {speed: text for text, speed in address.SPEEDS.items()}
        values = {
            "run": self.view_id,
            "factor": self.factor,
            "followed_lane": self.lane,
            **{name: self.look.get(name, BY_NAME[name].default) for name in ON_CARDS},
            "moment": self.moment,
            "panel": self.cards,
            "steps_per_second": speeds.get(self.speed_of(run), "full"),
            "device": self.next.device,
        }
        # The link of a run that has begun is the run: its edits and forks are in it.
        shown = run.experiment if run is not None and begun(run) and not self.changed_since(run) else self.experiment
        told = links.to_query(shown)
        listed = {key: text if isinstance(text, list) else [text] for key, text in told.items()}
        return {**listed, **address.write(PAGE, values)}

    def write_address(self) -> None:
        """Put the link into the page's address."""
        self.session.show(self.query())


def begun(run: LabRun | None) -> TypeGuard[LabRun]:
    """Whether a run has settings of its own: it has made a step, or is about to."""
    return run is not None and (run.step > 0 or run.running)


def whose(experiment: Experiment, position: int | None) -> str:
    """Whose setting it is, before the setting."""
    return "" if position is None else f"Lane {position + 1} ({experiment.lanes[position].spec.label}): "
