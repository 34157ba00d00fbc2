"""The board of a comparison: curves, rates and damping of many runs, and the table of what they reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from foam_viz.analysis.axes import BY_ID
from foam_viz.analysis.confounds import Confound
from foam_viz.analysis.targets import direction
from foam_viz.figures.catalogue import compared
from foam_viz.figures.look import Look
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace.visible import shortened
from foam_viz.ui.board.board import LaneChip, board
from foam_viz.ui.feed.recorded import RecordedSource
from foam_viz.ui.run_logs.compare_table import cells, chips, group_cells, grouped, table
from foam_viz.ui.run_logs.own_sources import own_source
from foam_viz.ui.run_logs.take_comparison import document, file_name
from foam_viz.ui.session.logs import Logs, Run

_MOST_RUNS = 12
"""Runs whose table stands above the panels; that of more stands below."""
_MOST_CHIPS = 18
"""Rows of the table above the panels: runs, and their groups."""


def draw(
    state: Logs,
    runs: list[Run],
    baseline: int | None,
    highlight: int | None,
    allowed: bool,
    found: Sequence[Confound],
) -> None:
    """Draw the board; from then on it follows a run that trains by itself.

    Args:
        state: What is open and what the reader chose.
        runs: The runs compared.
        baseline: Position of the run that speed-ups are against.
        highlight: Position of the run brought forward.
        allowed: Whether runs may be ranked by time.
        found: What else differs between them.
    """
    view = {**state.view, "metric": tuple(st.session_state["logs.metric"])}
    positions = state.positions([run.key for run in runs])
    front = None if highlight is None else positions[highlight]
    withheld = BY_ID[view["x"]].measure == "time" and not allowed
    few = len(runs) <= _MOST_RUNS

    def lanes() -> list[Lane]:
        return [Lane(run.trace, shortened(run.label), position) for run, position in zip(runs, positions, strict=True)]

    def head(shown: Sequence[Lane], at: int | None) -> tuple[list[LaneChip], list]:
        rows = table(view, shown, baseline)
        return chips(runs, shown, rows, view, withheld, _MOST_CHIPS if few else _MOST_RUNS), []

    def make(identity: str) -> RecordedSource:
        growing = any(run.live for run in runs)
        panels = compared(Scene(lanes(), Look.of(chosen)))
        return RecordedSource(
            identity, lanes if growing else lanes(), head=head, panels=panels, follows=False, points=Look.max_points
        )

    chosen = look(view, front)
    question = (tuple((run.trace, run.label, run.live) for run in runs), tuple(positions), baseline, withheld)
    board(
        key="logs-compare-board",
        source=own_source("logs-compare-board", (question, tuple(view.items())), make),
        look=chosen,
        time=False,
        name=runs[0].label if len(runs) == 1 else f"{len(runs)} runs",
    )
    st.download_button(
        "Comparison as HTML",
        data=lambda: _document(runs, lanes(), view, baseline, withheld, front, found),
        file_name=file_name(runs, view),
        mime="text/html",
        on_click="ignore",
        key="take-comparison",
        type="tertiary",
        icon=":material/download:",
        help="One file that needs no server: the figures, the table, what differs, and the settings of every run. "
        "The link of this page shows the same to those who open the same files.",
    )
    if not few:
        _long_table(runs, lanes(), view, baseline, withheld)


def _document(
    runs: Sequence[Run],
    lanes: Sequence[Lane],
    view: Mapping[str, Any],
    baseline: int | None,
    withheld: bool,
    front: int | None,
    found: Sequence[Confound],
) -> bytes:
    """The comparison as a file, of this moment, with every run in its table."""
    rows = chips(runs, lanes, table(view, lanes, baseline), view, withheld, most=2 * len(runs))
    title = f"{', '.join(view['metric']) or 'runs'} of {len(runs):,} runs"
    return document(title, lanes, Look.of(look(view, front)), rows, found).encode()


def look(view: Mapping[str, Any], highlight: int | None) -> dict[str, Any]:
    """The fields of the look that the page chooses; the part of the axis that is zoomed into is the browser's."""
    names = ("x", "log_x", "log_y", "smoothing", "scale", "raw", "seeds", "target")
    return {"metrics": list(view["metric"]), "highlight": highlight, **{name: view[name] for name in names}}


def _long_table(
    runs: Sequence[Run], lanes: Sequence[Lane], view: Mapping[str, Any], baseline: int | None, withheld: bool
) -> None:
    way = direction(view["metric"][0]) if view["metric"] else "lower"
    rows = table(view, lanes, baseline)
    by_group = [
        {
            "Run": f"{group.label}, {len(group.members)} seeds",
            **{label: text for label, text, _ in group_cells([rows[at] for at in group.members], view, withheld)},
            "State": group.reason,
        }
        for group in grouped(view, lanes)
    ]
    st.caption(f"{len(runs):,} runs in the order chosen; of this metric {way} is better.")
    st.dataframe(
        by_group
        + [
            {
                "Run": run.label,
                **{label: text for label, text, _ in cells(row, view, withheld)},
                "State": run.trace.manifest.status,
            }
            for run, row in zip(runs, rows, strict=True)
        ],
        hide_index=True,
        height=420,
        alt="What each run reached",
    )
