"""The feed of runs that train: with an engine, and in a server of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from benchmarks.server import Server
from benchmarks.visitors import Visitor
from foam_viz.engine import store
from foam_viz.engine.server.hub import Hub
from foam_viz.engine.wire.commands import make
from foam_viz.settings import Settings
from foam_viz.ui.feed import frame as frames
from foam_viz.ui.feed import opening, presence
from foam_viz.ui.feed.feed import Feed
from foam_viz.ui.feed.source import Gone
from foam_viz.ui.feed.sources import Sources
from tests.engine.conftest import experiment, until
from tests.ui.feed.client import Client, Served


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    settings = Settings(
        data_directory=tmp_path_factory.mktemp("data"), engines=1, device="cpu", grace_seconds=1.0, part_seconds=0.2
    )
    made = Hub(settings, is_active=presence.is_active)
    assert made.ready(180)
    yield made
    made.close()


@pytest.fixture
def served(hub: Hub) -> Iterator[Served]:
    started = Served(Feed(Sources(lambda: hub)))
    yield started
    started.stop()


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    one = served.client()
    yield one
    one.close()


def step(frame: dict) -> int:
    return int(frame["status"][0][1].replace(",", ""))


def state(frame: dict) -> str:
    return frame["status"][2][1]


def test_lanes_with_factors_can_be_followed_and_no_others(hub: Hub, client: Client) -> None:
    run, key = hub.create(experiment("foam", "adamw", "muon"), session="page")
    hub.command(run.view_id, key, make("step"))
    client.ask(run.view_id, "loss")
    frame = client.until(lambda frame: step(frame) == 1, 60)
    assert [lane["follows"] for lane in frame["lanes"]] == [True, False, False]


def test_a_run_is_watched_from_its_first_step_to_its_end(hub: Hub, client: Client) -> None:
    run, key = hub.create(experiment("foam", "shampoo", steps=60), session="page")
    client.ask(run.view_id, "loss", "damping", "spectrum")
    waiting = client.see()
    cards = [panel["id"] for panel in waiting["panels"]]
    assert step(waiting) == 0 and len(waiting["lanes"]) == 2
    hub.command(run.view_id, key, make("start"))
    client.until(lambda frame: state(frame) == "ended", 60)
    end = client.still()
    assert step(end) == end["last"] == 60
    assert [panel["id"] for panel in end["panels"]] == cards, "no card came or went"
    assert end["outline"] != waiting["outline"] and end["focus"] == 0
    assert client.panels["spectrum"]["figure"] and "60" in client.panels["loss"]["reading"]
    client.ask(run.view_id, "loss", look={"at": 30})
    assert step(client.see()) == 30


def test_a_click_is_seen_at_once_and_another_run_begins_another_incarnation(hub: Hub, client: Client) -> None:
    run, key = hub.create(experiment("foam"), session="page")
    client.ask(run.view_id, "loss")
    client.see()
    hub.command(run.view_id, key, make("start"))
    before = client.until(lambda frame: step(frame) > 20, 60)
    hub.command(run.view_id, key, make("pause"))
    client.until(lambda frame: state(frame) == "paused", 10)
    client.still()
    client.nothing(1.0)  # a run that stands is sent once
    again, _ = hub.renew(run.view_id, key, experiment("foam"), session="page")
    client.ask(again.view_id, "loss")
    after = client.until(lambda frame: step(frame) == 0, 10)
    assert after["incarnation"] != before["incarnation"]


def test_the_state_after_a_click_waits_for_no_panel(hub: Hub, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run, key = hub.create(experiment("foam"), session="page")
    client.ask(run.view_id, "loss", "damping")
    client.see()
    hub.command(run.view_id, key, make("start"))
    client.until(lambda frame: step(frame) > 20, 60)
    held = threading.Event()
    draws = frames.drawing

    def slowly(*arguments: object) -> object:
        held.wait(20)
        return draws(*arguments)

    monkeypatch.setattr(frames, "drawing", slowly)
    hub.command(run.view_id, key, make("pause"))
    first = client.until(lambda frame: state(frame) == "paused", 10)
    assert all(panel.keys() == {"id", "revision"} for panel in first["panels"] if panel["id"] in ("loss", "damping"))
    held.set()
    # The panels follow, where they are not those that came with the last step.
    whole = client.still(3)
    assert state(whole) == "paused" and step(whole) == step(first)
    assert f"{step(first):,}" in client.panels["loss"]["moment"]


def test_whoever_looks_keeps_the_run_and_cannot_steer(hub: Hub, served: Served) -> None:
    run, key = hub.create(experiment("foam"), session="a page that is gone")
    hub.command(run.view_id, key, make("start"))
    one = served.client()
    one.ask(run.view_id, "loss")
    one.see()
    deadline = time.monotonic() + 2.5  # beyond the grace time
    while time.monotonic() < deadline:
        one.see()
    assert run.view_id in hub._runs and run.running
    for message in ({"command": "pause"}, {"control_key": key}):
        one.say(n=2, source=run.view_id, **message)
    one.until(lambda frame: "problem" in frame)
    assert run.running and run.sent == 1
    one.close()
    until(lambda: run.view_id not in hub._runs, 20)


def test_a_hidden_page_is_told_to_the_hub(hub: Hub, client: Client) -> None:
    run, _ = hub.create(experiment("foam"), session="page")
    client.ask(run.view_id, "loss", hidden=True)
    viewers = hub._viewers._runs[run.view_id]
    until(lambda: presence.session(run.view_id) in viewers and viewers[presence.session(run.view_id)].hidden)
    client.ask(run.view_id, "loss")
    client.see()
    until(lambda: not viewers[presence.session(run.view_id)].hidden)


@pytest.mark.parametrize("page", [False, True], ids=["a program", "the board of the owner's page"])
def test_who_looks_without_a_page_is_somebody_else(hub: Hub, served: Served, page: bool) -> None:
    """A run that only the feed's readers watch is neither dropped nor deleted by what its owner does."""
    run, key = hub.create(experiment("foam"), session="a page that is gone", owner="the owner")
    one = served.client()
    one.ask(run.view_id, "loss", page=page)
    one.see()
    browser = store.fingerprint("the owner")
    until(lambda: hub._viewers.others(run.view_id, browser) is not page)
    assert bool(hub.end(run.view_id, browser)) is not page
    if not page:
        hub.renew(run.view_id, key, experiment("foam"), session="the next page", owner="the owner")
        assert hub.opened(run.view_id) is run and run.successor
        one.close()
        until(lambda: not hub._viewers.others(run.view_id, browser))
        assert not hub.end(run.view_id, browser)
    one.close()


