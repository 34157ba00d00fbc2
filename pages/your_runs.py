"""Your runs: what this browser has trained, to be opened again, renamed, downloaded or deleted."""

from foam_viz.ui.your_runs import page

page()
