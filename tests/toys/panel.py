"""A toy panel: the learning rate against the step. A real one stands in ``foam_viz/figures``."""

from __future__ import annotations

from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing, Need, PanelSpec
from foam_viz.figures.scene import Scene


def draw(scene: Scene) -> Drawing:
    """The learning rate of every run that has recorded it."""
    lanes = [lane for lane in scene.lanes if lane.trace.has("steps", "learning_rate")]
    if not lanes:
        return Drawing(empty="The learning rate appears here with the first step.")
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": encode.escape(lane.label),
            "x": encode.typed(lane.trace.values("steps", "step")),
            "y": encode.typed(lane.trace.values("steps", "learning_rate")),
            "line": {"color": theme.lane(lane.position).colour},
        }
        for lane in lanes
    ]
    last = max(int(lane.trace.values("steps", "step")[-1]) for lane in lanes)
    layout = encode.layout("learning-rate", xaxis=encode.axis("Step"), yaxis=encode.axis("Learning rate"))
    return Drawing({"data": data, "layout": layout}, moment=f"step {last:,}")


ENTRY = PanelSpec(
    "learning-rate",
    "Learning rate",
    "The learning rate of each step, as its schedule gave it.",
    draw,
    columns=4,
    height=300,
    reads=frozenset(),
    requires=Need("learning rates", lambda trace: trace.has("steps", "learning_rate"), promised=lambda trace: True),
)
