"""A run that trains here, and an experiment that has no run yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from foam_viz.engine.server.hub import Hub
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.experiment.config import Experiment
from foam_viz.figures.panel import PanelSpec
from foam_viz.figures.scene import Band, Lane
from foam_viz.ui.board.board import LaneChip
from foam_viz.ui.feed import presence
from foam_viz.ui.feed.source import Gone, Moment, Status, incarnation_of, moment_of
from foam_viz.ui.lab import head as lab_head

_GONE = "The run of this link is no longer kept here."


class LiveSource:
    """A run of the hub. Whoever knows its view id may look, and can do nothing else with it here.

    Args:
        hub: Holds the run.
        source: The view id of the run; for one lane of it alone, a colon and its position after it.
        view_id: Of the run, where the source has a name of another kind.
        panels: Those of the page; by default all that the run has the data for.
        labels: Names of the lanes; by default the run's own.
        bands: What other seeds have spanned.

    Raises:
        Gone: The hub has no such run, and can open none.
    """

    def __init__(
        self,
        hub: Hub,
        source: str,
        *,
        view_id: str = "",
        panels: Sequence[PanelSpec] | None = None,
        labels: Sequence[str] = (),
        bands: Sequence[Band] = (),
    ) -> None:
        self.id = source
        self._view_id, _, lane = (view_id or source).partition(":")
        self._panels, self._labels, self._bands = panels, labels, tuple(bands)
        self._lane = int(lane) if lane else None
        self._hub = hub
        self._tell: Callable[[], None] | None = None
        self._run = self._found()

    def _found(self) -> LabRun:
        run = self._hub.find(self._view_id, session=presence.session(self.id), owner="")
        if presence.is_active(alone := presence.alone(self.id)):
            self._hub.find(self._view_id, session=alone, owner=alone)  # a browser of its own, for all the hub knows
        if run is None:
            why = self._hub.why_missing(self._view_id)
            raise Gone(why or _GONE, again=bool(why))  # where there is a reason, it is kept and may be opened later
        return run

    def listen(self, tell: Callable[[], None] | None) -> bool:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        self._tell = tell
        self._listen(self._run, tell)
        return True

    def _listen(self, run: LabRun, tell: Callable[[], None] | None) -> None:
        with run.lock:
            run.listeners.discard(self._heard)
            if tell is not None:
                run.listeners.add(self._heard)

    def _heard(self) -> None:
        if (tell := self._tell) is not None:
            tell()

    def watch(self, *, hidden: bool) -> None:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        found = self._found()
        if found is not self._run:  # it was closed and opened again
            self._run, before = found, self._run
            self._listen(before, None)
            self._listen(found, self._tell)
        self._hub.show(self._view_id, session=presence.session(self.id), hidden=hidden)

    def urgent(self) -> object:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        run = self._run
        return id(run), lab_head.phase(run), run.notice, run.handled, len(run.traces)

    def changed(self, moment: Moment) -> bool:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        return self._run.revision != moment.revision or id(self._run) != moment.run

    def moment(self) -> Moment:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        run = self._run
        own = run.experiment.labels()
        labels = (*self._labels, *own[len(self._labels) :])
        with run.lock:  # only while the lanes and the state are taken: the run goes on while they are drawn
            lanes = [Lane(trace, labels[position], position) for position, trace in enumerate(run.traces)]
            states, status, revision = run.header.get("lanes", ()), lab_head.status(run), run.revision
            outline, epoch, step = lab_head.outline(run), run.epoch, run.step
        if self._lane is not None:  # alone it stands first
            lanes = [replace(lane, position=0) for lane in lanes if lane.position == self._lane]
            states = states[self._lane : self._lane + 1]

        def head(shown: Sequence[Lane], at: int | None) -> tuple[list[LaneChip], Status]:
            if not lanes:
                rows = lab_head.waiting(run.experiment)[0]
                return [replace(row, label=labels[row.position]) for row in rows], status
            if at is None or at >= step:
                return lab_head.chips(shown, states), status
            then = ("Step", f"{at:,}", f"The step looked at. Every lane has made {step:,}.")
            return lab_head.chips(shown, states), [then, *status[1:]]

        return moment_of(
            self.id,
            incarnation_of([lane.trace for lane in lanes], epoch),
            revision,
            lanes or lab_head.awaited(run.experiment)[: 1 if self._lane is not None else None],
            head,
            followed=[state.get("followed") for state in states],
            follows=bool(lanes),
            outline=outline,
            run=id(run),
            panels=self._panels,
            bands=self._bands,
        )


class AwaitedSource:
    """An experiment that has no run yet: all panels have their places."""

    def __init__(self, source: str, experiment: Experiment) -> None:
        self.id = source
        lanes = lab_head.awaited(experiment)
        self._moment = moment_of(
            source,
            incarnation_of([lane.trace for lane in lanes]),
            0,
            lanes,
            lambda shown, at: lab_head.waiting(experiment),
            follows=False,
        )

    def listen(self, tell: Callable[[], None] | None) -> bool:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        return True

    def watch(self, *, hidden: bool) -> None:
        """See :class:`foam_viz.ui.feed.source.Source`."""

    def urgent(self) -> object:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        return None

    def changed(self, moment: Moment) -> bool:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        return False

    def moment(self) -> Moment:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        return self._moment
