"""What a run hands over to be saved, and which of its checkpoints stay on the disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa

from foam_viz.engine.worker.lane_streams import Samples
from foam_viz.experiment.config import Parent
from foam_viz.trace.disk.thin import thinned
from foam_viz.trace.manifest import Manifest

CHECKPOINT_STEPS = 100
"""Steps between two checkpoints that stay, in a run that is short."""


@dataclass(frozen=True)
class Opening:
    """What a run's folder begins with, or goes on from.

    Attributes:
        experiment: Of :meth:`Experiment.to_json`.
        manifests: One a lane.
        step: Go on from here, in a new branch where rows lie beyond; None begins anew, and what was there is deleted.
        parents: Of each lane, where some are forks.
    """

    experiment: Mapping[str, Any]
    manifests: Sequence[Manifest]
    step: int | None
    parents: Sequence[Parent | None] = ()


@dataclass(frozen=True)
class Forked:
    """A lane that is added.

    Attributes:
        parent: Whose past it has.
        manifest: Its own.
    """

    parent: Parent
    manifest: Manifest


@dataclass(frozen=True)
class States:
    """One checkpoint.

    Attributes:
        step: The last step in it.
        lanes: One function a lane, which writes the lane's state into a file.
        size: Of all states, in bytes.
        keep: How many of the newest checkpoints stay on the disk.
        most: How many stay in all, spread over the steps: a fork of an earlier step begins at one of them.
            No more than the newest where it is smaller.
    """

    step: int
    lanes: Sequence[Callable[[BinaryIO], object]]
    size: int
    keep: int
    most: int = 0


def kept_steps(steps: Sequence[int], newest: int, most: int) -> frozenset[int]:
    """Which checkpoints stay: the newest, and of the others the first of each stretch of steps, all of one length.

    Args:
        steps: Of the checkpoints there are, ascending.
        newest: How many of the newest stay whatever else.
        most: How many stay in all.
    """
    last, earlier = steps[-newest:], steps[:-newest]
    stretch = CHECKPOINT_STEPS
    while True:
        first = {step // stretch: step for step in reversed(earlier)}
        if len(first) <= max(most - len(last), 0) or stretch > (steps[-1] if steps else 0):
            return frozenset([*last, *(first.values() if most > len(last) else ())])
        stretch *= 2


@dataclass
class Work:
    """What waits to be written, in the order in which it is written."""

    opening: Opening | None = None
    rows: list[Sequence[Mapping[str, pa.Table]]] = field(default_factory=list)
    samples: list[Samples] = field(default_factory=list)
    forks: list[Forked] = field(default_factory=list)
    experiment: Mapping[str, Any] | None = None
    states: States | None = None
    manifests: Sequence[Manifest] = ()

    def __bool__(self) -> bool:
        rows = self.rows or self.samples or self.forks
        return bool(self.opening or rows or self.experiment or self.states or self.manifests)

    def absorb(self, later: Work) -> None:
        """Take what was handed over after this; an opening anew makes all that came before it count no more."""
        if later.opening is not None:
            self.opening, self.rows, self.samples, self.forks = later.opening, [], [], []
            self.experiment, self.states, self.manifests = None, None, ()
        self.rows += later.rows
        self.samples += later.samples
        self.forks += later.forks
        self.experiment = later.experiment or self.experiment
        self.states = later.states or self.states
        self.manifests = later.manifests or self.manifests

    def thin_rows(self, limit: int) -> bool:
        """Every second of the rows goes, again and again, until they take at most so many bytes; totals stay.

        Returns:
            Whether some went.
        """
        went = False
        while self.rows and (before := self.row_bytes) > limit:
            lanes: list[dict[str, pa.Table]] = []
            for lane in range(len(self.rows[0])):
                names = {name: None for entry in self.rows for name in entry[lane]}
                joined = {n: pa.concat_tables(e[lane][n] for e in self.rows if n in e[lane]) for n in names}
                lanes.append({name: thinned(name, rows) for name, rows in joined.items()})
            self.rows = [lanes]
            if self.row_bytes >= before:
                break
            went = True
        return went

    @property
    def row_bytes(self) -> int:
        """Bytes of the rows."""
        return sum(rows.nbytes for lanes in self.rows for tables in lanes for rows in tables.values())
