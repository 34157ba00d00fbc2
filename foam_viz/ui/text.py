"""Text from links, files and people, shown as text: Streamlit's markdown must not read it as markup."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=])")


def plain(text: object, limit: int = 300) -> str:
    """The text with every character of markup escaped, cut at ``limit`` characters."""
    shown = str(text).replace("\n", " ")
    return _MARKUP.sub(r"\\\1", shown if len(shown) <= limit else shown[: limit - 1] + "…")
