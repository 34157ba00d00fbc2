"""Reading drawn figures back in tests."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from foam_viz.figures import theme


def values(spec: dict[str, str]) -> np.ndarray:
    """The numbers of a typed array."""
    data = np.frombuffer(base64.b64decode(spec["bdata"]), spec["dtype"])
    return data.reshape([int(n) for n in spec["shape"].split(",")]) if "shape" in spec else data


def traces(figure: dict[str, Any], series: str, **meta: Any) -> list[dict[str, Any]]:
    """The traces of one series."""
    found = [trace for trace in figure["data"] if trace.get("meta", {}).get("series") == series]
    return [trace for trace in found if all(trace["meta"].get(key) == value for key, value in meta.items())]


def trace(figure: dict[str, Any], series: str, **meta: Any) -> dict[str, Any]:
    """The one trace of a series."""
    (found,) = traces(figure, series, **meta)
    return found


def is_of_the_theme(colour: str) -> bool:
    """Whether a colour, #RRGGBB or rgba(...), has a partner on dark paper."""
    if colour.startswith("rgba("):
        red, green, blue = (int(part) for part in colour[5:-1].split(",")[:3])
        colour = f"#{red:02X}{green:02X}{blue:02X}"
    return colour.upper() in theme.DARK_OF


def for_high_cards(layout: dict, across: int) -> None:
    """Assert that the places of plots on a card higher than wide do not meet, and that each has its name above it."""
    portrait = layout["meta"]["portrait"]
    names = portrait["annotations"]
    assert len(names) == len(layout["annotations"]) and portrait["axes"].keys() <= layout.keys()
    spans = {name: axis["domain"] for name, axis in portrait["axes"].items()}
    assert all(0 <= low < high <= 1 for low, high in spans.values())
    for note in names:
        whose = [name for name, span in spans.items() if name[0] == "x" and span[0] < note["x"] < span[1]]
        assert whose and any(abs(span[1] - note["y"]) < 1e-9 for name, span in spans.items() if name[0] == "y")
    columns = {tuple(span) for name, span in spans.items() if name[0] == "x"}
    assert len(columns) == min(across, len(names))
    rows = sorted({note["y"] for note in names})
    assert len(rows) == -(-len(names) // across) and all(b - a > 0.1 for a, b in zip(rows, rows[1:], strict=False))
