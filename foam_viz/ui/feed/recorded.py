"""Runs that do not train here: samples, uploaded logs, what a page puts together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from foam_viz.analysis.series import Missing, series
from foam_viz.analysis.targets import last as last_values
from foam_viz.figures.panel import PanelSpec
from foam_viz.figures.scene import Band, Lane
from foam_viz.trace.counts import refreshes
from foam_viz.trace.numbers import number
from foam_viz.ui.board.board import LaneChip, LaneState
from foam_viz.ui.feed.source import Gone, Head, Moment, Status, incarnation_of, moment_of
from foam_viz.ui.isolation import isolated

GONE = "What this page showed is no longer kept here."


class RecordedSource:
    """Some runs, which may still grow.

    Args:
        source: Id of the source.
        lanes: The runs; or gives them as they are now.
        head: Makes the table and the status; by default what every run has.
        panels: Those of the page; by default all that the runs have the data for.
        follows: Whether a factor can be followed.
        outline: Stands for what the page around the panels shows.
        points: Points of a drawn curve, at most; by default as many as a browser moves four times a second.
        bands: What other seeds have spanned.
    """

    def __init__(
        self,
        source: str,
        lanes: Sequence[Lane] | Callable[[], Sequence[Lane]],
        *,
        head: Head | None = None,
        panels: Sequence[PanelSpec] | None = None,
        follows: bool = True,
        outline: str = "",
        points: int | None = None,
        bands: Sequence[Band] = (),
    ) -> None:
        self.id, self._bands = source, tuple(bands)
        self._fixed = isinstance(lanes, Sequence)
        self._lanes: Callable[[], Sequence[Lane]]
        if isinstance(lanes, Sequence):
            fixed = tuple(lanes)
            self._lanes = lambda: fixed
        else:
            self._lanes = lanes
        self._head = head or recorded_head
        self._panels, self._follows, self._outline, self._points = panels, follows, outline, points
        self._forgotten = False

    def forget(self) -> None:
        """Show nothing from now on; pages that show it are told."""
        self._forgotten = True

    def listen(self, tell: Callable[[], None] | None) -> bool:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        return False

    def watch(self, *, hidden: bool) -> None:
        """See :class:`foam_viz.ui.feed.source.Source`."""

    def urgent(self) -> object:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        return None

    def changed(self, moment: Moment) -> bool:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        return self._forgotten or not self._fixed and self._key(self._lanes()) != (moment.incarnation, moment.revision)

    def moment(self) -> Moment:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        if self._forgotten:
            raise Gone(GONE)
        lanes = [Lane(lane.trace, lane.label, lane.position) for lane in self._lanes()]
        incarnation, revision = self._key(lanes)
        return moment_of(
            self.id,
            incarnation,
            revision,
            lanes,
            self._head,
            panels=self._panels,
            followed=[0 if lane.trace.manifest.factors else None for lane in lanes],
            follows=self._follows,
            outline=self._outline,
            points=self._points,
            bands=self._bands,
        )

    def _key(self, lanes: Sequence[Lane]) -> tuple[str, int]:
        traces = [lane.trace for lane in lanes]
        return incarnation_of(traces, self.id), sum(trace.revision for trace in traces)


def recorded_head(lanes: Sequence[Lane], at: int | None) -> tuple[list[LaneChip], Status]:
    """The table and the status of runs that were recorded. A column that none of them can fill is not there."""
    ends = [steps.max() for lane in lanes if len(steps := lane.trace.values("steps", "step"))]
    now = int(max(ends, default=0))
    step = now if at is None else min(at, now)
    status = [("Step", f"{step:,}", "The step looked at."), ("", "recorded", "Nothing trains here.")]
    rows = [isolated("The row of the run", lambda lane=lane: cells(lane, now), lambda line: {}) for lane in lanes]
    alike = len({row.get("Step") for row in rows}) == 1  # then the status says it
    columns = [label for label in _COLUMNS if any(label in row for row in rows) and not (label == "Step" and alike)]
    chips = [
        LaneChip(
            lane.position,
            lane.label,
            [(label, *row.get(label, ("–", _COLUMNS[label]))) for label in columns],
            # Of a moment in between nothing runs.
            cast(LaneState, lane.trace.manifest.status) if lane.newest is lane else "recorded",
        )
        for lane, row in zip(lanes, rows, strict=True)
    ]
    return chips, status


_COLUMNS = {
    "Loss": "No loss was logged.",
    "Held out": "No held-out loss was logged.",
    "Step": "No step was logged.",
    "Decompositions": "No decomposition was logged.",
    "Per factor, 100 steps": "No checks of single factors were logged.",
    "Optimizer": "No seconds of the optimizer were logged.",
}
"""Columns of the table, and what one says that a run cannot fill."""


def cells(lane: Lane, now: int) -> dict[str, tuple[str, str]]:
    """What a run had reached, text and explanation by column. A value of a step before ``now`` says of which."""
    trace = lane.trace
    found = {}
    for metric, label in (("loss", "Loss"), ("held_out_loss", "Held out")):
        curve = series(trace, metric)
        if isinstance(curve, Missing) or (value := last_values(curve)) is None:
            continue
        at = int(curve.step[-1])
        text = value.text + (f" · step\u00a0{at:,}" if at < now else "")
        found[label] = text, f"The last value: {value.words}."
    steps = trace.values("steps", "step")
    if len(steps):
        found["Step"] = f"{int(steps.max()):,}", "Last step logged up to the moment looked at."
    seconds = (
        trace.values("steps", "optimizer_seconds").astype(float) if trace.has("steps", "optimizer_seconds") else []
    )
    if np.isfinite(seconds).any():
        words = f"Seconds of training alone, without evaluation and recording, up to step {int(steps.max()):,}."
        found["Optimizer"] = number(float(np.nanmax(seconds)), "s"), words
    if counted := refreshes(trace):
        words = f"Of all factors, up to step {counted.last:,}: {counted.words}."
        found["Decompositions"] = number(counted.decompositions), words
        if counted.per_factor is not None:
            found["Per factor, 100 steps"] = number(counted.per_factor), words
    return found
