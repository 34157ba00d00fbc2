"""What a log holds besides losses and factors: a small card a metric, against the step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from foam_viz.analysis.downsample import minmax
from foam_viz.analysis.series import Missing, metrics, series
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing, PanelSpec
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import TraceView

MOST = 6
"""Cards at most; all metrics are in Compare."""

_DRAWN = frozenset({"loss", "held_out_loss", "decompositions"})
_RECORDED = frozenset({"learning_rate", "gradient_norm", "update_norm"})
"""What runs made here record, too: a setting, and norms that the card of the loss shows when asked."""
_FEW = 40
"""Values that are drawn as points too."""
_POINTS = 600
_LONGEST_TITLE = 40
_DECADES = 3


def further(trace: TraceView) -> list[str]:
    """The metrics of a run that no other panel draws, in the order of its table."""
    known = _DRAWN | (_RECORDED if trace.manifest.format == "foam_viz" else frozenset())
    return [name for name in metrics(trace) if name not in known]


def cards(lanes: Sequence[Lane]) -> list[PanelSpec]:
    """A panel for each of the first metrics that any run has besides its losses."""
    names = list(dict.fromkeys(name for lane in lanes for name in further(lane.trace)))
    return [
        PanelSpec(
            f"metric-{name}",
            name,
            f"{name} as logged, against the step. {min(MOST, len(names))} of {len(names)} further metrics are drawn "
            "here; all of them, smoothed and against other axes, are in Compare.",
            partial(draw, metric=name),
            columns=4,
            height=300,
            reads=frozenset(),
            over_time=True,
        )
        for name in names[:MOST]
    ]


def draw(scene: Scene, *, metric: str) -> Drawing:
    """One metric of every run that has it."""
    found = [(lane, series(lane.trace, metric)) for lane in scene.lanes]
    drawn = [(lane, curve) for lane, curve in found if not isinstance(curve, Missing) and curve.finite.any()]
    if not drawn:
        return Drawing(empty=f"{metric} appears here once a run logs it.")
    data: list[dict[str, Any]] = []
    words, ends = [], []
    whole = drawn
    if scene.is_past:
        found = [(lane, series(lane.newest.trace, metric)) for lane, _ in drawn]
        whole = [(lane, curve) for lane, curve in found if not isinstance(curve, Missing)]
    values = np.concatenate([curve.y[curve.finite] for _, curve in drawn])
    every = np.concatenate([curve.y[curve.finite] for _, curve in whole])
    bottom, top = float(every.min()), float(every.max())
    furthest = max(int(curve.step[curve.finite][-1]) for _, curve in whole)
    low, high = float(values.min()), float(values.max())
    log = bottom > 0 and top / bottom > 10.0**_DECADES
    for lane, curve in drawn:
        known = np.flatnonzero(curve.finite)
        step, y = curve.step[known], curve.y[known]
        picked = minmax(y, _POINTS)
        style = theme.lane(lane.position)
        data.append(
            {
                "type": "scatter",
                "mode": "lines" if len(known) > _FEW else "lines+markers",
                "name": encode.escape(lane.label),
                "meta": {"series": metric, "lane": lane.position},
                "x": encode.typed(step[picked], "f8"),
                "y": encode.typed(y[picked]),
                "line": {"color": style.colour, "width": 1.5, "dash": style.dash},
                "marker": {"symbol": style.symbol, "size": 4, "color": style.colour},
                "hovertemplate": "step %{x:,}: %{y:.4~g}<extra></extra>",
            }
        )
        ends.append(int(step[-1]))
        whose = f"{lane.label}: " if len(drawn) > 1 else ""
        words.append(f"{whose}{theme.number(float(y[-1]), curve.unit)} at step {ends[-1]:,}")
    shown = encode.escape(metric if len(metric) <= _LONGEST_TITLE else f"…{metric[1 - _LONGEST_TITLE :]}")
    unit = next((curve.unit for _, curve in drawn if curve.unit), "")
    title = f"{shown} ({encode.escape(unit)})" if unit else shown
    if log:
        y_axis = encode.log_axis(title, range=encode.log_range(bottom, top))
    else:
        room = 0.05 * (top - bottom) or 0.05 * max(abs(top), 1e-9)
        y_axis = encode.axis(title, range=[bottom - room, top + room], tickformat="~g")
    x_axis = encode.axis("step", range=encode.time_range(furthest, 0.02), tickformat=",", hoverformat=",")
    layout = encode.layout(f"metric {metric}", margin={"l": 62, "r": 14, "t": 8, "b": 40}, xaxis=x_axis, yaxis=y_axis)
    # Not "from ... to ...", which would say in which order they came.
    extremes = f"lowest {theme.number(low)}, highest {theme.number(high)}" if high > low else "the same all along"
    return Drawing(
        figure={"data": data, "layout": layout},
        reading=f"{'; '.join(words)}; {extremes}",
        moment=f"steps to {max(ends):,}",
    )
