"""The page of lessons: the course, and one lesson from its question to what to try next."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from foam_viz.figures.catalogue import BY_ID as PANELS
from foam_viz.figures.scene import Lane
from foam_viz.files import SAMPLE_RUNS
from foam_viz.lessons import measured
from foam_viz.lessons.catalogue import BY_ID, LESSONS
from foam_viz.lessons.lesson import Lesson, Stage
from foam_viz.trace import bundle
from foam_viz.ui.board import board
from foam_viz.ui.feed.recorded import RecordedSource
from foam_viz.ui.lesson_sandbox import sandbox
from foam_viz.ui.server import feed, hub
from foam_viz.ui.text import plain

KEY = "lesson"
RECORDED = SAMPLE_RUNS / "lessons"


def lessons() -> None:
    """Draw the course, or the lesson that the address names."""
    hub()
    asked = st.query_params.get(KEY, "")
    lesson = BY_ID.get(asked)
    if asked and lesson is None:
        st.warning(f"There is no lesson {plain(asked)!r}. Here is the course.")
    if lesson is None:
        _course()
    else:
        _lesson(lesson)


def _course() -> None:
    st.title("Lessons", anchor=False)
    st.markdown(
        "Twelve short experiments on stale preconditioners. Each asks a question, lets you predict, shows what "
        "happens, and says what five runs with fresh seeds gave."
    )
    for first in range(0, len(LESSONS), 3):
        for column, lesson in zip(st.columns(3, border=True), LESSONS[first : first + 3], strict=False):
            place = LESSONS.index(lesson) + 1
            column.page_link("pages/lessons.py", label=f"**{place}. {lesson.title}**", query_params={KEY: lesson.id})
            column.caption(
                _first_sentence(lesson.question) + ("  ✓ predicted" if _predicted(lesson) is not None else "")
            )


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".") + "."


def _lesson(lesson: Lesson) -> None:
    place = LESSONS.index(lesson)
    with st.container(horizontal=True, vertical_alignment="center", key="lesson-head"):
        st.title(f"{place + 1}. {lesson.title}", anchor=False)
        _turn(place - 1, "Previous", "arrow_back")
        st.page_link("pages/lessons.py", label="Course", icon=":material/list:")
        _turn(place + 1, "Next", "arrow_forward")
    st.markdown(lesson.question)
    _prediction(lesson)
    if lesson.stages:
        _experiment(lesson)
    if lesson.sandbox:
        sandbox(lesson)
    _reveal(lesson)


def _turn(place: int, label: str, icon: str) -> None:
    if 0 <= place < len(LESSONS):
        st.page_link(
            "pages/lessons.py", label=label, icon=f":material/{icon}:", query_params={KEY: LESSONS[place].id},
            help=LESSONS[place].title,
        )  # fmt: skip


def _predicted(lesson: Lesson) -> int | None:
    return st.session_state.setdefault("predictions", {}).get(lesson.id)


def _prediction(lesson: Lesson) -> None:
    """Ask; the answer stands once it is given, so that nobody predicts what was revealed."""
    asked = lesson.prediction
    given = _predicted(lesson)
    with st.container(border=True, key="prediction"):
        st.markdown(f"**Predict.** {asked.question}")
        if given is not None:
            st.markdown(f"Your prediction: *{asked.choices[given]}*")
            return
        chosen = st.radio(
            "Your prediction", range(len(asked.choices)), format_func=lambda place: asked.choices[place], index=None,
            key=f"prediction-{lesson.id}", label_visibility="collapsed",
        )  # fmt: skip

        def keep() -> None:
            st.session_state["predictions"][lesson.id] = chosen

        st.button(
            "This is my prediction", on_click=keep, disabled=chosen is None, type="primary", key="keep-prediction"
        )


def _experiment(lesson: Lesson) -> None:
    """Play the recorded runs, and lead to the same experiment, live."""
    stages = lesson.stages
    with st.container(horizontal=True, vertical_alignment="center", key="stage"):
        chosen = (
            st.segmented_control(
                "Experiment", range(len(stages)), format_func=lambda place: stages[place].title, default=0,
                key=f"stage-{lesson.id}", required=True,
            )
            if len(stages) > 1
            else 0
        )  # fmt: skip
        stage = stages[chosen or 0]
        st.page_link(
            "pages/live_lab.py", label="Train it live", icon=":material/play_arrow:", query_params=pairs(stage),
            help="Opens the live lab with this experiment; press Start there.",
        )  # fmt: skip
    st.markdown(f"**{stage.watch}**")
    if not recorded(lesson, chosen or 0):
        st.info("This experiment is not recorded: train it live, it takes a few seconds.")
        return
    name = f"lesson-{lesson.id}-{chosen or 0}"
    board(
        key="lesson-board",
        source=feed.sources.share(name, lambda identity: _source(identity, lesson, chosen or 0)),
        look={},
        plays=True,
    )


def pairs(stage: Stage) -> list[tuple[str, str]]:
    """Return the parameters of the link that opens a stage in the live lab."""
    return [(key, value) for key, values in stage.link.items() for value in values]


def recorded(lesson: Lesson, stage: int) -> list[str]:
    """Return the names of the recorded runs of a stage, a lane each; empty where they are not all there."""
    names = [f"{lesson.id}-{stage}-{lane}.zip" for lane in range(len(lesson.stages[stage].labels()))]
    return names if all((RECORDED / name).exists() for name in names) else []


def _source(identity: str, lesson: Lesson, stage: int) -> RecordedSource:
    labels = lesson.stages[stage].labels()
    lanes = [
        Lane(bundle.read(RECORDED / name), label, place)
        for place, (name, label) in enumerate(zip(recorded(lesson, stage), labels, strict=True))
    ]
    return RecordedSource(identity, lanes, panels=[PANELS[name] for name in lesson.stages[stage].panels])


def _reveal(lesson: Lesson) -> None:
    given = _predicted(lesson)
    shown = st.toggle(
        "Show the answer", key=f"reveal-{lesson.id}", disabled=given is None,
        help="Predict first: what you expected is worth remembering.",
    )  # fmt: skip
    if given is None or not shown:
        return
    right = lesson.prediction.right
    words = "That is what the runs show." if given == right else f"The runs show: *{lesson.prediction.choices[right]}*"
    st.markdown(f"### The answer\nYou predicted: *{lesson.prediction.choices[given]}* {words}")
    _statements(_claimed(lesson))
    st.markdown("### Why")
    for paragraph in lesson.why:
        st.markdown(paragraph)
    if lesson.try_yourself:
        st.markdown("### Try yourself")
        _statements(lesson.try_yourself)
    sources = "; ".join(f"[{source.title}]({source.url})" if source.url else source.title for source in lesson.sources)
    if sources:
        st.caption(f"Sources: {sources}")


def _claimed(lesson: Lesson) -> list[str]:
    found = measured.results(lesson)
    told = [measured.sentence(lesson, claim, found) for claim in lesson.claims] if found else []
    return [*told, *(item.text for item in lesson.calculations)]


def _statements(lines: Sequence[str]) -> None:
    st.markdown("\n".join(f"* {line}" for line in lines))
