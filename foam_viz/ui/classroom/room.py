"""One class: what its presenter shows, who follows it, what they predicted, and the runs that they finished.

Everything is in memory, and nothing of it is a name: a student is a number that the server made up. What students type
is never taken in.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from foam_viz.engine import store
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.lessons.lesson import Lesson
from foam_viz.trace.counts import refreshes
from foam_viz.trace.final import final_of
from foam_viz.trace.visible import shortened

HOURS = 4.0
"""How long a class lasts at most."""
MOST_STUDENTS = 400
MOST_POINTS = 2000
_SECONDS = 3600 * HOURS


@dataclass(frozen=True)
class Shown:
    """What the presenter shows, and what the pages of those who follow go to.

    Attributes:
        lesson: Id of the lesson.
        stage: Which of its experiments.
        panels: Ids of the panels; empty for those of the experiment.
        answer: Whether the answer is revealed.
        run: View id of the presenter's live run; empty while the recording plays.
        experiment: Whether the experiment is shown: who is asked to predict must not see how it ends.
    """

    lesson: str
    stage: int = 0
    panels: tuple[str, ...] = ()
    answer: bool = False
    run: str = ""
    experiment: bool = True

    @property
    def scene(self) -> str:
        """Stands for all of it: pages that were drawn for another one are drawn again."""
        told = [self.lesson, self.stage, "+".join(self.panels), int(self.answer), self.run, int(self.experiment)]
        return "|".join(map(str, told))


@dataclass(frozen=True)
class Point:
    """A lane of a student's finished run.

    Attributes:
        task: What was trained, with its settings: only points of one task compare.
        setting: The lane, as its label says it.
        steps: Steps made.
        loss: Training loss, mean of the last 20 steps; None where it diverged.
        decompositions: Of all factors.
    """

    task: str
    setting: str
    steps: int
    loss: float | None
    decompositions: int


class Room:
    """A class. Any thread may call.

    Args:
        owner: Id of the presenter's browser.
        shown: What the presenter shows first.

    Attributes:
        code: Names the class in links.
        key: With it the presenter's page moves the class. Never in a link.
        ended: Why the class is over, in a sentence; empty while it goes on.
    """

    def __init__(self, owner: str, shown: Shown, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.owner, self.code, self.key = owner, store.new_identity()[:12], store.new_identity()
        self._clock, self._began = clock, clock()
        self._lock = threading.Lock()
        self._listeners: set[Callable[[], None]] = set()
        self._shown, self._at = shown, None
        self._students: dict[str, str] = {}
        self._connected: Counter[str] = Counter()
        self._alone: set[str] = set()
        self._predicted: dict[str, dict[str, int]] = {}
        self._points: dict[tuple[str, int], Point] = {}
        self._why = ""

    # --- its life

    @property
    def ended(self) -> str:
        """Why the class is over; empty while it goes on."""
        if not self._why and self._clock() - self._began > _SECONDS:
            self._why = f"The class has ended: it was open for {HOURS:g} hours."
        return self._why

    @property
    def minutes_left(self) -> int:
        """Minutes until it ends by itself."""
        return max(0, round((_SECONDS - (self._clock() - self._began)) / 60))

    def end(self) -> None:
        """End the class for all."""
        self._why = "The class has ended."
        self._tell()

    def listen(self, tell: Callable[[], None], on: bool) -> None:
        """Call ``tell``, from any thread, after every change; or no longer."""
        with self._lock:
            (self._listeners.add if on else self._listeners.discard)(tell)

    def _tell(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for tell in listeners:
            tell()

    # --- what the presenter does

    @property
    def shown(self) -> Shown:
        """What the presenter shows."""
        return self._shown

    def show(self, shown: Shown) -> None:
        """Show something else; the moment is its newest then."""
        with self._lock:
            if shown == self._shown:
                return
            if replace(shown, answer=False) != replace(self._shown, answer=False):
                self._at = None
            self._shown = shown
        self._tell()

    def look(self, at: int | None) -> None:
        """Show another moment: the step, or None for the newest."""
        with self._lock:
            if at == self._at:
                return
            self._at = at
        self._tell()

    # --- what students do

    def join(self, browser: str) -> str:
        """Take a student in; returns the number by which the class knows the page of that browser.

        Raises:
            LookupError: The class is full.
        """
        student = hashlib.sha256(f"{self.key}{browser}".encode()).hexdigest()[:16]
        with self._lock:
            if student not in self._students and len(self._students) >= MOST_STUDENTS:
                raise LookupError(f"This class has {MOST_STUDENTS} students already, which is as many as one may have.")
            new = student not in self._students
            self._students[student] = store.fingerprint(browser)
        if new:
            self._tell()
        return student

    def knows(self, student: str) -> bool:
        """Say whether a student has joined."""
        return student in self._students

    def connect(self, student: str, on: bool) -> None:
        """Note that a page of a student is open, or closed."""
        with self._lock:
            self._connected[student] += 1 if on else -1
            if self._connected[student] <= 0:
                del self._connected[student]
        self._tell()

    def follow(self, student: str, on: bool) -> None:
        """Note that a student follows, or looks on their own."""
        with self._lock:
            (self._alone.discard if on else self._alone.add)(student)
        self._tell()

    def follows(self, student: str) -> bool:
        """Say whether a student follows."""
        return student not in self._alone

    def predict(self, student: str, lesson: str, choice: int) -> None:
        """Count a prediction; the first one of a student stands."""
        with self._lock:
            if student not in self._students:
                return
            self._predicted.setdefault(lesson, {}).setdefault(student, choice)
        self._tell()

    def predictions(self, lesson: Lesson) -> list[int]:
        """Return how many students have chosen each answer."""
        with self._lock:
            counted = Counter(self._predicted.get(lesson.id, {}).values())
        return [counted[position] for position in range(len(lesson.prediction.choices))]

    # --- what students found

    def collect(self, runs: Iterable[LabRun]) -> None:
        """Take in the runs that students have finished."""
        with self._lock:
            browsers = set(self._students.values())
        found: dict[tuple[str, int], Point] = {}
        for run in runs:
            if run.browser in browsers and (run.view_id, 0) not in self._points and run.ended:
                found |= {(run.view_id, lane): point for lane, point in enumerate(points_of(run))}
        if not found:
            return
        with self._lock:
            for key, point in found.items():
                if len(self._points) < MOST_POINTS:
                    self._points.setdefault(key, point)
        self._tell()

    def points(self, task: str | None = None) -> list[Point]:
        """Return what students have found, of one task or of all."""
        with self._lock:
            return [point for point in self._points.values() if task in (None, point.task)]

    # --- what is pushed

    def told_students(self, student: str) -> Mapping[str, Any]:
        """Return what the page of a student is sent."""
        with self._lock:
            return {**_told(self._shown, self._at), "following": student not in self._alone}

    def told_presenter(self) -> Mapping[str, Any]:
        """Return what the presenter's page is sent."""
        with self._lock:
            here = set(self._connected)
            return {
                **_told(self._shown, self._at),
                "joined": len(self._students),
                "here": len(here),
                "follow": len(here - self._alone),
                "predicted": len(self._predicted.get(self._shown.lesson, {})),
                "points": len(self._points),
            }


