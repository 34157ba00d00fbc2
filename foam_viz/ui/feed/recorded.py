"""Runs that do not train here: samples, uploaded logs, what a page puts together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from foam_viz.analysis.series import Missing, series
from foam_viz.analysis.targets import last as last_values
from foam_viz.figures.panel import PanelSpec
from foam_viz.figures.scene import Lane
from foam_viz.trace.counts import refreshes
from foam_viz.trace.numbers import number
from foam_viz.ui.board import LaneChip
from foam_viz.ui.feed.source import Gone, Head, Moment, Status, incarnation_of, moment_of

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
    ) -> None:
        self.id = source
        fixed = tuple(lanes) if isinstance(lanes, Sequence) else None
        self._lanes = (lambda: fixed) if fixed is not None else lanes
        self._fixed = fixed is not None
        self._head = head or recorded_head
        self._panels, self._follows, self._outline = panels, follows, outline
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
        )

    def _key(self, lanes: Sequence[Lane]) -> tuple[str, int]:
        traces = [lane.trace for lane in lanes]
        return incarnation_of(traces, self.id), sum(trace.revision for trace in traces)


def recorded_head(lanes: Sequence[Lane], at: int | None) -> tuple[list[LaneChip], Status]:
    """The table and the status of runs that were recorded."""
    ends = [steps.max() for lane in lanes if len(steps := lane.trace.values("steps", "step"))]
    now = int(max(ends, default=0))
    step = now if at is None else min(at, now)
    status = [("Step", f"{step:,}", "The step looked at."), ("", "recorded", "Nothing trains here.")]
    return [LaneChip(lane.position, lane.label, cells(lane, now), lane.trace.manifest.status) for lane in lanes], status


def cells(lane: Lane, now: int) -> list[tuple[str, str, str]]:
    """The cells of a run: what it had reached. A value of a step before ``now`` says of which."""
    trace = lane.trace
    steps = trace.values("steps", "step")
    found = []
    for metric, label in (("loss", "Loss"), ("held_out_loss", "Held out")):
        curve = series(trace, metric)
        value = None if isinstance(curve, Missing) else last_values(curve)
        if value is None:
            found.append((label, "–", curve.reason if isinstance(curve, Missing) else "Nothing was logged."))
            continue
        at = int(curve.step[-1])
        text = value.text + (f" · step\u00a0{at:,}" if at < now else "")
        found.append((label, text, f"The last value: {value.words}."))
    found.append(
        ("Step", f"{int(steps.max()):,}" if len(steps) else "–", "Last step logged up to the moment looked at.")
    )
    counted = refreshes(trace)
    words = (
        f"Of all factors, up to step {counted.last:,}: {counted.words}." if counted else "No decomposition was logged."
    )
    found.append(("Decompositions", number(counted.decompositions) if counted else "–", words))
    return found
