"""A part of a page that fails costs itself and nothing else: the rest is drawn, the server's log has the details."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from foam_viz.figures.panel import Drawing, PanelSpec
from foam_viz.figures.scene import Scene

_LOG = logging.getLogger("foam_viz.ui")
_Result = TypeVar("_Result")


def isolated(what: str, make: Callable[[], _Result], otherwise: Callable[[str], _Result]) -> _Result:
    """Return what ``make`` makes; where it raises, log that and return ``otherwise`` of one line that says so.

    Args:
        what: Name of the part, for the log and the line.
        make: Draws or computes it.
        otherwise: Takes the line to show in its place.
    """
    try:
        return make()
    except Exception as error:  # a defect of ours, or data that nobody thought of: never the reader's whole page
        _LOG.exception("%s failed", what)
        return otherwise(
            f"{what} cannot be drawn from these runs ({type(error).__name__}). Everything else on the page is as it "
            "should be; the server's log has the details."
        )


def drawing(spec: PanelSpec, scene: Scene) -> Drawing:
    """Return a panel's drawing, or one that says that it failed."""
    return isolated(f"The panel {spec.title}", lambda: spec.draw(scene), lambda line: Drawing(empty=line))
