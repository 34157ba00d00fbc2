"""The live lab: train small models side by side and watch the preconditioner."""

from foam_viz.ui import lab_board, lab_controls, lab_head, lab_sidebar, session
from foam_viz.ui.server import hub

hub()
state = session.lab()
lab_sidebar.sidebar(state)
run = state.run()
outline = lab_head.outline(run)
lab_controls.controls(state, run)
loss_axis, loss_log = lab_controls.look(state, run)
state.write_address()
lab_board.panels(state, run, outline, loss_axis, loss_log)
