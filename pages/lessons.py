"""Lessons: the course on staleness, and each of its experiments."""

from foam_viz.ui.lessons.page import lessons

lessons()
