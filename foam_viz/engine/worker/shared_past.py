"""Forks of a run that begins anew: until a fork's own steps begin it is its parent, and is not trained beside it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute

from foam_viz.engine.worker import states
from foam_viz.engine.worker.run import Run
from foam_viz.experiment.config import Parent
from foam_viz.recording.stream import Sample

Tables = dict[str, pa.Table]


class SharedPast:
    """Which lanes still are their parents, whose state and rows are theirs until then.

    Args:
        parents: Of each lane, in order; a parent comes before its forks.
    """

    def __init__(self, parents: Sequence[Parent | None]) -> None:
        self._waiting = {lane: parent for lane, parent in enumerate(parents) if parent is not None and parent.step > 0}
        self._released: dict[int, Parent] = {}

    def waits(self, lane: int) -> bool:
        """Whether a lane is its parent still."""
        return lane in self._waiting

    def source(self, lane: int) -> int:
        """The lane whose state a lane has: its own, or that of the first of its ancestors that trains."""
        while lane in self._waiting:
            lane = self._waiting[lane].lane - 1
        return lane

    def begin_at(self, step: int) -> None:
        """Go on from a saved step: lanes whose own steps have begun have states of their own."""
        self._waiting = {lane: parent for lane, parent in self._waiting.items() if parent.step > step}

    def keep_up(self, lanes: Sequence[Run]) -> None:
        """After a step of all lanes that train: the others follow, and begin where their own steps do.

        Where a parent has ended before, its fork has ended with it.
        """
        for lane, parent in list(self._waiting.items()):
            run, source = lanes[lane], lanes[self.source(lane)]
            if source.step < parent.step and source.live:
                run.step = source.step
                continue
            run.restore(states.copied(source.state(), lambda: False))
            self._released[lane] = self._waiting.pop(lane)

    def rows(self, drained: Sequence[Tables]) -> list[Tables]:
        """The rows of every lane: those of its parent are its own, up to its last common step."""
        found = list(drained)
        for lane, parent in sorted((self._waiting | self._released).items()):
            past = {
                name: rows.filter(pyarrow.compute.call_function("less_equal", [rows["step"], parent.step]))
                for name, rows in found[parent.lane - 1].items()
            }
            own = {} if lane in self._waiting else drained[lane]
            joined = {name: [each[name] for each in (past, own) if name in each] for name in {**past, **own}}
            found[lane] = {name: table for name, each in joined.items() if len(table := pa.concat_tables(each))}
        return found

    def samples(self, drained: Sequence[list[list[Sample]]]) -> list[list[list[Sample]]]:
        """The same of kept factors; what was released then stands on its own."""
        found = list(drained)
        for lane, parent in sorted((self._waiting | self._released).items()):
            past = [samples for samples in found[parent.lane - 1] if samples[0].step <= parent.step]
            found[lane] = past + drained[lane]
        self._released = {}
        return found
