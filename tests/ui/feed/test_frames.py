"""What a client is sent, when, and what it costs."""

from __future__ import annotations

from collections.abc import Callable

from foam_viz.ui.feed import protocol
from tests.ui.feed.client import Client
from tests.ui.feed.conftest import Growing


def test_the_first_frame_has_every_field_and_draws_what_is_in_view(
    client: Callable[..., Client], growing: Growing
) -> None:
    one = client()
    one.ask(growing.id, "loss", "damping")
    frame = one.see()
    assert set(frame) == set(protocol.FRAME)
    assert (frame["k"], frame["n"], frame["first"], frame["last"], frame["at"]) == (1, 1, 1, 200, None)
    by_id = {panel["id"]: panel for panel in frame["panels"]}
    assert len(by_id) == 8 and set(by_id["loss"]) == set(protocol.PANEL) and by_id["loss"]["figure"]["data"]
    assert set(by_id["spectrum"]) == set(protocol.PLACE) and by_id["spectrum"]["height"] == 380
    assert [set(lane) for lane in frame["lanes"]] == [set(protocol.LANE)] * 2
    assert sorted(growing.drawn) == ["damping", "loss"]


def test_two_clients_share_one_drawing(client: Callable[..., Client], growing: Growing) -> None:
    several = [client() for _ in range(4)]
    for one in several:
        one.ask(growing.id, "loss", "spectrum")
    for one in several:
        one.see()
    assert sorted(growing.drawn) == ["loss", "spectrum"]
    growing.advance()
    for one in several:
        assert one.see()["last"] == 220
    assert sorted(growing.drawn) == ["loss", "loss", "spectrum", "spectrum"]


def test_what_did_not_change_is_neither_drawn_nor_sent_again(client: Callable[..., Client], growing: Growing) -> None:
    one = client()
    one.ask(growing.id, "loss")
    one.see()
    one.nothing()
    have = {"loss": one.panels["loss"]["revision"]}
    one.ask(growing.id, "loss", "damping", have=have)
    by_id = {panel["id"]: panel for panel in one.see()["panels"]}
    assert by_id["loss"] == {"id": "loss", "revision": have["loss"]} and by_id["damping"]["figure"]
    assert sorted(growing.drawn) == ["damping", "loss"]
    again = client()
    again.panels = dict(one.panels)  # a client that lost its connection says what it still shows
    again.ask(growing.id, "loss", have=have)
    assert again.see()["panels"][0] == {"id": "loss", "revision": have["loss"]}


def test_a_source_that_is_gone_is_a_sentence(client: Callable[..., Client]) -> None:
    one = client()
    one.ask("set:0123")
    frame = one.see()
    assert set(frame) == set(protocol.PROBLEM) and frame["problem"].endswith("no longer kept here.")
    assert frame["again"] is False
