"""What can be looked at: a source gives moments, and all who look at one see the same."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from foam_viz.figures.catalogue import PANELS, panels_for
from foam_viz.figures.panel import PanelSpec, without_place
from foam_viz.figures.scene import Band, Lane
from foam_viz.trace import TraceView
from foam_viz.ui.board.board import LaneChip

Status = list[tuple[str, str, str]]
Head = Callable[[Sequence[Lane], int | None], tuple[list[LaneChip], Status]]
"""The table of runs and the status of lanes at a step, None for the newest."""

_SERVER = secrets.token_hex(4)
_numbers = count()
_known: WeakKeyDictionary[object, int] = WeakKeyDictionary()


class Gone(LookupError):
    """There is nothing to look at any more; the text tells the reader.

    Attributes:
        again: Whether there may be something later.
    """

    def __init__(self, words: str, *, again: bool = False) -> None:
        super().__init__(words)
        self.again = again


@dataclass(frozen=True, eq=False)
class Moment:
    """A source at one moment. It never changes.

    Attributes:
        source: Id of the source.
        incarnation: What revisions belong to: another one means that nothing of before holds.
        revision: Rises with every change within an incarnation.
        lanes: The runs. Until there is one, lanes that stand for those to come.
        panels: The panels that have a place, in reading order.
        absent: Which have none, and why, in a sentence.
        head: Makes the table and the status.
        followed: For each lane, the factor followed where the reader chose none.
        follows: Whether a factor can be followed.
        outline: Stands for what the page around the panels shows.
        first, last: The steps between which there is something to look at.
        passed: What was up to an earlier step than this changes no more.
        points: Points of a drawn curve, at most.
        run: Identity of what the source read the moment from, where that can be another one.
        bands: What other seeds of the lanes have spanned.
    """

    source: str
    incarnation: str
    revision: int
    lanes: tuple[Lane, ...]
    panels: tuple[PanelSpec, ...]
    absent: str
    head: Head
    followed: tuple[int | None, ...]
    follows: bool
    outline: str
    first: int
    last: int
    passed: int
    points: int
    run: int = 0
    bands: tuple[Band, ...] = ()

    @property
    def key(self) -> tuple[str, str, int]:
        """Stands for the moment in the keys of what is made from it."""
        return self.source, self.incarnation, self.revision

    def key_at(self, at: int | None) -> tuple:
        """Stand for the moment as it was after a step. What all lanes have passed changes no more."""
        if at is None:
            return self.key
        return (self.source, self.incarnation, at) if at < self.passed else (*self.key, at)

    def lanes_at(self, at: int) -> tuple[Lane, ...]:
        """Return the lanes as they were after a step."""
        return tuple(lane.at(at) for lane in self.lanes)


class Source(Protocol):
    """Gives moments. Methods may be called from any thread, but for ``urgent``, which must return at once."""

    id: str

    def moment(self) -> Moment:
        """Return the source as it is now.

        Raises:
            Gone: There is nothing any more.
        """
        ...

    def urgent(self) -> object:
        """Return what readers must see at once when it changes."""
        ...

    def changed(self, moment: Moment) -> bool:
        """Say whether the source is no longer as it was at a moment; returns at once."""
        ...

    def listen(self, tell: Callable[[], None] | None) -> bool:
        """Call ``tell``, from any thread, whenever something may have changed; None ends that.

        Returns:
            False where the source cannot: it must be asked.
        """
        ...

    def watch(self, *, hidden: bool) -> None:
        """Note that somebody looks: on a page that is in sight, or on one that is hidden.

        Raises:
            Gone: There is nothing any more.
        """
        ...


class KeptSource(Source, Protocol):
    """A source that was registered, until it is forgotten."""

    def forget(self) -> None:
        """Show nothing from now on; pages that show it are told."""


def incarnation_of(traces: Iterable[TraceView], *more: object) -> str:
    """Return the identity of a set of traces on this server: a trace that takes the place of another changes it."""
    return ".".join([_SERVER, *(str(_number(trace.source)) for trace in traces), *map(str, more)])


def _number(source: object) -> int:
    if source not in _known:
        _known[source] = next(_numbers)
    return _known[source]


def _passed(trace: TraceView) -> int:
    """The newest step, before which nothing more is recorded; -1 where steps come again, as they may once more."""
    tables = [steps for table in ("steps", "checks") if len(steps := trace.values(table, "step"))]
    rising = all(bool(np.all(steps[1:] >= steps[:-1])) for steps in tables)
    return int(max((steps[-1] for steps in tables), default=-1)) if rising else -1


def _extent(lanes: Sequence[Lane]) -> tuple[int, int]:
    steps = [values for lane in lanes if len(values := lane.trace.values("steps", "step"))]
    if not steps:
        return 0, 0
    return int(min(np.min(values) for values in steps)), int(max(np.max(values) for values in steps))


def moment_of(  # noqa: D417 - most arguments are described in Moment
    source: str,
    incarnation: str,
    revision: int,
    lanes: Sequence[Lane],
    head: Head,
    *,
    panels: Sequence[PanelSpec] | None = None,
    followed: Sequence[int | None] = (),
    follows: bool = True,
    outline: str = "",
    points: int | None = None,
    **more: Any,
) -> Moment:
    """Return the moment of some lanes.

    Args:
        source, incarnation, revision, lanes, head, followed, follows, outline, more: See :class:`Moment`.
        panels: Those of the page; by default all that the lanes have the data for.
        points: Points of a drawn curve; by default as many as a browser without a GPU can move four times a second.
    """
    first, last = _extent(lanes)
    return Moment(
        source=source,
        incarnation=incarnation,
        revision=revision,
        lanes=tuple(lanes),
        panels=tuple(panels_for(lanes) if panels is None else panels),
        absent=without_place(PANELS, lanes) if panels is None else "",
        head=head,
        followed=tuple(followed),
        follows=follows,
        outline=outline,
        first=first,
        last=last,
        passed=min((_passed(lane.trace) for lane in lanes), default=-1),
        points=points or {1: 400, 2: 260, 3: 200}.get(len(lanes), 160),
        **more,
    )
