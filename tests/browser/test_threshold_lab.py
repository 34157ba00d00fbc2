"""The threshold lab in a real browser: a slider changes the raster, a click on the map takes its setting."""

from __future__ import annotations

import re

from benchmarks.server import Server
from tests.browser.test_live_lab import address, eventually

RUN = "?run=sample:digits-autoencoder-foam-factors&truth=false"


def decompositions(page) -> int:
    """What the row of the what-if says."""
    cell = page.locator(".fb-runs tbody tr").nth(1).locator("td").first.inner_text()
    found = re.match(r"[\d,]+", cell)
    return int(found[0].replace(",", "")) if found else 0


def cells(page) -> str:
    """The colours of the what-if's raster, as Plotly was given them."""
    return page.evaluate(
        "() => { const box = document.querySelector('[data-panel=\"threshold-what-if\"] .js-plotly-plot');"
        " return box ? JSON.stringify(box.data[0].z) : '' }"
    )


def test_a_slider_changes_the_raster_and_a_click_on_the_map_takes_its_setting(page, server: Server) -> None:
    page.goto(f"{server.url}/threshold-lab{RUN}")
    eventually(lambda: decompositions(page) > 0, 120)
    eventually(lambda: cells(page) != "", 60)
    before, drawn = decompositions(page), cells(page)
    slider = page.locator('[class*="st-key-threshold-tau-"] input[type=range]')
    slider.focus()
    while slider.get_attribute("aria-valuetext") != "0.45":
        slider.press("ArrowLeft")
    eventually(lambda: decompositions(page) > before, 60)
    eventually(lambda: cells(page) not in ("", drawn), 60)
    assert "open loop" in page.locator(".fb-status").inner_text()
    eventually(lambda: "tau=0.45" in address(page), 30)

    surface = page.locator('[data-panel="threshold-map"]')
    surface.scroll_into_view_if_needed()
    eventually(lambda: surface.locator(".heatmaplayer image").count() == 1, 120)
    box = surface.locator(".nsewdrag").first.bounding_box()
    place = box["x"] + 0.1 * box["width"], box["y"] + 0.1 * box["height"]

    def taken() -> bool:
        """Click as a hand does: over the cell first; again where the map was drawn anew meanwhile."""
        page.mouse.move(place[0] + 3, place[1] + 3)
        page.mouse.move(*place)
        page.wait_for_timeout(500)
        page.mouse.click(*place)
        page.wait_for_timeout(3000)
        return "tau=0.15" in address(page) and "epsilon_max=" in address(page)

    eventually(taken, 90)
    eventually(lambda: slider.get_attribute("aria-valuetext") == "0.15")
    page.get_by_role("button", name="Back to the recorded setting").click()
    eventually(lambda: "exact" in page.locator(".fb-status").inner_text(), 60)
    assert decompositions(page) == before


def test_the_other_views_open_from_a_link(page, server: Server) -> None:
    page.goto(f"{server.url}/threshold-lab{RUN}&view=calibrate")
    page.get_by_text("float32 resolves").first.wait_for(timeout=120_000)
    page.goto(f"{server.url}/threshold-lab{RUN}&view=sweep")
    page.get_by_role("button", name=re.compile("Train them")).wait_for(timeout=60_000)
