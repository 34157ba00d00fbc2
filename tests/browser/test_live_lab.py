"""The whole flow in a real browser: what only a browser shows."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest

from benchmarks.server import Server
from foam_viz.trace.disk import bundle
from tests.browser.proxy import CuttableProxy

DRAWN = """
(id) => {
  const plot = document.querySelector(`[data-panel="${id}"] .js-plotly-plot`);
  const list = a => a && a.bdata ? {b: a.bdata, d: a.dtype} : a && a.buffer ? Array.from(a) : a;
  return plot.data.map(t => ({name: t.name, mode: t.mode, meta: t.meta, x: list(t.x), y: list(t.y)}));
}
"""


def numbers(values: object) -> np.ndarray:
    """What a drawn array holds, whichever way Plotly keeps it."""
    if isinstance(values, dict):
        raw = base64.b64decode(values["b"])
        return np.frombuffer(raw, np.dtype(values["d"]).newbyteorder("<")).astype(float)
    return np.array([np.nan if v is None else v for v in values], float)


def eventually(condition: Callable[[], object], seconds: float = 30.0) -> object:
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return result


def click(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click(timeout=20_000)


def step_of(page) -> int:
    """The step count on the page."""
    text = page.locator(".fb-status .fb-item dd").first.inner_text(timeout=20_000)
    return int(re.sub(r"\D", "", text))


def zoom_range(page) -> list[float]:
    """The range of the loss panel's x axis."""
    return page.evaluate("""() => document.querySelector('[data-panel="loss"] .js-plotly-plot').layout.xaxis.range""")


def zoom(page) -> None:
    """Drags over the middle of the loss panel for about two seconds, several updates long."""
    box = page.locator('[data-panel="loss"] .nsewdrag').first.bounding_box()
    height = box["y"] + 0.5 * box["height"]
    page.mouse.move(box["x"] + 0.2 * box["width"], height)
    page.mouse.down()
    first, last = zoom_range(page)  # it does not change from here on; just after the start it may be 0 to 10
    for share in np.linspace(0.22, 0.5, 12):
        page.mouse.move(box["x"] + share * box["width"], height)
        page.wait_for_timeout(150)
    page.mouse.up()
    wanted = [first + share * (last - first) for share in (0.2, 0.5)]
    eventually(lambda: zoom_range(page) == pytest.approx(wanted, abs=0.02 * (last - first)), 5)


def open_lab(page, server: Server, query: str = "") -> None:
    page.goto(f"{server.url}/live-lab{query}")
    page.get_by_role("button", name="Start", exact=True).wait_for(timeout=60_000)
    eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())


def address(page) -> str:
    """The address now; ``page.url`` alone would not wait for the browser's news."""
    return page.evaluate("() => location.href")


def run_directory(page, server: Server) -> Path:
    (view_id,) = parse_qs(urlparse(address(page)).query)["run"]
    return server.home / "data" / "runs" / view_id


def test_the_whole_flow(page, server: Server) -> None:
    open_lab(page, server, "?task=digits-autoencoder&batch_size=32&lane=foam&lane=shampoo:period=50")
    click(page, "Start")
    eventually(lambda: step_of(page) > 60, 60)
    eventually(lambda: page.locator(".js-plotly-plot").count() >= 6)
    before = page.evaluate(DRAWN, "loss")
    # Numbers and charts change.
    first = step_of(page)
    eventually(lambda: step_of(page) > first)
    eventually(lambda: page.evaluate(DRAWN, "loss") != before)

    # A slow drag zooms while updates arrive, and the zoom survives the next ones.
    zoom(page)
    zoomed, now = zoom_range(page), step_of(page)
    eventually(lambda: step_of(page) > now + 60)
    assert zoom_range(page) == pytest.approx(zoomed)

    # A double click brings the whole curve back, and it grows again.
    def whole() -> bool:
        page.locator('[data-panel="loss"] .nsewdrag').first.dblclick()  # a busy page may take it for two clicks
        page.wait_for_timeout(1500)
        return zoom_range(page)[0] == 0 and zoom_range(page)[1] > zoomed[1]

    eventually(whole)

    # Pause: everything is still; one step is one step.
    click(page, "Pause")
    eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())
    time.sleep(1)  # the buttons are there a moment before the panels have drawn their last update
    paused = step_of(page)
    time.sleep(1)
    assert step_of(page) == paused
    click(page, "Step")
    eventually(lambda: step_of(page) == paused + 1)
    click(page, "To check")
    next_check = (paused + 1) // 10 * 10 + 10
    eventually(lambda: step_of(page) == next_check)
    eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())

    # What is drawn is what is on disk, for both optimizers.
    reached = step_of(page)
    directory = run_directory(page, server)

    def saved() -> bool:
        return all(bundle.read(directory / f"lane-{k}").rows("steps") == reached for k in (1, 2))

    eventually(saved)

    def drawn_as_saved(lane: int) -> bool:
        trace = bundle.read(directory / f"lane-{lane}")
        truth = dict(zip(trace.values("steps", "step"), trace.values("steps", "loss"), strict=True))
        curves = [(numbers(t["x"]), numbers(t["y"])) for t in page.evaluate(DRAWN, "loss") if t["x"] is not None]
        return any(
            len(x) > 50 and x[-1] == reached and np.allclose([truth.get(step, np.nan) for step in x], y, rtol=1e-5)
            for x, y in curves
        )

    for lane in (1, 2):
        eventually(lambda lane=lane: drawn_as_saved(lane), 5)

    # Reset, and the link.
    click(page, "Reset")
    eventually(lambda: step_of(page) == 0)
    assert page.get_by_role("button", name="Start", exact=True).is_enabled()


