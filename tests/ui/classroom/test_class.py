"""A class over the wire: a presenter and students follow a lesson, each by the socket of the class and the feed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from foam_viz.lessons.catalogue import BY_ID
from foam_viz.ui.classroom.room import Room, Rooms, Shown
from foam_viz.ui.classroom.socket import ADDRESS, ClassSocket
from foam_viz.ui.feed.feed import Feed
from foam_viz.ui.feed.route import GuardedRoute
from foam_viz.ui.feed.sources import Sources
from foam_viz.ui.lessons import parts as lesson_parts
from tests.ui.feed.client import Client

LESSON = BY_ID["how-stale"]
STUDENTS = 4


class Page:
    """A page of the class, as an outside tool would write it."""

    def __init__(self, port: int, **hello: str) -> None:
        self._open = ExitStack()
        self.socket = self._open.enter_context(connect(f"ws://127.0.0.1:{port}/{ADDRESS}"))
        self.say(**hello)

    @classmethod
    def silent(cls, port: int) -> Page:
        """One that has not said who it is."""
        page = cls.__new__(cls)
        page._open = ExitStack()
        page.socket = page._open.enter_context(connect(f"ws://127.0.0.1:{port}/{ADDRESS}"))
        return page

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def until(self, wanted: Callable[[dict], bool], seconds: float = 20.0) -> dict:
        end = time.monotonic() + seconds
        while not wanted(told := json.loads(self.socket.recv(max(end - time.monotonic(), 0.01)))):
            pass
        return told

    def close(self) -> None:
        self._open.close()

    def close_code(self) -> int:
        try:
            while True:
                self.socket.recv(20)
        except ConnectionClosed as error:
            return error.rcvd.code


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


@pytest.fixture
def feed() -> Feed:
    return Feed(Sources(lambda: pytest.fail("there is no hub")))


@pytest.fixture
def port(rooms: Rooms, feed: Feed) -> Iterator[int]:
    served = ClassSocket(rooms, lambda: SimpleNamespace(held=list))
    routes = [GuardedRoute(feed.serve), GuardedRoute(served.serve, ADDRESS)]
    config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="warning", ws="websockets-sansio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def room(rooms: Rooms) -> Room:
    return rooms.open("teacher", Shown(LESSON.id, panels=("loss",)))


def test_a_presenter_and_students_follow_a_lesson(port: int, room: Room, feed: Feed) -> None:
    source = feed.sources.share("class-test", lambda name: lesson_parts._source(name, LESSON, 0, ("loss",)))
    presenter = Page(port, **{"class": room.code, "key": room.key})
    students = [
        Page(port, **{"class": room.code, "student": room.join(f"browser {place}")}) for place in range(STUDENTS)
    ]
    presenter.until(lambda told: told["follow"] == STUDENTS)
    boards = [Client(f"ws://127.0.0.1:{port}/feed") for _ in students]
    for at in (50, 300, None):
        presenter.say(at=at)
        for student, board in zip(students, boards, strict=True):
            told = student.until(lambda told, at=at: told["at"] == at)
            assert told["scene"] == room.shown.scene and told["panels"] == ["loss"]
            board.ask(source, "loss", look={"at": told["at"]})
            frame = board.until(lambda frame, board=board: frame.get("n") == board.n)
            assert frame["at"] == at
    assert len({board.panels["loss"]["revision"] for board in boards}) == 1
    students[0].say(following=False)
    assert presenter.until(lambda told: told["follow"] == STUDENTS - 1)["here"] == STUDENTS
    room.show(Shown(LESSON.id, answer=True))
    assert students[1].until(lambda told: told["answer"])["following"]
    assert students[0].until(lambda told: told["answer"])["following"] is False
    students[2].close()
    presenter.until(lambda told: told["here"] == STUDENTS - 1)
    for board in boards:
        board.close()


def test_a_class_that_is_not_there_says_so(port: int, rooms: Rooms, room: Room) -> None:
    page = Page(port, **{"class": "0" * 12, "student": "0" * 16})
    assert "started again" in page.until(lambda told: "ended" in told)["ended"]
    student = Page(port, **{"class": room.code, "student": room.join("a")})
    student.until(lambda told: told["lesson"] == LESSON.id)
    rooms.end(room)
    assert student.until(lambda told: "ended" in told)["ended"]


def test_strangers_and_students_cannot_move_the_class(port: int, room: Room) -> None:
    student = room.join("a")
    for hello in (
        {"class": room.code},
        {"class": room.code, "student": "f" * 16},
        {"class": room.code, "key": "f" * 32},
        {"class": room.code, "student": student, "name": "Ada"},
    ):
        assert Page(port, **hello).close_code() == 1008
    page = Page(port, **{"class": room.code, "student": student})
    page.say(at=7)
    page.say(following=False)
    page.until(lambda told: told["following"] is False)
    assert room.told_students(student)["at"] is None


@pytest.mark.parametrize(
    "message",
    [b"{}", b"\x00\xff", b'{"following": false}', "[" * 400, '{"at": [1]}', '{"at": {"a": 1}}', '{"at": "0x1"}',
     '{"following": [true]}', '{"class": null}', '{"class": "%s", "class": 7}', '{"": 1}', "\ud7ff" * 300],
)  # fmt: skip
def test_a_student_who_tampers_is_closed_out_and_the_class_goes_on(
    port: int, room: Room, message: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    student = room.join("a")
    other = Page(port, **{"class": room.code, "student": room.join("b")})
    for tampers in (Page(port, **{"class": room.code, "student": student}), Page.silent(port)):
        tampers.socket.send(message)
        assert tampers.close_code() == 1008
    room.look(12)
    assert other.until(lambda told: told["at"] == 12)
    assert not [record for record in caplog.records if record.exc_info], caplog.text


def test_pages_of_other_sites_are_refused(port: int) -> None:
    address = f"ws://127.0.0.1:{port}/{ADDRESS}"
    with pytest.raises(InvalidStatus) as refused, connect(address, origin="http://evil.example"):
        pass
    assert refused.value.response.status_code == 403
