"""Entries of the key over a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def legend(entries: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Traces without points that the card writes as its key: pairs of words and colour."""
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": words,
            "meta": {"series": "legend"},
            "x": [None],
            "y": [None],
            "marker": {"symbol": "square", "size": 9, "color": colour},
            "hoverinfo": "skip",
        }
        for words, colour in entries
    ]
