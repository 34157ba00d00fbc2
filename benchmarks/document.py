"""Tables that benchmarks write into the documents of docs/."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, without a line's end after its last row."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def renew(document: Path, parts: Mapping[str, str]) -> None:
    """Renews parts of a document, each between ``<!-- NAME -->`` and ``<!-- end -->``.

    Args:
        document: A file of Markdown.
        parts: What is to stand there, by name.

    Raises:
        ValueError: The document has no such place.
    """
    written = document.read_text()
    for name, content in parts.items():
        mark = f"<!-- {name} -->"
        place = re.compile(re.escape(mark) + r"\n.*?<!-- end -->", re.DOTALL)
        if not place.search(written):
            raise ValueError(f"{document} has no place for tables: must have a line {mark} and, after it, <!-- end -->")
        renewed = f"{mark}\n{content.rstrip()}\n<!-- end -->"
        written = place.sub(lambda _, renewed=renewed: renewed, written)
    document.write_text(written)
