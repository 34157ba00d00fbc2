"""The start page: what this is in one screen, with recorded runs playing, three doors, and the runs of this browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from foam_viz.engine.server import your_runs
from foam_viz.engine.server.hub import ControlRefused, HubFull, TooCostly
from foam_viz.engine.wire import commands
from foam_viz.experiment import config
from foam_viz.experiment.config import Experiment
from foam_viz.experiment.presets import PRESETS, Preset
from foam_viz.figures.catalogue import BY_ID
from foam_viz.figures.scene import Lane
from foam_viz.files import SAMPLE_RUNS
from foam_viz.trace.disk import bundle
from foam_viz.ui import session
from foam_viz.ui.board.board import board
from foam_viz.ui.feed.recorded import RecordedSource
from foam_viz.ui.server import feed, hub
from foam_viz.ui.text import plain
from foam_viz.ui.your_runs import name_of

RECORDED = (("digits-autoencoder-foam.zip", "FOAM"), ("digits-autoencoder-shampoo-f200.zip", "Shampoo f = 200"))
_COMPARISON = Preset("FOAM and a long period", "", ("foam", "shampoo:period=200,start=10"))
_PANELS = ("loss", "overlap", "damping", "spectrum", "factor-map")
_STEPS = 2000
"""Of the live run: it goes through the recorded steps and on."""
_RECENT = 3
_PROBLEM = "start-problem"

_LEAD = """
Shampoo preconditions a gradient with inverse roots of two factors. Decomposing them is expensive, so old decompositions
are used again: they go stale, and nobody sees it. **Here you can.** Small models train live, side by side, while you
look inside their preconditioners.
"""
_WATCH = """
**Watch** how the loss curves part, how the eigenbasis turns away from the one in use, and how FOAM's damping rises
until a decomposition brings it down. Recorded earlier: stop it, drag the time, or click a factor.
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
        st.markdown(_WATCH)
        st.button(
            "Run this yourself", icon=":material/play_arrow:", type="primary", key="run-recorded", on_click=_run,
            help=f"Trains the same two lanes here: through the recorded 600 steps, and on to {_STEPS:,}.",
        )  # fmt: skip
    if st.session_state.pop("start-opens-lab", False):
        st.switch_page("pages/live_lab.py")
    if problem := st.session_state.pop(_PROBLEM, ""):
        st.error(plain(problem))
    board(key="recording-board", source=feed.sources.share("start", _source), look={"factor": 0}, plays=True)
    _recent()
    _presets()
    st.caption(
        "The method at its heart is FOAM (Nam and Ahn, ICML 2026, arXiv 2606.02365); Shampoo is by Gupta, Koren and "
        "Singer (2018)."
    )


def _presets() -> None:
    st.markdown("#### Begin with a comparison")
    columns = st.columns(len(PRESETS), border=True)
    for place, (column, preset) in enumerate(zip(columns, PRESETS.values(), strict=True)):
        with column.container(key=f"door-preset-{place}"):
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
            label = f"{plain(name_of(run), 60)} · step {run.step:,}"
            st.page_link("pages/live_lab.py", label=label, icon=":material/history:", query_params=query)
        st.page_link("pages/your_runs.py", label="All")


def recorded_experiment(steps: int) -> Experiment:
    """Return the experiment whose runs the page plays, to another length."""
    return config.from_query({**_COMPARISON.query, "task": ["digits-autoencoder"], "steps": [str(steps)]})[0]


def _run() -> None:
    """Train the recorded lanes in the lab: what is deterministic repeats the recording, and then goes on."""
    here = session.current()
    try:
        run, key = hub().create(recorded_experiment(_STEPS), session=here.tab, owner=here.browser.id)
        here.browser.control_keys[run.view_id] = key
        hub().command(run.view_id, key, commands.make("start"), owner=here.browser.id)
    except (HubFull, TooCostly, ControlRefused) as error:
        st.session_state[_PROBLEM] = str(error)
        return
    lab = session.lab()
    lab.use(run.experiment)
    lab.view_id = run.view_id
    st.session_state["start-opens-lab"] = True


def _source(identity: str) -> RecordedSource:
    """The sample runs, read once a server."""
    lanes = [Lane(bundle.read(SAMPLE_RUNS / name), label, place) for place, (name, label) in enumerate(RECORDED)]
    return RecordedSource(identity, lanes, panels=[BY_ID[name] for name in _PANELS])
