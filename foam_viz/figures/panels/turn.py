"""How far the eigenbasis turns between decompositions: its energy for every lane, its leading angles for one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from foam_viz.analysis.downsample import minmax
from foam_viz.analysis.snapshots_over_time import Turns, turns_of
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.panels.waiting import why_empty
from foam_viz.figures.scene import Lane, Scene

_POINTS = 240
_ANGLES = (("smallest", "dot", 1.0), ("median", "dash", 1.2), ("largest", "solid", 2.0))


def draw(scene: Scene) -> Drawing:
    """Energy turned since the last decomposition above, principal angles of the leading directions below."""
    target = scene.followed
    turns = turns_of(target[0].trace, target[1]) if target else None
    if target is None or turns is None:
        return Drawing(empty=why_empty(scene, "How far the basis of the followed factor turns"))
    lane, factor = target
    data: list[dict[str, Any]] = []
    furthest, highest = 0, 0.01
    drawn = [lane]
    for other in [*(each for each in scene.lanes if each is not lane), lane]:
        index = factor if other is lane else other.like(lane, factor)
        found = None if index is None else turns if other is lane else turns_of(other.trace, index)
        if index is not None and found is not None and np.isfinite(found.turn).any():
            data.append(_turn(other, _after(found, scene.drawn_before(other, drawn) if other is not lane else 0)))
            drawn.append(other)
            furthest = max(furthest, other.newest.trace.last_step)
            # Of the whole run, whatever the moment looked at: the axis stands still meanwhile.
            highest = max(highest, float(np.nanmax((turns_of(other.newest.trace, index) or found).turn)))
    data += [_angle(turns, position) for position in range(3) if np.isfinite(turns.angles[:, position]).any()]
    furthest = max(furthest, lane.newest.trace.last_step)
    figure = {
        "data": data,
        "layout": encode.layout(
            f"turn {lane.position} {factor}",
            margin={"l": 60, "r": 14, "t": 8, "b": 40},
            xaxis=encode.axis(
                "step", range=encode.time_range(furthest, 0.02), anchor="y2", tickformat=",", hoverformat=","
            ),
            yaxis=encode.axis(
                "energy turned", domain=[0.54, 1], range=[0, min(encode.nice_ceiling(100 * highest * 1.05), 100)],
                ticksuffix=" %", nticks=4, uirevision="turn",
            ),
            yaxis2=encode.axis(
                "angle", domain=[0, 0.46], range=[0, 92], tickvals=[0, 30, 60, 90], ticksuffix="°", uirevision="angle"
            ),
            hovermode="x",
        ),
    }  # fmt: skip
    return Drawing(figure=figure, reading=_reading(lane, factor, turns), moment=f"snapshot of step {turns.step[-1]:,}")


def _after(turns: Turns, shared: int) -> Turns:
    """The turns later than the past that is drawn as another lane's."""
    own = turns.step > shared
    return replace(turns, step=turns.step[own], since=turns.since[own], turn=turns.turn[own], angles=turns.angles[own])


def _broken(step: np.ndarray, since: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of a curve that begins anew, at 0, with each decomposition: then the basis in force is the current one."""
    picked = np.flatnonzero(np.isfinite(values))
    picked = picked[minmax(values[picked], _POINTS)]
    step, since, values = step[picked].astype(np.float64), since[picked], values[picked]
    renewed = np.flatnonzero(np.isfinite(since) & (since < step) & (np.append(np.nan, since[:-1]) != since))
    twice = np.repeat(renewed, 2)
    return (
        np.insert(step, twice, np.repeat(since[renewed], 2)),
        np.insert(values, twice, np.tile([np.nan, 0.0], len(renewed))),
    )


def _curve(turns: Turns, values: np.ndarray, **more: Any) -> dict[str, Any]:
    x, y = _broken(turns.step, turns.since, values)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": encode.typed(x, "f8"),
        "y": encode.typed(y),
        "connectgaps": False,
        **more,
    }


def _turn(lane: Lane, turns: Turns) -> dict[str, Any]:
    style = theme.lane(lane.position)
    name = encode.escape(lane.label)
    return _curve(
        turns,
        100 * turns.turn,
        name=name,
        meta={"series": "turn", "lane": lane.position},
        line={"color": style.colour, "width": 1.6, "dash": style.dash},
        hovertemplate=f"{name}: %{{y:.3~g}} % of the energy<extra></extra>",
    )


def _angle(turns: Turns, position: int) -> dict[str, Any]:
    word, dash, width = _ANGLES[position]
    return _curve(
        turns,
        np.degrees(turns.angles[:, position]),
        name=f"{word} angle",
        meta={"series": f"{word} angle"},
        yaxis="y2",
        line={"color": theme.LIGHT.ink, "width": width, "dash": dash},
        hovertemplate=f"{word} angle %{{y:.3~g}}°<extra></extra>",
    )


def _reading(lane: Lane, factor: int, turns: Turns) -> str:
    parts = []
    since = turns.since[-1]
    when = "just decomposed" if since == turns.step[-1] else ""
    if not when and np.isfinite(since):
        when = f"basis from step {int(since):,}"
    if np.isfinite(turns.turn[-1]):
        parts.append(f"{theme.percent(float(turns.turn[-1]))} of its energy turned")
    if np.isfinite(turns.angles[-1, 2]):
        low, _, high = np.degrees(turns.angles[-1])
        parts.append(f"its top {turns.top} directions by {theme.number(float(low))}° to {theme.number(float(high))}°")
    return f"{lane.factor_name(factor)}: {', '.join(filter(None, [when, *parts]))}"
