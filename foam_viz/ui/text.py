"""Text from links, files and people, shown as text: Streamlit's markdown must not read it as markup."""

from __future__ import annotations

import re

from foam_viz.trace.visible import cut, visible

_RELATION = re.compile(r"(?<=\S) ([=≤≥<>×≈]) (?=\S)")
_POWER = re.compile(r"(\de)-(?=\d)")
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=])")


def whole(text: str) -> str:
    """The text so that no line breaks inside "f = 10" or "6.2e-4"."""
    return _POWER.sub("\\1\u2060-\u2060", _RELATION.sub("\u00a0\\1\u00a0", text))


def plain(text: object, limit: int = 300) -> str:
    """The text as it can be shown, with every character of markup escaped, cut at ``limit`` characters."""
    return _MARKUP.sub(r"\\\1", cut(visible(str(text)), limit))
