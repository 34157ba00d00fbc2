"""The threshold lab: a recorded run under other thresholds, at once."""

from foam_viz.ui.threshold.page import page

page()