def test_a_reader_who_comes_to_a_page_s_run_is_told_to_the_hub_at_once(hub: Hub, served: Served) -> None:
    run, _ = hub.create(experiment("foam"), session="page", owner="the owner")
    browser = store.fingerprint("the owner")
    board, reader = served.client(), served.client()
    board.ask(run.view_id, "loss", page=True)
    board.see()
    time.sleep(0.5)
    assert not hub._viewers.others(run.view_id, browser)
    reader.ask(run.view_id, "loss")
    until(lambda: hub._viewers.others(run.view_id, browser), 3)
    reader.close()
    board.close()


def test_a_run_on_disk_is_opened_and_an_unknown_one_is_a_sentence(hub: Hub, served: Served) -> None:
    run, key = hub.create(experiment("foam", steps=40), session="page")
    first = served.client()
    first.ask(run.view_id, "loss")
    hub.command(run.view_id, key, make("start"))
    before = first.until(lambda frame: state(frame) == "ended", 60)
    first.close()
    until(lambda: run.view_id not in hub._runs)
    one = served.client()
    one.ask(run.view_id, "loss")
    assert one.see()["incarnation"] != before["incarnation"]
    assert one.until(lambda frame: frame["last"] == 40)["panels"][0]["figure"]
    one.close()
    other = served.client()
    other.ask("0" * 32, "loss")
    assert other.see()["problem"] == "The run of this link is no longer kept here."
    other.close()


