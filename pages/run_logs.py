"""Run logs: bring logs in, see what was recognised, inspect one run, compare many."""

from foam_viz.ui.run_logs import page as logs_page

logs_page.page()
