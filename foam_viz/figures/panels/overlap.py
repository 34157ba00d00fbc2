"""How the current eigenbasis lies in the stale one: the overlap matrix of the followed factor."""

from __future__ import annotations

import numpy as np

from foam_viz.analysis.snapshots import latest_snapshot, snapshot_moment
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.panels.waiting import why_empty
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Snapshot


def draw(scene: Scene) -> Drawing:
    """The newest recorded overlap matrix, always on the same 0..1 scale."""
    target = scene.followed
    snapshot = latest_snapshot(target[0].trace, target[1]) if target else None
    if target is None or snapshot is None or snapshot.overlap is None:
        return Drawing(empty=why_empty(scene, "The overlap of the stale and the current eigenbasis"))
    lane, factor = target
    size = len(snapshot.overlap)
    directions = len(snapshot.eigenvalues) if snapshot.eigenvalues is not None else _size(lane, factor)
    names = _directions(size, directions)
    side = {
        "type": "category",
        "tickvals": [0, size - 1],
        "ticktext": ["1", f"{directions:,}"],
        "tickcolor": theme.alpha(theme.LIGHT.card, 0),
        "showgrid": False,
        "showline": False,
        "constrain": "domain",
    }
    which = "direction" if size == directions else "directions"
    figure = {
        "data": [
            {
                "type": "heatmap",
                "name": "% of stale directions (y) along current ones (x)",
                "meta": {"series": "overlap"},
                "x": names,
                "y": names,
                "z": encode.typed(np.rint(snapshot.overlap / 2.55), "u1"),
                "zmin": 0,
                "zmax": 100,
                "colorscale": theme.SINGLE_HUE,
                "hovertemplate": f"%{{z}}{theme.THIN}% of stale {which} %{{y}}<br>along current {which} %{{x}}<br>"
                f"of {directions:,}, largest first<extra></extra>",
                "colorbar": encode.color_bar([0, 50, 100], ["0", "0.5", "1"]),
            }
        ],
        "layout": encode.layout(
            f"overlap {lane.position} {factor}",
            margin={"l": 46, "r": 14, "t": 32, "b": 40},
            xaxis=encode.axis("current direction, largest first", **side, range=[-0.5, size - 0.5]),
            yaxis=encode.axis("stale direction", **side, range=[size - 0.5, -0.5], scaleanchor="x"),
        ),
    }
    return Drawing(
        figure=figure,
        reading=f"{lane.factor_name(factor)}: {_turn(snapshot)}",
        moment=snapshot_moment(lane.trace, factor, snapshot),
    )


def _size(lane: Lane, factor: int) -> int:
    return lane.trace.manifest.factors[factor].size


def _directions(size: int, directions: int) -> list[str]:
    """Names of the rows of a matrix that is pooled over groups of neighbouring directions, counted from one."""
    first = -(-np.arange(size) * directions // size) + 1  # direction i is in row i * size // directions
    last = np.append(first[1:] - 1, directions)
    return [f"{a:,}" if a == b else f"{a:,}–{b:,}" for a, b in zip(first.tolist(), last.tolist(), strict=True)]


def _turn(snapshot: Snapshot) -> str:
    """How far the basis has turned, in energy and in angles."""
    since = snapshot.last_decomposition_step
    when = f"since step {since:,}" if since is not None else "since the last decomposition"
    if since == snapshot.step:
        return "just decomposed"
    if snapshot.turn is None:
        return (
            f"basis of step {since:,}; how far it has turned was not recorded"
            if since is not None
            else ("how far the basis has turned was not recorded")
        )
    words = f"{theme.percent(snapshot.turn)} of its energy has turned {when}"
    angles = snapshot.top_angles
    if angles is not None and len(angles) and np.isfinite(angles[-1]):
        top = "top direction" if len(angles) == 1 else f"top {len(angles)} directions"
        words += f"; its {top} by {theme.number(float(np.degrees(angles[-1])))}° at most"
    return words
