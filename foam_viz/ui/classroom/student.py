"""The strip by which a page follows a class, and what it says to the page below it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from foam_viz.lessons.lesson import Lesson
from foam_viz.ui import address, session
from foam_viz.ui.classroom.component import connection
from foam_viz.ui.classroom.room import Room, Shown, rooms
from foam_viz.ui.classroom.socket import GONE

KEY = "class-connection"
_PLACE = "class-place"
"""Class and lesson that the page's link named when it was last drawn."""


@dataclass(frozen=True)
class Led:
    """What a class means for the page of one who has joined it.

    Attributes:
        room: The class.
        student: The number by which it knows the page.
        shown: What its presenter shows.
        leads: Whether the page goes there.
    """

    room: Room
    student: str
    shown: Shown
    leads: bool

    def predict(self, lesson: Lesson) -> Callable[[int], None]:
        """Return what counts a prediction of this student."""
        return lambda choice: self.room.predict(self.student, lesson.id, choice)


def bar(code: str | None, lesson: str | None = None) -> Led | None:
    """Draw the strip where this browser has joined a class, comes by its link, or has opened one.

    Args:
        code: Of the class that the page's link names; None where it names none.
        lesson: Id of the lesson that the link names, if any.

    Returns:
        None outside of a class.
    """
    here, asked = session.current(), code
    if code:
        here.browser.classroom = code
    code = here.browser.classroom
    if not code:
        if (own := rooms.of(here.browser.id)) is not None:
            _own(own)
        return None
    room = rooms.find(code)
    if room is None:
        _gone()
        return None
    if room.owner == here.browser.id:
        _own(room)
        return None
    if not here.known:
        return Led(room, "", room.shown, not lesson)  # whose tab this is will be known in a moment
    try:
        student = room.join(here.browser.id)
    except LookupError as error:
        st.warning(str(error))
        return None
    _go(room, student, code if asked else None, lesson)
    return _follow(room, student)


def _go(room: Room, student: str, code: str | None, lesson: str | None) -> None:
    """Let a link be followed that the student went to: one with a lesson lets go, that of the class follows it.

    Back and forward in the browser, a lesson's door and the code scanned again all come as another link.
    """
    place = (room.code, code, lesson)
    if st.session_state.get(_PLACE) == place:
        return
    st.session_state[_PLACE] = place
    wanted = False if lesson else True if code else room.follows(student)
    if wanted != room.follows(student):
        room.follow(student, wanted)


def _follow(room: Room, student: str) -> Led:
    shown, follows = room.shown, room.follows(student)
    with st.container(horizontal=True, vertical_alignment="center", key="class-bar"):
        st.markdown(
            ":material/groups: **You follow the class.** This page goes where the presenter goes."
            if follows
            else ":material/explore: **You look around on your own.** The class goes on without you."
        )
        st.button(
            "Let go" if follows else "Follow", key="class-follow", type="secondary" if follows else "primary",
            on_click=_turn, args=(room, student, not follows),
        )  # fmt: skip
        st.button("Leave the class", key="class-leave", type="tertiary", on_click=_leave)
        data = {
            "role": "student", "class": room.code, "student": student, "following": follows, "scene": shown.scene,
        }  # fmt: skip
        connection(KEY, data)
    return Led(room, student, shown, follows)


def _turn(room: Room, student: str, on: bool) -> None:
    values = {**address.defaults("lessons"), "class": room.code}
    if not on:  # the page stays where it is
        shown = room.shown
        values |= {"lesson": shown.lesson, "stage": shown.stage, "panel": shown.panels}
    session.current().show(address.write("lessons", values))
    room.follow(student, on)


def _leave() -> None:
    session.current().browser.classroom = ""
    st.query_params.pop("class", None)


def _gone() -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="class-bar"):
        st.warning(GONE, icon=":material/group_off:")
        st.button("Go on without a class", key="class-leave", on_click=_leave)


def _own(room: Room) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="class-bar"):
        st.markdown(f":material/co_present: **Your class is open**, for {room.minutes_left} minutes more at most.")
        query = {"lesson": room.shown.lesson, "present": "true", "class": room.code}
        st.page_link("pages/lessons.py", label="Present", icon=":material/co_present:", query_params=query)
        st.button("End the class", key="class-end", on_click=rooms.end, args=(room,))
