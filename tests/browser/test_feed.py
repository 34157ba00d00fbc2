"""The board and the feed in a real browser: time, sight, cuts, restarts, base paths."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from benchmarks.server import Server
from tests.browser.proxy import CuttableProxy
from tests.browser.test_live_lab import SIGHT, address, click, eventually, open_lab, step_of

TWO_LANES = "?task=digits-autoencoder&batch_size=32&lane=foam&lane=shampoo:period=50"
RECORDED = "?tab=inspect&sample=digits-autoencoder-foam"
PLACES = "() => [...document.querySelectorAll('.fb-slot')].map((slot) => [slot.offsetTop, slot.offsetHeight])"


class Wire:
    """What a page says to the feed and hears, and how often Streamlit sends it something."""

    def __init__(self, page) -> None:
        self.requests: list[dict] = []
        self.frames = self.streamlit = 0
        page.on("websocket", self._opened)

    def _opened(self, socket) -> None:
        if urlparse(socket.url).path.endswith("/feed"):
            socket.on("framesent", self._sent)
            socket.on("framereceived", lambda _: self._count("frames"))
        else:
            socket.on("framereceived", lambda _: self._count("streamlit"))

    def _sent(self, text: str) -> None:
        message = json.loads(text)
        if "n" in message:
            self.requests.append(message)

    def _count(self, name: str) -> None:
        setattr(self, name, getattr(self, name) + 1)


def moments(page) -> str:
    """What the cards say of their moments."""
    return " ".join(page.locator(".fb-moment").all_inner_texts())


def shown_step(page) -> tuple[int, int]:
    """The step that the time cursor shows, and the last one."""
    at, last = re.findall(r"[\d,]+", page.locator(".fb-step").inner_text())
    return int(at.replace(",", "")), int(last.replace(",", ""))


def drag(page, share: float) -> None:
    """Drags the time cursor to a share of its way, once it has its place: it makes room for what a new run shows."""
    page.get_by_label("Factor followed").wait_for()
    box = None
    while box != (box := page.locator(".fb-slider").bounding_box()):
        page.wait_for_timeout(300)
    height = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.95 * box["width"], height)
    page.mouse.down()
    page.mouse.move(box["x"] + share * box["width"], height, steps=8)
    page.mouse.up()


def test_a_training_page_is_fed_without_streamlit_and_only_what_is_in_sight(page, server: Server) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    wire = Wire(page)
    open_lab(page, server, TWO_LANES)
    click(page, "Start")
    eventually(lambda: step_of(page) > 20, 120)
    page.wait_for_timeout(1500)
    places, step, sent, frames = page.evaluate(PLACES), step_of(page), wire.streamlit, wire.frames
    page.wait_for_timeout(3000)
    assert step_of(page) > step and wire.frames > frames + 3
    assert wire.streamlit == sent, "nothing ticks in Streamlit"
    looked = wire.requests[-1]["panels"]
    assert "loss" in looked and "picture" not in looked and len(json.dumps(wire.requests[-1])) < 2048
    # A card that comes into sight is drawn, and nothing moves for it.
    picture = page.locator('[data-panel="picture"]')
    assert picture.locator(".main-svg").count() == 0
    picture.scroll_into_view_if_needed()
    picture.locator(".main-svg").first.wait_for(timeout=20_000)
    assert page.evaluate(PLACES) == places
    # A hidden page is sent nothing, and shows the newest when it is seen again.
    page.evaluate(SIGHT, True)
    eventually(lambda: page.wait_for_timeout(50) or wire.requests[-1]["hidden"])  # news of the wire comes while waiting
    page.wait_for_timeout(500)
    frames = wire.frames
    page.wait_for_timeout(2000)
    assert wire.frames == frames
    page.evaluate(SIGHT, False)
    eventually(lambda: page.wait_for_timeout(50) or wire.frames > frames)
    click(page, "Pause")
    eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())


def test_the_time_cursor_looks_back_and_the_training_goes_on(page, server: Server) -> None:
    open_lab(page, server, TWO_LANES)
    click(page, "Start")
    eventually(lambda: step_of(page) > 60, 120)
    drag(page, 0.3)
    at, last = shown_step(page)
    assert 0 < at < 0.6 * last
    eventually(lambda: f"steps to {at}" in moments(page))
    eventually(lambda: shown_step(page)[1] > last)  # training was not touched
    assert shown_step(page)[0] == at == step_of(page)
    page.locator(".fb-slider").focus()
    page.keyboard.press("ArrowLeft")
    eventually(lambda: f"steps to {at - 1}" in moments(page))
    # A click on a factor is followed in the past too, and the list of factors follows.
    factors = page.get_by_label("Factor followed")
    chosen = factors.input_value()

    def another() -> bool:
        """Click as a hand does, over the cell first: Plotly gives a click to the cell that it knows to be under it."""
        cells = page.locator('[data-panel="factor-map"] .nsewdrag').first
        cells.hover(position={"x": 96, "y": 96})
        cells.hover(position={"x": 100, "y": 100})
        page.wait_for_timeout(500)
        cells.click(position={"x": 100, "y": 100})
        page.wait_for_timeout(2000)
        return factors.input_value() not in ("", chosen)

    eventually(another)
    name = factors.evaluate("(list) => list.selectedOptions[0].text").partition(",")[0]
    eventually(lambda: page.locator('[data-panel="damping"] .fb-reading').inner_text().startswith(name))
    assert shown_step(page)[0] == at - 1
    # And the chooser leads the panels.
    factors.select_option(index=1)
    eventually(lambda: page.locator('[data-panel="damping"] .fb-reading').inner_text().startswith("layer 1 right"))
    assert shown_step(page)[0] == at - 1
    page.keyboard.press("Escape")
    page.locator(".fb-title").first.click()
    page.keyboard.press("l")
    eventually(lambda: shown_step(page)[0] >= last)
    click(page, "Pause")
    eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())


def test_the_recording_of_the_start_page_goes_on_with_a_run_of_ones_own(page, server: Server) -> None:
    page.goto(f"{server.url}/")
    at = "() => +document.querySelector('.fb-step')?.textContent.match(/Step ([0-9,]+)/)?.[1].replace(/,/g, '')"
    page.wait_for_function(f"() => ({at})() > 60", timeout=60_000)
    before = page.evaluate(at)
    page.get_by_role("button", name="Run this yourself").click()
    page.get_by_role("button", name="Pause").wait_for()
    page.locator(".fb-status", has_text="Trains here").wait_for()
    assert page.evaluate(at) >= before, "the recording plays on"
    page.locator(".fb-status", has_text="Steps/s").wait_for(timeout=180_000)
    assert page.evaluate(at) > before
    page.wait_for_function(f"() => ({at})() > 600", timeout=120_000)
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Go on").wait_for()
    page.get_by_role("link", name="Open in the live lab").click()
    page.locator(".fb-name", has_text="Shampoo").first.wait_for()
    page.get_by_role("link", name="Start", exact=True).first.click()
    page.locator(".st-key-recent").get_by_role("link", name="Digits autoencoder, step").wait_for()


def test_the_start_page_plays_and_can_be_stopped(browser, server: Server) -> None:
    for motion in ("no-preference", "reduce"):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion=motion)
        page = context.new_page()
        page.goto(server.url)
        page.locator('[data-panel="loss"] .main-svg').first.wait_for(timeout=60_000)
        if motion == "reduce":
            page.wait_for_timeout(1500)
            assert shown_step(page) == (600, 600), "still, at the end"
            page.get_by_role("button", name="Play what was recorded").click()
        eventually(lambda page=page: 60 < shown_step(page)[0] < 600)
        page.get_by_role("button", name="Stop playing").click()
        at = shown_step(page)[0]
        eventually(lambda page=page, at=at: f"steps to {at}" in moments(page))
        page.wait_for_timeout(1000)
        assert shown_step(page)[0] == at < 600
        context.close()


def test_a_recorded_run_is_played_and_its_moment_outlives_another_choice(page, server: Server) -> None:
    page.goto(f"{server.url}/run-logs{RECORDED}")
    page.locator('[data-panel="loss"] .main-svg').first.wait_for(timeout=60_000)
    drag(page, 0.5)
    at, last = shown_step(page)
    assert last == 600 and 200 < at < 400
    eventually(lambda: f"steps to {at}" in moments(page))
    page.get_by_text("Log loss", exact=True).click()
    eventually(
        lambda: (
            page.evaluate("() => document.querySelector('[data-panel=loss] .js-plotly-plot').layout.yaxis.type")
            != "log"
        )
    )
    assert shown_step(page)[0] == at
    page.get_by_role("button", name="Play what was recorded").click()
    eventually(lambda: shown_step(page)[0] > at)
    page.get_by_role("button", name="Stop playing").click()


@pytest.mark.parametrize("seconds", [3.0, 8.0])
def test_a_page_that_was_cut_off_says_so_and_finds_its_run(browser, server: Server, seconds: float) -> None:
    """The longer cut outlasts the grace time of a run, here 5 s instead of 30 and more: it stands for one of 30."""
    with CuttableProxy(urlparse(server.url).port) as proxy:
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{proxy.port}/live-lab?batch_size=16&lane=foam")
        page.get_by_role("button", name="Start", exact=True).wait_for(timeout=60_000)
        click(page, "Start")
        eventually(lambda: step_of(page) > 20 and page.locator(".js-plotly-plot").count() >= 5, 120)
        run, places = parse_qs(urlparse(address(page)).query)["run"], page.evaluate(PLACES)
        proxy.cut()
        time.sleep(1)
        assert page.locator(".fb-trouble").is_hidden()
        page.get_by_text("Connection lost, trying again").wait_for(timeout=5_000)
        assert page.evaluate(PLACES) == places and page.locator(".js-plotly-plot").count() >= 5
        frozen = step_of(page)
        time.sleep(seconds - 2)
        proxy.restore()
        page.locator(".fb-trouble").wait_for(state="hidden", timeout=20_000)
        start, pause = (page.get_by_role("button", name=name, exact=True) for name in ("Start", "Pause"))

        def trains() -> bool:
            # A run that nobody has seen for a while is paused, which may happen, or be told, at any moment.
            if not pause.is_enabled():
                with suppress(Exception):  # it was told that the run trains, in the middle of the click
                    start.click(timeout=1_000)
            return pause.is_enabled()

        eventually(trains, 60)
        eventually(lambda: step_of(page) > frozen, 60)
        assert parse_qs(urlparse(address(page)).query)["run"] == run
        eventually(trains, 60)
        click(page, "Pause")
        eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())
        context.close()


def test_every_open_page_finds_its_run_after_a_restart_below_a_base_path(browser, tmp_path: Path) -> None:
    with Server(tmp_path, base="team/foam", FOAM_VIZ_ENGINES="1") as first:
        port = first.port
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        lab, logs = context.new_page(), context.new_page()
        open_lab(lab, first, "?batch_size=16&lane=foam")
        click(lab, "Step")
        eventually(lambda: step_of(lab) == 1, 120)
        logs.goto(f"{first.url}/run-logs{RECORDED}")
        logs.locator('[data-panel="loss"] .main-svg').first.wait_for(timeout=60_000)
        time.sleep(2)  # what was trained is saved
    lab.get_by_text("Connection lost, trying again").wait_for(timeout=20_000)
    with Server(tmp_path, port=port, base="team/foam", FOAM_VIZ_ENGINES="1"):
        for page in (lab, logs):
            page.locator(".fb-trouble").wait_for(state="hidden", timeout=60_000)
        eventually(lambda: lab.get_by_role("button", name="Step", exact=True).is_enabled(), 60)

        def steps_on() -> bool:  # a page that is just being drawn anew may miss a click
            if lab.get_by_role("button", name="Step", exact=True).is_enabled():
                click(lab, "Step")
            lab.wait_for_timeout(5000)
            return step_of(lab) >= 2

        eventually(steps_on, 120)

        def looks_back() -> bool:  # the page, which is drawn anew after the restart, may begin at the newest step again
            drag(logs, 0.5)
            logs.wait_for_timeout(3000)
            at, last = shown_step(logs)
            return at < last and f"steps to {at}" in moments(logs)

        eventually(looks_back, 60)
        context.close()
