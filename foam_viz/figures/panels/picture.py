"""What the model does, drawn: one picture a run, side by side, where the task has one.

The kinds of pictures and their arrays are defined in ``docs/trace.md``. A new kind is a function here and a line in
``_KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from foam_viz.analysis.downsample import strided
from foam_viz.analysis.grown import grown
from foam_viz.figures import encode, theme
from foam_viz.figures.grid import Place, grid, portrait
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace.schema import PICTURE_KINDS
from foam_viz.trace.visible import told_apart

Arrays = Mapping[str, np.ndarray]
Part = tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any], tuple[str, str]]
"""Traces, options of the x axis, options of the y axis, and what one run's picture tells: a quantity and its value."""

_POINTS = 240
"""Points of training drawn in one decision picture: enough to see the arms."""
_LEVELS = 6
"""Shades of certainty of a decision."""
_GREYS = 16
"""Grey levels of a reconstruction above white: as many as the digits have."""
_GAP = 0.06
_ROW_GAP = 0.14
"""Between two rows, for the names of the lower one."""
_HIGH_ROW_GAP = 0.06
"""The same on a card higher than wide, which has more height for a name."""
_LETTERS = 110
"""Of all names side by side, on a card as wide as a laptop's screen."""
_HIGH_LETTERS = 40
"""Of all names side by side on a card higher than wide."""
_READING, _LEAST = 104, 4
"""Letters of a reading that a narrow card has room for, and of a name in it at least."""
_WIDE = {"reconstruction"}
"""Kinds of pictures that are much wider than high: two stand side by side, further ones below."""
_BARE = {"showgrid": False, "showline": False, "ticks": "", "showticklabels": False}


def known(kind: str) -> bool:
    """Whether there is a picture of this kind."""
    return kind in _KINDS


