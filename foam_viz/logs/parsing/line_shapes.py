r"""The shape of a line of text: equal for lines that differ only in the digits of their numbers.

A log repeats a few shapes a hundred thousand times. What an expression finds that asks for digits only as ``\d`` is
found at the same places in every line of a shape, so it is looked for once a shape.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

T = TypeVar("T")
_ZEROS = str.maketrans("123456789", "000000000")
_NAMES = re.compile(r"[A-Za-z_@%][\w./@%-]*")
_MOST = 4096


def shape_of(line: str) -> str:
    """Return a key: the line with 0 for each digit, and its words with their own, as names hold digits (``acc@5``)."""
    return f"{line.translate(_ZEROS)}\n{' '.join(_NAMES.findall(line))}"


class ShapeCache(dict[str, T], Generic[T]):
    """What is known of shapes, emptied when there are too many: lines of such a log have none in common."""

    def keep(self, shape: str, value: T) -> T:
        """Remember and return a value."""
        if len(self) >= _MOST:
            self.clear()
        self[shape] = value
        return value
