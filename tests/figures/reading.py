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
