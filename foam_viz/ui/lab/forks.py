"""Forks of the run on the page: a lane that is another up to a step, with one setting changed from there or none."""

from __future__ import annotations

import streamlit as st

from foam_viz.engine.server.lab_run import LabRun
from foam_viz.experiment.config import MAXIMUM_LANES
from foam_viz.ui.session.lab import Lab
from foam_viz.ui.text import plain
from foam_viz.ui.widgets import field_help, field_label, popover

_NOTHING = "nothing"


def fork(state: Lab, run: LabRun, place: int, *, enabled: bool) -> None:
    """Draw what forks a lane.

    Args:
        state: The session.
        run: The run on the page.
        place: Of the lane.
        enabled: Whether this browser may steer the run.
    """
    lane, step = run.experiment.lanes[place], state.fork_step(run)
    if lane.parent is not None:
        st.caption(f"Lane {lane.parent.lane} up to step {lane.parent.step:,}.")
    if len(run.experiment.lanes) >= MAXIMUM_LANES:
        return
    key = f"fork.{run.view_id}.{place}"
    with popover("Fork", f"{key}.open", icon=":material/call_split:", width="stretch", disabled=not enabled) as opened:
        if opened:
            _choice(state, run, place, key, step)
    if refused := state.unedited.get(key):
        st.caption(f":red[{plain(refused)}]")


def _choice(state: Lab, run: LabRun, place: int, key: str, step: int | None) -> None:
    """From which step, and what changes there."""
    lane = run.experiment.lanes[place]
    where = f"after step {run.step:,}, the newest" if step is None else f"after step {step:,}, the time cursor's"
    st.markdown(f"A new lane that is this one up to a step, and goes on by itself: **{where}**.")
    if step is None:
        st.caption("Drag the time cursor back to fork an earlier step.")
    fields = {field.name: field for field in lane.spec.all_fields if field.editable}
    chosen = st.selectbox(
        "What if another value from there on",
        [_NOTHING, *fields],
        key=f"{key}.setting",
        format_func=lambda name: field_label(fields[name]) if name in fields else "Nothing is changed",
    )
    text = ""
    if chosen in fields:
        field = fields[chosen]
        now = run.experiment.settings_at(place, (run.step if step is None else step) + 1)[chosen]
        text = st.text_input(field_label(field), field.format(now), key=f"{key}.value.{chosen}", help=field_help(field))
    st.button(
        "Fork",
        key=f"{key}.do",
        type="primary",
        on_click=state.fork,
        args=(key, place + 1, chosen if chosen in fields else None, text),
    )


def catching_up(state: Lab, run: LabRun, *, mine: bool) -> None:
    """Draw that a fork catches up, and what cancels it; how far it is stands over the panels."""
    if not (told := run.header.get("catching_up")):
        return
    st.info(f"Lane {told['lane']} catches up to step {told['until']:,}. The other lanes wait.", icon=":material/sync:")
    if mine:
        st.button(
            "Cancel the fork",
            key="cancel-fork",
            icon=":material/close:",
            on_click=state.command,
            args=("cancel fork",),
            help="Removes the new lane; the others are as they were.",
        )
