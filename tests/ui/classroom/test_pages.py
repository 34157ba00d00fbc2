"""The presenter's screen and the strip of one who follows, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from foam_viz.lessons import measured
from foam_viz.lessons.catalogue import BY_ID, LESSONS
from foam_viz.settings import Settings
from foam_viz.ui import server, session
from foam_viz.ui.classroom.room import Shown, rooms

APP = Path(__file__).resolve().parents[3] / "app.py"
LESSON = BY_ID["how-stale"]


@pytest.fixture(autouse=True)
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings = Settings(data_directory=tmp_path)
    data = SimpleNamespace(hold=lambda: None, problem=lambda: "")
    monkeypatch.setattr(server, "_hub", SimpleNamespace(settings=settings, data=data))
    yield
    rooms._rooms.clear()


def opened(**query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params.from_dict(query) if hasattr(app.query_params, "from_dict") else app.query_params.update(query)
    app.run()
    return known(app.switch_page("pages/lessons.py").run())


def known(app: AppTest) -> AppTest:
    """As after the browser has told its secret."""
    app.session_state[session.KEY].known = True
    return app.run()


def words(app: AppTest) -> str:
    shown = "\n".join(item.value for item in (*app.title, *app.markdown, *app.caption, *app.warning, *app.error))
    return shown.replace("\u00a0", " ").replace("\u2060", "")  # what keeps a line from breaking there


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id)
def test_a_presenter_goes_through_a_lesson_and_on(lesson) -> None:
    app = opened(lesson=lesson.id, present="true")
    seen = words(app)
    for _ in range(8):
        assert not app.exception
        if measured.filled(lesson, lesson.why[-1]) in seen:
            break
        app.button("presenter-next").click().run()
        seen += words(app)
    asked = measured.filled(lesson, lesson.prediction.question)
    assert lesson.question in seen and asked in seen and measured.filled(lesson, lesson.why[0]) in seen
    assert lesson.prediction.choices[lesson.prediction.right] in seen


def test_next_over_the_end_begins_the_next_lesson_and_back_comes_again() -> None:
    app = opened(lesson=LESSONS[0].id, present="true", slide="20")
    app.button("presenter-next").click().run()
    assert LESSONS[1].question in words(app)
    app.button("presenter-back").click().run()
    assert f"1. {LESSONS[0].title}" in words(app) and LESSONS[1].question not in words(app)


def test_what_a_browser_asked_before_it_heard_of_the_next_slide_does_not_take_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = opened(lesson=LESSON.id, present="true")
    app.button("presenter-next").click().run()
    asked = measured.filled(LESSON, LESSON.prediction.question)
    assert asked in words(app)
    del app.query_params["slide"]  # as another message of the page tells, which was on its way already
    app.run()
    assert asked in words(app) and app.query_params["slide"] in ("1", ["1"])
    monkeypatch.setattr(session, "_LATE_SECONDS", -1.0)
    del app.query_params["slide"]  # as the browser's own button does, later
    app.run()
    assert LESSON.question in words(app) and asked not in words(app)


def test_the_link_says_what_is_on_the_screen() -> None:
    app = opened(lesson=LESSON.id, present="true", slide="2", control="class")
    names = {button.key for button in app.button}
    assert "presenter-code" in names and not names & {"presenter-next", "run-live"}


def test_a_class_is_opened_kept_and_a_loopback_address_is_refused_with_the_remedy() -> None:
    app = opened(lesson=LESSON.id, present="true")
    app.button("presenter-code").click().run()
    app.button("class-open").click().run()
    assert not app.exception and "--server.address=0.0.0.0" in words(app)
    room = rooms.of(app.session_state[session.KEY].browser.id)
    assert room is not None and room.shown.lesson == LESSON.id
    app.button("class-end").click().run()
    assert room.ended and rooms.of(app.session_state[session.KEY].browser.id) is None


def test_a_class_that_was_lost_is_said_to_its_presenter() -> None:
    assert "server was started again" in words(opened(lesson=LESSON.id, present="true", **{"class": "0" * 12}))


def test_the_link_of_another_browsers_class_does_not_say_that_it_is_closed() -> None:
    room = rooms.open("teacher", Shown(LESSON.id))
    seen = words(opened(lesson=LESSON.id, present="true", **{"class": room.code}))
    assert "another browser" in seen and "closed" not in seen and not room.ended


@pytest.mark.parametrize("slide", ["0", "2", "3"])
def test_predictions_are_shown_over_any_part_of_a_lesson(slide: str) -> None:
    app = opened(lesson=LESSON.id, present="true", slide=slide)
    room = rooms.open(app.session_state[session.KEY].browser.id, Shown(LESSON.id))
    for place in range(3):
        room.predict(room.join(f"student {place}"), LESSON.id, 2)
    app.run()
    app.button("presenter-predictions").click().run()
    assert "What the class predicted" in words(app) and "3 predicted" in words(app)
    app.button("presenter-predictions").click().run()
    assert not app.exception and "What the class predicted" not in words(app)


def test_a_page_follows_predicts_and_lets_go() -> None:
    room = rooms.open("teacher", Shown("which-alarm"))
    app = opened(**{"class": room.code})
    assert not app.exception and BY_ID["which-alarm"].question in words(app) and "You follow the class" in words(app)
    app.radio("prediction-which-alarm").set_value(1).run()
    app.button("keep-prediction").click().run()
    assert room.predictions(BY_ID["which-alarm"])[1] == 1
    room.show(Shown("can-h-miss", answer=True))
    app.run()
    assert BY_ID["can-h-miss"].why[0] in words(app)
    app.button("class-follow").click().run()
    room.show(Shown("how-stale"))
    app.run()
    assert BY_ID["can-h-miss"].question in words(app) and "on your own" in words(app)
    app.button("class-leave").click().run()
    assert "on your own" not in words(app) and not app.session_state[session.KEY].browser.classroom


def test_back_and_forward_go_where_the_link_says() -> None:
    """A lesson in the link is one's own choice; the link of the class follows it."""
    room = rooms.open("teacher", Shown("which-alarm"))
    app = opened(lesson="can-h-miss")

    def goes_to(shown: str, follows: bool, **query: str) -> None:
        if query:
            app.query_params.clear()
            app.query_params.update(query)
        app.run()
        (student,) = room._students
        assert BY_ID[shown].question in words(app) and room.follows(student) is follows
        assert ("You follow the class" in words(app)) is follows

    goes_to("which-alarm", True, **{"class": room.code})
    goes_to("can-h-miss", False, lesson="can-h-miss")  # back
    goes_to("which-alarm", True, **{"class": room.code})  # forward
    app.button("class-follow").click().run()  # lets go
    assert app.query_params["lesson"] in ("which-alarm", ["which-alarm"])
    room.show(Shown("how-stale"))
    goes_to("which-alarm", False)
    app.button("class-follow").click().run()
    assert "lesson" not in app.query_params
    goes_to("how-stale", True)
    room.show(Shown("can-h-miss"))
    goes_to("can-h-miss", True)


