"""What a panel of factors says while it has nothing to show."""

from __future__ import annotations

from foam_viz.analysis.settings import settings_at
from foam_viz.figures.scene import Scene


def why_empty(scene: Scene, what: str, *, single: bool = True) -> str:
    """What a panel of factors says while it has nothing to show.

    Args:
        scene: what the panel was to draw.
        what: the thing that will appear, capitalized, e.g. "The spectrum of the followed factor".
        single: whether the panel shows the followed factor alone.
    """
    if not scene.lanes:
        return f"{what} appears here once a run starts."
    lane, first = scene.focus, scene.lanes[0]
    if lane is None and first.trace.rows("checks"):
        return f"{what} appears here where a log tells factors apart; {first.label} counts them all together."
    if lane is None and first.trace.manifest.format != "foam_viz":
        return f"{what} appears here where a log tells of single factors; that of {first.label} does not."
    if lane is None:
        return f"{what} appears here for an optimizer with factors, such as FOAM or Shampoo; {first.label} keeps none."
    if single and scene.followed is None:
        return f"{what} appears here once you click a factor in the factor map."
    if lane.trace.manifest.status not in ("running", "paused"):
        return f"{what} appears here where a run recorded it; {lane.label} did not."
    start = settings_at(lane.trace, 0).start
    when = f"step {start:,}" if start else "the first check"
    return f"{what} appears here from {when} on, when the factors of {lane.label} are first checked."
