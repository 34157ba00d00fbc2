"""One panel of every lane, side by side on the same axes: what the followed factor of one lane does in the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from foam_viz.figures import encode, theme
from foam_viz.figures.grid import Place, grid, portrait
from foam_viz.figures.panel import Drawing
from foam_viz.figures.panels import damping, overlap, raster
from foam_viz.figures.panels.waiting import why_empty
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace.visible import told_apart

KINDS: Mapping[str, tuple[str, Callable[[Scene], Drawing]]] = {
    "overlap": ("Eigenbasis drift", overlap.draw),
    "damping": ("Damping and drift", damping.draw),
    "raster": ("Refresh raster", raster.draw),
}
"""What can be set side by side: its title and the panel that draws it."""

_GAP = 0.035
"""Share of the width between two lanes."""
_ROOMY = 3
"""Lanes whose axes have room for whole titles."""
_LETTERS = 110
"""Letters of all names beside each other that a card across the page has room for."""
_HIGH_LETTERS, _HIGH_ROW_GAP, _IN_A_COLUMN = 40, 0.12, 3
"""On a card higher than wide: letters beside each other, share of the height between rows, and lanes below each other
that need no second column."""


def draw(scene: Scene) -> Drawing:
    """The chosen panel of every lane that has it; the same factor in each, by its name and size."""
    title, panel = KINDS[scene.look.side_by_side]
    target = scene.followed
    drawn: list[tuple[Lane, Drawing, dict[str, Any]]] = []
    without = []
    for lane in scene.lanes:
        factor = None
        if target is not None:
            factor = target[1] if lane is target[0] else lane.like(*target)
        drawing = panel(replace(scene, lanes=[lane], look=replace(scene.look, lane=lane.position, factor=factor)))
        if drawing.figure is None:
            without.append(lane.label)
        else:
            drawn.append((lane, drawing, drawing.figure))
    if not drawn:
        return Drawing(empty=why_empty(scene, f"{title} of every lane", single=scene.look.side_by_side != "raster"))
    high_across = 1 if len(drawn) <= _IN_A_COLUMN else 2
    places = grid(len(drawn), len(drawn), _GAP)
    high = grid(len(drawn), high_across, 2 * _GAP, _HIGH_ROW_GAP)
    figure: dict[str, Any] = {"data": [], "layout": encode.layout(f"{scene.look.side_by_side} {len(drawn)}")}
    shared: dict[str, list[float]] = {}
    names, high_names, high_axes = [], [], {}
    labels = [lane.label for lane, _, _ in drawn]
    wide_names = told_apart(labels, _LETTERS // len(drawn))
    narrow_names = told_apart(labels, _HIGH_LETTERS // high_across)
    for number, (lane, _, single) in enumerate(drawn):
        place, place_if_high = places[number], high[number]
        high_axes |= _add(
            figure, single, number, place, place_if_high, shared, encode.escape(lane.label), brief=len(drawn) > _ROOMY
        )
        names.append(_name(lane, wide_names[number], place.middle))
        label = encode.escape(narrow_names[number])
        high_names.append({"text": label, "x": place_if_high.middle, "y": place_if_high.top})
    layout = figure["layout"]
    layout["meta"] = portrait(high_axes, high_names)
    layout["annotations"] = names
    layout["margin"] = {"l": 60, "r": 14, "t": 30, "b": 40}
    layout["hovermode"] = "closest"
    for name in shared:  # one range for all, so that heights compare
        for axis in layout.values():
            if isinstance(axis, dict) and axis.get("meta_shared") == name:
                axis["range"] = shared[name]
    for axis in layout.values():
        if isinstance(axis, dict):
            axis.pop("meta_shared", None)
    followed = target[0].factor_name(target[1]) if target and scene.look.side_by_side != "raster" else ""
    parts = [f"{title}, {len(drawn)} lane{'s' if len(drawn) > 1 else ''}", followed]
    if without:
        parts.append(f"nothing to show of {', '.join(without)}")
    moment = _together([drawing.moment for _, drawing, _ in drawn])
    return Drawing(figure=figure, reading="; ".join(filter(None, parts)), moment=moment)


_NUMBER = re.compile(r"\d[\d,]*")
_ADDED = re.compile(r"[;,] ")


def _together(moments: list[str]) -> str:
    """The moments of all lanes in one: where only their steps differ, the first and the last of each.

    Where they differ in what each adds about its checks, the steps of what is drawn remain.
    """
    moments = list(dict.fromkeys(moments))
    words = {tuple(_NUMBER.split(moment)) for moment in moments}
    if len(words) > 1:
        drawn = [_ADDED.split(moment)[0] for moment in moments]
        return _together(drawn) if drawn != moments else "; ".join(moments)
    said = list(words.pop())
    steps = zip(*(map(_step, _NUMBER.findall(moment)) for moment in moments), strict=True)
    spans = [f"{min(each):,}" if min(each) == max(each) else f"{min(each):,}–{max(each):,}" for each in steps]
    return "".join(part for both in zip(said, [*spans, ""], strict=True) for part in both)


def _step(text: str) -> int:
    return int(text.replace(",", ""))


def _name(lane: Lane, name: str, x: float) -> dict[str, Any]:
    return encode.note(
        encode.escape(name), x, 1,
        xref="paper", yref="paper", xanchor="center", yanchor="bottom", yshift=6,
        font={"size": 12, "color": theme.lane(lane.position).colour}, hovertext=encode.escape(lane.label),
        captureevents=True,
    )  # fmt: skip


_AXIS = re.compile(r"([xy])axis(\d*)")


def _add(
    figure: dict[str, Any],
    single: dict[str, Any],
    position: int,
    wide: Place,
    upright: Place,
    shared: dict[str, list[float]],
    label: str,
    *,
    brief: bool,
) -> dict[str, Any]:
    """Put the figure of one lane into its place: its axes get numbers of their own.

    Returns:
        What changes of its axes on a card higher than wide.
    """
    portrait_axes: dict[str, Any] = {}
    own = {name: axis for name, axis in single["layout"].items() if _AXIS.fullmatch(name)}

    def number(axis: str) -> str:
        """The name of an axis, such as "y2", in the whole figure."""
        kind, own_number = axis[0], int(axis[1:] or 1)
        moved = own_number + 10 * position
        return f"{kind}{moved if moved > 1 else ''}"

    for trace in single["data"]:
        if (trace.get("meta") or {}).get("series") == "legend":
            continue
        moved = {**trace, "xaxis": number(trace.get("xaxis", "x")), "yaxis": number(trace.get("yaxis", "y"))}
        if "colorbar" in moved:
            del moved["colorbar"]
            moved["showscale"] = False
        name = moved.get("name", "")
        moved["name"] = name if label in name else f"{label}: {name}"  # as a table of the numbers drawn names it
        figure["data"].append({**moved, "showlegend": False})
    for name, axis in own.items():
        kind, own_number = name.split("axis")
        moved = dict(axis)
        if kind == "x":
            moved["domain"] = [wide.left, wide.right]
            otherwise: dict[str, Any] = {"domain": [upright.left, upright.right]}
            moved["anchor"] = number(axis.get("anchor", "y"))
            moved["nticks"] = 4
            if title := moved.get("title", {}).get("text"):  # beside each other long ones would meet
                moved["title"] = {**moved["title"], "text": title.partition(" direction," if brief else ",")[0]}
        else:
            moved["anchor"] = number("x")
            otherwise = {"domain": upright.part(axis.get("domain", [0, 1]))}
            if position:
                moved["title"] = {**moved.get("title", {}), "text": ""}
                moved["showticklabels"] = False
            if position and not upright.column:
                otherwise |= {"title": axis.get("title", {}), "showticklabels": axis.get("showticklabels", True)}
        if "scaleanchor" in moved:
            moved["scaleanchor"] = number(moved["scaleanchor"])
            moved["constraintoward"] = "top"
        if moved.get("range") and kind + own_number != "x" and moved.get("visible", True) and not axis.get("ticktext"):
            low, high = moved["range"]
            known = shared.setdefault(name, [low, high])
            if low <= high:
                shared[name] = [min(known[0], low), max(known[1], high)]
                moved["meta_shared"] = name
        elif kind == "x" and moved.get("range") and moved.get("type") != "category":
            known = shared.setdefault(name, list(moved["range"]))
            shared[name] = [min(known[0], moved["range"][0]), max(known[1], moved["range"][1])]
            moved["meta_shared"] = name
        name_in_all = f"{kind}axis{number(kind + own_number)[1:]}"
        figure["layout"][name_in_all] = moved
        portrait_axes[name_in_all] = otherwise
    for shape in single["layout"].get("shapes", ()):
        moved = {**shape, "yref": number(shape.get("yref", "y")) if shape.get("yref") != "paper" else "paper"}
        moved["xref"] = f"{number('x')} domain" if shape.get("xref") == "paper" else number(shape.get("xref", "x"))
        figure["layout"].setdefault("shapes", []).append(moved)
    return portrait_axes
