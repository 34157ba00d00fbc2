"""The error left of a fresh inverse root at eps0 over time: in all, by staleness, and by damping."""

from __future__ import annotations

from typing import Any

import numpy as np

from foam_viz.analysis.replay import Replay
from foam_viz.analysis.study import OWN, WHAT_IF, Study
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Scene
from foam_viz.figures.threshold.legend import legend

_PARTS = (
    ("error", "in all", 2.0, "solid"),
    ("staleness_error", "staleness", 1.2, "dot"),
    ("damping_error", "damping", 1.2, "dash"),
)


def draw(scene: Scene, study: Study) -> Drawing:
    """Errors of the followed factor, or their means over all factors; one colour a setting, one dash a part."""
    replays = [(position, one) for position, one in study.replays if position in (OWN, WHAT_IF)]
    if not replays:
        return Drawing(empty="The error that each setting leaves appears here once the run is prepared.")
    factor = scene.look.factor
    lanes = {lane.position: lane for lane in scene.lanes}
    data: list[dict[str, Any]] = []
    highest = 0.0
    last = 1.0
    for position, replay in replays:
        if position not in lanes:
            continue
        style = theme.lane(position)
        for name, words, width, dash in _PARTS:
            step, value = _course(replay, name, factor)
            highest = max(highest, float(np.nanmax(value, initial=0)))
            last = max(last, float(step[-1]) if len(step) else 0.0)
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": f"{encode.escape(lanes[position].label)}: {words}",
                    "meta": {"series": name, "lane": position},
                    "x": encode.integers(step),
                    "y": encode.typed(value),
                    "line": {"color": style.colour, "width": width, "dash": dash, "shape": "hv"},
                    "hovertemplate": f"{encode.escape(lanes[position].label)}, {words}: %{{y:.3~g}}<extra></extra>",
                }
            )
    entries = [("recorded" if p == OWN else "what if", theme.lane(p).colour) for p, _ in replays]
    entries += [("solid: in all · dotted: staleness · dashed: damping", theme.LIGHT.soft_ink)]
    figure = {
        "data": [*data, *legend(entries)],
        "layout": encode.layout(
            f"threshold errors {factor}",
            margin={"l": 62, "r": 14, "t": 26, "b": 40},
            xaxis=encode.axis("step", range=encode.time_range(last), tickformat=","),
            yaxis=encode.axis("relative error", range=[0, encode.nice_ceiling(max(highest, 1e-6))], tickformat="~g"),
            hovermode="x unified",
        ),
    }  # fmt: skip
    return Drawing(figure=figure, reading=_reading(scene, replays, factor), moment=f"checks to {int(last):,}")


def _course(replay: Replay, name: str, factor: int | None) -> tuple[np.ndarray, np.ndarray]:
    """A part of the error at each check: of a factor, or the mean over those checked at that step."""
    step, value, number = replay.held("step").astype(int), replay.held(name), replay.held("factor")
    if factor is not None:
        mine = number == factor
        return step[mine], value[mine]
    good = np.isfinite(value)
    steps, index = np.unique(step, return_inverse=True)
    count = np.bincount(index[good], minlength=len(steps))
    total = np.bincount(index[good], value[good], minlength=len(steps))
    return steps, np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _reading(scene: Scene, replays: list[tuple[int, Replay]], factor: int | None) -> str:
    parts = []
    for position, replay in replays:
        means = []
        for name, words, *_ in _PARTS:
            value = _course(replay, name, factor)[1]
            value = value[np.isfinite(value)]
            means.append(f"{words} {theme.number(float(value.mean()) if len(value) else None)}")
        label = "recorded" if position == OWN else "what if" if replay.exact else "what if (open loop)"
        parts.append(f"{label} {', '.join(means)}")
    name = "all factors" if factor is None else scene.lanes[0].factor_name(factor)
    return f"{name}, mean over checks: {'; '.join(parts)}"
