"""The strip above the panels: run, stop, step, and what the panels look at.

Everything acts through callbacks, so a click is carried out before the page is drawn.
"""

from __future__ import annotations

import streamlit as st

from foam_viz.engine.server import your_runs
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.ui.lab import inside
from foam_viz.ui.refusals import refusals
from foam_viz.ui.saving_notice import saving_notice
from foam_viz.ui.server import hub
from foam_viz.ui.session.lab import Lab, begun
from foam_viz.ui.take_away import take_away
from foam_viz.ui.text import plain
from foam_viz.ui.widgets import popover

SPEEDS: dict[str, float | None] = {"1 step/s": 1.0, "5 steps/s": 5.0, "25 steps/s": 25.0, "Full speed": None}
_RESET = "A new run at step 0 with these settings. The old one is paused and kept: see Your runs."


def controls(state: Lab, run: LabRun | None) -> None:
    """The buttons, and what they could not do."""
    mine = state.may_control(run)
    running = run is not None and (run.running or run.queued)
    ended = run is not None and run.ended
    stopped = state.stopped_by(run)
    idle = mine and not running and not ended and not stopped
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="strip"):
        _button(state, "Start", "start", idle, "play_arrow", "Trains until you pause.", primary=True)
        _button(state, "Pause", "pause", mine and running, "pause", "Stops after the step at hand.")
        _button(state, "Step", "step", idle, "skip_next", "One step of every lane.")
        aim = inside.goal(state, followed(state, run))
        whose = "the followed factor" if aim else "any lane"
        _button(state, "To check", "check", idle, "fact_check", f"Runs to the next check of {whose}.", aim)
        words = f"Runs to the next decomposition of {whose}."
        _button(state, "To refresh", "refresh", idle, "autorenew", words, aim)
        inside.inside(state, run, enabled=idle)
        reset = mine and run is not None and not state.stopped_by(None)
        _button(state, "Reset", "reset", reset, "restart_alt", _RESET)
        _speed(state, run, mine)
        _share(run)
    with st.container(key="messages"):  # a place of its own: a message must not move the board, which would mount anew
        _messages(state, run, mine)


def _button(
    state: Lab,
    label: str,
    command: str,
    enabled: bool,
    icon: str,
    help_text: str,
    values: dict[str, int | None] | None = None,
    *,
    primary: bool = False,
) -> None:
    st.button(
        label,
        key=f"do-{command}",
        icon=f":material/{icon}:",
        on_click=state.command,
        args=(command,),
        kwargs=values,
        disabled=not enabled,
        help=help_text,
        type="primary" if primary else "secondary",
    )


def _speed(state: Lab, run: LabRun | None, mine: bool) -> None:
    names = {speed: name for name, speed in SPEEDS.items()}
    speed = state.speed_of(run)
    other = f"{speed:g} steps/s" if speed not in names else None  # of a run that was made elsewhere
    st.session_state["speed"] = other or names[speed]

    def chosen() -> None:
        if st.session_state["speed"] not in SPEEDS:
            return
        state.speed = SPEEDS[st.session_state["speed"]]
        if state.view_id:
            state.command("speed", steps_per_second=state.speed)

    st.selectbox(
        "Speed",
        [*SPEEDS, *filter(None, [other])],
        key="speed",
        on_change=chosen,
        label_visibility="collapsed",
        disabled=not mine,
        width=140,
        help="How fast steps are made.",
    )


def _share(run: LabRun | None) -> None:
    with popover("Share", "share", icon=":material/ios_share:", help="A link, or the run itself.") as opened:
        if not opened:
            return
        st.markdown(
            "**The address of this page is the link**, and the button at the top copies it. It holds the whole "
            "configuration; whoever opens it while this run is kept may watch it, and take a copy to steer."
        )
        if run is None:
            st.caption("Start a run to download it.")
            return
        take_away(run.view_id[:8], run.traces, your_runs.lanes(hub(), run.view_id))


def _messages(state: Lab, run: LabRun | None, mine: bool) -> None:
    refusals(state.rejected)
    if state.problem:
        st.error(plain(state.problem))
    elif state.next.refused:
        what = "The next run cannot be started" if begun(run) else "Nothing can be started"
        st.error(f"{what} until this is mended. {plain(state.stopped_by(None))}")
    for refusal in state.unedited.values():
        st.error(f"Not changed. {plain(refusal)}")
    if state.view_id and run is None:
        gone = "The run of this link is no longer kept here. Start makes a new one with the same settings."
        st.info(plain(hub().why_missing(state.view_id)) or gone)
    if run is None:
        return
    if run.queued:
        st.info(plain(queue_words(run, mine)), icon=":material/hourglass_top:")
    if run.notice:
        advice = f" {run.advice}" if mine and run.advice else ""
        st.warning(plain(run.notice + advice), icon=":material/info:")
    saving_notice(run)
    if not mine and not state.session.known:
        return  # whose tab this is will be known in a moment
    if not mine:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info("You are watching a run that somebody else steers.", icon=":material/visibility:")
            st.button("Take a copy", on_click=state.take_copy, key="take-copy")
        if run.successor:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.info("Whoever steers it has begun another run since.", icon=":material/fast_forward:")
                st.button("Watch that one", on_click=state.watch, args=(run.successor,), key="watch-successor")
    elif state.changed_since(run) and run.step > 0:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(
                "The next run has other settings than this one. Reset makes it and keeps this one.",
                icon=":material/tune:",
            )
            st.button("Take this run's settings", on_click=state.use_own, key="use-own")


def queue_words(run: LabRun, mine: bool) -> str:
    """What a run in the queue waits for; and for who steers it, how it leaves the queue."""
    before = f"{run.ahead} run{'s' if run.ahead != 1 else ''} before it" if run.ahead else "it is the next"
    leave = "; Pause takes it out of the queue" if mine else ""
    return f"This run waits for {run.room}: {before}. It starts by itself{leave}."


def followed(state: Lab, run: LabRun | None) -> int | None:
    """The factor followed: the reader's choice, else the run's own."""
    if state.factor is not None or run is None:
        return state.factor
    lanes = run.header.get("lanes", ())
    return lanes[state.lane]["followed"] if state.lane < len(lanes) else None


def follow(state: Lab, factor: int | None, lane: int | None = None) -> None:
    """Follows a factor on every panel, and in the recorder where the run may be steered.

    Args:
        state: The session.
        factor: Index of the factor; None keeps the one followed.
        lane: The lane whose factor is shown; None keeps it. A lane without such a factor is ignored: the numbers come
            from a browser.
    """
    run = state.run()
    lane = state.lane if lane is None else lane
    if run is None or not 0 <= lane < len(run.traces) or not run.traces[lane].manifest.factors:
        return
    state.lane = lane
    if factor is None or not 0 <= factor < len(run.traces[lane].manifest.factors):
        return
    state.factor = factor
    if state.may_control(run):
        state.command("follow", factor=factor)
