"""A live run of a lesson's experiment: the lesson's panels and names, over the band of the seeds that were measured."""

from __future__ import annotations

from collections.abc import Sequence

from foam_viz.engine import store
from foam_viz.engine.server.hub import Hub
from foam_viz.figures.catalogue import BY_ID as PANELS
from foam_viz.lessons import measured
from foam_viz.lessons.catalogue import BY_ID as LESSONS
from foam_viz.ui.feed.live import LiveSource
from foam_viz.ui.feed.source import Gone

PREFIX = "lesson:"


def name_of(lesson: str, stage: int, panels: Sequence[str], view_id: str) -> str:
    """Return the id of the source."""
    return f"{PREFIX}{lesson}:{stage}:{'+'.join(panels)}:{view_id}"


def source_of(hub: Hub, source: str) -> LiveSource:
    """Return the source of an id.

    Raises:
        Gone: There is no such lesson, experiment, panel or run.
    """
    try:
        _, lesson, stage, panels, view_id = source.split(":")
        found, position = LESSONS[lesson], int(stage)
        specs, labels = [PANELS[name] for name in panels.split("+")], found.stages[position].labels()
    except (ValueError, KeyError, IndexError):
        raise Gone("There is no such experiment.") from None
    if not store.is_identity(view_id):
        raise Gone("There is no such run.")
    return LiveSource(hub, source, view_id=view_id, panels=specs, labels=labels, bands=measured.bands(found, position))
