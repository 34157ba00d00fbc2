"""What a class knows: without names, in memory, for four hours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from foam_viz.engine import store
from foam_viz.lessons.catalogue import BY_ID
from foam_viz.ui.classroom import link, presenter, socket
from foam_viz.ui.classroom.room import HOURS, MOST_STUDENTS, Room, Rooms, Shown
from tests.synthetic import SyntheticRun

LESSON = BY_ID["how-stale"]
SHOWN = Shown("how-stale")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_class_belongs_to_the_browser_that_opened_it() -> None:
    rooms = Rooms()
    room = rooms.open("teacher", SHOWN)
    assert rooms.open("teacher", SHOWN) is room and rooms.of("teacher") is room and rooms.of("other") is None
    assert rooms.find(room.code) is room and rooms.find("0" * 12) is None
    rooms.end(room)
    assert rooms.of("teacher") is None and rooms.find(room.code) is None and "ended" in room.ended


def test_it_lasts_four_hours_at_most() -> None:
    clock = Clock()
    room = Room("teacher", SHOWN, clock=clock)
    clock.now = HOURS * 3600 - 1
    assert not room.ended
    clock.now += 2
    assert "4 hours" in room.ended


def test_only_so_many_classes_and_students_fit() -> None:
    rooms = Rooms()
    for place in range(Rooms.MOST):
        rooms.open(f"teacher {place}", SHOWN)
    with pytest.raises(LookupError, match="64 classes"):
        rooms.open("one more", SHOWN)
    room = Room("teacher", SHOWN)
    for place in range(MOST_STUDENTS):
        room.join(f"student {place}")
    room.join("student 0")
    with pytest.raises(LookupError, match="400 students"):
        room.join("one more")


def test_a_student_is_a_number_and_predicts_once() -> None:
    room = Room("teacher", SHOWN)
    one, two = room.join("a"), room.join("b")
    assert one == room.join("a") != two and "a" not in (one, two)
    room.predict(one, LESSON.id, 1)
    room.predict(one, LESSON.id, 2)
    room.predict(two, LESSON.id, 1)
    room.predict("ffffffffffffffff", LESSON.id, 0)
    assert room.predictions(LESSON) == [0, 2, 0]
    assert Room("teacher", SHOWN).join("a") != one, "another class knows the same browser by another number"


def test_who_follows_is_counted_by_student_and_not_by_tab() -> None:
    room = Room("teacher", SHOWN)
    one, two = room.join("a"), room.join("b")
    for student in (one, one, two):
        room.connect(student, True)
    assert (told := room.told_presenter())["joined"] == told["here"] == told["follow"] == 2
    room.follow(two, False)
    room.connect(one, False)
    assert room.told_presenter()["follow"] == 1 and room.told_presenter()["here"] == 2
    room.connect(one, False)
    assert room.told_presenter()["here"] == 1


def test_another_scene_begins_at_its_newest_moment_and_the_answer_keeps_it() -> None:
    room = Room("teacher", SHOWN)
    room.look(120)
    room.show(Shown("how-stale", answer=True))
    assert room.told_students("x")["at"] == 120
    room.show(Shown("same-budget"))
    assert room.told_students("x")["at"] is None


def ended_run(browser: str, *statuses: str) -> SimpleNamespace:
    experiment = LESSON.stages[0].experiment()
    runs = [SyntheticRun("foam", seed=seed).advance(60) for seed, _ in enumerate(statuses)]
    from threading import RLock

    return SimpleNamespace(
        browser=store.fingerprint(browser), view_id=store.new_identity(), ended=True, experiment=experiment,
        traces=[run.trace for run in runs], header={"lanes": [{"status": status} for status in statuses]}, lock=RLock(),
    )  # fmt: skip


def test_finished_runs_of_students_alone_become_points_once() -> None:
    room = Room("teacher", SHOWN)
    room.join("a")
    run, other = ended_run("a", "finished", "diverged"), ended_run("somebody else", "finished")
    going = ended_run("a", "finished")
    going.ended = False
    for _ in range(2):
        room.collect([run, other, going])
    first, second = room.points()
    assert first.setting == LESSON.stages[0].experiment().labels()[0] and first.steps == 60
    assert first.loss is not None and first.decompositions > 0 and second.loss is None
    assert room.points("another task") == [] and room.told_presenter()["points"] == 2


@pytest.mark.parametrize(
    "message",
    ["", "[]", "1", "{", '{"at": "1"}', '{"at": -1}', '{"at": true}', '{"following": 1}', '{"class": "../x"}',
     '{"name": "Ada"}', '{"text": "hello"}', '{"at": 1, "x": 1}', " " * 600, '{"key": null}', '{"at": 1e400}'],
)  # fmt: skip
def test_nothing_but_the_protocol_is_taken(message: str) -> None:
    assert socket.parse(message) is None


def test_the_fields_of_the_protocol_are_taken() -> None:
    assert socket.parse('{"at": null}') == {"at": None} and socket.parse('{"following": false}') == {"following": False}


@pytest.mark.parametrize(
    "page",
    ["http://localhost:8501/lessons", "http://127.0.0.1:8501", "http://127.3.2.1", "http://[::1]:8501/lessons",
     "http://0.0.0.0:8501", "http://LOCALHOST./x", "http://a.localhost", "http://[::ffff:127.0.0.1]:8501", ""],
)  # fmt: skip
def test_a_loopback_address_is_known_as_one(page: str) -> None:
    assert link.is_loopback(page)


@pytest.mark.parametrize(
    "page", ["http://192.168.1.20:8501/lessons", "https://lab.example/foam/lessons", "http://host"]
)
def test_an_address_that_others_reach_makes_a_link(page: str) -> None:
    assert not link.is_loopback(page)
    assert link.student_link(f"{page}?lesson=how-stale#x", "abc") == f"{page}?class=abc"
    assert link.picture(page).startswith("data:image/svg+xml")


@pytest.mark.parametrize("lesson", BY_ID.values(), ids=lambda lesson: lesson.id)
def test_every_lesson_has_its_slides(lesson) -> None:
    kinds = [slide.kind for slide in presenter.slides(lesson)]
    assert kinds[:2] == ["question", "prediction"] and kinds.count("experiment") == len(lesson.stages)
    assert ("sandbox" in kinds) == bool(lesson.sandbox) and kinds.index("answer") < kinds.index("why")


def test_the_documentation_names_every_field_that_is_sent() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "class.md").read_text(encoding="utf-8")
    room = Room("teacher", SHOWN)
    for told in (room.told_students(room.join("a")), room.told_presenter(), socket._CHECKS):
        assert not [name for name in told if f"`{name}`" not in text and f'"{name}"' not in text]
