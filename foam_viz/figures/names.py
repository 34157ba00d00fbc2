"""Names of factors in few letters, for an axis: "blocks.0.attention.inward left" as "0.att.inw left"."""

from __future__ import annotations

import re
from collections.abc import Sequence

_JOINTS = re.compile(r"([. ])")
_LETTERS = (None, 6, 4, 3, 1)
"""What is tried, from the whole of each part of a path to its first letter."""


def fitting(names: Sequence[str], most: int) -> list[str]:
    """Names of at most so many letters: parts that all paths begin with are left out, words shortened as it takes.

    A name that does not fit even then, or would be that of another, keeps its end after an ellipsis.

    Args:
        names: Of one run, each a path with dots, then a space and the side where the factor has one.
        most: Letters that there is room for.
    """
    if all(len(name) <= most for name in names):
        return list(names)
    paths, sides = zip(*map(_parts, names), strict=True)
    shared = 0
    while len(paths) > 1 and all(len(path) > shared + 1 and path[shared] == paths[0][shared] for path in paths):
        shared += 1
    tried = [_fitting(path[shared:], side, most) for path, side in zip(paths, sides, strict=True)]
    return [
        short
        if len(short) <= most and tried.count(short) == 1
        else name
        if len(name) <= most
        else f"…{name[1 - most :]}"
        for short, name in zip(tried, names, strict=True)
    ]


def _fitting(path: Sequence[str], side: str, most: int) -> str:
    """The longest of the ways to write a name that fits, or the shortest of all."""
    words = _JOINTS.split(".".join(path))
    ways = [" ".join(filter(None, ["".join(word[:letters] for word in words), side])) for letters in _LETTERS]
    return next((way for way in ways if len(way) <= most), ways[-1])


def _parts(name: str) -> tuple[list[str], str]:
    """The parts of a path, and the side after it."""
    path, _, side = name.rpartition(" ")
    return (path.split("."), side) if path else ([name], "")
