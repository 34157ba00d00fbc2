"""Every lesson, in the order of the course. A new lesson is a new file and a line here."""

from __future__ import annotations

from foam_viz.lessons import (
    can_h_miss,
    eigenvalues_or_basis,
    fewer_faster,
    how_stale,
    same_budget,
    what_damping_does,
    what_epsilon_max_means,
    what_float32_hides,
    what_grafting_hides,
    when_the_world_changes,
    which_alarm,
    who_drifts,
)
from foam_viz.lessons.lesson import Lesson

LESSONS: tuple[Lesson, ...] = (
    how_stale.LESSON,
    same_budget.LESSON,
    what_damping_does.LESSON,
    which_alarm.LESSON,
    can_h_miss.LESSON,
    what_epsilon_max_means.LESSON,
    what_grafting_hides.LESSON,
    eigenvalues_or_basis.LESSON,
    who_drifts.LESSON,
    fewer_faster.LESSON,
    when_the_world_changes.LESSON,
    what_float32_hides.LESSON,
)

BY_ID: dict[str, Lesson] = {lesson.id: lesson for lesson in LESSONS}
