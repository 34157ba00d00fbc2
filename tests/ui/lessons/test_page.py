from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from foam_viz.experiment import links
from foam_viz.lessons import measured
from foam_viz.lessons.catalogue import LESSONS
from foam_viz.lessons.lesson import Lesson
from foam_viz.settings import Settings
from foam_viz.ui import server, session
from foam_viz.ui.lessons import page
from foam_viz.ui.lessons import parts as lesson_parts

APP = Path(__file__).resolve().parents[3] / "app.py"


@pytest.fixture(autouse=True)
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_directory=tmp_path)
    data = SimpleNamespace(hold=lambda: None, problem=lambda: "")
    monkeypatch.setattr(server, "_hub", SimpleNamespace(settings=settings, data=data))


def opened(lesson: str = "") -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=120)
    if lesson:
        app.query_params[page.KEY] = lesson
    app.run()
    return app.switch_page("pages/lessons.py").run()


def words(app: AppTest) -> str:
    shown = "\n".join(item.value for item in (*app.title, *app.markdown, *app.caption, *app.warning, *app.info))
    return shown.replace("\u00a0", " ").replace("\u2060", "")  # what keeps a line from breaking there


def test_the_course_names_every_lesson() -> None:
    app = opened()
    assert not app.exception and "Lessons" in words(app)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id)
def test_a_lesson_from_prediction_to_reveal(lesson: Lesson) -> None:
    app = opened(lesson.id)
    assert not app.exception and lesson.question in words(app)
    assert measured.filled(lesson, lesson.why[0]) not in words(app) and app.toggle(f"reveal-{lesson.id}").disabled
    app.radio(f"prediction-{lesson.id}").set_value(1).run()
    app.button("keep-prediction").click().run()
    assert f"Your prediction: *{lesson.prediction.choices[1]}*" in words(app)
    app.toggle(f"reveal-{lesson.id}").set_value(True).run()
    assert not app.exception and measured.filled(lesson, lesson.why[0]) in words(app)
    assert ("That is what the " in words(app)) == (lesson.prediction.right == 1)


def test_a_prediction_stands_after_a_reload_and_in_another_tab() -> None:
    lesson = LESSONS[0]
    app = opened(lesson.id)
    app.radio(f"prediction-{lesson.id}").set_value(2).run()
    app.button("keep-prediction").click().run()
    again = opened(lesson.id)
    assert "Your prediction" not in words(again), "another browser"
    again.session_state[session.KEY].recognise(app.session_state[session.KEY].secret)
    again.run()
    assert f"Your prediction: *{lesson.prediction.choices[2]}*" in words(again)
    assert not again.toggle(f"reveal-{lesson.id}").disabled


def test_an_unknown_lesson_is_said_and_the_course_shown() -> None:
    app = opened("no-such")
    assert not app.exception and "no\\-such" in words(app) and app.title[0].value == "Lessons"


def test_train_it_live_opens_the_very_experiment() -> None:
    for lesson in LESSONS:
        for stage in lesson.stages:
            query: dict[str, list[str]] = {}
            for key, value in lesson_parts.pairs(stage):
                query.setdefault(key, []).append(value)
            assert links.from_query(query) == (stage.experiment(), [])


def test_the_sandbox_reads_what_is_set() -> None:
    lesson = next(lesson for lesson in LESSONS if lesson.id == "which-alarm")
    app = opened(lesson.id)
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["h"] == "0.621" and shown["Error of the inverse root"] == "0.259"
    app.selectbox(f"sandbox-{lesson.id}-change").set_value("none").run()
    assert {metric.label: metric.value for metric in app.metric}["h"] in ("0", "0.000")


def test_a_press_in_the_sandbox_changes_the_first_digit_of_a_number() -> None:
    lesson = next(lesson for lesson in LESSONS if lesson.id == "which-alarm")
    app = opened(lesson.id)
    for name, expected in (("epsilon", 2e-9), ("smallest", 2e-6), ("amount", 55.0), ("tau", 0.85)):
        box = app.number_input(f"sandbox-{lesson.id}-{name}").increment().run()
        assert not box.exception
        assert app.number_input(f"sandbox-{lesson.id}-{name}").value == pytest.approx(expected), name


def test_a_recorded_lesson_has_a_source_that_a_board_can_ask_for() -> None:
    assert lesson_parts.recorded(LESSONS[0], 0)
    app = opened("how-stale")
    assert not app.exception
    assert "shared:lesson-how-stale-0-loss+overlap+raster+spectrum" in server.feed.sources._shared
