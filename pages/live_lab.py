"""The live lab: train small models side by side and watch the preconditioner."""

from foam_viz.ui import session
from foam_viz.ui.lab import board as lab_board
from foam_viz.ui.lab import controls as lab_controls
from foam_viz.ui.lab import head as lab_head
from foam_viz.ui.lab import sidebar as lab_sidebar
from foam_viz.ui.server import hub
from foam_viz.ui.style import heading

hub()
heading("Live lab")
state = session.lab()
lab_sidebar.sidebar(state)
run = state.run()
outline = lab_head.outline(run)
lab_controls.controls(state, run)
lab_board.panels(state, run, outline)
state.write_address()
