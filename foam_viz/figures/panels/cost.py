"""Where the time of each lane went, a bar a lane by phase, and what it would be with every check decomposed."""

from __future__ import annotations

from typing import Any

import numpy as np

from foam_viz.analysis.spending import Spending, matrix_bytes, spending
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace.visible import told_apart

_PARTS = {
    "gradient": ("gradient", 0.14),
    "every step": ("every step", 0.28),
    "statistics": ("statistics", 0.3),
    "check": ("check", 0.5),
    "decomposition": ("decompose", 1.0),
    "update": ("apply", 0.7),
}
"""Parts in the order of a bar, with their words and the strength of their colour."""
_IN_A_ROW, _WORD, _ROW = 3, 92, 16
"""Words of the key in a row, and pixels that a word and a row take."""
_LETTERS = 13
_LEFT = 100
_HALF = 0.32


def draw(scene: Scene) -> Drawing:
    """Stacked seconds; a dotted frame ends where every check would have decomposed. Or decompositions alone."""
    alone = scene.look.cost == "decompositions"
    found = [(lane, spent) for lane in scene.lanes if (spent := spending(lane.trace)) is not None]
    if not found:
        return Drawing(empty="What each part of a step costs appears here once a run has told its seconds.")
    if alone and all(spent.decompositions is None for _, spent in found):
        return Drawing(
            empty="What decompositions take appears here once a run tells them apart: these seconds are of whole steps."
        )
    whole = [spent for lane, _ in found if (spent := spending(lane.newest.trace)) is not None]
    longest = max(
        (spent.decompositions or 0.0) if alone else max(sum(spent.parts.values()), spent.all_decomposed or 0.0)
        for spent in whole
    )
    drawn = ["decomposition"] if alone else [part for part in _PARTS if any(part in spent.parts for _, spent in found)]
    data: list[dict[str, Any]] = [_bars(found, part) for part in drawn]
    names = told_apart([lane.label for lane, _ in found], _LETTERS)
    second = [_kernel(spent) if alone else _memory(lane) for lane, spent in found]
    layout = encode.layout(
        f"cost {len(found)} {scene.look.cost}",
        margin={"l": _LEFT, "r": 14, "t": 8 if alone else 8 + _ROW * -(-len(drawn) // _IN_A_ROW), "b": 40},
        barmode="stack",
        bargap=1 - 2 * _HALF,
        xaxis=encode.axis(
            "decompositions (s)" if alone else "time (s)",
            range=[0, encode.nice_ceiling(max(longest * 1.04, 1e-6))], tickformat="~g",
        ),
        yaxis=encode.axis(
            "", range=[len(found) - 0.5, -0.5], tickvals=list(range(len(found))), showgrid=False, ticks="",
            ticktext=[
                f"{encode.escape(name)}<br><span style='font-size:10px'>{words}</span>"
                for name, words in zip(names, second, strict=True)
            ],
            fixedrange=True,
        ),
        shapes=[
            _ghost(position, spent) for position, (_, spent) in enumerate(found) if spent.all_decomposed and not alone
        ],
        annotations=[] if alone else _key(drawn),
    )  # fmt: skip
    reading = _words(found[0][1]) if len(found) == 1 else _span(names, [spent for _, spent in found])
    return Drawing(
        figure={"data": data, "layout": layout}, reading=reading, moment=_moment([each for _, each in found])
    )


def _moment(found: list[Spending]) -> str:
    """The steps whose cost is drawn: a log may tell seconds from a later step than the first on."""
    first, last = {spent.first for spent in found}, {spent.last for spent in found}
    if first == {1}:
        return "steps to " + " and ".join(f"{step:,}" for step in sorted({min(last), max(last)}))
    differ = "" if len(first) == len(last) == 1 else ", not the same in every lane"
    return f"steps {min(first):,} to {max(last):,}{differ}"


def _bars(found: list[tuple[Lane, Spending]], part: str) -> dict[str, Any]:
    words, strength = _PARTS[part]
    return {
        "type": "bar",
        "orientation": "h",
        "name": words,
        "meta": {"series": part},
        # Of every lane, 0 where it has no such part: the browser stacks bars by their place in the array.
        "x": encode.typed(np.array([spent.parts.get(part, 0.0) for _, spent in found])),
        "y": list(range(len(found))),
        "marker": {"color": [theme.alpha(theme.lane(lane.position).colour, strength) for lane, _ in found]},
        "customdata": [f"{encode.escape(lane.label)}: {_words(spent)}" for lane, spent in found],
        "hovertemplate": f"{words}: %{{x:.3~g}} s<br>%{{customdata}}<extra></extra>",
        "showlegend": False,
    }


def _key(drawn: list[str]) -> list[dict[str, Any]]:
    """What each strength of colour is, above the bars. Plotly's own legend would not fit into a narrow card."""
    notes = []
    rows = -(-len(drawn) // _IN_A_ROW)
    for at, part in enumerate(drawn):
        words, strength = _PARTS[part]
        row, column = divmod(at, _IN_A_ROW)
        left, up = column * _WORD - _LEFT + 8, 4 + _ROW * (rows - 1 - row)
        place = {"xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "yshift": up}
        ink = {"size": 13, "color": theme.alpha(theme.LIGHT.ink, strength)}
        notes.append(encode.note("■", 0, 1, **place, xshift=left, font=ink))
        soft = {"size": 11, "color": theme.LIGHT.soft_ink}
        notes.append(encode.note(words, 0, 1, **place, xshift=left + 14, font=soft))
    return notes


def _ghost(position: int, spent: Spending) -> dict[str, Any]:
    return {
        "type": "rect", "x0": 0, "x1": spent.all_decomposed,
        "y0": position - _HALF - 0.06, "y1": position + _HALF + 0.06,
        "line": {"color": theme.LIGHT.soft_ink, "width": 1.3, "dash": "dot"}, "layer": "above",
    }  # fmt: skip


def _memory(lane: Lane) -> str:
    """What the factors of a lane, their bases and their roots take, as much each."""
    if not lane.trace.manifest.factors:
        return "no factors"
    wide = 8 if "64" in str(lane.trace.manifest.config.get("run_settings", {}).get("precision", "")) else 4
    size = matrix_bytes(lane.trace, wide)
    unit, words = (2**20, "MiB") if size >= 2**20 else (2**10, "KiB")
    return f"3 × {theme.number(size / unit)}{theme.THIN}{words}"


def _kernel(spent: Spending) -> str:
    """Count and cost of the decompositions."""
    if spent.decompositions is None:
        return "not told apart"
    if spent.each is None:
        return "none yet"
    about = "" if spent.timed else "about "
    return f"{spent.count:,} × {about}{theme.number(1e3 * spent.each, 'ms')}"


def _words(spent: Spending) -> str:
    words = f"optimizer {theme.number(spent.total, 's')}"
    if spent.decompositions is not None and spent.total > 0:
        about = "" if spent.timed else "about "
        words += f", {about}{theme.percent(spent.decompositions / spent.total)} in {spent.count:,} decompositions"
        if spent.all_decomposed:
            extra = spent.all_decomposed - sum(spent.parts.values())
            words += f"; {theme.number(spent.total + extra, 's')} had every check decomposed"
    return words


def _span(names: list[str], spendings: list[Spending]) -> str:
    """The lanes whose optimizer took least and most: all of them would not fit into the card."""
    found = sorted(zip(names, spendings, strict=True), key=lambda each: each[1].total)

    def one(name: str, spent: Spending, word: str = "") -> str:
        count = "" if spent.decompositions is None else f", {spent.count:,}{word}"
        return f"{theme.number(spent.total, 's')} ({name}{count})"

    return f"optimizer time from {one(*found[0], ' decompositions')} to {one(*found[-1])}"
