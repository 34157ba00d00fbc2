"""A record: values that a log holds together."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from foam_viz.logs.core.column_names import role_of, words
from foam_viz.logs.parsing.blocks import Lands
from foam_viz.logs.parsing.line_bars import Bar

BAR, EVALUATION_BAR = "state of a progress bar", "state of an evaluation bar"
_PLANNED = re.compile(
    r"(?:.*_)?max_.*|num_train(?:ing)?_steps|num_iterations|(?:num|n)_batches|frames?|steps_planned|"
    r"total_(?:steps|iterations|iters?|updates|batches)"
)


@dataclass(slots=True)
class Record:
    """Values that were logged together.

    Attributes:
        kind: What to call such records, in the singular.
        line: Number of the line with which it begins, from 1.
        cells: Texts by name; ``step`` and ``epoch`` may be ``"10/500"``.
        lands: Where its values go if it holds no step.
        lines: How many lines it was made of.
        last: See :attr:`Block.last`.
        only_epoch: See :attr:`Block.only_epoch`.
        bar: The state of a progress bar that it is.
        rank: The process that wrote it, where its logger says so.
        spans: For a preview: of each line its number, the line, and where in it values were found.
    """

    kind: str
    line: int
    cells: dict[str, str]
    lands: Lands | None = None
    lines: int = 1
    last: bool = False
    only_epoch: bool = False
    bar: Bar | None = None
    rank: int | None = None
    spans: list[tuple[int, str, list[tuple[int, int]]]] = field(default_factory=list)

    def has_step(self) -> bool:
        """Say whether a step is among the cells."""
        return any(is_step(name) for name in self.cells)

    def has_epoch(self) -> bool:
        """Say whether an epoch is among the cells."""
        return any(role_of(name).kind == "epoch" for name in self.cells)

    def has_values(self) -> bool:
        """Say whether there is more than a place in the run."""
        return any(role_of(name).kind not in ("step", "epoch", "timestamp") for name in self.cells)


@lru_cache(maxsize=16384)
def is_step(name: str) -> bool:
    """Say whether a name in a line of text is that of a step, and not of a number of steps that is planned."""
    return role_of(name).kind == "step" and not _PLANNED.fullmatch("_".join(words(name)))
