"""The panels of the live lab: which run the board looks at, and how."""

from __future__ import annotations

from foam_viz.engine.server.lab_run import LabRun
from foam_viz.figures.look import LossAxis
from foam_viz.ui.board.board import board
from foam_viz.ui.lab.controls import follow
from foam_viz.ui.server import feed
from foam_viz.ui.session.lab import Lab


def panels(state: Lab, run: LabRun | None, outline: str, loss_axis: LossAxis, loss_log: bool) -> None:
    """Draw the panels; from then on they follow the run by themselves.

    Args:
        state: What the reader chose.
        run: The run on the page.
        outline: That of the run from before the controls were drawn, as an engine may answer in the middle of it.
        loss_axis: What the loss is drawn against.
        loss_log: Whether on a logarithmic axis.
    """
    board(
        key="board",
        source=feed.sources.awaited(state.experiment) if run is None else run.view_id,
        look={"factor": state.factor, "lane": state.lane, "loss_axis": loss_axis, "loss_log": loss_log},
        outline=outline,
        session=None if run is None else {"view_id": run.view_id, "control_key": state.control_key},
        on_follow=lambda factor, lane: follow(state, factor, lane),
        on_control=state.take_control,
    )