def draw(scene: Scene) -> Drawing:
    """The newest picture of each run."""
    with_pictures = [lane for lane in scene.lanes if lane.trace.manifest.picture in _KINDS]
    pictured = [(lane, _newest(lane, 2 if len(with_pictures) == 2 else 1)) for lane in with_pictures]
    pictured = [(lane, part) for lane, part in pictured if part is not None]
    if not pictured:
        return Drawing(empty="What each model does appears here from its first step on, if its task can be pictured.")
    data, axes, names, told = [], {}, [], []
    wide = all(lane.trace.manifest.picture in _WIDE for lane, _ in pictured)
    across = min(2, len(pictured)) if wide else len(pictured)
    high_across = 1 if wide or len(pictured) <= 2 else 2
    places = grid(len(pictured), across, _GAP, _ROW_GAP)
    high = grid(len(pictured), high_across, _GAP, _HIGH_ROW_GAP if wide else _ROW_GAP)
    high_axes, high_names = {}, []
    labels = [lane.label for lane, _ in pictured]
    wide_names = iter(told_apart(labels, _LETTERS // across))
    narrow_names = iter(told_apart(labels, _HIGH_LETTERS // high_across))
    for place, if_high, (lane, (traces, x_axis, y_axis, tells)) in zip(places, high, pictured, strict=True):
        number = str(len(names) + 1) if names else ""
        data += [{**trace, "xaxis": f"x{number}", "yaxis": f"y{number}"} for trace in traces]
        # Of its part of the card a picture keeps the top, below its name.
        shape = {"scaleanchor": f"x{number}", "constrain": "domain", "constraintoward": "top"}
        square = shape if y_axis.pop("square", False) else {}
        bare = x_axis.items() >= _BARE.items()  # it shows its title alone, and the lowest row has it
        alike = y_axis.pop("alike", False)  # the first of the row says it
        kind = encode.log_axis if y_axis.pop("log", False) else encode.axis
        x_place, y_place = _axes_at(place, bare, alike)
        axes[f"xaxis{number}"] = encode.axis(**{**x_axis, **x_place}, anchor=f"y{number}", constrain="domain")
        axes[f"yaxis{number}"] = kind(**{**y_axis, **y_place}, anchor=f"x{number}", **square)
        high_axes[f"xaxis{number}"], high_axes[f"yaxis{number}"] = _axes_at(if_high, bare, alike)
        names.append(
            encode.note(
                encode.escape(next(wide_names)), place.middle, place.top,
                xref="paper", yref="paper", xanchor="center", yanchor="bottom", yshift=4,
                font={"size": 12, "color": theme.lane(lane.position).colour},
                hovertext=encode.escape(lane.label), captureevents=True,
            )
        )  # fmt: skip
        label = encode.escape(next(narrow_names))
        high_names.append({"text": label, "x": if_high.middle, "y": if_high.top})
        told.append((lane, tells))
    margin = {"l": 56, "r": 14, "t": 26, "b": 40}
    meta = portrait(high_axes, high_names)
    layout = encode.layout(f"picture {len(pictured)}", margin=margin, annotations=names, meta=meta, **axes)
    steps = [int(lane.trace.values("pictures", "step")[-1]) for lane, _ in pictured]
    first, last = min(steps), max(steps)
    moment = f"step {last:,}" if first == last else f"steps {first:,} to {last:,}"
    return Drawing(figure={"data": data, "layout": layout}, reading=_reading(told), moment=moment)


def _axes_at(place: Place, bare: bool, alike: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """What depends on the place of a picture: its lowest row has the bare x axis, its first column the labels of y.

    Args:
        place: Of the picture.
        bare: Whether the x axis has a title and nothing else.
        alike: Whether all pictures have the same labels of y.
    """
    x = {"domain": [place.left, place.right], "visible": place.last or not bare}
    y = {"domain": [place.bottom, place.top], **({"showticklabels": not place.column} if alike else {})}
    return x, y


def _reading(told: list[tuple[Lane, tuple[str, str]]]) -> str:
    """Every run's value, quantity by quantity, with names as short as the card needs them."""
    whole = max(len(lane.label) for lane, _ in told)
    fitting = (_said(told, most) for most in range(whole, _LEAST, -1))
    return next((reading for reading in fitting if len(reading) <= _READING), _said(told, _LEAST))


def _said(told: list[tuple[Lane, tuple[str, str]]], most: int) -> str:
    """The reading with names of at most so many letters."""
    by_quantity: dict[str, list[str]] = {}
    names = told_apart([lane.label for lane, _ in told], most)
    for name, (_, (quantity, value)) in zip(names, told, strict=True):
        by_quantity.setdefault(quantity, []).append(f"{name} {value}")
    return "; ".join(f"{quantity}: {', '.join(values)}" for quantity, values in by_quantity.items())


def _newest(lane: Lane, lines: int) -> Part | None:
    """The newest picture of a run, made once for each picture; a wide one in so many lines."""
    key = ("picture", lane.label, lane.position, lines)
    return grown(lane.trace, "pictures", key, lambda _, __: _part(lane, lane.trace.latest_picture(), lines))


def _part(lane: Lane, arrays: Arrays, lines: int) -> Part | None:
    """One run's picture; None until every array of its kind is there."""
    kind = lane.trace.manifest.picture
    if not arrays.keys() >= PICTURE_KINDS[kind].keys():
        return None
    return _reconstruction(lane, arrays, lines) if kind == "reconstruction" else _KINDS[kind](lane, arrays)


def _decision(lane: Lane, arrays: Arrays) -> Part:
    """The class a model gives each point of the plane, paler where it is less sure, and the points it learned from."""
    probability, x, y = arrays["probability"], arrays["x"], arrays["y"]
    classes = len(probability)
    sure = (probability.max(0) - 1 / classes) / (1 - 1 / classes)
    level = np.clip((sure * _LEVELS).astype(int), 0, _LEVELS - 1)
    bands = [
        theme.alpha(theme.lane(k).colour, 0.08 + 0.4 * shade / (_LEVELS - 1))
        for k in range(classes)
        for shade in range(_LEVELS)
    ]
    traces: list[dict[str, Any]] = [
        {
            "type": "heatmap",
            "meta": {"series": "decision", "lane": lane.position},
            "z": encode.typed(probability.argmax(0) * _LEVELS + level, "u1"),
            "x0": float(x[0]),
            "dx": float(x[1] - x[0]),
            "y0": float(y[0]),
            "dy": float(y[1] - y[0]),
            "zmin": -0.5,
            "zmax": len(bands) - 0.5,
            "colorscale": [[(k + end) / len(bands), band] for k, band in enumerate(bands) for end in (0, 1)],
            "showscale": False,
            "hoverinfo": "skip",
        }
    ]
    shown = strided(len(arrays["points"]), _POINTS)
    for k in range(classes):
        mine = shown[arrays["labels"][shown] == k]
        style = theme.lane(k)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"class {k + 1}",
                "meta": {"series": "points", "lane": lane.position},
                "x": encode.typed(arrays["points"][mine, 0]),
                "y": encode.typed(arrays["points"][mine, 1]),
                "marker": {"symbol": style.symbol, "size": 4, "color": style.colour},
                "hoverinfo": "skip",
            }
        )
    column = np.abs(arrays["held_out_points"][:, :1] - x).argmin(1)
    row = np.abs(arrays["held_out_points"][:, 1:] - y).argmin(1)
    right = float((probability.argmax(0)[row, column] == arrays["held_out_labels"]).mean())
    edges = [float(x[0]), float(x[-1])]
    told = "held-out points told apart rightly", theme.percent(right)
    return traces, {"title": "x", "range": edges}, {"title": "y", "range": edges, "square": True}, told


def _reconstruction(lane: Lane, arrays: Arrays, lines: int = 1) -> Part:
    """Held-out images above, what the model makes of them below; of two runs in two lines, which fill the card."""
    top, bottom = arrays["input"], arrays["reconstruction"]
    count, height, width = top.shape
    in_line, pair = -(-count // lines), 2 * height + 1
    mosaic = np.zeros((lines * (pair + 2) - 2, in_line * (width + 1) - 1))
    for k in range(count):
        line, column = divmod(k, in_line)
        at, above = slice(column * (width + 1), column * (width + 1) + width), line * (pair + 2)
        mosaic[above : above + height, at] = np.clip(top[k], 0, 1)
        mosaic[above + height + 1 : above + pair, at] = np.clip(bottom[k], 0, 1)
    traces = [
        {
            "type": "heatmap",
            "meta": {"series": "reconstruction", "lane": lane.position},
            "z": encode.typed(np.round(_GREYS * mosaic), "u1"),
            "zmin": 0,
            "zmax": _GREYS,
            "colorscale": theme.SINGLE_HUE,
            "showscale": False,
            "hoverinfo": "skip",
        }
    ]
    error = float(np.sqrt(np.mean((top - bottom) ** 2)))
    rows, across = mosaic.shape
    y_axis = {**_BARE, "title": "", "range": [rows - 0.5, -0.5], "square": True}
    middles = [(height - 1) / 2, height + (height + 1) / 2]
    y_axis |= {"showticklabels": True, "tickvals": [line * (pair + 2) + m for line in range(lines) for m in middles]}
    y_axis |= {"ticktext": ["digit", "model"] * lines, "alike": True}
    x_axis = {**_BARE, "title": "held-out digits, grey 0 to 1", "range": [-0.5, across - 0.5]}
    return traces, x_axis, y_axis, ("error per pixel", theme.number(error))


def _ellipse(lane: Lane, arrays: Arrays) -> Part:
    """The way of two weights to their optimum, and the ellipse of the gradient's covariance that turns meanwhile."""
    style = theme.lane(lane.position)
    trail, optimum, position = arrays["trail"], arrays["optimum"], arrays["position"]
    ellipse = arrays["ellipse"]
    traces = [
        _line(ellipse, "gradient covariance", {"color": theme.LIGHT.soft_ink, "width": 1.2, "dash": "dot"}, lane),
        _line(trail, "trail", {"color": theme.alpha(style.colour, 0.7), "width": 1.5}, lane),
        _mark(position, "weights now", {"symbol": style.symbol, "size": 9, "color": style.colour}, lane),
        _mark(
            optimum, "optimum", {"symbol": "x-thin", "size": 10, "line": {"width": 2, "color": theme.LIGHT.ink}}, lane
        ),
    ]
    everything = np.concatenate([trail.reshape(-1, 2), optimum[None], ellipse])
    reach = encode.nice_ceiling(float(np.abs(everything[np.isfinite(everything).all(1)]).max()) * 1.05)
    span = [-reach, reach]
    distance = float(np.linalg.norm(position - optimum))
    axes = {"title": "first weight", "range": span}, {"title": "second weight", "range": span, "square": True}
    return traces, *axes, ("distance from the optimum", theme.number(distance))


def _singular_values(lane: Lane, arrays: Arrays) -> Part:
    """How much of the target's spectrum is learned."""
    style = theme.lane(lane.position)
    target, learned = arrays["target"], arrays["learned"]
    rank = np.arange(1, len(target) + 1)
    ghost = {"color": theme.LIGHT.soft_ink, "width": 1.5, "dash": "dot"}
    traces = [
        _line(np.stack((rank, target), 1), "target", ghost, lane),
        _line(np.stack((rank, learned), 1), "learned", {"color": style.colour, "width": 2}, lane),
    ]
    positive = np.concatenate([target, learned[learned > float(target.min()) / 10]])
    close = int((np.abs(learned / target - 1) < 0.1).sum())
    x_axis = {"title": "singular value, largest first", "range": [0.5, len(target) + 0.5]}
    y_axis = {"title": "size", "log": True, "range": encode.log_range(float(positive.min()), float(positive.max()))}
    return traces, x_axis, y_axis, (f"singular values within 10{theme.THIN}%", f"{close} of {len(target)}")


def _line(points: np.ndarray, name: str, line: dict[str, Any], lane: Lane) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "meta": {"series": name, "lane": lane.position},
        "x": encode.typed(points[:, 0]),
        "y": encode.typed(points[:, 1]),
        "line": line,
        "hovertemplate": f"{name}: %{{x:.3~g}}, %{{y:.3~g}}<extra></extra>",
    }


def _mark(point: np.ndarray, name: str, marker: dict[str, Any], lane: Lane) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "meta": {"series": name, "lane": lane.position},
        "x": encode.typed(point[:1]),
        "y": encode.typed(point[1:]),
        "marker": marker,
        "hovertemplate": f"{name}: %{{x:.3~g}}, %{{y:.3~g}}<extra></extra>",
    }


_KINDS: dict[str, Callable[[Lane, Arrays], Part]] = {
    "decision": _decision,
    "reconstruction": _reconstruction,
    "ellipse": _ellipse,
    "singular-values": _singular_values,
}
