"""Places of several plots in one figure: those of a card wider than high, and those of one higher than wide.

A figure carries the second as ``layout.meta.portrait``; the browser takes it over where the card is higher than wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """The part of a figure that one plot takes, as shares of its width and height.

    Attributes:
        left, right, bottom, top: Its edges, 0 to 1.
        column: From the left, from 0.
        last: Whether no plot stands below it.
    """

    left: float
    right: float
    bottom: float
    top: float
    column: int
    last: bool

    @property
    def middle(self) -> float:
        """Half way across it."""
        return (self.left + self.right) / 2

    def part(self, share: list[float]) -> list[float]:
        """A part of the height of this place, as a part of the height of the figure."""
        height = self.top - self.bottom
        return [self.bottom + share[0] * height, min(self.bottom + share[1] * height, 1.0)]


def grid(count: int, across: int, gap: float, row_gap: float = 0.0) -> list[Place]:
    """Places of plots in rows.

    Args:
        count: How many plots.
        across: How many stand beside each other.
        gap: Between two columns, as a share of the width.
        row_gap: Between two rows, as a share of the height.
    """
    rows = -(-count // across)
    width = (1 - gap * (across - 1)) / across
    height = (1 - row_gap * (rows - 1)) / rows
    places = []
    for position in range(count):
        row, column = divmod(position, across)
        left, top = column * (width + gap), 1 - row * (height + row_gap)
        places.append(
            Place(left, min(left + width, 1.0), max(top - height, 0.0), top, column, position + across >= count)
        )
    return places


def portrait(axes: dict[str, Any], names: list[dict[str, Any]]) -> dict[str, Any]:
    """What a figure says in ``layout.meta`` of itself on a card higher than wide.

    Args:
        axes: What changes of each axis.
        names: What changes of each annotation, in their order.
    """
    return {"portrait": {"axes": axes, "annotations": names}}
