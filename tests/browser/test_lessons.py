"""A lesson, live: the press that trains it, over the band of the measured seeds."""

from __future__ import annotations

import pytest

from benchmarks.server import Server

BAND = """() => document.querySelector(".fb-card[data-panel='loss'] .js-plotly-plot")?.data
  ?.some((trace) => trace.meta?.series === "band")"""


def test_a_live_run_lies_over_the_band_of_the_measured_seeds(page, server: Server) -> None:
    page.goto(f"{server.url}/lessons?lesson=how-stale")
    page.wait_for_function(BAND, timeout=60_000)
    page.get_by_role("button", name="Run this yourself").click()
    page.get_by_role("button", name="Back to the recording").wait_for(timeout=60_000)
    page.wait_for_function(
        "() => +document.querySelector('.fb-item dd')?.textContent.replace(/,/g, '') > 20"
        " && document.querySelector('.fb-status').innerText.includes('Steps/s')",
        timeout=120_000,
    )
    page.wait_for_function(BAND, timeout=60_000)
    assert page.locator(".fb-name").first.inner_text() == "f = 10"
    page.reload()  # the run is the browser's
    page.get_by_role("button", name="Back to the recording").wait_for(timeout=60_000)
    page.wait_for_function(BAND, timeout=60_000)
    page.get_by_role("button", name="Back to the recording").click()
    page.get_by_role("button", name="Run this yourself").wait_for()


