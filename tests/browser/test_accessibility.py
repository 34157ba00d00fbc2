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


@pytest.mark.parametrize("name", PAGES)
def test_no_serious_violation(themed, server: Server, name: str) -> None:
    path, there = PAGES[name]
    themed.goto(f"{server.url}/{path}")
    themed.locator(there).first.wait_for(timeout=60_000)
    themed.wait_for_timeout(1500)
    found = Axe().run(themed, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [
        f"{each['id']}: {node['target']} {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
        if not any(each["id"] == rule and part in node["html"] for rule, part in STREAMLIT)
    ]
    assert not serious, "\n".join(serious)
