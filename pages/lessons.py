"""Lessons: the course on staleness, and each of its experiments."""

from foam_viz.ui.lessons import lessons

lessons()
