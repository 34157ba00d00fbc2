"""The board of a comparison: curves, rates and damping of many runs, and the table of what they reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, cast

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
from foam_viz.ui.board.board import LaneChip, LaneState, board
from foam_viz.ui.feed.recorded import RecordedSource
from foam_viz.ui.run_logs.own_sources import own_source
from foam_viz.ui.session.logs import Logs, Run

_MOST_CHIPS = 12
"""Rows of the table above the panels; more runs get a table of their own below."""
_WITHHELD = "withheld"


def draw(state: Logs, runs: list[Run], baseline: int | None, highlight: int | None, allowed: bool) -> None:
    """Draw the board; from then on it follows a run that trains by itself."""
    view = {**state.view, "metric": tuple(st.session_state["logs.metric"])}
    places = state.places([run.key for run in runs])
    front = None if highlight is None else places[highlight]
    withheld = BY_ID[view["x"]].measure == "time" and not allowed
    few = len(runs) <= _MOST_CHIPS

    def lanes() -> list[Lane]:
        return [Lane(run.trace, shortened(run.label), place) for run, place in zip(runs, places, strict=True)]

    def head(shown: Sequence[Lane], at: int | None) -> tuple[list[LaneChip], list]:
        return chips(runs, shown, table(view, shown, baseline), view, withheld) if few else [], []

    def make(identity: str) -> RecordedSource:
        growing = any(run.live for run in runs)
        panels = compared(Scene(lanes(), Look.of(chosen)))
        return RecordedSource(
            identity, lanes if growing else lanes(), head=head, panels=panels, follows=False, points=Look.max_points
        )

    chosen = look(view, front)
    question = (tuple((run.trace, run.label, run.live) for run in runs), tuple(places), baseline, withheld)
    board(
        key="logs-compare-board",
        source=own_source("logs-compare-board", (question, tuple(view.items())), make),
        look=chosen,
        time=False,
    )
    if not few:
        _long_table(runs, lanes(), view, baseline, withheld)


def smoothing_of(view: Mapping[str, Any]) -> Smoothing:
    """The smoothing chosen."""
    return Smoothing(view["smoothing"], view["scale"])


def look(view: Mapping[str, Any], highlight: int | None) -> dict[str, Any]:
    """The fields of the look that the page chooses; the part of the axis that is zoomed into is the browser's."""
    names = ("x", "log_x", "log_y", "smoothing", "scale", "raw", "seeds", "target")
    return {"metrics": list(view["metric"]), "highlight": highlight, **{name: view[name] for name in names}}


def table(view: Mapping[str, Any], lanes: Sequence[Lane], baseline: int | None) -> list[Row]:
    """What each run reached of the first metric."""
    if not view["metric"]:
        return [Row() for _ in lanes]
    return compare(
        [lane.trace for lane in lanes],
        view["metric"][0],
        axis=view["x"],
        target=view["target"],
        baseline=baseline,
        smoothing=smoothing_of(view),
        at=view["at"],
    )


def cells(row: Row, view: Mapping[str, Any], withheld: bool) -> list[tuple[str, str, str]]:
    """`(label, text, explanation)` of one run."""
    axis = BY_ID[view["x"]]
    if row.missing:
        found = [("Best", "–", row.missing), ("Last", "–", row.missing)]
    else:
        found = [_value("Best", row.best, "Best value logged"), _value("Last", row.last, "Last value")]
    if view["at"] is not None:
        found.append(_value(f"At step {number(int(view['at']))}", row.at, "Value there, or the last one before"))
    if view["target"] is None:
        return found
    reach = row.reach
    step = "–" if reach is None else number(int(reach.step)) if reach.reached else "not reached"
    found.append(("Steps to target", step, row.missing if reach is None else reach.words))
    if axis.id != "step":
        label = f"{axis.label[:1].upper()}{axis.label[1:]} to target"
        if withheld:
            found.append((label, _WITHHELD, "Runs differ in what time depends on: confirm above."))
        else:
            found.append(
                (
                    label,
                    number(reach.x, axis.unit) if reach is not None and reach.reached else step,
                    reach.words if reach else row.missing,
                )
            )
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
    runs: Sequence[Run], lanes: Sequence[Lane], rows: Sequence[Row], view: Mapping[str, Any], withheld: bool
) -> list[LaneChip]:
    """The table above the panels."""
    several = len({run.origin for run in runs}) > 1
    return [
        LaneChip(
            lane.position,
            run.label,
            [*cells(row, view, withheld), *([_source(run)] if several else [])],
            cast(LaneState, lane.trace.manifest.status),
        )
        for run, lane, row in zip(runs, lanes, rows, strict=True)
    ]


def _source(run: Run) -> tuple[str, str, str]:
    """The cell that says where a run is from; its files stand in the explanation."""
    files = ", ".join(run.trace.manifest.files[:6])
    return "From", shortened(run.origin), f"Read from {files}." if files else "Where the run is from."


def _long_table(
    runs: Sequence[Run], lanes: Sequence[Lane], view: Mapping[str, Any], baseline: int | None, withheld: bool
) -> None:
    way = direction(view["metric"][0]) if view["metric"] else "lower"
    st.caption(f"{len(runs):,} runs in the order chosen; of this metric {way} is better.")
    st.dataframe(
        [
            {
                "Run": run.label,
                **{label: text for label, text, _ in cells(row, view, withheld)},
                "State": run.trace.manifest.status,
            }
            for run, row in zip(runs, table(view, lanes, baseline), strict=True)
        ],
        hide_index=True,
        height=420,
        alt="What each run reached",
    )
