"""The live run that a page other than the lab keeps for the browser: started, paused and gone on with there."""

from __future__ import annotations

import streamlit as st

from foam_viz.engine.server.hub import ControlRefused, HubFull, TooCostly
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.engine.wire import commands
from foam_viz.experiment.config import Experiment
from foam_viz.ui import session
from foam_viz.ui.server import hub
from foam_viz.ui.text import plain

_PROBLEM = "own-run-problem"
_ANSWER_SECONDS = 0.2


def run(name: str) -> LabRun | None:
    """Return the run that a page keeps under a name; None where there is none, or none any more."""
    here = session.current()
    kept = here.browser.own_runs.get(name, "")
    return hub().find(kept, session=here.tab, owner=here.browser.id) if kept else None


def control(run: LabRun) -> dict[str, str | None]:
    """Return what the board is told of who steers: then it hears of a run that pauses or ends."""
    return {"view_id": run.view_id, "control_key": session.current().browser.control_keys.get(run.view_id)}


def start(name: str, experiment: Experiment) -> None:
    """Train an experiment, and keep the run under a name; :func:`problem` says why it was not."""
    here = session.current()
    try:
        made, key = hub().create(experiment, session=here.tab, owner=here.browser.id)
    except (HubFull, TooCostly) as error:
        st.session_state[_PROBLEM] = str(error)
        return
    here.browser.control_keys[made.view_id] = key
    here.browser.own_runs[name] = made.view_id
    tell(made.view_id, "start")
    made.wait(_ANSWER_SECONDS)


def forget(name: str) -> None:
    """Pause the run, and keep it under the name no longer; it stays among the runs of the browser."""
    if kept := session.current().browser.own_runs.pop(name, ""):
        tell(kept, "pause")


def tell(view_id: str, command: str) -> None:
    """Give a command to a run of this tab."""
    here = session.current()
    try:
        key = here.browser.control_keys.get(view_id)
        hub().command(view_id, key, commands.make(command), owner=here.browser.id)
    except (KeyError, ControlRefused) as error:
        st.session_state[_PROBLEM] = str(error) or "The run is kept no more."


def steer(run: LabRun) -> None:
    """Draw the button that pauses a run, or goes on with it."""
    if run.running or run.queued or run.starting:
        st.button("Pause", icon=":material/pause:", key="pause-live", on_click=tell, args=(run.view_id, "pause"))
    elif not run.ended:
        st.button("Go on", icon=":material/play_arrow:", key="go-on", on_click=tell, args=(run.view_id, "start"))


def problem() -> None:
    """Say what was refused, once."""
    if told := st.session_state.pop(_PROBLEM, ""):
        st.error(plain(told))
