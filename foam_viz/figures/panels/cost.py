"""Where the optimizer's time went, a bar for each lane, and what it would have been with every check decomposed."""

from __future__ import annotations

from typing import Any

import numpy as np

from foam_viz.analysis.spending import Spending, matrix_bytes, spending
from foam_viz.figures import encode, theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Lane, Scene

_PARTS = (
    ("every_step", "every step", 0.28),
    ("checks", "checks", 0.6),
    ("decompositions", "decompositions", 1.0),
)
_LETTERS = 13
_HALF = 0.32


def draw(scene: Scene) -> Drawing:
    """Stacked seconds; a dotted frame ends where every check would have decomposed."""
    found = [(lane, spent) for lane in scene.lanes if (spent := spending(lane.trace)) is not None]
    if not found:
        return Drawing(
            empty="What each part of an optimizer's step costs appears here once a run has told its seconds."
        )
    whole = [spent for lane, _ in found if (spent := spending(lane.newest.trace)) is not None]
    longest = max(max(spent.total, spent.all_decomposed or 0.0) for spent in whole)
    data: list[dict[str, Any]] = [_bars(found, *part) for part in _PARTS]
    data += _legend(any(spent.split for _, spent in found))
    names = [
        lane.label if len(lane.label) <= _LETTERS else f"{lane.label[: _LETTERS - 1].rstrip()}…" for lane, _ in found
    ]
    layout = encode.layout(
        f"cost {len(found)}",
        margin={"l": 100, "r": 14, "t": 26, "b": 40},
        barmode="stack",
        bargap=1 - 2 * _HALF,
        xaxis=encode.axis(
            "optimizer time (s)", range=[0, encode.nice_ceiling(max(longest * 1.04, 1e-6))], tickformat="~g"
        ),
        yaxis=encode.axis(
            "", range=[len(found) - 0.5, -0.5], tickvals=list(range(len(found))), showgrid=False, ticks="",
            ticktext=[encode.escape(name) for name in names], fixedrange=True,
        ),
        shapes=[_ghost(place, spent) for place, (_, spent) in enumerate(found) if spent.all_decomposed],
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "top", "yref": "container", "itemclick": False,
                "itemdoubleclick": False, "font": {"size": 11}, "bgcolor": theme.alpha(theme.LIGHT.card, 0)},
    )  # fmt: skip
    reading = "; ".join(_words(lane, spent, len(found) > 1) for lane, spent in found)
    last = {spent.last for _, spent in found}
    moment = f"steps to {max(last):,}" if len(last) == 1 else f"steps to {min(last):,} and {max(last):,}"
    return Drawing(figure={"data": data, "layout": layout}, reading=reading, moment=moment)


def _bars(found: list[tuple[Lane, Spending]], part: str, words: str, strength: float) -> dict[str, Any]:
    values = np.array([getattr(spent, part) for _, spent in found])
    return {
        "type": "bar",
        "orientation": "h",
        "name": words,
        "meta": {"series": part},
        "x": encode.typed(np.nan_to_num(values)),
        "y": list(range(len(found))),
        "marker": {"color": [theme.alpha(theme.lane(lane.position).colour, strength) for lane, _ in found]},
        "customdata": [_memory(lane) for lane, _ in found],
        "hovertemplate": f"{words}: %{{x:.3~g}} s<br>%{{customdata}}<extra></extra>",
        "showlegend": False,
    }


def _legend(split: bool) -> list[dict[str, Any]]:
    parts = _PARTS if split else _PARTS[:1]
    entries = [(words, "square", theme.alpha(theme.LIGHT.ink, strength)) for _, words, strength in parts]
    return [
        {
            "type": "scatter", "mode": "markers", "name": words, "meta": {"series": "legend"}, "x": [None], "y": [None],
            "marker": {"symbol": symbol, "size": 9, "color": colour}, "hoverinfo": "skip",
        }
        for words, symbol, colour in entries
    ]  # fmt: skip


def _ghost(place: int, spent: Spending) -> dict[str, Any]:
    return {
        "type": "rect", "x0": 0, "x1": spent.all_decomposed, "y0": place - _HALF - 0.06, "y1": place + _HALF + 0.06,
        "line": {"color": theme.LIGHT.soft_ink, "width": 1.3, "dash": "dot"}, "layer": "above",
    }  # fmt: skip


def _memory(lane: Lane) -> str:
    """What the factors take, in words; a lane without factors keeps none."""
    if not lane.trace.manifest.factors:
        return "keeps no factors"
    wide = 8 if "64" in str(lane.trace.manifest.config.get("run_settings", {}).get("precision", "")) else 4
    size = matrix_bytes(lane.trace, wide)
    unit, words = (2**20, "MiB") if size >= 2**20 else (2**10, "KiB")
    return f"{theme.number(size / unit)}{theme.THIN}{words} a matrix of each factor; factor, basis and root are three"


def _words(lane: Lane, spent: Spending, several: bool) -> str:
    whose = f"{lane.label}: " if several else ""
    words = f"{whose}{theme.number(spent.total, 's')}"
    if spent.split and spent.total > 0:
        words += f", {theme.percent(spent.decompositions / spent.total)} in {spent.count:,} decompositions"
        if spent.all_decomposed:
            words += f"; {theme.number(spent.all_decomposed, 's')} had every check decomposed"
    return words
