"""How the current eigenbasis lies in the stale one: the overlap matrix of the followed factor."""

from __future__ import annotations

from collections.abc import Sequence

from foam_viz.figures import columns, encode, theme
from foam_viz.figures.panel import Drawing, Lane, View


def draw(lanes: Sequence[Lane], view: View) -> Drawing:
    """The newest recorded overlap matrix, always on the same 0..1 scale."""
    target = columns.followed(lanes, view)
    snapshot = columns.latest_snapshot(*target) if target else None
    if target is None or snapshot is None or snapshot.overlap is None:
        return Drawing(empty=columns.why_empty(lanes, view, "The overlap of the stale and the current eigenbasis"))
    lane, factor = target
    matrix, since = snapshot.overlap, snapshot.last_decomposition_step
    size = len(matrix)
    directions = lane.trace.manifest.factors[factor].size
    side = {
        "tickvals": [0, size - 1],
        "ticktext": ["1", f"{directions:,}"],
        "tickcolor": theme.alpha(theme.LIGHT.card, 0),
        "showgrid": False,
        "showline": False,
        "constrain": "domain",
    }
    figure = {
        "data": [
            {
                "type": "heatmap",
                "meta": {"series": "overlap"},
                "z": encode.typed(matrix, "u1"),
                "zmin": 0,
                "zmax": 255,
                "colorscale": theme.SINGLE_HUE,
                "hovertemplate": "current %{x}, stale %{y}: %{z} of 255<extra></extra>",
                "colorbar": encode.color_bar([0, 127.5, 255], ["0", "0.5", "1"]),
            }
        ],
        "layout": encode.layout(
            f"overlap {lane.position} {factor}",
            margin={"l": 46, "r": 14, "t": 32, "b": 40},
            xaxis=encode.axis("current direction", **side, range=[-0.5, size - 0.5]),
            yaxis=encode.axis("stale direction", **side, range=[size - 0.5, -0.5], scaleanchor="x"),
        ),
    }
    turned = 1 - float(matrix.diagonal().mean()) / 255
    when = f"since step {since:,}" if since is not None else "since the last decomposition"
    reading = f"{columns.factor_name(lane, factor)}: {theme.percent(turned)} of the basis has turned {when}"
    return Drawing(figure=figure, reading=reading)
