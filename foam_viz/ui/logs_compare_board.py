"""The board of a comparison: curves, rates and damping of many runs, and the table of what they reached."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import streamlit as st

from foam_viz.analysis.axes import BY_ID
from foam_viz.analysis.comparison import Row, compare
from foam_viz.analysis.smoothing import Smoothing
from foam_viz.analysis.targets import Value, direction
from foam_viz.figures.catalogue import compared
from foam_viz.figures.look import Look
from foam_viz.figures.scene import Lane, Scene
from foam_viz.figures.theme import number
from foam_viz.trace.visible import shortened
from foam_viz.ui.board import LaneChip, Panel, board
from foam_viz.ui.isolation import drawing
from foam_viz.ui.session.logs import Logs, Run

_LIVE_SECONDS = 1.0
_MOST_CHIPS = 12
"""Rows of the table above the panels; more runs get a table of their own below."""
_WITHHELD = "withheld"


def draw(state: Logs, runs: list[Run], baseline: int | None, highlight: int | None, allowed: bool) -> None:
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


def smoothing_of(state: Logs) -> Smoothing:
    """The smoothing chosen."""
    return Smoothing(state.view["smoothing"], state.view["scale"])


def look(state: Logs, metrics: Sequence[str], highlight: int | None) -> Look:
    """What the reader chose."""
    view, window = state.view, state.window
    zoomed = window is not None and window[0] == view["x"]
    return Look(
        metrics=tuple(metrics),
        x=view["x"],
        log_x=view["log_x"],
        log_y=view["log_y"],
        smoothing=view["smoothing"],
        scale=view["scale"],
        raw=view["raw"],
        seeds=view["seeds"],
        target=view["target"],
        highlight=highlight,
        x_from=window[1] if zoomed else None,
        x_to=window[2] if zoomed else None,
    )


def drawn(state: Logs, lanes: Sequence[Lane], metrics: Sequence[str], highlight: int | None) -> list[Panel]:
    """A panel for each metric, and refresh rates and damping where any run has checks of its factors."""
    scene = Scene(lanes, look(state, metrics, highlight))
    return [Panel(spec, drawing(spec, scene)) for spec in compared(scene)]


def table(state: Logs, lanes: Sequence[Lane], metrics: Sequence[str], baseline: int | None) -> list[Row]:
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


def cells(row: Row, state: Logs, withheld: bool) -> list[tuple[str, str, str]]:
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
    runs: Sequence[Run], lanes: Sequence[Lane], rows: Sequence[Row], state: Logs, withheld: bool
) -> list[LaneChip]:
    """The table above the panels."""
    return [
        LaneChip(lane.position, run.label, cells(row, state, withheld), run.trace.manifest.status)
        for run, lane, row in zip(runs, lanes, rows, strict=True)
    ]


def _long_table(runs: Sequence[Run], lanes: Sequence[Lane], rows: Sequence[Row], state: Logs, withheld: bool) -> None:
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
