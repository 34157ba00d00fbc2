"""Error left against work: every setting a point, the best of them a front, with fixed periods and turns beside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from foam_viz.analysis.fronts import front
from foam_viz.analysis.replay import Summary
from foam_viz.analysis.study import FIRST_TRUTH, OWN, WHAT_IF, Study, Truth, difference, summary_of
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Scene
from foam_viz.figures.threshold.legend import legend
from foam_viz.figures.threshold.surface import told

WORKS = {"decompositions": "decompositions of all factors", "kernel_seconds": "projected kernel time (s)"}
"""Columns of a summary that are paid, as the axis calls them."""

_TRAINED = theme.lane(FIRST_TRUTH).colour
"""Of settings that were really trained: no colour of a decision."""

_KINDS = {
    "shampoo": ("fixed period", "square", theme.LIGHT.ink),
    "shampoo-staggered": ("taking turns", "diamond", theme.LIGHT.ink),
}


def draw(scene: Scene, study: Study) -> Drawing:
    """Points of the map and of references, the front through the best, rings at the recorded and the chosen setting."""
    points = [*study.points, *study.references]
    if not points:
        return Drawing(empty="What each setting costs and leaves appears here once the run is prepared.")
    work = study.work
    best = front(points, work).best
    data = [_cloud("map", study.points, "circle", theme.LIGHT.soft_ink, work, 7)]
    for kind, (words, symbol, colour) in _KINDS.items():
        mine = [point for point in study.references if point.setting.optimizer == kind]
        if mine:
            data.append(_cloud(words, mine, symbol, colour, work, 9, line=True))
    data.append(_line(best, work))
    for position, replay in study.replays:
        data.append(_ring(position, summary_of(replay), work, scene))
    data += _truths(study)
    entries = [(words, colour) for words, _, colour in _KINDS.values()]
    entries += [("front", theme.LIGHT.accent), *([("trained", _TRAINED)] if _known(study) else [])]
    data += legend([("map", theme.LIGHT.soft_ink), *entries])
    x = [getattr(point, work) for point in points] + [getattr(summary_of(r), work) for _, r in study.replays]
    x += [_paid(truth, work) for truth in _known(study)]
    y = [point.error_left for point in points] + [replay.error_left for _, replay in study.replays]
    y += [truth.error_left for truth in study.truths if truth.error_left is not None]
    x = [value for value in x if value > 0]
    y = [value for value in y if math.isfinite(value) and value > 0]
    span = encode.log_range(min(y, default=0.1) * 0.6, max(y, default=1.0) * 1.1, 2)
    floor = 10.0 ** span[0]
    for one in data:
        if isinstance(one["y"], np.ndarray):  # what leaves nothing has no place on a logarithmic axis
            one["y"] = encode.typed(np.maximum(one["y"], floor), "f8")
    figure = {
        "data": data,
        "layout": encode.layout(
            f"threshold front {work}",
            margin={"l": 62, "r": 14, "t": 26, "b": 44},
            xaxis=encode.log_axis(WORKS[work], tickformat="~g", dtick="D2",
                                  range=encode.log_range(min(x, default=1) * 0.95, max(x, default=10) * 1.05, 4)),
            yaxis=encode.log_axis("error left (mean, relative)", tickformat="~g", range=span),
            meta={"pick": True},
        ),
    }  # fmt: skip
    return Drawing(figure=figure, reading=_reading(study, best, work), moment="open loop, means over the run")


def _cloud(
    name: str, points: Sequence[Summary], symbol: str, colour: str, work: str, size: int, *, line: bool = False
) -> dict[str, Any]:
    ordered = sorted(points, key=lambda point: getattr(point, work))
    return {
        "type": "scatter",
        "mode": "lines+markers" if line else "markers",
        "name": name,
        "meta": {"series": name},
        "x": encode.typed(np.array([getattr(p, work) for p in ordered]), "f8"),
        "y": np.array([p.error_left for p in ordered]),
        "line": {"color": theme.alpha(colour, 0.35), "width": 1, "dash": "dot"},
        "marker": {"symbol": symbol, "size": size, "color": theme.alpha(colour, 0.75)},
        "customdata": [told(p.setting) for p in ordered],
        "hovertext": [_words(p) for p in ordered],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _line(best: Sequence[Summary], work: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "front",
        "meta": {"series": "front"},
        "x": encode.typed(np.array([getattr(p, work) for p in best]), "f8"),
        "y": np.array([p.error_left for p in best]),
        "line": {"color": theme.LIGHT.accent, "width": 2, "shape": "hv"},
        "hoverinfo": "skip",
    }


def _ring(position: int, point: Summary, work: str, scene: Scene) -> dict[str, Any]:
    style = theme.lane(position)
    label = next((lane.label for lane in scene.lanes if lane.position == position), "")
    name = {OWN: "recorded", WHAT_IF: "what if"}.get(position, "pinned")
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "meta": {"series": name, "lane": position},
        "x": encode.typed(np.array([getattr(point, work)]), "f8"),
        "y": np.array([point.error_left]),
        "marker": {"symbol": f"{style.symbol}-open", "size": 15, "color": style.colour, "line": {"width": 3}},
        "customdata": [told(point.setting)],
        "hovertext": [f"{encode.escape(label)}<br>{_words(point)}"],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _known(study: Study) -> list[Truth]:
    """The settings that were really trained, as far as their place on the front is known."""
    counted = study.work == "decompositions"
    return [t for t in study.truths if t.error_left is not None and (counted or t.kernel_seconds)]


def _paid(truth: Truth, work: str) -> float:
    return float(truth.decompositions if work == "decompositions" else truth.kernel_seconds or 0)


def _truths(study: Study) -> list[dict[str, Any]]:
    """A star where a setting that was really trained came out; beside the chosen one's, how wrong its replay was."""
    known = _known(study)
    if not known:
        return []
    chosen = study.what_if.setting if study.what_if is not None else None
    firsts = {id(next((t for t in known if t.setting == chosen), None))}
    return [
        {
            "type": "scatter",
            "mode": "markers+text",
            "name": "trained",
            "meta": {"series": "truth"},
            "x": encode.typed(np.array([_paid(t, study.work) for t in known]), "f8"),
            "y": np.array([t.error_left for t in known]),
            "marker": {"symbol": "star", "size": 12, "color": _TRAINED},
            "text": [f"predicted {t.off:+.0%}" if id(t) in firsts and t.off is not None else "" for t in known],
            "textposition": "top right",
            "textfont": {"size": 11, "color": theme.LIGHT.soft_ink},
            "customdata": [told(t.setting) for t in known],
            "hovertext": [_outcome(t) for t in known],
            "hovertemplate": "%{hovertext}<extra></extra>",
        }
    ]


