"""What students' own runs gave, as points without names."""

from __future__ import annotations

import streamlit as st

from foam_viz.lessons.lesson import Lesson
from foam_viz.ui import charts
from foam_viz.ui.classroom.room import Room, task_of


def results(room: Room, lesson: Lesson, stage: int) -> None:
    """Draw the finished runs of the experiment's task: loss against decompositions, a colour a setting.

    Args:
        room: The class.
        lesson: What is presented.
        stage: Which of its experiments.
    """
    task = None
    if lesson.stages:
        experiment = lesson.stages[stage].experiment()
        task = task_of(experiment.task, experiment.task_settings)
    points = room.points(task)
    st.markdown("### What the class has found")
    if not points:
        st.markdown("Nothing yet: every run that a student finishes on this task appears here, as a point.")
        return
    steps = max(point.steps for point in points)
    told = [point for point in points if point.loss is not None]
    shown = [point for point in told if point.steps == steps]
    rows = [{"setting": point.setting, "loss": point.loss, "decompositions": point.decompositions} for point in shown]
    st.vega_lite_chart(
        {
            "data": {"values": rows},
            "mark": {"type": "point", "filled": True, "size": 140, "opacity": 0.75, "clip": False},
            "height": 480,
            "encoding": {
                "x": {
                    "field": "decompositions",
                    "type": "quantitative",
                    "scale": {"type": "symlog", "constant": 20},  # runs without any stand at 0
                    "axis": {"values": [0, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000], "format": ",d"},
                    "title": "Decompositions, all factors",
                },
                "y": {
                    "field": "loss",
                    "type": "quantitative",
                    "scale": {"type": "log", "nice": False, "padding": 24},
                    "axis": {"tickCount": 6, "format": ".3~f"},
                    "title": ["Training loss,", f"last 20 of {steps:,} steps"],
                },
                "color": {
                    "field": "setting",
                    "type": "nominal",
                    "legend": {"title": None, "labelLimit": 560, "orient": "bottom", "columns": 2},
                },
                "shape": {"field": "setting", "type": "nominal"},
                "tooltip": [{"field": "setting"}, {"field": "loss", "format": ".3f"}, {"field": "decompositions"}],
            },
            "config": charts.config(16),
        },
        width="stretch",
    )
    other, diverged = len(told) - len(shown), len(points) - len(told)
    notes = [f"{len(shown)} lanes of {steps:,} steps."]
    notes += [f"Left out, because their runs have other lengths: {other}."] if other else []
    notes += [f"Diverged, and not drawn: {diverged}."] if diverged else []
    st.caption(" ".join(notes))
