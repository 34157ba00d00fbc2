"""The pieces of the feed, one by one: messages, deflated parts, what is made once, the pace."""

from __future__ import annotations

import asyncio
import json
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foam_viz.figures.look import Look
from foam_viz.ui.feed.deflated import deflated, joined, stored
from foam_viz.ui.feed.once import Once
from foam_viz.ui.feed.pace import FASTEST, SLOWEST, Pace
from foam_viz.ui.feed.protocol import Got, Refused, Request, parse


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=400) | st.integers(0, 200_000).map(bytes)), max_size=8))
def test_joined_parts_are_one_zlib_stream(pieces: list[tuple[bool, bytes]]) -> None:
    stream = joined([(deflated if small else stored)(text) for small, text in pieces])
    inflate = zlib.decompressobj()
    assert inflate.decompress(stream) == b"".join(text for _, text in pieces)
    assert inflate.eof and not inflate.unused_data


def test_a_request_is_the_whole_state() -> None:
    said = parse(
        json.dumps(
            {
                "n": 7,
                "source": "3f" * 16,
                "look": {
                    "factor": 3,
                    "lane": 1,
                    "loss_axis": "decompositions",
                    "loss_log": False,
                    "x_from": 1,
                    "x_to": 2.5,
                },
                "panels": ["loss"],
                "have": {"loss": "0123456789abcdef"},
                "hidden": True,
                "page": True,
            }
        )
    )
    look = Look(factor=3, lane=1, loss_axis="decompositions", loss_log=False, x_from=1.0, x_to=2.5)
    assert said == Request(7, "3f" * 16, look, frozenset({"loss"}), {"loss": "0123456789abcdef"}, True, True)
    assert parse('{"got": 3}') == Got(3)
    assert parse('{"n": 1, "source": "sample:a+b"}') == Request(1, "sample:a+b")


GOOD = {"n": 1, "source": "a"}


@pytest.mark.parametrize(
    "message",
    [
        "", "null", "3", "[]", '"text"', "{}", "{", '{"n": NaN, "source": "a"}', '{"got": "1"}', '{"got": 1, "n": 2}',
        '{"got": true}', '{"n": 1}', '{"source": "a"}', "[" * 2000, '{"a":' * 400,
        *(
            json.dumps({**GOOD, **more})
            for more in (
                {"n": -1}, {"n": 1.5}, {"n": True}, {"n": 2**53}, {"n": None}, {"source": ""}, {"source": "../x"},
                {"source": "a b"}, {"source": 1}, {"source": "<b>"}, {"source": "a" * 300}, {"look": []},
                {"look": None},
                {"look": {"lane": None}}, {"look": {"lane": 2**31}}, {"look": {"loss_axis": "time"}},
                {"look": {"loss_axis": []}}, {"look": {"loss_log": 1}}, {"look": {"at": -1}}, {"look": {"at": 1.5}},
                {"look": {"x_from": 2, "x_to": 1}}, {"look": {"x_from": 2}}, {"look": {"x_from": "1", "x_to": 2}},
                {"look": {"x_from": 0, "x_to": 10**400}}, {"look": {"at": 10**400}}, {"look": {"metrics": []}},
                {"look": {"metrics": ["<b>"] * 5, "x": "<b>"}}, {"look": {"<b>": 1}},
                {"panels": "loss"}, {"panels": [1]}, {"panels": ["a"] * 65},
                {"have": []}, {"have": {"loss": 1}}, {"have": {"loss": "xyz"}}, {"have": {"loss": "A" * 16}},
                {"hidden": 0}, {"control_key": "a" * 32}, {"command": "pause"},
            )
        ),
        json.dumps({**GOOD, "panels": ["é" * 1020]}, ensure_ascii=False),
    ],
)  # fmt: skip
def test_what_is_not_of_the_protocol_is_refused_and_not_quoted(message: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(message)
    assert str(refused.value).endswith(".") and "<" not in str(refused.value)


@given(st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["n", "source", "look", "panels", "have", "hidden", "got", "at"]) | st.text(max_size=8),
        inner,
        max_size=6,
    ),
    max_leaves=20,
))  # fmt: skip
def test_any_json_is_taken_or_refused(value: object) -> None:
    with suppress(Refused):
        parse(json.dumps(value))


def test_a_thing_is_made_once_and_goes_when_there_is_no_room() -> None:
    gate, calls = threading.Event(), []

    def make(name: str) -> str:
        gate.wait(10)
        calls.append(name)
        return name * 10

    async def run() -> None:
        with ThreadPoolExecutor(2) as pool:
            once: Once[str] = Once(pool, 25, len)
            first = [asyncio.create_task(once.get(("a",), lambda: make("a"))) for _ in range(3)]
            await asyncio.sleep(0.05)
            first[0].cancel()  # one that goes away takes it from nobody else
            gate.set()
            assert await first[1] == await first[2] == "a" * 10
            await once.get(("b",), lambda: make("b"))
            await once.get(("a",), lambda: make("a"))
            await once.get(("c",), lambda: make("c"))
            assert calls == ["a", "b", "c"] and once.weight == 20
            await once.get(("a",), lambda: make("a"))
            await once.get(("b",), lambda: make("b"))
            assert calls == ["a", "b", "c", "b"]
            with pytest.raises(ZeroDivisionError):
                await once.get(("d",), lambda: 1 // 0)
            assert await once.get(("d",), lambda: "d") == "d"
            once.drop("b")
            assert await once.get(("b",), lambda: "new") == "new"

    asyncio.run(run())


def test_the_pace_follows_the_load_and_returns() -> None:
    pace = Pace()
    for _ in range(40):
        pace.note(0.1, 0.001)
    assert pace.seconds == FASTEST and not pace.busy
    for _ in range(40):
        pace.note(0.9, 0.001)
    assert pace.seconds == SLOWEST and pace.busy
    for _ in range(60):
        pace.note(0.05, 0.001)
    assert pace.seconds == FASTEST and not pace.busy
    for _ in range(40):
        pace.note(0.05, 0.3)
    assert pace.busy, "other processes may have the machine"
