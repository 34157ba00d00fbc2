"""Who looks at a run: what keeps it, what counts as others, and whose steps come first."""

from __future__ import annotations

from foam_viz.engine.server.viewers import SHOWN_SECONDS, Viewers
from foam_viz.engine.wire.commands import Priority


def test_a_run_is_alone_when_the_last_page_is_gone() -> None:
    active = {"a", "b"}
    viewers = Viewers(active.__contains__)
    viewers.note("run", "a", "mine", 0.0)
    viewers.note("run", "b", "theirs", 1.0)
    viewers.look("run", 10.0)
    assert viewers.alone("run", 12.0) == 2.0
    active.clear()
    viewers.look("run", 20.0)
    assert viewers.alone("run", 20.0) == 10.0


def test_others_are_other_browsers_that_are_known_and_connected() -> None:
    active = {"tab 1", "tab 2", "feed"}
    viewers = Viewers(active.__contains__)
    viewers.note("run", "tab 1", "mine", 0.0)
    viewers.note("run", "tab 2", "mine", 0.0)
    viewers.note("run", "feed", "", 0.0)  # those who look through it are counted by their pages
    assert not viewers.others("run", "mine")
    viewers.note("run", "x", "theirs", 0.0)
    assert not viewers.others("run", "mine")  # gone
    active.add("x")
    assert viewers.others("run", "mine")
    viewers.note("run", "x", "mine", 0.0)  # the page has told whose it is
    assert not viewers.others("run", "mine")


def test_priorities() -> None:
    active = {"a"}
    viewers = Viewers(active.__contains__)
    viewers.note("run", "a", "mine", 0.0)
    assert viewers.priority("run", 1.0) == Priority.WATCHED
    viewers.hide("run", "a", True)
    assert viewers.priority("run", 1.0) == Priority.UNWATCHED
    viewers.hide("run", "a", False)
    assert viewers.priority("run", SHOWN_SECONDS + 1) == Priority.UNWATCHED  # its page shows something else
    viewers.present("run", True)
    assert viewers.priority("run", SHOWN_SECONDS + 1) == Priority.PRESENTED
    viewers.forget("run")
    assert viewers.priority("run", 1.0) == Priority.UNWATCHED


def test_who_attends_keeps_a_run_until_it_leaves() -> None:
    viewers = Viewers(lambda _: False)
    viewers.note("run", "tool", "browser", 0.0, attends=True)
    viewers.look("run", 1000.0)
    assert viewers.alone("run", 1000.0) == 0.0
    assert viewers.unseen("run", 1000.0) == 0.0
    assert viewers.priority("run", 1000.0) == Priority.WATCHED
    viewers.leave("run", "tool", 1000.0)
    viewers.look("run", 1100.0)
    assert viewers.alone("run", 1100.0) == 100.0


def test_a_page_whose_board_is_out_of_sight_sees_nothing() -> None:
    viewers = Viewers({"tab", "feed"}.__contains__)
    viewers.look("run", 0.0)
    viewers.note("run", "tab", "mine", 0.0)
    viewers.note("run", "feed", "", 0.0)
    viewers.hide("run", "feed", True)
    viewers.look("run", 10.0)
    assert viewers.unseen("run", 10.0) == 0.0  # counted from here on
    assert viewers.unseen("run", 17.0) == 7.0 and viewers.priority("run", 17.0) == Priority.UNWATCHED
    viewers.hide("run", "feed", False)
    viewers.look("run", 18.0)
    assert viewers.unseen("run", 18.0) == 0.0 and viewers.priority("run", 18.0) == Priority.WATCHED
