"""Text from links, files and people, shown as text: Streamlit's markdown must not read it as markup."""

from __future__ import annotations

import re

from foam_viz.trace.visible import cut, visible

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=])")


def plain(text: object, limit: int = 300) -> str:
    """The text as it can be shown, with every character of markup escaped, cut at ``limit`` characters."""
    return _MARKUP.sub(r"\\\1", cut(visible(str(text)), limit))
