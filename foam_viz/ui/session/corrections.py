"""What the user of one browser said about columns: the next log with these columns of that format reads alike."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from foam_viz.logs.core.reader import ColumnRule
from foam_viz.trace import Trace

MOST = 200
"""Corrections that one browser may keep; the oldest goes first."""
_MOST_COLUMNS = 200

Rules = dict[str, ColumnRule]


@dataclass(frozen=True)
class Shape:
    """The format of a run and the names of its source columns."""

    format: str
    columns: frozenset[str]

    @classmethod
    def of(cls, trace: Trace) -> Shape:
        """Return the shape of a run; it has no columns where the reader named none."""
        names = (str(column.get("source", "")) for column in trace.manifest.source_columns)
        return cls(trace.manifest.format, frozenset(names))

    def grown_from(self, other: Shape) -> bool:
        """Return whether a log of this shape may be one of the other shape that gained columns, or gained none."""
        return self.format == other.format and bool(other.columns) and other.columns <= self.columns


class Corrections:
    """The corrections of one browser. They may be read from any thread."""

    def __init__(self) -> None:
        self._kept: dict[Shape, Rules] = {}
        self._lock = threading.Lock()

    def of(self, trace: Trace) -> Rules:
        """Return the rules in force for a run; empty for none.

        Rules hold for every log that has the columns of the one they were made for. A log that grows may gain columns,
        so further ones do no harm; of several corrections that fit, the one with the most columns holds.
        """
        with self._lock:
            found = self._found(Shape.of(trace))
            return dict(self._kept[found]) if found else {}

    def keep(self, trace: Trace, rules: Mapping[str, ColumnRule]) -> None:
        """Remember the rules for logs like a run, in place of those in force; none forgets them."""
        shape = Shape.of(trace)
        if not shape.columns:
            return
        with self._lock:
            if rules:
                self._kept.pop(shape, None)  # so that it is the youngest again
                self._kept[shape] = dict(list(rules.items())[:_MOST_COLUMNS])
            else:
                while (found := self._found(shape)) is not None:
                    del self._kept[found]
            while len(self._kept) > MOST:
                del self._kept[next(iter(self._kept))]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()

    def _found(self, shape: Shape) -> Shape | None:
        fitting = [kept for kept in self._kept if shape.grown_from(kept)]
        return max(fitting, key=lambda kept: len(kept.columns), default=None)