def test_a_reload_in_the_same_tab_regains_control(page, server: Server) -> None:
    open_lab(page, server, "?batch_size=16&lane=adamw")
    click(page, "Start")
    eventually(lambda: step_of(page) > 10)
    before = step_of(page)
    page.reload()
    eventually(lambda: page.get_by_role("button", name="Pause", exact=True).is_enabled(), 40)
    eventually(lambda: step_of(page) > before)
    click(page, "Pause")
    eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())


def test_the_focus_stays_with_the_button_that_was_pressed(page, server: Server) -> None:
    open_lab(page, server, "?batch_size=16&lane=foam")

    def focused() -> str:
        return page.evaluate("() => document.activeElement.innerText.split('\\n').pop()")

    def press(name: str) -> None:
        page.get_by_role("button", name=name, exact=True).first.focus()
        page.keyboard.press("Enter")

    for name in ("Step", "To check", "Step"):
        before = step_of(page)
        press(name)
        eventually(lambda before=before: step_of(page) > before)
        eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())
        eventually(lambda name=name: focused() == name, 10)
    press("Start")
    eventually(lambda: focused() == "Pause")
    page.keyboard.press("Enter")
    eventually(lambda: focused() == "Start")
    page.get_by_label("Factor followed").focus()
    page.wait_for_timeout(500)
    assert page.evaluate("() => document.activeElement.tagName") == "SELECT", "who goes elsewhere stays there"


def test_a_shared_link_watches_and_does_not_steer(page, server: Server, browser) -> None:
    open_lab(page, server, "?batch_size=16&lane=foam")
    click(page, "Start")
    eventually(lambda: step_of(page) > 5 and "run=" in address(page))
    key = page.evaluate("() => Object.entries(sessionStorage).filter(([k]) => k.startsWith('foam_viz:'))")
    assert len(key) == 1
    assert key[0][1] not in address(page)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    other = context.new_page()
    other.goto(address(page))
    other.get_by_text("You are watching a run that somebody else steers").wait_for(timeout=30_000)
    assert not other.get_by_role("button", name="Pause", exact=True).is_enabled()
    eventually(lambda: step_of(other) > 5)
    click(other, "Take a copy")
    eventually(lambda: other.get_by_role("button", name="Start", exact=True).is_enabled())
    context.close()


def test_the_link_restores_the_configuration(page, server: Server) -> None:
    query = "?v=2&task=digits-classifier&seed=3&lane=dr-shampoo:tau=0.35&lane=adamw:lr=0.003"
    open_lab(page, server, query)
    assert page.get_by_role("spinbutton", name="Seed").input_value() == "3"
    page.get_by_text("Tells 8x8 handwritten digits apart").wait_for(timeout=20_000)
    eventually(lambda: parse_qs(urlparse(address(page)).query).get("lane") == ["dr-shampoo:tau=0.35", "adamw:lr=0.003"])


def test_a_lane_is_named_by_its_settings_and_stays_open_when_they_change(page, server: Server) -> None:
    open_lab(page, server, "?v=2&lane=foam&lane=shampoo&lane=shampoo")
    page.get_by_text("3 · Shampoo (2)").wait_for(timeout=20_000)
    page.get_by_text("2 · Shampoo (1)").click()
    eventually(lambda: page.locator("details[open] input[aria-label^='Check period']").count() == 2)
    period = page.locator("details[open] input[aria-label^='Check period']").last
    period.fill("50")
    period.press("Enter")
    page.get_by_text("2 · Shampoo f = 50").wait_for(timeout=20_000)
    page.get_by_text("3 · Shampoo", exact=True).wait_for(timeout=20_000)
    assert page.locator("details[open] input[aria-label^='Check period']").count() == 2


def test_nan_in_a_link_is_named_and_the_rest_is_kept(page, server: Server) -> None:
    open_lab(page, server, "?seed=5&lane=foam:tau=nan,period=20")
    page.get_by_text("tau = nan: must be a number strictly between 0 and 1").wait_for(timeout=20_000)
    assert page.get_by_role("spinbutton", name="Seed").input_value() == "5"


