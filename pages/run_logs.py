"""Run logs: bring logs in, see what was recognised, inspect one run, compare many."""

from foam_viz.ui import logs_page

logs_page.page()
