"""The recording that the start page plays, and the run that repeats it here and goes on from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from foam_viz.engine import store
from foam_viz.engine.server.hub import Hub
from foam_viz.figures.catalogue import BY_ID
from foam_viz.figures.scene import Lane
from foam_viz.files import SAMPLE_RUNS
from foam_viz.trace.disk import bundle
from foam_viz.ui.board.board import LaneChip
from foam_viz.ui.feed.live import LiveSource
from foam_viz.ui.feed.recorded import RecordedSource, recorded_head
from foam_viz.ui.feed.source import Gone, Moment, Status

RECORDED = (("digits-autoencoder-foam.zip", "FOAM"), ("digits-autoencoder-shampoo-f200.zip", "Shampoo f = 200"))
"""File and name of each lane."""
PREFIX = "opening:"
_PANELS = tuple(BY_ID[name] for name in ("loss", "overlap", "damping", "spectrum", "factor-map"))


def name_of(view_id: str) -> str:
    """Return the id of the source that goes on from the recording with a run."""
    return PREFIX + view_id


def recorded(source: str) -> RecordedSource:
    """Return the recording."""
    lanes = [Lane(bundle.read(SAMPLE_RUNS / name), label, position) for position, (name, label) in enumerate(RECORDED)]
    return RecordedSource(source, lanes, panels=_PANELS)


def source_of(hub: Hub, source: str) -> ContinuedSource:
    """Return the source of an id.

    Raises:
        Gone: There is no such run.
    """
    view_id = source.removeprefix(PREFIX)
    if not store.is_identity(view_id):
        raise Gone("There is no such run.")
    return ContinuedSource(hub, source, view_id)


class ContinuedSource(LiveSource):
    """The recording, until a run of the same configuration has made as many steps; from then on the run.

    Args:
        hub: Holds the run.
        source: Id of the source.
        view_id: Of the run.

    Raises:
        Gone: The hub has no such run, and can open none.
    """

    def __init__(self, hub: Hub, source: str, view_id: str) -> None:
        super().__init__(hub, source, view_id=view_id, panels=_PANELS, labels=[label for _, label in RECORDED])
        self._recording = recorded(source).moment()

    def moment(self) -> Moment:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        live, recording = super().moment(), self._recording
        if live.last >= recording.last:
            return live
        told = ("Trains here", f"step {live.last:,} of {recording.last:,}", _TOLD)

        def head(shown: Sequence[Lane], at: int | None) -> tuple[list[LaneChip], Status]:
            rows, status = recorded_head(shown, at)
            return rows, [*status, told]

        return replace(recording, revision=live.revision, run=live.run, outline=live.outline, head=head)


_TOLD = "What is shown is recorded. The same lanes train here; from the last recorded step on, your run is shown."
