"""Branches: how a run goes on from an earlier step while everything it recorded stays on the disk.

A run that goes on from step S opens a new branch: one more cut in ``branches.json``. The cut says up to which part of
each table rows count only to step S. Readers follow the newest branch; the rows beyond a cut stay in their parts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foam_viz.trace.disk.parts import Part


@dataclass(frozen=True)
class Cut:
    """Where a branch leaves the one before it.

    Attributes:
        step: The last step that the two share.
        before: Per table, the number of the first part of the new branch.
    """

    step: int
    before: Mapping[str, int]

    def concerns(self, part: Part) -> bool:
        """Whether the part is older than the branch."""
        return part.last < self.before.get(part.table, 0)

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {"step": self.step, "before": dict(self.before)}

    @classmethod
    def from_json(cls, document: object) -> Cut:
        """Read :meth:`to_json`.

        Raises:
            ValueError: It is something else.
        """
        try:
            before = {str(table): int(first) for table, first in document["before"].items()}  # type: ignore[index]
            return cls(int(document["step"]), before)  # type: ignore[index]
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not a place where a branch begins: {error!r}") from error


def parse_rewind(data: bytes) -> Cut:
    """Parse ``rewind.json``.

    Raises:
        ValueError: The content is not what the writer writes.
    """
    return Cut.from_json(_parse(data))


def parse_branches(data: bytes) -> tuple[Cut, ...]:
    """Parse ``branches.json``: the cuts, oldest first.

    Raises:
        ValueError: The content is not what the writer writes.
    """
    document = _parse(data)
    if not isinstance(document, list):
        raise ValueError("not a list of branches")
    return tuple(map(Cut.from_json, document))


def dump_branches(cuts: Sequence[Cut]) -> bytes:
    """Return the content of ``branches.json``."""
    return json.dumps([cut.to_json() for cut in cuts], indent=1).encode()


def last_step(part: Part, cuts: Sequence[Cut]) -> int | None:
    """Return the last step of a part that counts; None where all do."""
    return min((cut.step for cut in cuts if cut.concerns(part)), default=None)


def _parse(data: bytes) -> object:
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