def test_the_mark_of_the_followed_run_is_whole_on_a_phone(page, server: Server) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    open_lab(page, server, "?v=2&lane=foam:tau=0.5,epsilon_max=1e-3&lane=foam:tau=0.5,epsilon_max=1e-4&panel=loss")
    click(page, "Step")
    followed = page.locator(".fb-focus .fb-run")
    followed.wait_for()
    assert followed.evaluate("cell => getComputedStyle(cell, '::after').content") == '"followed"'
    assert followed.evaluate("cell => cell.scrollWidth <= cell.clientWidth")


def test_both_themes_draw_in_their_own_colours(browser, server: Server) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900})
        page = context.new_page()
        open_lab(page, server, "?batch_size=16&lane=foam")
        click(page, "To check")
        eventually(lambda page=page: page.locator(".js-plotly-plot").count() >= 6)
        shades[scheme] = page.evaluate(
            """() => [getComputedStyle(document.querySelector('.stApp')).backgroundColor,
                      document.querySelector('.js-plotly-plot').layout.font?.color]"""
        )
        context.close()
    assert shades["light"][0] == "rgb(251, 250, 247)"
    assert shades["dark"][0] == "rgb(15, 20, 24)"
    assert shades["light"][1] != shades["dark"][1]


def test_the_server_never_loads_torch(page, server: Server) -> None:
    """Every page is visited and a run made; then the server's memory map knows no torch."""
    maps = Path(f"/proc/{server.process.pid}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    page.goto(server.url)
    page.get_by_text("Watch a preconditioner go stale").first.wait_for(timeout=60_000)
    open_lab(page, server, "?batch_size=16")
    click(page, "Step")
    eventually(lambda: step_of(page) == 1)
    assert "libtorch" not in maps.read_text()
    assert "/torch/" not in maps.read_text()


def test_a_cut_connection_comes_back_to_the_same_run(browser, server: Server) -> None:
    """The network fails for two seconds: training goes on, and the page finds its run again and steers it."""
    with CuttableProxy(urlparse(server.url).port) as proxy:
        context = browser.new_context(viewport={"width": 1280, "height": 1400})
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{proxy.port}/live-lab?batch_size=16&lane=foam")
        page.get_by_role("button", name="Start", exact=True).wait_for(timeout=60_000)
        click(page, "Start")
        eventually(lambda: step_of(page) > 20 and page.locator(".js-plotly-plot").count() >= 5, 60)
        run = parse_qs(urlparse(address(page)).query)["run"]
        proxy.cut()
        frozen = step_of(page)
        time.sleep(2)
        proxy.restore()
        eventually(lambda: step_of(page) > frozen + 20, 60)
        assert parse_qs(urlparse(address(page)).query)["run"] == run
        click(page, "Pause")
        eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())
        context.close()


def test_an_engine_that_dies_is_replaced_and_the_page_says_so(page, server: Server) -> None:
    import psutil

    open_lab(page, server, "?batch_size=16&lane=foam")
    click(page, "Start")
    eventually(lambda: step_of(page) > 20)
    children = psutil.Process(server.process.pid).children()
    (engine,) = (child for child in children if "foam_viz.engine.worker.process" in child.cmdline())
    engine.kill()
    page.get_by_text("The training process stopped unexpectedly and was replaced").wait_for(timeout=60_000)
    seen = step_of(page)
    eventually(lambda: step_of(page) > seen, 120)  # a new process imports torch first, at a low priority
    click(page, "Pause")
    eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())


# Chromium without a window never hides a page, so the page is told what a browser tells that hides one.
SIGHT = """
(hidden) => {
  Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
  Object.defineProperty(document, "visibilityState", {value: hidden ? "hidden" : "visible", configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}
"""


def test_a_hidden_page_pauses_its_run_in_time_and_a_visible_one_does_not(browser, tmp_path: Path) -> None:
    with Server(tmp_path, FOAM_VIZ_ENGINES="1", FOAM_VIZ_IDLE_PAUSE_SECONDS="6") as own:
        context = browser.new_context(viewport={"width": 1280, "height": 1400})
        page = context.new_page()
        open_lab(page, own, "?batch_size=16&lane=adamw")
        click(page, "Start")
        eventually(lambda: step_of(page) > 5, 120)
        time.sleep(9)
        before = step_of(page)
        eventually(lambda: step_of(page) > before, 60)  # in sight: it trains on
        page.evaluate(SIGHT, True)
        time.sleep(20)  # a page that is out of sight is told nothing
        page.evaluate(SIGHT, False)
        page.get_by_text("no page has shown this run").wait_for(timeout=60_000)
        eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())
        click(page, "Start")
        before = step_of(page)
        eventually(lambda: step_of(page) > before, 60)
        time.sleep(9)
        assert page.get_by_text("no page has shown this run").count() == 0
        context.close()
