"""Help where it is needed: the tour of a first visit, and terms that explain themselves."""

from __future__ import annotations

from benchmarks.server import Server


def test_the_tour_has_six_stops_and_never_comes_again(browser, server: Server) -> None:
    context = browser.fresh_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{server.url}/live-lab")
    card = page.locator(".foam-tour")
    for stop in range(1, 7):
        card.get_by_text(f"{stop} of 6").wait_for()
        assert page.locator(".foam-tour-place").count() == 1, card.inner_text()
        assert card.evaluate("card => getComputedStyle(card).backgroundColor") != "rgba(0, 0, 0, 0)"
        page.keyboard.press("Enter")
    card.wait_for(state="detached")
    page.reload()
    page.locator(".fb-card").first.wait_for()
    page.wait_for_timeout(2500)
    assert card.count() == 0 and page.locator(".foam-tour-place").count() == 0
    context.close()


def test_the_tour_can_be_skipped(browser, server: Server) -> None:
    context = browser.fresh_context(viewport={"width": 400, "height": 800})
    page = context.new_page()
    page.goto(f"{server.url}/live-lab")
    page.locator(".foam-tour").wait_for()
    page.keyboard.press("Escape")
    page.locator(".foam-tour").wait_for(state="detached")
    context.close()


TERM = """() => {
  const ranges = window.__foamTerms?.ranges ?? [];
  const found = ranges.find(({ term, range }) => term.name === "damping" && range.getClientRects().length);
  const box = found?.range.getClientRects()[0];
  return box ? [box.left + box.width / 2, box.top + box.height / 2] : null;
}"""


def test_a_term_explains_itself_under_the_pointer_and_by_key(page, server: Server) -> None:
    page.goto(server.url)
    page.wait_for_function(f"({TERM})() !== null", timeout=20_000)
    page.mouse.move(*page.evaluate(TERM))
    card = page.locator(".foam-term-card")
    card.get_by_text("(D_i + ε)^(-1/p)").wait_for()
    assert card.evaluate("card => getComputedStyle(card).backgroundColor") != "rgba(0, 0, 0, 0)"
    page.keyboard.press("Escape")
    card.wait_for(state="hidden")
    page.keyboard.press("F2")
    card.wait_for(state="visible")
