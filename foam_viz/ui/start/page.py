"""The start page: what this is in one screen, with recorded runs playing, three doors, and the runs of this browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from foam_viz.engine.server import your_runs
from foam_viz.engine.server.history import YourRun
from foam_viz.experiment import links
from foam_viz.experiment.config import Experiment
from foam_viz.experiment.presets import PRESETS, Preset
from foam_viz.tasks import catalogue as tasks
from foam_viz.ui import own_run, session
from foam_viz.ui.board.board import board
from foam_viz.ui.feed import opening
from foam_viz.ui.lab import head as lab_head
from foam_viz.ui.saving_notice import saving_notice
from foam_viz.ui.server import feed, hub
from foam_viz.ui.text import plain

_COMPARISON = Preset("FOAM and a long period", "", ("foam", "shampoo:period=200,start=10"))
_STEPS = 2000
"""Of the live run: it goes through the recorded steps and on."""
_RUN = "start"
_RECENT = 3

_LEAD = """
Shampoo preconditions a gradient with inverse roots of two factors. Decomposing them is expensive, so old decompositions
are used again: they go stale, and nobody sees it. **Here you can.** Small models train live, side by side, while you
look inside their preconditioners.
"""
_WATCH = """
**Watch** how the loss curves part, how the eigenbasis turns away from the one in use, and how FOAM's damping rises
until a decomposition brings it down. {now}: stop it, drag the time, or click a factor.
"""
_DOORS = (
    ("teach", "pages/lessons.py", "Teach", "school",
     "Twelve short experiments: predict, watch, see why. Present them, and a class follows on its own devices."),
    ("tune", "pages/threshold_lab.py", "Tune", "tune",
     "Try other thresholds on a recorded run: which refreshes there would have been, and the error left."),
    ("inspect", "pages/run_logs.py", "Inspect", "folder_open",
     "Drop the logs of any trainer, see what is inside, compare many runs."),
)  # fmt: skip
"""Key, page, name, icon and what is behind it."""


def start() -> None:
    """Draw the page, and wake the training process while it is read."""
    hub()
    st.title("Watch a preconditioner go stale", anchor=False)
    st.markdown(_LEAD)
    for column, (key, page, name, icon, words) in zip(st.columns(len(_DOORS)), _DOORS, strict=True):
        with column.container(key=f"door-{key}", border=True, height="stretch"):
            st.page_link(page, label=f"**{name}**", icon=f":material/{icon}:")
            st.caption(words)
    with st.container(horizontal=True, vertical_alignment="center", key="recording"):
        run = own_run.run(_RUN)
        st.markdown(_WATCH.format(now="Your own run goes on from a recording" if run else "Recorded earlier"))
        if run is None:
            st.button(
                "Run this yourself", icon=":material/play_arrow:", type="primary", key="run-recorded",
                on_click=lambda: own_run.start(_RUN, recorded_experiment(_STEPS)),
                help="Trains the same two lanes here while the recording plays on. After its 600 steps your own run "
                     f"goes on, to {_STEPS:,}.",
            )  # fmt: skip
        else:
            own_run.steer(run)
            st.button(
                "Back to the recording", icon=":material/history:", key="to-recording", on_click=own_run.forget,
                args=(_RUN,),
            )  # fmt: skip
            st.page_link(
                "pages/live_lab.py", label="Open in the live lab", icon=":material/science:",
                query_params=[("run", run.view_id)], help="There you can change every setting.",
            )  # fmt: skip
    own_run.problem()
    saving_notice(run)
    board(
        key="recording-board", look={"factor": 0}, plays=run is None, goes_on=True,
        source=opening.name_of(run.view_id) if run else feed.sources.share("start", opening.recorded),
        outline=lab_head.outline(run), session=own_run.control(run) if run else None,
    )  # fmt: skip
    _recent()
    _presets()
    st.caption(
        "The method at its heart is FOAM (Nam and Ahn, ICML 2026, arXiv 2606.02365); Shampoo is by Gupta, Koren and "
        "Singer (2018)."
    )


def _presets() -> None:
    st.markdown("#### Begin with a comparison")
    columns = st.columns(len(PRESETS), border=True)
    for position, (column, preset) in enumerate(zip(columns, PRESETS.values(), strict=True)):
        with column.container(key=f"door-preset-{position}"):
            st.page_link("pages/live_lab.py", label=f"**{preset.label}**", query_params=_pairs(preset.query))
            st.caption(preset.why)


def _pairs(query: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [(key, value) for key, values in query.items() for value in values]


def _recent() -> None:
    """The runs of this browser that changed last."""
    here = session.current()
    found = your_runs.all_of(hub(), here.browser.id)[:_RECENT] if here.known else []
    if not found:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="recent"):
        st.markdown("**Your recent runs**")
        for run in found:
            query = [("run", run.saved.view_id)]
            st.page_link("pages/live_lab.py", label=_told(run), icon=":material/history:", query_params=query)
        st.page_link("pages/your_runs.py", label="All")


def _told(run: YourRun) -> str:
    """A run in a line. One that trains is at another step by the time the line is read."""
    saved, now = run.saved, hub().opened(run.saved.view_id)
    at = "trains" if now and now.trains else f"step {run.step:,}"
    return f"{plain(run.name, 60)}: {tasks.find(saved.experiment.task).label}, {at}"


def recorded_experiment(steps: int) -> Experiment:
    """Return the experiment whose runs the page plays, to another length."""
    return links.from_query({**_COMPARISON.query, "task": ["digits-autoencoder"], "steps": [str(steps)]})[0]