def test_a_run_for_which_there_is_no_room_may_come_later(
    hub: Hub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "find", lambda *given, **more: None)
    monkeypatch.setattr(hub, "why_missing", lambda view_id: "This server is full. Try again later.")
    client.ask("0" * 32, "loss")
    frame = client.see()
    assert frame["problem"].startswith("This server is full.") and frame["again"] is True


def test_after_a_restart_of_the_server_the_run_is_there_again(tmp_path: Path) -> None:
    async def start(url: str) -> str:
        visitor = Visitor(url, "lane=foam&batch_size=16", steers=True)
        await visitor.start()
        await visitor.board.until(lambda: visitor.board.step > 5, 240)
        await visitor.close()
        return visitor.page.view_id

    with Server(tmp_path, FOAM_VIZ_ENGINES="1") as server:
        source, port = asyncio.run(start(server.url)), server.port
        one = Client(f"ws://127.0.0.1:{port}/feed")
        one.ask(source, "loss")
        before = one.see()
    assert one.closed() in (1001, 1006, 1012)
    with Server(tmp_path, port=port, FOAM_VIZ_ENGINES="1"):
        again = Client(f"ws://127.0.0.1:{port}/feed")
        again.panels = one.panels
        again.ask(source, "loss", have={"loss": one.panels["loss"]["revision"]})
        after = again.until(lambda frame: state(frame) == "paused" and step(frame) > 5, 240)
        assert after["incarnation"] != before["incarnation"] and again.panels["loss"]["figure"]
        again.close()


@pytest.mark.parametrize("base", ["", "class/a"])
def test_the_app_serves_it_under_its_base_path_to_its_own_pages(tmp_path: Path, base: str) -> None:
    with Server(tmp_path, base=base, FOAM_VIZ_ENGINES="1") as server:
        address = server.url.replace("http", "ws") + "/feed"
        origin = f"http://127.0.0.1:{server.port}"
        one = Client(address, origin=origin)
        one.ask("sample:digits-autoencoder-foam", "loss")
        assert one.see()["last"] == 600
        one.close()
        for host, more in (("127.0.0.1", {"origin": "http://evil.example"}), ("evil.example", {})):
            with (
                socket.create_connection(("127.0.0.1", server.port)) as connection,
                pytest.raises(InvalidStatus) as refused,
            ):
                Client(address.replace("127.0.0.1", host), sock=connection, **more)
            assert refused.value.response.status_code == 403
        if base:
            with pytest.raises(InvalidStatus):
                Client(f"ws://127.0.0.1:{server.port}/feed")


def test_a_recording_is_shown_until_the_run_that_repeats_it_has_got_there(hub: Hub) -> None:
    run, key = hub.create(experiment("foam", "shampoo", steps=60), session="page")
    hub.attend(run.view_id, "a reader", browser="a browser")
    source = Sources(lambda: hub).find(opening.name_of(run.view_id))
    assert isinstance(source, opening.ContinuedSource)
    recording = source._recording = replace(source._recording, last=40)
    before = source.moment()
    rows, told = before.head(before.lanes_at(20), 20)
    assert before.lanes == recording.lanes and {row.state for row in rows} == {"recorded"}
    assert told[-1][:2] == ("Trains here", "step 0 of 40") and told[0][1] == "20"
    hub.command(run.view_id, key, make("start"))
    until(lambda: run.ended and source.changed(before), 60)
    after = source.moment()
    assert after.last == 60 and [lane.trace.source for lane in after.lanes] == [
        trace.view().source for trace in run.traces
    ]
    assert [lane.label for lane in after.lanes] == [label for _, label in opening.RECORDED]


def test_there_is_no_run_of_a_name_that_is_no_view_id(hub: Hub) -> None:
    with pytest.raises(Gone):
        Sources(lambda: hub).find(f"{opening.PREFIX}../x")
