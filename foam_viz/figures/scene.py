"""What a panel draws: the runs, what the reader chose, and what the runs are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from foam_viz.figures.look import Look
from foam_viz.trace import Trace, TraceView


@dataclass(frozen=True, init=False)
class Lane:
    """One run on the page, at the moment when the lane was made: it is drawn while it grows.

    It is made of a trace or of a view of one.

    Attributes:
        trace: everything recorded of the run by then.
        label: the name the reader sees ("FOAM", "Shampoo f = 50").
        position: 0 to 5; fixes colour, dash and marker on every panel.
        whole: the run up to its newest step, where ``trace`` is an earlier moment of it: axes of time hold all of it.
    """

    trace: TraceView
    label: str
    position: int
    whole: TraceView

    def __init__(self, trace: Trace | TraceView, label: str, position: int, whole: TraceView | None = None) -> None:
        view = trace.view()
        for name, value in (("trace", view), ("label", label), ("position", position), ("whole", whole or view)):
            object.__setattr__(self, name, value)

    @property
    def newest(self) -> Lane:
        """The lane at its newest step."""
        return self if self.whole is self.trace else replace(self, trace=self.whole)

    def at(self, step: int | None) -> Lane:
        """The lane as it was after a step; as it is for None."""
        return self if step is None else replace(self, trace=self.trace.view(step))

    def factor_name(self, factor: int) -> str:
        """Name of a factor as the reader sees it: "layer 1 left"."""
        return self.trace.manifest.factor_names[factor].text

    def like(self, other: Lane, factor: int) -> int | None:
        """Index in this lane of the factor that ``factor`` is in another, matched by id and size; None without one."""
        wanted = other.trace.manifest.factors[factor]
        for index, candidate in enumerate(self.trace.manifest.factors):
            if candidate.id == wanted.id and candidate.size == wanted.size:
                return index
        return None


@dataclass(frozen=True)
class Reference:
    """A value that a metric is held against: a line across its plot.

    Attributes:
        metric: Column of steps, such as ``loss``.
        value: Where the line is, in the unit of the metric.
        words: What it is, as the reader sees it beside the line.
    """

    metric: str
    value: float
    words: str


@dataclass(frozen=True)
class Band:
    """What other runs of a lane, with other seeds, span of its smoothed training loss.

    Attributes:
        lane: Position of the lane.
        step: (n,) steps, ascending.
        low, high: (n,) least and largest value over those runs.
    """

    lane: int
    step: Sequence[int]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Scene:
    """Everything that a panel is drawn of; two equal scenes are drawn alike.

    Attributes:
        lanes: The runs, in order; each as it was at the moment that the look names.
        look: What the reader chose.
        references: Lines to hold the runs against, besides those that the runs and the look bring.
        bands: What other seeds have spanned; drawn behind the loss against the step.
    """

    lanes: Sequence[Lane] = ()
    look: Look = Look()
    references: Sequence[Reference] = ()
    bands: Sequence[Band] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "lanes", tuple(lane.at(self.look.at) for lane in self.lanes))
        object.__setattr__(self, "references", tuple(self.references))
        object.__setattr__(self, "bands", tuple(self.bands))

    @property
    def is_past(self) -> bool:
        """Whether any run has gone on beyond the moment looked at."""
        return any(lane.newest is not lane for lane in self.lanes)

    def drawn_before(self, lane: Lane, others: Sequence[Lane]) -> int:
        """The last step up to which the curve of a lane is already drawn as another's: forks share their past.

        Args:
            lane: Whose curve is drawn now.
            others: The lanes whose curves are drawn; a parent that is no lane of the scene draws nothing.

        Returns:
            0 where none of it is drawn.
        """
        mine = self._past_of(lane)
        common = [
            min(step, theirs[run])
            for other in others
            if other is not lane
            for theirs in (self._past_of(other),)
            for run, step in mine.items()
            if run in theirs
        ]
        # Without an end it is one run twice, or runs without ids: each is drawn.
        return int(max((step for step in common if step < inf), default=0))

    def _past_of(self, lane: Lane) -> dict[str, float]:
        """Ids of the runs that a lane equals, each up to a step: itself, its parent, the parent of that."""
        found = {lane.trace.manifest.run_id: inf}
        until, config = inf, lane.trace.manifest.config
        while isinstance(parent := config.get("parent"), Mapping) and isinstance(parent.get("step"), int):
            run = f"{lane.trace.manifest.run_id.rpartition('-')[0]}-{parent.get('lane')}"
            until = min(until, parent["step"])
            if run in found:
                break
            found[run] = until
            config = next((one.trace.manifest.config for one in self.lanes if one.trace.manifest.run_id == run), {})
        return found

    @property
    def focus(self) -> Lane | None:
        """The lane whose factor is followed: the one that the look names, else the first that has factors."""
        with_factors = [lane for lane in self.lanes if lane.trace.manifest.factors]
        chosen = [lane for lane in with_factors if lane.position == self.look.lane]
        return (chosen or with_factors or [None])[0]

    @property
    def followed(self) -> tuple[Lane, int] | None:
        """The focused lane and the index of the followed factor in it; None if nothing can be followed."""
        lane, factor = self.focus, self.look.factor
        if lane is None or factor is None or not 0 <= factor < len(lane.trace.manifest.factors):
            return None
        return lane, factor
