"""What a browser may do with the runs that it has made: see them, rename them, take their traces, delete them."""

from __future__ import annotations

import time
from pathlib import Path

from foam_viz.engine import store
from foam_viz.engine.server import news
from foam_viz.engine.server.history import SavedRun, YourRun
from foam_viz.engine.server.hub import ControlRefused, Hub
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.trace.model import Trace

# How long a run that is deleted may take to be written to its end.
_DELETE_SECONDS = 2.0


def all_of(hub: Hub, owner: str) -> list[YourRun]:
    """The saved runs that a browser has made and trained, those that changed last first.

    Args:
        hub: Of the server.
        owner: The secret of the browser.
    """
    return hub.history.of(store.fingerprint(owner))


def open_now(hub: Hub, owner: str) -> list[LabRun]:
    """The runs of a browser that are open now, whether or not they are saved.

    Args:
        hub: Of the server.
        owner: The secret of the browser.
    """
    return [run for run in hub.held() if hub.controls(run.view_id, None, owner)]


def rename(hub: Hub, view_id: str, owner: str, name: str) -> None:
    """Gives a run another name; an empty one is that of its optimizers.

    Raises:
        KeyError: No such run.
        ControlRefused: The run was made in another browser.
        OSError: Nothing can be written.
    """
    _owned(hub, view_id, owner)
    kept = hub.history.rename(view_id, name)
    if (run := hub.opened(view_id)) is not None:
        with run.lock:
            run.name = kept
            run.touch()


def delete(hub: Hub, view_id: str, owner: str) -> str:
    """Deletes a run from the disk, for good.

    Returns:
        Why it was not deleted, in a sentence; empty where it was.

    Raises:
        KeyError: No such run.
        ControlRefused: The run was made in another browser.
    """
    saved = _owned(hub, view_id, owner)
    if refusal := hub.end(view_id, saved.owner):
        return refusal
    end = time.monotonic() + _DELETE_SECONDS
    while not hub.data.delete(view_id):  # its engine writes what is left
        if time.monotonic() > end:
            return "The run is still being written, or cannot be deleted. Try again in a moment."
        time.sleep(0.05)
    hub.history.forget(saved.owner, view_id)
    return ""


def traces(hub: Hub, view_id: str) -> list[Trace]:
    """What is recorded of a run, a trace a lane, whether it is open or only saved."""
    if (run := hub.opened(view_id)) is not None:
        with run.lock:
            if run.traces:
                return list(run.traces)
    saved = hub.history.find(view_id)
    if saved is None:
        return []
    directory = store.run_directory(hub.settings.data_directory, view_id)
    return news.saved_traces(directory, len(saved.experiment.lanes))


def lanes(hub: Hub, view_id: str) -> list[Path]:
    """Where the lanes of a run are kept, with the factor streams of those that have one."""
    saved = hub.history.find(view_id)
    if saved is None:
        return []
    directory = store.run_directory(hub.settings.data_directory, view_id)
    return [store.lane_directory(directory, lane) for lane in range(len(saved.experiment.lanes))]


def _owned(hub: Hub, view_id: str, owner: str) -> SavedRun:
    saved = hub.history.find(view_id) if store.is_identity(view_id) else None
    if saved is None:
        raise KeyError(view_id)
    if not saved.owner or not store.matches(owner, saved.owner):
        raise ControlRefused("This run was made in another browser.")
    return saved
