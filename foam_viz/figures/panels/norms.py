"""How long the gradient and the update of a step are: what the card of the loss shows when asked."""

from __future__ import annotations

from typing import Any

import numpy as np

from foam_viz.analysis.downsample import minmax
from foam_viz.figures import encode, theme
from foam_viz.figures.look import Look
from foam_viz.figures.panel import Drawing
from foam_viz.figures.panels.loss import TITLES, horizontal, placed, where
from foam_viz.figures.scene import Lane, Scene

_COLUMNS = (("gradient_norm", "gradient ‖G‖", "y"), ("update_norm", "update ‖ΔW‖", "y2"))


def draw(scene: Scene) -> Drawing:
    """Norm of the gradient above, of the update below."""
    look = scene.look
    data: list[dict[str, Any]] = []
    words: list[tuple[str, int]] = []
    spans: dict[str, list[float]] = {}
    furthest, last = 0.0, []
    for position, lane in enumerate(scene.lanes):
        shared = scene.drawn_before(lane, scene.lanes[:position])
        told = []
        for column, name, axis in _COLUMNS:
            step, x, values = placed(lane, column, look)
            if not len(step):
                continue
            begin = max(int(np.searchsorted(step, shared, side="right")) - 1, 0)
            data.append(_line(lane, name, axis, x[begin:], values[begin:], look))
            _, whole_x, whole = placed(lane.newest, column, look)
            spans[axis] = [*spans.get(axis, []), float(whole.min()), float(whole.max())]
            furthest = max(furthest, float(whole_x[-1]))
            last.append(int(step[-1]))
            told.append(f"{name} {theme.number(float(values[-1]))}")
        if told:
            whose = f"{lane.label}: " if len(scene.lanes) > 1 else ""
            words.append((f"{whose}{', '.join(told)}", last[-1]))
    if not data:
        wait = any(lane.trace.has("steps", column) for lane in scene.lanes for column, _, _ in _COLUMNS)
        return Drawing(
            title="Gradient and update",
            empty=f"No run here has recorded {TITLES[look.loss_axis]}; choose another horizontal axis."
            if wait
            else "The norms of gradient and update appear here once a run records them.",
        )
    axes: dict[str, Any] = {}
    for (_, name, axis), domain in zip(_COLUMNS, ([0.54, 1], [0, 0.46]), strict=True):
        if axis in spans:
            low, high = min(spans[axis]), max(spans[axis])
            axes[axis.replace("y", "yaxis")] = (encode.log_axis if look.loss_log else encode.axis)(
                name,
                range=encode.log_range(low, high) if look.loss_log else [0.0, encode.nice_ceiling(max(high, 1e-12))],
                domain=domain if len(spans) > 1 else [0, 1],
                uirevision=f"{axis} {look.loss_log}",
            )
    layout = encode.layout(
        "norms",
        margin={"l": 62, "r": 14, "t": 8, "b": 40},
        xaxis=horizontal(look, furthest, 0.02, anchor="y2" if "y2" in spans else "y"),
        hovermode="x unified" if look.loss_axis == "step" else "closest",
        **axes,
    )
    together = len({step for _, step in words}) == 1  # the moment says it
    reading = "; ".join(text if together else f"{text} at step {step:,}" for text, step in words)
    moment = f"norms of step {last[0]:,}" if len(set(last)) == 1 else f"norms of steps {min(last):,} to {max(last):,}"
    return Drawing(
        figure={"data": data, "layout": layout},
        reading=reading,
        moment=moment,
        title="Gradient and update",
    )


def _line(lane: Lane, name: str, axis: str, x: np.ndarray, values: np.ndarray, look: Look) -> dict[str, Any]:
    style = theme.lane(lane.position)
    picked = minmax(values, look.max_points)
    return {
        "type": "scatter",
        "mode": "lines" if len(values) > 1 else "markers",
        "name": encode.escape(lane.label),
        "meta": {"series": name, "lane": lane.position},
        "x": where(x[picked], look),
        "y": encode.typed(values[picked]),
        "yaxis": axis,
        "line": {"color": style.colour, "width": 1.6, "dash": style.dash},
        "marker": {"symbol": style.symbol, "size": 5, "color": style.colour},
        "hovertemplate": f"{name} %{{y:.3~g}}",
    }