def _outcome(truth: Truth) -> str:
    words = (
        f"{encode.escape(truth.setting.label())}<br>trained, seed {truth.seed}: {truth.decompositions:,} "
        f"decompositions, error left {theme.number(truth.error_left)}, loss {theme.number(truth.loss)}"
    )
    if truth.off is None:
        return words
    return f"{words}<br>predicted in open loop: {truth.predicted:,} decompositions, {truth.off:+.1%} of what came"


def _words(point: Summary) -> str:
    loop = "the recorded setting" if point.exact else "open loop"
    return (
        f"{encode.escape(point.setting.label())}<br>{point.decompositions:,} decompositions, error left "
        f"{theme.number(point.error_left)} ({loop})<br>staleness {theme.number(point.staleness_error)}, damping "
        f"{theme.number(point.damping_error)}; kernel time {theme.number(point.kernel_seconds, 's')}"
    )


def _reading(study: Study, best: Sequence[Summary], work: str) -> str:
    fixed = sum(point.setting.optimizer in _KINDS for point in best)
    words = f"On the front: {len(best)} settings that no other beats in both"
    if fixed:
        words += f", {fixed} of them fixed periods or taking turns"
    own = study.own.setting if study.own is not None else None
    if study.what_if is not None and math.isfinite(study.what_if.error_left):
        mine = summary_of(study.what_if)
        paid, left = getattr(mine, work), mine.error_left
        beaten = [p for p in best if getattr(p, work) <= paid and p.error_left < left]
        if beaten:
            least = min(beaten, key=lambda p: p.error_left)
            better, instead = theme.number(least.error_left), theme.number(left)
            words += f"; with no more work, {difference(least.setting, own)} leaves an error of {better}, not {instead}"
        else:
            words += "; the what-if is on the front or beside it"
    return f"{words}. Click a point to take its setting"