def _tab_to(page, selector: str) -> None:
    """Press Tab until what has the focus is within the selector."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => !!document.activeElement?.closest(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")


def test_a_lesson_is_gone_through_by_keyboard(page, server: Server) -> None:
    page.goto(f"{server.url}/lessons?lesson=can-h-miss")
    page.get_by_text("This is my prediction").wait_for(timeout=60_000)
    _tab_to(page, "[role=radiogroup]")
    page.keyboard.press("Space")
    page.locator(".st-key-keep-prediction button:enabled").wait_for()
    _tab_to(page, ".st-key-keep-prediction")
    page.keyboard.press("Enter")
    page.get_by_text("Your prediction:").wait_for()
    page.locator(".st-key-reveal-can-h-miss input:enabled").wait_for(state="attached")
    _tab_to(page, ".st-key-reveal-can-h-miss")
    page.keyboard.press("Space")
    page.get_by_role("heading", name="The answer").wait_for()
    page.get_by_role("heading", name="Why").wait_for()


def test_a_sketch_is_kept_before_the_reveal_and_compared_after_it(page, server: Server) -> None:
    page.goto(f"{server.url}/lessons?lesson=what-damping-does")
    page.get_by_text("Sketch it, too").click(timeout=60_000)
    points = page.get_by_role("slider", name="Loss of")
    points.nth(2).wait_for(timeout=60_000)
    page.wait_for_timeout(1000)  # until it stands
    assert points.count() == 3, "the first run is given"
    points.nth(0).focus()
    for _ in range(5):
        page.keyboard.press("ArrowDown")
    box = points.nth(2).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] - 20, steps=4)
    page.mouse.up()
    drawn = [points.nth(place).get_attribute("aria-valuetext") for place in range(3)]
    assert float(drawn[0]) < float(drawn[1]) < float(drawn[2])
    page.get_by_text("It falls, then rises: a U.").click()
    page.locator(".st-key-keep-prediction button:enabled").click()
    page.get_by_text("Your prediction:").wait_for()
    points.first.wait_for(state="detached")
    assert page.locator(".foam-sketch-found").count() == 0, "before the reveal"
    page.reload()
    page.get_by_text("Your prediction:").wait_for(timeout=60_000)
    page.locator(".st-key-reveal-what-damping-does label").click()
    told = page.get_by_text(f"1e-4: you drew {drawn[2]}")
    told.wait_for()
    assert "the runs gave 0.364" in told.inner_text() and f"1e-6: you drew {drawn[0]}" in told.inner_text()
    assert page.locator(".foam-sketch-found").count() == 4


def test_what_a_finger_presses_on_a_lesson_is_large_enough(browser, server: Server) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{server.url}/lessons?lesson=how-stale")
    page.locator(".fb-card").first.scroll_into_view_if_needed(timeout=60_000)
    page.locator(".fb-plot .main-svg").first.wait_for(timeout=60_000)
    page.wait_for_timeout(1000)
    over = page.locator(".fb-header").evaluate_all(
        "(all) => all.filter((one) => one.scrollHeight > one.clientHeight + 1).map((one) => one.textContent)"
    )
    assert not over, "a reading lies over the legend"
    small = page.locator(".foam-board :is(button, select, input)").evaluate_all(
        """(all) => all.map((one) => [one.ariaLabel || one.textContent, one.getBoundingClientRect()])
          .filter(([, box]) => box.width && box.height && Math.min(box.width, box.height) < 24)
          .map(([name, box]) => `${name}: ${box.width} by ${box.height}`)"""
    )
    assert not small
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_words_of_a_chart_follow_a_switch_of_the_theme(page, server: Server) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{server.url}/lessons?lesson=which-alarm")
    words = page.locator("[data-testid=stVegaLiteChart] svg .role-axis-title text").first
    words.wait_for(timeout=60_000)
    fill = "(text) => getComputedStyle(text).fill.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b)"
    assert words.evaluate(fill) < 300
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => ({fill})(document.querySelector('.role-axis-title text')) > 450", timeout=15_000)


@pytest.mark.parametrize("lesson", ["who-drifts", "how-stale", "what-damping-does"])
def test_nothing_overlaps_on_a_projector(page, server: Server, lesson: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{server.url}/lessons?lesson={lesson}&present=true&slide=2")
    page.wait_for_function("() => document.querySelectorAll('.fb-plot .main-svg').length > 1", timeout=60_000)
    page.get_by_label("Stop playing").click()
    page.wait_for_timeout(2500)
    overlaps = """() => { const found = [];
      for (const plot of document.querySelectorAll('.fb-plot')) {
        const texts = [...plot.querySelectorAll('svg text')].filter((text) => text.textContent.trim());
        const boxes = texts.map((text) => text.getBoundingClientRect());
        boxes.forEach((one, at) => boxes.slice(0, at).forEach((other, before) => {
          const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
          const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
          if (across > 1 && down > 7) found.push([texts[at].textContent, texts[before].textContent, across, down]);
        })); }
      for (const header of document.querySelectorAll('.fb-header'))
        if (header.scrollHeight > header.clientHeight + 1) found.push(header.textContent);
      for (const moment of document.querySelectorAll('.fb-moment'))
        if (moment.scrollWidth > moment.clientWidth + 1) found.push(moment.textContent);
      return found }"""
    assert page.evaluate(overlaps) == []
    foot, cards = (page.locator(where).last.bounding_box() for where in (".st-key-presenter-foot", ".fb-card"))
    assert cards["y"] + cards["height"] <= foot["y"]


def test_a_link_from_lesson_to_lesson_holds(page, server: Server) -> None:
    page.goto(f"{server.url}/lessons?lesson=how-stale")
    page.get_by_role("link", name="Next").click(timeout=60_000)
    page.get_by_role("heading", name="2. Same budget").wait_for()
    page.wait_for_url("**/lessons?lesson=same-budget")
    page.get_by_text("FOAM, clearly").click()
    page.locator(".st-key-keep-prediction button:enabled").click()
    page.get_by_text("Your prediction:").wait_for()
    assert page.locator("h1").inner_text().startswith("2. ")
    page.go_back()
    page.get_by_role("heading", name="1. How stale").wait_for()
    page.go_forward()
    page.get_by_role("heading", name="2. Same budget").wait_for()
    page.get_by_role("link", name="Course").click()
    page.get_by_role("heading", name="Lessons").wait_for()
    page.wait_for_url("**/lessons")
    page.goto(f"{server.url}/lessons?lesson=how-stale&present=true&slide=2")
    page.get_by_role("link", name="Leave").click(timeout=60_000)
    page.get_by_role("link", name="Next").wait_for()
    page.wait_for_url("**/lessons?lesson=how-stale")
    page.reload()
    page.get_by_role("link", name="Next").wait_for(timeout=60_000)


ALL_CONTROLS = "&control=turn&control=time&control=panels&control=run&control=class"


@pytest.mark.parametrize(
    ("lesson", "slide"), [("which-alarm", 2), ("which-alarm", 3), ("same-budget", 4), ("same-budget", 5)]
)
def test_a_slide_fits_a_projector_with_every_control_and_a_class(page, server: Server, lesson: str, slide: int) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{server.url}/lessons?lesson={lesson}&present=true&slide={slide}{ALL_CONTROLS}")
    page.locator("html[data-presenting]").wait_for(state="attached", timeout=60_000)
    page.keyboard.press("q")
    page.get_by_role("button", name="Open a class").click()
    page.get_by_text("0 of 0 follow").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="End the class").wait_for(state="detached")
    page.wait_for_timeout(3000)
    slide_box, foot = (page.locator(f".st-key-{name}").bounding_box() for name in ("slide", "presenter-foot"))
    assert slide_box["y"] + slide_box["height"] <= foot["y"] and foot["height"] < 60, "the controls stand in one row"
    assert page.locator("[data-testid=stMain]").evaluate("(main) => main.scrollHeight <= main.clientHeight + 1")
    page.keyboard.press("q")
    page.get_by_role("button", name="End the class").click()