def _told(shown: Shown, at: int | None) -> dict[str, Any]:
    return {**asdict(shown), "scene": shown.scene, "at": at}


def points_of(run: LabRun) -> Sequence[Point]:
    """Return a point for each lane of a run that has ended."""
    experiment = run.experiment
    task = task_of(experiment.task, experiment.task_settings)
    made = []
    with run.lock:
        traces, states, labels = list(run.traces), run.header.get("lanes", ()), experiment.labels()
    for trace, state, label in zip(traces, states, labels, strict=False):
        view = trace.view()
        loss, counted = final_of(view, "loss"), refreshes(view) if trace.manifest.factors else None
        value = float(loss.value) if loss.count and state["status"] == "finished" else None
        steps = int(loss.last) if loss.count else 0
        made.append(Point(task, shortened(label), steps, value, counted.decompositions if counted else 0))
    return made


def task_of(task: str, settings: Mapping[str, Any]) -> str:
    """Stand for a task with its settings."""
    return f"{task} {sorted(settings.items())}"


class Rooms:
    """All classes of the server: one a browser."""

    MOST = 64

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rooms: dict[str, Room] = {}

    def open(self, owner: str, shown: Shown) -> Room:
        """Return the class of a browser, opened now where it has none.

        Raises:
            LookupError: The server holds as many classes as it may.
        """
        if (known := self.of(owner)) is not None:
            return known
        with self._lock:
            if len(self._rooms) >= self.MOST:
                raise LookupError(f"This server holds {self.MOST} classes already. Try again when one has ended.")
            room = Room(owner, shown)
            self._rooms[room.code] = room
            return room

    def of(self, owner: str) -> Room | None:
        """Return the class that a browser has opened."""
        return next((room for room in self._living() if room.owner == owner), None)

    def find(self, code: str) -> Room | None:
        """Return the class of a code; None where it has ended, or never was."""
        return next((room for room in self._living() if room.code == code), None)

    def end(self, room: Room) -> None:
        """End a class."""
        with self._lock:
            self._rooms.pop(room.code, None)
        room.end()

    def _living(self) -> list[Room]:
        with self._lock:
            self._rooms = {code: room for code, room in self._rooms.items() if not room.ended}
            return list(self._rooms.values())


rooms = Rooms()
"""The classes of this server."""
