"""Names of factors in few letters, for an axis: "blocks.0.attention.inward left" as "0.att.inw left"."""

from __future__ import annotations

from collections.abc import Sequence

_LETTERS = (None, 6, 4, 3, 1)
"""What is tried, from the whole of each part of a path to its first letter."""


def fitting(names: Sequence[str], most: int) -> list[str]:
    """Names of at most so many letters: parts that all paths begin with are left out, the others shortened alike.

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
    tried: list[str] = list(names)
    for letters in _LETTERS:
        tried = [
            " ".join(filter(None, [".".join(part[:letters] for part in path[shared:]), side]))
            for path, side in zip(paths, sides, strict=True)
        ]
        if len(set(tried)) == len(set(names)) and all(len(name) <= most for name in tried):
            return tried
    return [
        short
        if len(short) <= most and tried.count(short) == 1
        else name
        if len(name) <= most
        else f"…{name[1 - most :]}"
        for short, name in zip(tried, names, strict=True)
    ]


def _parts(name: str) -> tuple[list[str], str]:
    """The parts of a path, and the side after it."""
    path, _, side = name.rpartition(" ")
    return (path.split("."), side) if "." in path else ([name], "")
