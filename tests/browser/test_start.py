"""A first visit: the picture moves by itself, and nothing that it needs is asked for late."""

from __future__ import annotations

from benchmarks.server import Server

STEP = "document.querySelector('.fb-step')?.textContent"
ASKED = """() => performance.getEntriesByType("resource").map(({ name, startTime }) => [name, startTime])"""


def test_a_first_visit_asks_for_the_board_with_the_page_and_plays(page, server: Server) -> None:
    warnings: list[str] = []
    page.on("console", lambda message: warnings.append(message.text) if "preload" in message.text else None)
    page.goto(server.url)
    page.locator(".fb-plot .main-svg").first.wait_for(timeout=60_000)
    shown = page.evaluate(STEP)
    page.wait_for_function(f"(shown) => {STEP} !== shown", arg=shown, timeout=20_000)
    asked = page.evaluate(ASKED)
    session = min(at for name, at in asked if "_stcore/" in name)
    for part in ("plotly-", "/board.js", "/page_tools.js", "/board.css"):
        times = [at for name, at in asked if part in name]
        assert len(times) == 1 and times[0] < session, (part, times, session)
    page.wait_for_timeout(4000)
    assert not warnings, "what is named is used"


def test_less_motion_keeps_the_recording_still(browser, server: Server) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(server.url)
    page.locator(".fb-plot .main-svg").first.wait_for(timeout=60_000)
    page.wait_for_timeout(2500)
    assert page.evaluate(STEP) == "Step 600 of 600"
    page.get_by_label("Play what was recorded").wait_for()
    context.close()


def test_a_run_of_ones_own_is_found_after_a_reload_and_given_back(page, server: Server) -> None:
    page.goto(server.url)
    page.get_by_role("button", name="Run this yourself").click(timeout=60_000)
    page.get_by_text("Trains here").wait_for(timeout=60_000)
    page.reload()
    page.get_by_role("button", name="Back to the recording").click(timeout=60_000)
    page.get_by_role("button", name="Run this yourself").wait_for()
