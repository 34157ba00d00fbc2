"""The page Paper figures: what a paper found beside what was found here."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any

import numpy as np
import streamlit as st

from foam_viz.experiment.presets import Preset
from foam_viz.files import SAMPLE_RUNS
from foam_viz.lessons import measured
from foam_viz.lessons.lesson import MEASURES
from foam_viz.lessons.paper_figures import FIGURES, PaperFigure
from foam_viz.trace.disk import bundle
from foam_viz.ui import charts
from foam_viz.ui.lessons.parts import pairs
from foam_viz.ui.server import hub

_COLOURS = {"agrees": "green", "agrees in part": "orange", "differs": "red"}
_LEGEND = {"orient": "top", "title": None, "columns": 2}
_WINDOW = 100
"""Steps over which a rate of decompositions is counted."""


def paper_figures() -> None:
    """Draw the page."""
    hub()
    st.title("Paper figures, in small", anchor=False)
    st.markdown(
        "What the papers found, beside what was measured here on models that train in seconds. Differences are stated."
    )
    for figure in FIGURES:
        with st.container(border=True, key=f"figure-{figure.id}"):
            words, drawn = st.columns([2, 3], gap="large")
            with words:
                _words(figure)
            with drawn:
                _drawn(figure)


def live_query(figure: PaperFigure) -> list[tuple[str, str]]:
    """Return the parameters of the link that runs a figure's experiment in the live lab."""
    if figure.stages:
        return pairs(figure.stages[0])
    query = {**Preset("", "", ()).query, **figure.live, "steps": ["600"]}
    return [(key, value) for key, values in query.items() for value in values]


def _words(figure: PaperFigure) -> None:
    st.markdown(f"#### {figure.title}")
    st.markdown(f":{_COLOURS[figure.verdict]}-badge[{figure.verdict}]")
    st.markdown(f"**The paper:** {figure.paper_found}")
    st.markdown(f"**Here:** {figure.found_here}")
    st.caption(f"{figure.note} Source: [{figure.paper.title}]({figure.paper.url}).")
    st.page_link(
        "pages/live_lab.py", label="Run it live", icon=":material/play_arrow:", query_params=live_query(figure),
        help="Opens the live lab with this experiment.",
    )  # fmt: skip


def _drawn(figure: PaperFigure) -> None:
    if figure.curve == "kinds":
        _bars(kinds(figure))
    elif figure.curve:
        rows = _damping(figure) if figure.curve == "damping" else _rates(figure)
        log = figure.curve == "damping"
        title = "Damping ε, gradient²" if log else f"Decompositions per factor and {_WINDOW} steps"
        _chart(rows, "line", "Step", title, log=log, interpolate="step-after" if log else "step-before")
    elif figure.dots:
        _chart(
            dots(figure),
            "point",
            f"{MEASURES[figure.x].capitalize()}, all factors",
            MEASURES[figure.y].capitalize(),
            log_x=True,
        )
    elif figure.measured:
        rows = [{"group": dot.group, "label": dot.label, "x": dot.x, "y": dot.y} for dot in figure.measured]
        _chart(rows, "line", "Period f, steps", "Training loss, mean of the last 20 steps", log_x=True)


def dots(figure: PaperFigure) -> list[dict[str, Any]]:
    """Return the points of a figure: means over five seeds; a lane in which a seed diverged has none."""
    rows = []
    for dot in figure.dots:
        runs = measured.results(dot.study)[dot.place]
        x, y = (measured.values(runs, measure) for measure in (figure.x, figure.y))
        if np.isfinite(y).all() and np.isfinite(x).all():
            rows.append({"group": dot.group, "label": dot.label, "x": mean(x), "y": mean(y)})
    return rows


def kinds(figure: PaperFigure) -> list[dict[str, Any]]:
    """Return how often each kind of parameter was decomposed: means over five seeds, a row a kind and rule."""
    rows = []
    for place, runs in measured.results(figure.id).items():
        stage = figure.stages[place.stage]
        counted: list[Any] = [run["kinds"] for run in runs]  # by kind
        for kind in counted[0]:
            rate = mean(each[kind] for each in counted)
            rows.append({"kind": f"{stage.title}: {kind}", "rule": stage.labels()[place.lane], "rate": rate})
    return rows


