"""The panels of the live lab: which run the board looks at, and how."""

from __future__ import annotations

from foam_viz.engine.server.lab_run import LabRun
from foam_viz.ui.board.board import Shortcut, board
from foam_viz.ui.lab.controls import follow
from foam_viz.ui.server import feed
from foam_viz.ui.session.lab import Lab

SHORTCUTS = (
    Shortcut(" ", "Start or pause", ("do-start", "do-pause")),
    Shortcut("s", "One step", ("do-step",)),
    Shortcut("c", "To the next check", ("do-check",)),
    Shortcut("r", "To the next refresh", ("do-refresh",)),
)


def panels(state: Lab, run: LabRun | None, outline: str) -> None:
    """Draw the panels; from then on they follow the run by themselves.

    Args:
        state: What the reader chose.
        run: The run on the page.
        outline: That of the run from before the controls were drawn, as an engine may answer in the middle of it.
    """
    with_factors = [place for place, lane in enumerate(state.experiment.lanes) if lane.spec.has_factors]
    lanes = with_factors if run is None else [i for i, trace in enumerate(run.traces) if trace.manifest.factors]
    if state.lane not in lanes:
        state.lane = lanes[0] if lanes else 0

    def chosen(look: dict) -> None:
        state.look |= look

    def moment(at: int | None) -> None:
        state.moment = at

    def cards(names: tuple[str, ...]) -> None:
        state.cards = names

    board(
        key="board",
        source=feed.sources.awaited(state.experiment) if run is None else run.view_id,
        look={"factor": state.factor, "lane": state.lane, "at": state.moment, **state.look},
        outline=outline,
        session=None if run is None else {"view_id": run.view_id, "control_key": state.control_key},
        panels=state.cards,
        shortcuts=SHORTCUTS,
        name="lab" if run is None else run.view_id[:8],
        on_follow=lambda factor, lane: follow(state, factor, lane),
        on_look=chosen,
        on_moment=moment,
        on_panels=cards,
        on_control=state.take_control,
    )
