"""axe-core on every page, light and dark: nothing serious or critical."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe

from benchmarks.server import Server

PAGES = {
    "start": ("", ".fb-card"),
    "live lab": ("live-lab", ".fb-card"),
    "threshold lab": ("threshold-lab", ".fb-card, .stPlotlyChart, .stMarkdown"),
    "course": ("lessons", "h1"),
    "lesson": ("lessons?lesson=how-stale", ".fb-card"),
    "sandbox": ("lessons?lesson=which-alarm", "h1"),
    "presenter": ("lessons?lesson=how-stale&present=true&slide=2", ".fb-card"),
    "class that is gone": ("lessons?class=000000000000", "h1"),
    "run logs": ("run-logs", "[data-testid=stFileUploader]"),
    "a sample": ("run-logs?sample=digits-autoencoder-foam&tab=inspect", ".fb-card"),
    "paper figures": ("paper-figures", "canvas, svg.marks"),
    "glossary": ("glossary", ".foam-glossary"),
    "your runs": ("your-runs", "h1"),
}
# What is Streamlit's own and cannot be changed from here, each with its rule.
STREAMLIT: set[tuple[str, str]] = set()


@pytest.fixture(params=["light", "dark"])
def themed(browser, server: Server, request: pytest.FixtureRequest) -> Iterator[object]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=request.param)
    yield context.new_page()
    context.close()


def serious(page) -> list[str]:
    """Serious and critical violations of what a page shows now."""
    page.wait_for_timeout(1500)
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{each['id']}: {node['target']} {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
        if not any(each["id"] == rule and part in node["html"] for rule, part in STREAMLIT)
    ]


@pytest.mark.parametrize("name", PAGES)
def test_no_serious_violation(themed, server: Server, name: str) -> None:
    path, there = PAGES[name]
    themed.goto(f"{server.url}/{path}")
    themed.locator(there).first.wait_for(timeout=60_000)
    assert not serious(themed)


def test_no_serious_violation_in_what_opens_over_a_lesson(themed, server: Server) -> None:
    themed.goto(f"{server.url}/lessons?lesson=how-stale")
    themed.get_by_text("Sketch it, too").click(timeout=60_000)
    themed.locator(".foam-sketch svg").wait_for()
    assert not serious(themed), "the sketch"
    themed.locator(".st-key-prediction [role=radiogroup] label").nth(1).click()
    themed.locator(".st-key-keep-prediction button:enabled").click()
    themed.get_by_text("Your prediction:").wait_for()
    themed.locator(".st-key-reveal-how-stale label").click()
    themed.get_by_role("heading", name="The answer").wait_for()
    assert not serious(themed), "the answer"
    themed.get_by_role("button", name="Present").click()
    themed.get_by_role("link", name="Begin").wait_for()
    assert not serious(themed), "the door to the presenter"
    themed.keyboard.press("Escape")
    themed.get_by_role("button", name="Keys").first.click()
    assert not serious(themed), "the list of keys"
    themed.keyboard.press("Escape")
    themed.keyboard.press("F2")
    themed.locator(".foam-term-card").wait_for()
    assert not serious(themed), "a term"


def test_no_serious_violation_over_the_presenters_screen(themed, server: Server) -> None:
    themed.goto(f"{server.url}/lessons?lesson=how-stale&present=true&slide=1")
    themed.locator("html[data-presenting]").wait_for(state="attached", timeout=60_000)
    themed.keyboard.press("q")
    themed.get_by_role("button", name="Open a class").click()
    themed.get_by_text("--server.address").wait_for()
    assert not serious(themed), "the link"
    themed.keyboard.press("c")
    themed.get_by_text("What the class has found").wait_for()
    assert not serious(themed), "results"
    themed.keyboard.press("Escape")
    themed.keyboard.press("r")
    assert not serious(themed), "predictions"
    themed.keyboard.press("q")
    themed.get_by_role("button", name="End the class").click()
