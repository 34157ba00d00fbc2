"""The board of a comparison: curves, rates and damping of many runs, and the table of what they reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite

import streamlit as st

from foam_viz.analysis.axes import BY_ID
from foam_viz.analysis.comparison import Row, compare
from foam_viz.analysis.groups import group_runs
from foam_viz.analysis.smoothing import Smoothing
from foam_viz.analysis.targets import Value, direction
from foam_viz.figures import compare as compare_figure
from foam_viz.figures import compare_damping, compare_rates
from foam_viz.figures.compare import CompareView
from foam_viz.figures.compare_rates import RateView
from foam_viz.figures.panel import Drawing, PanelSpec
from foam_viz.figures.scene import Lane, Scene
from foam_viz.figures.theme import number
from foam_viz.trace.visible import shortened
from foam_viz.ui.board import LaneChip, Panel, board
from foam_viz.ui.isolation import drawing
from foam_viz.ui.logs_state import LogsState, Run

_LIVE_SECONDS = 1.0
_MOST_CHIPS = 12
"""Rows of the table above the panels; more runs get a table of their own below."""
_POINTS = 800
_WITHHELD = "withheld"
_HELP = (
    "A thick line is the smoothed curve, a faint one the values as logged. Seeds of one configuration are one mean "
    "with a band. A cross ends a run that diverged. Drag to zoom, which loads detail; double click for all."
)
_RATES_HELP = (
    "Decompositions per factor and 100 steps, left factors filled, right ones open; a bar is the interval of a point. "
    "Points are not joined: what happened between is not known."
)
_DAMPING_HELP = (
    "Median damping over the factors of a side, with the range over factors; left filled, right open. Where the log "
    "counts intervals it is what damping was at their ends."
)


def draw(state: LogsState, runs: list[Run], baseline: int | None, highlight: int | None, allowed: bool) -> None:
    """Draws the board, again and again while a live run trains."""
    st.session_state["logs-compare-everything"] = True
    metrics: list[str] = st.session_state["logs.metric"]
    places = state.places([run.key for run in runs])
    front = None if highlight is None else places[highlight]

    @st.fragment(run_every=_LIVE_SECONDS if any(run.live for run in runs) else None, key="logs-compare-panels")
    def panels() -> None:
        def on_range(panel: str, window: tuple[float, float] | None) -> None:
            state.window = None if window is None else (state.view["x"], *window)

        lanes = [Lane(run.trace, shortened(run.label), place) for run, place in zip(runs, places, strict=True)]
        rows = table(state, lanes, metrics, baseline)
        time = BY_ID[state.view["x"]].measure == "time"
        board(
            key="logs-compare-board",
            panels=drawn(state, lanes, metrics, front),
            lanes=chips(runs, lanes, rows, state, withheld=time and not allowed) if len(lanes) <= _MOST_CHIPS else [],
            everything=st.session_state.pop("logs-compare-everything", False),
            on_range=on_range,
            focus=None,
        )
        if len(lanes) > _MOST_CHIPS:
            _long_table(runs, lanes, rows, state, withheld=time and not allowed)
        if any(run.live for run in runs) and (not state.training or state.replaced(runs)):
            st.rerun()

    panels()


def smoothing_of(state: LogsState) -> Smoothing:
    """The smoothing chosen."""
    return Smoothing(state.view["smoothing"], state.view["scale"])


def drawn(state: LogsState, lanes: Sequence[Lane], metrics: Sequence[str], highlight: int | None) -> list[Panel]:
    """A panel for each metric, and refresh rates and damping where any run has checks of its factors."""
    view = state.view
    groups = [group.members for group in group_runs([lane.trace for lane in lanes])] if view["seeds"] else ()
    single = len(metrics) == 1
    panels = []
    for place, metric in enumerate(metrics):
        spec = PanelSpec(
            f"compare-{place}",
            _title(metric),
            _HELP,
            partial(_metric, view=_view(state, metric, place == 0, highlight), groups=groups),
            columns=12 if single else 6,
            height=470 if single else 380,
        )
        panels.append(Panel(spec, drawing(spec, Scene(lanes))))
    if not any(lane.trace.rows("checks") for lane in lanes):
        return panels
    rates = RateView(x="relative" if view["x"] == "step" else view["x"], log_x=view["log_x"], highlight=highlight)
    for identity, title, words, figure in (
        ("rates", "Refresh rates, left and right", _RATES_HELP, compare_rates.draw),
        ("sides", "Damping, left and right", _DAMPING_HELP, compare_damping.draw),
    ):
        spec = PanelSpec(identity, title, words, partial(_sides, figure=figure, view=rates), columns=6, height=380)
        panels.append(Panel(spec, drawing(spec, Scene(lanes))))
    return panels


def _view(state: LogsState, metric: str, first: bool, highlight: int | None) -> CompareView:
    view, window = state.view, _window(state)
    return CompareView(
        metric=metric,
        x=view["x"],
        log_x=view["log_x"],
        log_y=view["log_y"],
        smoothing=smoothing_of(state),
        raw=view["raw"],
        target=view["target"] if first else None,
        highlight=highlight,
        window=window,
        max_points=_POINTS if window is None else 3 * _POINTS,
    )


def _metric(scene: Scene, *, view: CompareView, groups: Sequence[Sequence[int]]) -> Drawing:
    return _linked(compare_figure.draw(scene.lanes, view, groups), view.x, detail=True)


def _sides(scene: Scene, *, figure: Callable[[Sequence[Lane], RateView], Drawing], view: RateView) -> Drawing:
    return _linked(figure(scene.lanes, view), view.x, detail=False)


def _linked(drawing: Drawing, axis: str, *, detail: bool) -> Drawing:
    """With one cursor over all panels along the same axis."""
    if drawing.figure is None:
        return drawing
    layout = drawing.figure["layout"]
    # Plotly's own line through the pointer would be one more, with an edge of the paper's colour in light.
    layout = {
        **layout,
        "xaxis": {**layout["xaxis"], "showspikes": False},
        "meta": {"cursor": axis, "detail": detail},
    }
    return replace(drawing, figure={**drawing.figure, "layout": layout})


def _window(state: LogsState) -> tuple[float, float] | None:
    """The part of the axis to draw: what is zoomed into and as much again on either side, so that it can be moved."""
    if state.window is None or state.window[0] != state.view["x"]:
        return None
    _, low, high = state.window
    if state.view["log_x"] and low > 0:
        return low * low / high, high * high / low
    return low - (high - low), high + (high - low)


def _title(metric: str) -> str:
    return {"loss": "Training loss", "held_out_loss": "Held-out loss"}.get(metric, metric)


def table(state: LogsState, lanes: Sequence[Lane], metrics: Sequence[str], baseline: int | None) -> list[Row]:
    """What each run reached of the first metric; computed again only when a run or the question changed."""
    if not metrics:
        return [Row() for _ in lanes]
    traces = tuple(lane.trace for lane in lanes)
    asked = {
        "axis": state.view["x"],
        "target": state.view["target"],
        "baseline": baseline,
        "smoothing": smoothing_of(state),
        "at": state.view["at"],
    }
    question = (traces, tuple((trace.revision, trace.at) for trace in traces), metrics[0], tuple(asked.values()))
    if state.answer is None or state.answer[0] != question:
        state.answer = (question, compare(traces, metrics[0], **asked))
    return state.answer[1]


def cells(row: Row, state: LogsState, withheld: bool) -> list[tuple[str, str, str]]:
    """`(label, text, explanation)` of one run."""
    axis = BY_ID[state.view["x"]]
    if row.missing:
        found = [("Best", "–", row.missing), ("Last", "–", row.missing)]
    else:
        found = [_value("Best", row.best, "Best value logged"), _value("Last", row.last, "Last value")]
    if state.view["at"] is not None:
        found.append(_value(f"At step {number(int(state.view['at']))}", row.at, "Value there, or the last one before"))
    if state.view["target"] is None:
        return found
    reach = row.reach
    step = "–" if reach is None else number(int(reach.step)) if reach.reached else "not reached"
    found.append(("Steps to target", step, row.missing if reach is None else reach.words))
    if axis.id != "step":
        label = f"{axis.label[:1].upper()}{axis.label[1:]} to target"
        if withheld:
            found.append((label, _WITHHELD, "Runs differ in what time depends on: confirm above."))
        else:
            there = reach is not None and reach.reached
            found.append((label, number(reach.x, axis.unit) if there else step, reach.words if reach else row.missing))
    if withheld:
        found.append(("Speed-up", _WITHHELD, "Runs differ in what time depends on: confirm above."))
    else:
        words = row.speed_up.words if row.speed_up else "–"
        found.append(
            ("Speed-up", words.partition(":")[0], words if row.speed_up else "Choose a baseline and a target.")
        )
    return found


def _value(label: str, value: Value | None, help_text: str) -> tuple[str, str, str]:
    if value is None:
        return label, "–", help_text
    place = f", step {value.step:,.0f}" if value.step == value.step else ""
    exact = f"{value.value:.7g}" if isfinite(value.value) and not value.whole else ""
    return label, value.text, "; ".join(filter(None, [f"{help_text}{place}", value.words, exact])) + "."


def chips(
    runs: Sequence[Run], lanes: Sequence[Lane], rows: Sequence[Row], state: LogsState, withheld: bool
) -> list[LaneChip]:
    """The table above the panels."""
    return [
        LaneChip(lane.position, run.label, cells(row, state, withheld), run.trace.manifest.status)
        for run, lane, row in zip(runs, lanes, rows, strict=True)
    ]


def _long_table(
    runs: Sequence[Run], lanes: Sequence[Lane], rows: Sequence[Row], state: LogsState, withheld: bool
) -> None:
    way = direction(st.session_state["logs.metric"][0]) if st.session_state["logs.metric"] else "lower"
    st.caption(f"{len(runs):,} runs in the order chosen; of this metric {way} is better.")
    st.dataframe(
        [
            {
                "Run": run.label,
                **{label: text for label, text, _ in cells(row, state, withheld)},
                "State": run.trace.manifest.status,
            }
            for run, lane, row in zip(runs, lanes, rows, strict=True)
        ],
        hide_index=True,
        height=420,
        alt="What each run reached",
    )
