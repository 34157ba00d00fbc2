"""A lesson, live: the press that trains it, over the band of the measured seeds."""

from __future__ import annotations

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
    page.get_by_role("button", name="Back to the recording").click()
    page.get_by_role("button", name="Run this yourself").wait_for()
