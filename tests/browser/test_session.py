"""Reload, second tab and second browser: what belongs to whom, as only a real browser shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from benchmarks.server import Server
from tests.browser.test_live_lab import address, click, eventually, open_lab, step_of
from tests.browser.test_run_logs import open_logs

LOG = "step,loss,waited\n" + "".join(f"{i},{5 / i:.3f},{100 * i}\n" for i in range(1, 60))
FORBIDDEN = "() => { document.execCommand = () => false; navigator.clipboard.writeText = () => Promise.reject(); }"
SHOWN = "(box) => box.innerText + ' ' + (box.querySelector('input')?.value ?? '')"
SECRET = "() => localStorage.getItem('foam_viz:browser')"


@pytest.fixture
def another(browser) -> Iterator[object]:
    """A page of another browser."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    yield context.new_page()
    context.close()


def secret_of(page) -> str:
    return eventually(lambda: page.evaluate(SECRET))


def has_uploads(page, count: int) -> None:
    eventually(lambda: page.locator('[class*="st-key-source-"]').count() == count)


def test_a_reload_and_a_second_tab_find_uploads_and_what_was_chosen(page, another, server: Server, tmp_path) -> None:
    open_logs(page, server, "?sample=none")
    secret = secret_of(page)
    assert len(secret) == 32
    log = Path(tmp_path) / "mine.csv"
    log.write_text(LOG)
    page.locator('input[type="file"]').first.set_input_files(str(log))
    page.get_by_text("Columns", exact=False).first.wait_for(timeout=60_000)
    page.get_by_text("Inspect one", exact=True).click()
    page.locator('[data-panel="loss"] .main-svg').first.wait_for(timeout=30_000)
    eventually(lambda: "run=" in address(page))
    link = address(page)
    assert secret not in link
    page.reload()
    has_uploads(page, 1)
    page.locator('[data-panel="loss"] .main-svg').first.wait_for(timeout=30_000)
    assert eventually(lambda: address(page) == link)
    tab = page.context.new_page()  # the same browser, without a link
    tab.goto(f"{server.url}/run-logs")
    has_uploads(tab, 1)
    assert tab.evaluate(SECRET) == secret
    another.goto(link)
    another.get_by_text("is open in this browser").first.wait_for(timeout=30_000)
    assert secret_of(another) != secret
    assert another.locator('[class*="st-key-source-"]').count() == 0
    click(page, "Forget my files")
    has_uploads(page, 0)
    assert secret not in server.log.read_text(errors="replace")


def test_a_second_tab_of_the_browser_steers_and_another_browser_watches(page, another, server: Server) -> None:
    open_lab(page, server, "?v=2&batch_size=16&lane=adamw")
    page.get_by_role("combobox").first.wait_for()
    click(page, "Step")
    eventually(lambda: step_of(page) == 1 and "run=" in address(page))
    run = parse_qs(urlparse(address(page)).query)["run"]
    tab = page.context.new_page()
    tab.goto(address(page))
    eventually(lambda: tab.get_by_role("button", name="Start", exact=True).is_enabled(), 40)
    click(tab, "Step")
    eventually(lambda: step_of(tab) == 2)
    another.goto(address(page))
    another.get_by_text("You are watching a run that somebody else steers").wait_for(timeout=30_000)
    assert not another.get_by_role("button", name="Start", exact=True).is_enabled()
    click(tab, "Reset")
    eventually(lambda: parse_qs(urlparse(address(tab)).query)["run"] != run)
    new = parse_qs(urlparse(address(tab)).query)["run"]
    another.reload()
    another.get_by_role("button", name="Watch that one").click(timeout=60_000)
    eventually(lambda: parse_qs(urlparse(address(another)).query)["run"] == new, 60)


def test_the_link_is_copied_with_and_without_the_permission(browser, server: Server) -> None:
    for permitted in (True, False):
        context = browser.new_context(viewport={"width": 390, "height": 800})
        if permitted:
            context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
        page = context.new_page()
        if not permitted:
            page.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('no'));")
        page.goto(f"{server.url}/live-lab?v=2&lane=shampoo:period=50")
        page.get_by_role("button", name="Start", exact=True).wait_for(timeout=60_000)
        eventually(lambda page=page: "task=" in address(page))
        click(page, "Copy link")
        page.get_by_role("button", name="Link copied").wait_for(timeout=10_000)
        if permitted:
            assert page.evaluate("() => navigator.clipboard.readText()") == address(page)
        page.evaluate(
            "() => { document.execCommand = () => false; navigator.clipboard.writeText = () => Promise.reject(); }"
        )
        page.get_by_role("button", name="Copy link").click(timeout=10_000)
        box = page.locator(".foam-link-box")
        assert box.input_value() == address(page)
        assert page.evaluate("() => getSelection().toString() || document.activeElement.value") == address(page)
        page.keyboard.press("Escape")
        assert page.get_by_role("button", name="Copy link").is_visible()
        context.close()


def test_after_a_reload_the_speed_shown_is_the_speed_run_at(page, server: Server) -> None:
    open_lab(page, server, "?v=2&batch_size=16&lane=adamw&steps_per_second=5&loss_axis=decompositions")
    click(page, "Start")
    eventually(lambda: step_of(page) > 2)
    page.reload()
    eventually(lambda: page.get_by_role("button", name="Pause", exact=True).is_enabled(), 40)
    eventually(lambda: "5 steps/s" in page.locator(".st-key-speed").evaluate(SHOWN))
    assert "loss_axis=decompositions" in address(page)
    click(page, "Pause")
