"""What a client is sent, when, and what it costs."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from weakref import ref

import pytest

from foam_viz.figures.scene import Lane
from foam_viz.ui.feed import protocol, watcher
from foam_viz.ui.feed.feed import Feed
from foam_viz.ui.feed.recorded import RecordedSource
from tests.engine.conftest import until
from tests.synthetic import SyntheticRun
from tests.ui.feed.client import Client
from tests.ui.feed.conftest import Growing

Connect = Callable[..., Client]


def test_the_first_frame_has_every_field_and_draws_what_is_in_view(client: Connect, growing: Growing) -> None:
    one = client()
    one.ask(growing.id, "loss", "damping")
    frame = one.see()
    assert set(frame) == set(protocol.FRAME)
    assert (frame["k"], frame["n"], frame["first"], frame["last"], frame["at"]) == (1, 1, 1, 200, None)
    by_id = {panel["id"]: panel for panel in frame["panels"]}
    assert len(by_id) == 12 and set(by_id["loss"]) == set(protocol.PANEL) and by_id["loss"]["figure"]["data"]
    assert set(by_id["spectrum"]) == set(protocol.PLACE) and by_id["spectrum"]["height"] == 380
    assert [set(lane) for lane in frame["lanes"]] == [set(protocol.LANE)] * 2
    assert sorted(growing.drawn) == ["damping", "loss"]


def test_clients_share_one_drawing(client: Connect, growing: Growing) -> None:
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


def test_a_drawing_in_the_making_is_made_once(client: Connect, growing: Growing) -> None:
    hold = growing.hold("loss")
    several = [client() for _ in range(3)]
    for one in several:
        one.ask(growing.id, "loss")
    for one in several:
        one.nothing(0.2)
    hold.set()
    for one in several:
        one.see()
    assert growing.drawn == ["loss"]


def test_what_did_not_change_is_neither_drawn_nor_sent_again(client: Connect, growing: Growing) -> None:
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


def test_a_frame_counts_as_held_only_once_it_was_applied(client: Connect, growing: Growing) -> None:
    one = client()
    one.ask(growing.id, "loss")
    first = one.see(got=False)
    one.ask(growing.id, "loss")
    one.nothing(0.4)  # one in flight
    one.say(got=first["k"])
    assert one.see()["panels"][0] == {"id": "loss", "revision": first["panels"][0]["revision"]}
    one.ask(growing.id, "loss", have={})
    assert one.see()["panels"][0]["figure"]


def _decision(frame: dict) -> dict:
    return next(panel for panel in frame["panels"] if panel["id"] == "decision")


def test_a_look_at_the_past(client: Connect, growing: Growing) -> None:
    one = client()
    one.ask(growing.id, "decision", look={"at": 110})
    frame = one.see()
    assert (frame["at"], frame["last"]) == (110, 200)
    assert frame["status"][0][1] == "110"
    for row in frame["lanes"]:
        assert "110" in dict((label, words) for label, _, words in row["cells"])["Decompositions"]
    assert "110" in one.panels["decision"]["reading"] + one.panels["decision"]["moment"]
    growing.advance()
    assert _decision(one.see()).keys() == {"id", "revision"}, "what was does not change"
    assert growing.drawn == ["decision"], "nor is it drawn again while the run goes on"
    growing.runs[0].since[:] = 90
    growing.runs[0].step = 100  # steps come again, as in a log of a run that went on from an earlier checkpoint
    growing.advance()
    assert _decision(one.see())["text"], "what was has changed"
    one.ask(growing.id, "decision", look={"at": 5000})
    assert one.see()["status"][0][1] == "240"


def test_a_panel_over_time_keeps_the_axes_of_the_run_as_it_is_now(client: Connect, growing: Growing) -> None:
    one = client()
    one.ask(growing.id, "damping", look={"at": 110})
    before = one.see()["panels"]
    growing.advance(800)
    now = one.see()["panels"]

    def end(panels: list[dict]) -> float:
        panel = next(panel for panel in panels if panel["id"] == "damping")
        return panel["figure"]["layout"]["xaxis"]["range"][1]

    assert end(now) > end(before) >= 200


def test_the_newest_request_wins(client: Connect, growing: Growing) -> None:
    one = client()
    one.ask(growing.id, "loss")
    one.see(got=False)
    for at in range(100, 160):
        one.ask(growing.id, "loss", look={"at": at})
    one.nothing(1.0)
    one.say(got=1)
    frame = one.see()
    assert (frame["n"], frame["at"]) == (61, 159)
    assert growing.drawn == ["loss", "loss"], "those in between were never drawn"


@pytest.mark.parametrize(
    ("look", "words"),
    [
        ({"factor": 18}, "factor must be from 0 to 17"),
        ({"lane": 2}, "lane must be one of 0, 1"),
        ({"factor": -1}, "factor must be an integer from 0 to"),
        ({"at": "<img src=x>"}, "at must be an integer"),
        ({"color": 1}, "The look has an unknown field"),
    ],
)
def test_a_tampered_look_is_a_sentence(client: Connect, growing: Growing, look: dict, words: str) -> None:
    one = client()
    one.ask(growing.id, "loss", look=look)
    frame = one.see()
    assert set(frame) == set(protocol.PROBLEM) and words in frame["problem"] and frame["again"] is False
    assert "<" not in frame["problem"]
    one.say(got=frame["k"])
    growing.advance()
    one.nothing()  # it was said once
    one.ask(growing.id, "loss")
    assert one.see()["panels"][0]["figure"], "the connection still serves"


def test_the_third_refused_message_ends_the_connection(client: Connect, growing: Growing) -> None:
    one = client()
    for message in ("{", "[]", '{"n": 1}'):
        one.socket.send(message)
    assert one.closed() == 1008
    long = client()
    long.socket.send("x" * 3000)
    assert "2,048 bytes" in long.see()["problem"]
    binary = client()
    binary.socket.send(b"\x00\x01")
    assert "JSON" in binary.see()["problem"]


def test_a_source_that_is_unknown_or_gone_is_a_sentence(feed: Feed, client: Connect, growing: Growing) -> None:
    one = client()
    one.ask("set:0123")
    frame = one.see()
    assert set(frame) == set(protocol.PROBLEM) and frame["problem"].endswith("no longer kept here.")
    assert frame["again"] is False
    one.say(got=frame["k"])
    one.ask(growing.id, "loss")
    one.see()
    feed.sources.forget(growing.id)
    growing.advance()
    assert one.see()["problem"].endswith("no longer kept here.")


def test_a_hidden_page_is_sent_nothing_and_draws_nothing(client: Connect, growing: Growing) -> None:
    one = client()
    one.ask(growing.id, "loss", hidden=True)
    growing.advance()
    one.nothing()
    assert growing.drawn == []
    one.ask(growing.id, "loss")
    assert one.see()["last"] == 220
    one.ask(growing.id, "loss", hidden=True)
    growing.advance()
    one.nothing()
    one.ask(growing.id, "loss")
    assert one.see()["last"] == 240 and growing.drawn == ["loss", "loss"]


def test_one_that_reads_slowly_or_never_costs_the_others_nothing(
    client: Connect, growing: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "_PATIENCE_SECONDS", 1.5)
    silent, deaf, good = client(), client(), client()
    deaf.ask(growing.id, "loss", "damping", "raster")  # never says that it has got anything
    good.ask(growing.id, "loss")
    good.see()
    for _ in range(8):
        growing.advance()
        good.see(2.0)
    assert deaf.closed() == 1013 and silent.closed() == 1013
    assert len(growing.drawn) <= 2 + 1 + 9, "what nobody takes is not drawn"


def test_another_trace_in_its_place_is_another_incarnation(client: Connect, growing: Growing) -> None:
    one = client()
    one.ask(growing.id, "loss")
    first = one.see()
    growing.runs = [SyntheticRun("foam").advance(40), SyntheticRun("shampoo", seed=1).advance(40)]
    second = one.see()
    assert second["incarnation"] != first["incarnation"] and second["last"] == 40
    assert second["panels"][0]["figure"]


def test_a_panel_that_fails_costs_itself_alone(feed: Feed, client: Connect, growing: Growing) -> None:
    growing.broken.add("damping")
    one = client()
    one.ask(growing.id, "loss", "damping")
    by_id = {panel["id"]: panel for panel in one.see()["panels"]}
    assert by_id["loss"]["figure"] and "cannot be drawn from these runs (RuntimeError)" in by_id["damping"]["empty"]


def test_a_source_that_fails_is_a_sentence_and_may_go_better(feed: Feed, client: Connect) -> None:
    def fail(name: str) -> RecordedSource:
        source = RecordedSource(name, [])
        source.moment = lambda: (_ for _ in ()).throw(RuntimeError("no"))
        return source

    one = client()
    one.ask(feed.sources.register("test", fail), "loss")
    frame = one.see()
    assert frame["again"] is True and "its log has the details" in frame["problem"]


def test_nothing_of_a_set_is_kept_when_nobody_looks(feed: Feed, client: Connect, growing: Growing) -> None:
    run = ref(growing.runs[0].trace.view())
    one = client()
    one.ask(growing.id, "loss", look={"at": 100})
    one.see()
    assert feed.frames.drawn.weight
    one.close()
    growing.runs[0].trace.manifest = growing.runs[0].trace.manifest.with_(status="finished")
    until(lambda: not feed.frames.drawn.weight and (gc.collect() or run() is None))


def test_samples_are_public_and_read_from_disk(client: Connect) -> None:
    one = client()
    one.ask("sample:digits-autoencoder-foam+digits-autoencoder-shampoo-f200", "loss", look={"at": 300})
    frame = one.see()
    assert [len(frame["lanes"]), frame["last"], frame["at"]] == [2, 600, 300] and frame["panels"][0]["figure"]
    for name in ("sample:../sample_runs/digits-autoencoder-foam", "sample:none", "sample:"):
        other = client()
        other.ask(name, "loss")
        assert "problem" in other.see()


def test_text_of_any_kind_survives(feed: Feed, client: Connect) -> None:
    text = 'a "quoted" </script> ε₀ \u2028 {"panels":[]}'
    run = SyntheticRun("foam").advance(30)
    run.trace.manifest = run.trace.manifest.with_(name=text)
    one = client()
    one.ask(feed.sources.register("test", lambda name: RecordedSource(name, [Lane(run.trace, text, 0)])), "loss")
    assert one.see()["lanes"][0]["label"] == text


def test_a_frame_tells_the_pace(feed: Feed, client: Connect, growing: Growing) -> None:
    one = client()
    one.ask(growing.id, "loss")
    frame = one.see()
    assert 0.25 <= frame["pace"] <= 0.9 and frame["busy"] is (frame["pace"] >= 0.81)
    feed.pace.note(50.0, 5.0)
    feed.pace.seconds = 0.9
    one.ask(growing.id, "loss")
    frame = one.see()
    assert frame["pace"] == 0.9 and frame["busy"] is True


def test_many_connections_of_one_client(client: Connect, growing: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foam_viz.ui.feed.feed._MOST_OF_ONE", 3)
    several = [client() for _ in range(3)]
    for one in several:
        one.ask(growing.id, "loss")
        one.see()
    assert client().closed() == 1013
    several[0].close()
    threading.Event().wait(0.2)
    one = client()
    one.ask(growing.id, "loss")
    one.see()
