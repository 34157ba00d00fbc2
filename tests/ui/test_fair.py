"""The queue of readings: visitors in turn, one at a time of each, short ones never behind long ones for long."""

from __future__ import annotations

import threading

import pytest

from foam_viz.ui.fair import FairQueue

WAIT = 10.0


def test_a_visitor_with_many_calls_holds_up_nobody():
    queue = FairQueue(places=1, patience=60, most=1)
    go, order = threading.Event(), []
    first = queue.submit("greedy", go.wait)
    greedy = [queue.submit("greedy", lambda n=n: order.append(f"greedy {n}")) for n in range(5)]
    other = queue.submit("other", lambda: order.append("other"))
    assert queue.ahead(first) == 0 and queue.ahead(other) == 1
    go.set()
    for future in (*greedy, other):
        future.result(WAIT)
    assert order == ["other", *(f"greedy {n}" for n in range(5))]


def test_a_visitor_has_one_call_at_a_time():
    queue = FairQueue(places=4, patience=60, most=4)
    go, started = threading.Event(), threading.Event()
    queue.submit("greedy", go.wait)
    second = queue.submit("greedy", started.set)
    assert not started.wait(0.1)
    go.set()
    second.result(WAIT)


def test_long_calls_make_place_up_to_a_number():
    queue = FairQueue(places=2, patience=0.05, most=3)
    go = threading.Event()
    long = [queue.submit(f"hostile {n}", go.wait) for n in range(2)]
    assert queue.submit("third", lambda: "read").result(WAIT) == "read"
    long += [queue.submit(f"hostile {n}", go.wait) for n in (3, 4)]
    assert not long[3].running(), "three at most"
    go.set()
    for future in long:
        future.result(WAIT)


def test_what_is_cancelled_or_fails_leaves_its_place():
    queue = FairQueue(places=1, patience=60, most=1)
    go = threading.Event()
    queue.submit("a", go.wait)
    cancelled = queue.submit("b", lambda: 1)
    assert cancelled.cancel()
    failing = queue.submit("c", lambda: 1 / 0)
    last = queue.submit("d", lambda: "read")
    go.set()
    assert last.result(WAIT) == "read"
    with pytest.raises(ZeroDivisionError):
        failing.result(WAIT)
