"""The page of lessons: the course, one lesson from its question to what to try next, or a presenter's screen of it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from foam_viz.lessons.catalogue import BY_ID, LESSONS
from foam_viz.lessons.lesson import Lesson
from foam_viz.ui import address, session
from foam_viz.ui.classroom import presenter, student
from foam_viz.ui.lessons import parts as lesson_parts
from foam_viz.ui.lessons.sandbox import sandbox
from foam_viz.ui.refusals import refusals
from foam_viz.ui.server import hub
from foam_viz.ui.text import whole

PAGE, KEY = "lessons", "lesson"


def lessons() -> None:
    """Draw the course, or the lesson that the address names, or that the class is at."""
    hub()
    link = session.current().link()
    address.tell(link)
    values, refused, rest = address.read(PAGE, link)
    refusals([*refused, *address.unknown(PAGE, rest)])
    lesson = BY_ID.get(values["lesson"] or "")
    if values["present"] and lesson is not None:
        presenter.presenter(lesson, values)
        return
    led = student.bar(values["class"], values["lesson"])
    if led is not None and led.leads:
        lesson, values = BY_ID[led.shown.lesson], {**values, "stage": led.shown.stage, "panel": led.shown.panels}
    if lesson is None:
        _course()
    else:
        _lesson(lesson, values, led)


def _course() -> None:
    st.title("Lessons", anchor=False)
    st.markdown(
        "Twelve short experiments on stale preconditioners. Each asks a question, lets you predict, shows what "
        "happens, and says what five runs with fresh seeds gave."
    )
    for first in range(0, len(LESSONS), 3):
        for column, lesson in zip(st.columns(3), LESSONS[first : first + 3], strict=False):
            title = f"**{LESSONS.index(lesson) + 1}. {lesson.title}**"
            with column.container(key=f"door-{lesson.id}", border=True, height="stretch"):
                st.page_link("pages/lessons.py", label=title, query_params={KEY: lesson.id})
                st.caption(lesson.question)
                if lesson_parts.predicted(lesson) is not None:
                    st.caption(":material/check: You have predicted.")


def _lesson(lesson: Lesson, values: dict[str, Any], led: student.Led | None) -> None:
    leads = led is not None and led.leads
    shown = led is not None and led.leads and led.shown.answer
    _head(lesson, leads)
    st.markdown(whole(lesson.question))
    lesson_parts.prediction(lesson, closed=shown, on_given=led.predict(lesson) if led else None)
    if led is not None and led.leads and not led.shown.experiment:
        st.caption("The experiment appears here when the presenter shows it.")
    else:
        if lesson.stages:
            _experiment(lesson, values, led)
        if lesson.sandbox:
            sandbox(lesson)
    given = lesson_parts.predicted(lesson)
    if not shown:
        shown = st.toggle(
            "Show the answer", key=f"reveal-{lesson.id}", disabled=given is None,
            help="Predict first: what you expected is worth remembering.",
        ) and given is not None  # fmt: skip
    if shown:
        lesson_parts.answer(lesson)
        lesson_parts.why(lesson)
        lesson_parts.onward(lesson)


def _head(lesson: Lesson, leads: bool) -> None:
    position = LESSONS.index(lesson)
    with st.container(horizontal=True, vertical_alignment="center", key="lesson-head"):
        st.title(f"{position + 1}. {lesson.title}", anchor=False)
        if not leads:
            _turn(position - 1, "Previous", "arrow_back")
            st.page_link("pages/lessons.py", label="Course", icon=":material/list:")
            _turn(position + 1, "Next", "arrow_forward")
            presenter.door(lesson)


def _turn(position: int, label: str, icon: str) -> None:
    if 0 <= position < len(LESSONS):
        st.page_link(
            "pages/lessons.py", label=label, icon=f":material/{icon}:", query_params={KEY: LESSONS[position].id},
            help=LESSONS[position].title,
        )  # fmt: skip


def _experiment(lesson: Lesson, values: dict[str, Any], led: student.Led | None) -> None:
    """Play the recorded runs, and lead to the same experiment, live."""
    stages, leads = lesson.stages, led is not None and led.leads
    stage = min(values["stage"], len(stages) - 1)
    with st.container(horizontal=True, vertical_alignment="center", key="stage"):
        if len(stages) > 1 and not leads:
            stage = _choice(lesson, stage)
        elif len(stages) > 1:
            st.markdown(f"**{stages[stage].title}**")
        lesson_parts.run_buttons(lesson, stage)
    st.markdown(f"**{whole(stages[stage].watch)}**")
    run = lesson_parts.live_run(lesson, stage) or (led.shown.run if led is not None and leads else "")
    lesson_parts.experiment(lesson, stage, panels=values["panel"], run=run, plays=not leads)


def _choice(lesson: Lesson, stage: int) -> int:
    key = f"stage-{lesson.id}"
    if key not in st.session_state:
        st.session_state[key] = stage

    def chosen() -> None:
        values = {**address.defaults(PAGE), "lesson": lesson.id, "stage": st.session_state[key]}
        session.current().show(address.write(PAGE, values))

    shown = st.segmented_control(
        "Experiment", range(len(lesson.stages)), format_func=lambda position: lesson.stages[position].title, key=key,
        required=True, on_change=chosen, label_visibility="collapsed",
    )  # fmt: skip
    return stage if shown is None else shown