def _damping(figure: PaperFigure) -> list[dict[str, Any]]:
    rows = []
    for label, name in figure.samples.items():
        view = bundle.read(SAMPLE_RUNS / name).view()
        own = view.values("checks", "factor") == 0
        steps, values = view.values("checks", "step")[own], view.values("checks", "epsilon")[own]
        rows += [
            {"group": label, "label": label, "x": int(x), "y": float(y)} for x, y in zip(steps, values, strict=True)
        ]
    return rows


def _rates(figure: PaperFigure) -> list[dict[str, Any]]:
    rows = []
    for name in figure.samples.values():
        trace = bundle.read(SAMPLE_RUNS / name)
        view, factors = trace.view(), trace.manifest.factors
        step, factor = view.values("checks", "step"), view.values("checks", "factor")
        made = view.values("checks", "decompositions")
        for side, place in (("left", 0), ("right", 1)):
            own = [index for index, each in enumerate(factors) if each.order == 2 and each.dim == place]
            for end in range(_WINDOW, int(step.max()) + 1, _WINDOW):
                inside = np.isin(factor, own) & (step > end - _WINDOW) & (step <= end)
                rate = float(made[inside].sum() / len(own))
                if end == _WINDOW:  # a step of the curve reaches back to the point before it: the first begins at 0
                    rows.append({"group": side, "label": side, "x": 0, "y": rate})
                rows.append({"group": side, "label": side, "x": end, "y": rate})
    return rows


def _chart(
    rows: list[dict[str, Any]],
    mark: str,
    x: str,
    y: str,
    *,
    log: bool = False,
    log_x: bool = False,
    interpolate: str = "linear",
) -> None:
    """A small chart. Damping holds from its check on, a rate over the steps before its own: they are steps."""
    axis: Mapping[str, Any] = {"gridOpacity": 0.3}
    form = {"axis": {**axis, "format": ".0e", "tickCount": 4}} if log else {"axis": axis}
    st.vega_lite_chart(
        {
            "data": {"values": rows},
            "height": 320,
            "layer": [
                {"mark": {"type": mark, "filled": mark == "point", "size": 90 if mark == "point" else 2,
                          **({"interpolate": interpolate, "point": len(rows) < 10} if mark == "line" else {})}},
                *(
                    [{"mark": {"type": "text", "dy": -12, "fontSize": 12},
                      "transform": [{"filter": "datum.label != datum.group"}],  # the legend says the others
                      "encoding": {"text": {"field": "label"}}}]
                    if mark == "point"
                    else []
                ),
            ],
            "encoding": {
                "x": {"field": "x", "type": "quantitative", "title": x,
                      "scale": {"type": "log", "nice": False, "padding": 25} if log_x else {}, "axis": axis},
                "y": {"field": "y", "type": "quantitative", "title": y.split(", ", 1),
                      "scale": {"type": "log"} if log else {"zero": False}, **form},
                "color": {"field": "group", "type": "nominal", "legend": _LEGEND},
                "tooltip": [{"field": "label"}, {"field": "x", "format": ","}, {"field": "y", "format": ".3g"}],
            },
            "config": charts.config(),
        },
        width="stretch",
    )  # fmt: skip


def _bars(rows: list[dict[str, Any]]) -> None:
    """A bar a kind of parameter and rule."""
    st.vega_lite_chart(
        {
            "data": {"values": rows},
            "height": 460,
            "mark": {"type": "bar"},
            "encoding": {
                "y": {"field": "kind", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 260}},
                "yOffset": {"field": "rule"},
                "x": {"field": "rate", "type": "quantitative", "title": "Decompositions per factor",
                      "axis": {"gridOpacity": 0.3}},
                "color": {"field": "rule", "type": "nominal", "legend": _LEGEND},
                "tooltip": [{"field": "kind"}, {"field": "rule"}, {"field": "rate", "format": ".3g"}],
            },
            "config": charts.config(),
        },
        width="stretch",
    )  # fmt: skip
