"""Which cards stand on the page, what they offer to choose, the keys, and what sticks: as a browser shows it."""

from __future__ import annotations

import csv
from pathlib import Path

from benchmarks.server import Server
from tests.browser.test_live_lab import address, eventually, open_lab, step_of

LANES = "?v=2&lane=foam&lane=shampoo&lane=adamw&lane=dr-shampoo"
STUCK = """() => {
  const top = document.querySelector(".st-key-strip").getBoundingClientRect().top;
  return document.querySelector(".fb-head").getBoundingClientRect().bottom - top;
}"""


def _cards(page) -> list[str]:
    return page.evaluate("() => [...document.querySelectorAll('.fb-card')].map((card) => card.dataset.panel)")


def _skip_the_tour(page) -> None:
    page.locator(".fb-card").first.wait_for(timeout=120_000)
    skip = page.get_by_role("button", name="Skip", exact=True)
    page.wait_for_timeout(1500)
    if skip.count():
        skip.first.click()


def test_cards_are_chosen_and_stay_so_in_the_link(page, server: Server) -> None:
    open_lab(page, server, LANES)
    _skip_the_tour(page)
    eventually(lambda: "waterfall" in _cards(page))
    page.get_by_label("Choose cards").click()
    page.get_by_role("button", name="Teach", exact=True).click()
    eventually(lambda: "waterfall" not in _cards(page) and "overlap" in _cards(page))
    eventually(lambda: "panel=teach" in address(page))
    page.reload()
    page.locator(".fb-card").first.wait_for(timeout=60_000)
    eventually(lambda: "overlap" in _cards(page))
    assert "waterfall" not in _cards(page) and "panel=teach" in address(page)


def test_a_card_offers_its_choice_and_the_link_keeps_it(page, server: Server) -> None:
    open_lab(page, server, LANES)
    _skip_the_tour(page)
    page.locator('[data-panel="factor-map"] .fb-choose').select_option("epsilon")
    eventually(lambda: "measure=epsilon" in address(page))
    page.locator('[data-panel="loss"] .fb-choose[data-name="loss_axis"]').select_option("decompositions")
    eventually(lambda: "loss_axis=decompositions" in address(page) and "measure=epsilon" in address(page))


def test_keys_run_the_lab_and_are_listed(page, server: Server, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    open_lab(page, server, LANES)
    _skip_the_tour(page)
    page.evaluate("() => document.activeElement?.blur()")
    page.keyboard.press("?")
    listed = page.locator(".fb-keys").inner_text()
    assert all(words in listed for words in ("Space", "Start or pause", "To the next check", "The newest step"))
    page.keyboard.press("Escape")
    page.locator(".fb-keys").wait_for(state="hidden")
    page.wait_for_timeout(2000)
    page.evaluate("() => document.activeElement?.blur()")
    page.keyboard.press(" ")
    eventually(lambda: step_of(page) > 25, 180)
    page.keyboard.press(" ")
    eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled(), 60)
    eventually(lambda: "paused" in page.locator(".fb-status").inner_text(), 60)
    page.wait_for_timeout(1500)
    before = step_of(page)
    page.keyboard.press("s")
    eventually(lambda: step_of(page) == before + 1, 60)
    page.wait_for_timeout(1000)
    # Controls and table stick, in 120 pixels, with the step and the decision in sight.
    assert page.evaluate(STUCK) <= 160
    page.locator('[data-panel="raster"]').scroll_into_view_if_needed()
    page.mouse.move(900, 500)
    page.mouse.wheel(0, 300)
    page.wait_for_timeout(1500)
    assert page.evaluate(STUCK) <= 130  # the paper around them included
    assert page.get_by_role("button", name="Start", exact=True).is_visible()
    # Taken away: every row, and the cards as a page of its own.
    card = page.locator('[data-panel="raster"]')
    card.hover()
    card.get_by_label("Export Refresh raster").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV, all rows of checks").last.click()
    assert download.value.suggested_filename.endswith(f"-checks-step-{before + 1}.csv")
    with open(download.value.path(), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["run"] for row in rows} == {"FOAM", "Shampoo", "DR Shampoo"}
    page.get_by_label("Take the page away").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="HTML, the cards in view, interactive").click()
    taken = tmp_path / "page.html"
    download.value.save_as(taken)
    page.set_content(taken.read_text(encoding="utf-8"))
    page.locator(".main-svg").first.wait_for(timeout=30_000)
    assert page.locator("h1").inner_text().endswith(f"step {before + 1}")
    sections = page.locator("section").count()
    # What the colours stand for: the table of runs, and a legend where a figure names no curve itself.
    assert page.locator(".runs tbody tr").count() == 4
    assert page.locator('section:has(h2:text("Damping and drift, FOAM")) .legendtext').count() == 3
    assert sections >= 3 and "Refresh raster" in page.locator("body").inner_text()
