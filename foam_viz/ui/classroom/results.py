"""What students' own runs gave, as points without names."""

from __future__ import annotations

import streamlit as st

from foam_viz.lessons.lesson import Lesson
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
            "mark": {"type": "point", "filled": True, "size": 140, "opacity": 0.75},
            "height": 400,
            "encoding": {
                "x": {"field": "decompositions", "type": "quantitative", "title": "Decompositions, all factors"},
                "y": {
                    "field": "loss",
                    "type": "quantitative",
                    "scale": {"zero": False},
                    "title": f"Training loss, mean of the last 20 of {steps:,} steps",
                },
                "color": {"field": "setting", "type": "nominal", "legend": {"title": None, "labelLimit": 320}},
                "shape": {"field": "setting", "type": "nominal"},
                "tooltip": [{"field": "setting"}, {"field": "loss", "format": ".3f"}, {"field": "decompositions"}],
            },
            "config": {
                "axis": {"labelFontSize": 16, "titleFontSize": 18},
                "legend": {"labelFontSize": 16, "symbolSize": 160},
            },
        },
        width="stretch",
    )
    other, diverged = len(told) - len(shown), len(points) - len(told)
    notes = [f"{len(shown)} lanes of {steps:,} steps."]
    notes += [f"{other} of other lengths are left out: their losses do not compare."] if other else []
    notes += [f"{diverged} diverged."] if diverged else []
    st.caption(" ".join(notes))
