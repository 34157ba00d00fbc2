"""Text from files as text that can be shown: nothing in it steers a page, a terminal or the order of letters."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

_KEPT = {"\u200c", "\u200d"}
"""Joiners: Persian, Indian scripts and emoji need them, and they move nothing."""


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return the text with every character that shows nothing itself written out, for example ``\x1b`` or ``\u202e``.

    Written out are control characters, those that turn the direction of reading or have no width, and what Unicode has
    not assigned. A lone surrogate becomes ``?``. Blanks of any width, letters of all scripts and emoji stay. What is
    returned is valid UTF-8, and comes back unchanged from a second call.

    Args:
        text: Anything.
        lines: Keep line breaks and tabs; else they become blanks.
    """
    if text.isprintable():
        return text
    return "".join(_shown(letter, lines) for letter in text)


def visible_json(value: Any) -> Any:
    """Return a JSON value with :func:`visible` texts and keys, which may have several lines."""
    if isinstance(value, str):
        return visible(value, lines=True)
    if isinstance(value, Mapping):
        return {visible(str(key)): visible_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [visible_json(item) for item in value]
    return value


def cut(text: str, longest: int) -> str:
    """Return the text, or its beginning and an ellipsis, with at most ``longest`` characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def shortened(text: str, longest: int = 40) -> str:
    """Return the text, or its beginning and its end with an ellipsis between: names often differ in their ends."""
    tail = longest // 3
    return text if len(text) <= longest else f"{text[: longest - tail - 1]}…{text[-tail:]}"


def told_apart(names: Sequence[str], longest: int) -> list[str]:
    """Return names in so many characters: their beginnings; of those that begin alike, beginning and end."""
    brief = [cut(name, longest) for name in names]
    return [
        shortened(name, longest) if brief.count(short) > 1 else short for name, short in zip(names, brief, strict=True)
    ]


def _shown(letter: str, lines: bool) -> str:
    if letter.isprintable() or letter in _KEPT or unicodedata.category(letter) == "Zs":
        return letter
    if letter in "\n\t":
        return letter if lines else " "
    if "\ud800" <= letter <= "\udfff":
        return "?"
    return letter.encode("unicode_escape").decode("ascii")