def test_a_link_to_a_class_that_is_gone_says_so() -> None:
    app = opened(**{"class": "0" * 12})
    assert not app.exception and "This class is not open" in words(app) and app.title[0].value == "Lessons"


def test_the_owner_of_a_class_is_not_its_student() -> None:
    app = opened()
    room = rooms.open(app.session_state[session.KEY].browser.id, Shown(LESSON.id))
    app.query_params["class"] = room.code
    app.run()
    assert "Your class is open" in words(app) and room.told_presenter()["joined"] == 0


def test_who_has_left_the_presentation_is_told_that_the_class_is_open() -> None:
    app = opened(lesson=LESSON.id)
    assert "Your class is open" not in words(app)
    room = rooms.open(app.session_state[session.KEY].browser.id, Shown(LESSON.id))
    app.run()
    assert "Your class is open" in words(app)
    app.button("class-end").click().run()
    assert room.ended and "Your class is open" not in words(app)


def test_who_is_asked_to_predict_does_not_see_how_it_ends() -> None:
    teacher = opened(lesson=LESSON.id, present="true")
    room = rooms.open(teacher.session_state[session.KEY].browser.id, Shown(LESSON.id))
    for asks in (True, True, False):  # question, prediction, experiment
        teacher.run()
        assert room.shown.experiment is not asks
        student = opened(**{"class": room.code})
        assert ("appears here when the presenter shows it" in words(student)) is asks
        assert any(button.key == "run-live" for button in student.button) is not asks
        teacher.button("presenter-next").click()
    rooms.end(room)
