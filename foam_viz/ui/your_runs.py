"""The runs that this browser has made and that are still kept."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from foam_viz.engine import store
from foam_viz.engine.server import your_runs
from foam_viz.engine.server.history import MAXIMUM_NAME, YourRun
from foam_viz.engine.server.hub import ControlRefused
from foam_viz.recording import stream
from foam_viz.recording.stream import archives
from foam_viz.tasks import catalogue as tasks
from foam_viz.trace.disk import bundle
from foam_viz.trace.model import Trace
from foam_viz.ui import session
from foam_viz.ui.saving_notice import saving_notice
from foam_viz.ui.server import hub
from foam_viz.ui.text import plain

_SHOWN = 20
_WIDTHS = (4, 2, 1, 1, 2, 1, 1, 1, 1)
_HEADINGS = ("Run", "Task", "Step", "Size", "Last written (UTC)")
_PROBLEM, _OPENED = "your-runs.problem", "your-runs.opened"


def page() -> None:
    """Draws the page."""
    if st.session_state.pop(_OPENED, False):
        st.switch_page("pages/live_lab.py")
    st.title("Your runs", anchor=False)
    settings = hub().settings
    st.caption(
        f"Runs that were trained in this browser. Each is kept until {settings.keep_days:g} days have passed since it "
        f"was last looked at. All runs on this server share {settings.keep_gb:g} GiB; where that is full, those that "
        "were not looked at for longest are deleted first."
    )
    owner = session.current().browser.id
    runs = your_runs.all_of(hub(), owner)
    if problem := st.session_state.pop(_PROBLEM, ""):
        st.error(plain(problem))
    if problem := hub().data.problem():
        st.warning(plain(f"Nothing is kept now: {problem}.", 600), icon=":material/cloud_off:")
    for run in your_runs.open_now(hub(), owner):
        saving_notice(run, run.name or " · ".join(run.experiment.labels()))
    if not runs and not problem:
        st.info("No run yet: whatever you train in the live lab is listed here.")
    if not runs:
        return
    with st.container(key="your-runs-headings"):
        for column, heading in zip(st.columns(_WIDTHS), _HEADINGS, strict=False):
            column.markdown(f"**{heading}**")
    everything = len(runs) <= _SHOWN or st.toggle(f"Show all {len(runs):,} runs", key="your-runs.all")
    for position, run in enumerate(runs if everything else runs[:_SHOWN]):
        with st.container(key=f"your-run-{position}"):
            _row(run, owner)


def zipped(traces: list[Trace], lanes: Sequence[Path] = ()) -> bytes:
    """The run bundles of all lanes in one .zip file, which the page of logs reads as it is.

    Args:
        traces: Of the lanes.
        lanes: Where the lanes are kept: the factor streams that lie there come along.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.zip"
        if len(traces) == 1:
            bundle.write(traces[0], path)
            if lanes:
                archives.add_to(path, lanes[0])
            return path.read_bytes()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for lane, trace in enumerate(traces, 1):
                home = Path(folder) / f"lane-{lane}"
                bundle.write(trace, home)
                for file in sorted(found for found in home.rglob("*") if found.is_file()):
                    archive.write(file, file.relative_to(folder))
        for lane, kept in enumerate(lanes[: len(traces)], 1):
            archives.add_to(path, kept, f"lane-{lane}/")
        return path.read_bytes()


def _open(run: YourRun) -> None:
    lab = session.lab()
    lab.next.use(run.saved.experiment)
    lab.view_id = run.saved.view_id
    st.session_state[_OPENED] = True  # a callback cannot change the page


def _row(run: YourRun, owner: str) -> None:
    view_id = run.saved.view_id
    name, task, step, size, when, open_, rename, download, delete = st.columns(_WIDTHS, vertical_alignment="center")
    name.markdown(plain(run.name))
    task.markdown(tasks.find(run.saved.experiment.task).label)
    step.markdown(f"{run.step:,}")
    size.markdown(f"{run.size / 2**20:,.1f} MiB")
    when.markdown(f"{datetime.fromtimestamp(run.changed, UTC):%Y-%m-%d %H:%M}")
    open_.button(
        "", icon=":material/play_circle:", key=f"open-{view_id}", help="Opens it in the live lab, where it was.",
        on_click=_open, args=(run,),
    )  # fmt: skip
    with rename.popover("", icon=":material/edit:", help="Renames it."):
        key = f"name-{view_id}"
        st.text_input(
            "Name",
            value=run.saved.name,
            key=key,
            max_chars=MAXIMUM_NAME,
            placeholder=run.name,
            on_change=lambda: _said(_renamed(view_id, owner, st.session_state[key])),
        )
    download.download_button(
        "",
        data=lambda: zipped(your_runs.traces(hub(), view_id), your_runs.lanes(hub(), view_id)),
        file_name=f"foam-viz-{view_id[:8]}.zip",
        mime="application/zip",
        on_click="ignore",
        key=f"download-{view_id}",
        icon=":material/download:",
        help="Downloads what it recorded, a run bundle a lane, with its factor stream where one was kept"
        f"{_streamed(view_id)}. Run logs and the threshold lab read it.",
    )
    with delete.popover("", icon=":material/delete:", help="Deletes it."):
        st.button(
            "Delete for good",
            key=f"delete-{view_id}",
            type="primary",
            on_click=lambda: _said(_deleted(view_id, owner)),
        )


def _streamed(view_id: str) -> str:
    """How large the factor streams of a run are, in brackets; empty where it kept none."""
    size = sum(stream.size_of(lane) for lane in your_runs.lanes(hub(), view_id))
    return f" ({size / 2**20:,.1f} MiB)" if size else ""


def _said(problem: str) -> None:
    st.session_state[_PROBLEM] = problem


def _renamed(view_id: str, owner: str, name: str) -> str:
    try:
        your_runs.rename(hub(), view_id, owner, name)
    except OSError as error:
        return f"The name is as it was: {store.unwritable(error)}."
    except (KeyError, ControlRefused):
        return "The run is kept no more."
    return ""


def _deleted(view_id: str, owner: str) -> str:
    try:
        return your_runs.delete(hub(), view_id, owner)
    except (KeyError, ControlRefused):
        return "The run is kept no more."
