"""The start page: what this is, and the doors."""

from foam_viz.ui.start.page import start

start()
