"""What one tab has in the threshold lab: the run under examination, the chosen setting, and the link of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import streamlit as st

from foam_viz.analysis.replay_setting import Setting
from foam_viz.optim.fields import FieldError
from foam_viz.ui import address
from foam_viz.ui.server import hub
from foam_viz.ui.threshold import runs
from foam_viz.ui.threshold.engine import replays, truths
from foam_viz.ui.threshold.runs import StreamedRun
from foam_viz.ui.threshold.truths import Truths
from foam_viz.ui.threshold.workbench import Workbench

if TYPE_CHECKING:
    from foam_viz.ui.session import Session

PAGE = "threshold"
SETTINGS = ("optimizer", "period", "tau", "epsilon", "epsilon_max", "eigenvalues")
"""What a link may change of the recorded setting."""
WIDGETS = "threshold."
"""What the keys of the widgets of the settings begin with."""


def widget_of(name: str) -> str:
    """Key of the widget that offers a setting now."""
    return st.session_state.get(f"{WIDGETS}{name}.widget", WIDGETS + name)


def pass_over_widgets() -> None:
    """Take what the widgets hold as seen: a slider that moved in the same instant has lost against a newer choice."""
    for name in SETTINGS:
        if (key := widget_of(name)) in st.session_state:
            st.session_state[f"{WIDGETS}{name}.shown"] = st.session_state[key]


@dataclass
class Threshold:
    """The threshold lab of one tab.

    Attributes:
        session: Of the tab.
        values: Values of :data:`foam_viz.ui.address.THRESHOLD` by name.
        rejected: What a link asked for and could not have.
        bench: The run under examination; None where there is none.
        sweep_text: The sweep as it was typed; None where the one that is suggested was left as it is.
    """

    session: Session
    values: dict[str, Any]
    rejected: list[FieldError] = field(default_factory=list)
    bench: Workbench | None = None
    sweep_text: str | None = None

    @classmethod
    def opened(cls, session: Session) -> Threshold:
        """Return what the link asks for."""
        made = cls(session, address.defaults(PAGE))
        made.follow(address.shown())
        return made

    def follow(self, query: address.Query) -> None:
        """Show what a link asks for."""
        self.values, refused, rest = address.read(PAGE, query)
        self.rejected = [*refused, *address.unknown(PAGE, rest)]

    # --- the run

    def choices(self) -> list[StreamedRun]:
        """The runs of this browser that can be tried, and the samples."""
        browser = self.session.browser
        browser.logs.collect()
        return [*runs.own(browser.id), *runs.uploaded(browser.logs), *runs.samples()]

    def meet(self, choices: list[StreamedRun]) -> None:
        """Put the run of the link on the bench; the first sample where it names none."""
        asked = self.values["run"]
        if self.bench is not None and (asked is None or self.bench.run.key == asked):
            return
        browser = self.session.browser
        run = runs.find(asked, browser.id, browser.logs) if asked else None
        if asked and run is None:
            words = "a run with a factor stream that is still kept here; train one in the live lab, or choose another"
            self.rejected.append(FieldError("run", asked, words))
            self.values["run"] = None
        run = run or next((one for one in choices if one.key.startswith(runs.SAMPLE)), None)
        if run is not None:
            self.use(run)

    def use(self, run: StreamedRun) -> None:
        """Put another run on the bench."""
        if self.bench is not None:
            self.bench.leave()
        made = Truths(truths, hub().training)
        made.enabled = self.values["truth"]
        self.bench = Workbench(replays(), run, made)
        self.bench.color(self.values["color"], self.values["work"])
        self.values["run"] = run.key

    # --- the setting

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the recorded setting, by name."""
        return {name: self.values[name] for name in SETTINGS if self.values[name] is not None}

    def setting(self, own: Setting) -> Setting:
        """The chosen setting.

        Raises:
            FieldError: The values do not fit each other.
        """
        changes = self.changes
        name = changes.get("optimizer", own.optimizer)
        try:
            base = own.changed({"optimizer": name})
        except FieldError:
            base = own
        known = {key: value for key, value in changes.items() if key in base.values}
        made = base.changed(known)
        grid = self.bench.preparation.grid if self.bench else None
        period, first = made.values["period"], grid.first if grid else None
        if period != own.values["period"] and made.values["start"] is None and first is not None and period != first:
            made = made.changed({"start": first})  # an equal start: a long period would begin late, too
        return made

    def take(self, setting: Setting) -> None:
        """Choose a setting, of a point of the map or the front, say."""
        own = self.bench.own if self.bench else None
        if own is None:
            return
        self.values["optimizer"] = None if setting.optimizer == own.optimizer else setting.optimizer
        for name in SETTINGS[1:]:
            value = setting.values.get(name)
            self.values[name] = None if value is None or value == own.values.get(name) else value
        pass_over_widgets()

    def reset(self) -> None:
        """Choose the recorded setting of whatever run is on the bench, and follow no factor."""
        for name in (*SETTINGS, "factor"):
            self.values[name] = None
        pass_over_widgets()

    # --- the link

    def query(self) -> address.Query:
        """The query of the page's address."""
        values: Mapping[str, Any] = self.values
        if self.bench is not None and not self.bench.run.shareable:
            values = {**values, "run": None}
        return address.write(PAGE, values)

    def write_address(self) -> None:
        """Put the link into the page's address."""
        self.session.show(self.query())
