"""A real Chromium against the real app. Skipped where there is none, unless FOAM_VIZ_REQUIRE_BROWSER is set."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from benchmarks.server import CHROMIUM_FLAGS, Server, chromium

pytestmark = pytest.mark.browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    path = chromium()
    if path is None:
        if os.environ.get("FOAM_VIZ_REQUIRE_BROWSER") == "1":
            pytest.fail("FOAM_VIZ_REQUIRE_BROWSER is set and no Chromium is installed")
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        fresh = launched.new_context

        def known(**more: object) -> object:
            """A context of a visitor who has seen the tour: it would lie over what a test presses."""
            context = fresh(**more)
            context.add_init_script('try { localStorage.setItem("foam_viz:tour", "seen") } catch {}')
            return context

        launched.new_context, launched.fresh_context = known, fresh
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    with Server(home, FOAM_VIZ_GRACE_SECONDS="5", FOAM_VIZ_ENGINES="1") as started:
        yield started


# What a failed test says of the page: the last presses that reached it, and what it showed in the end.
LISTEN = """
window.presses = [];
for (const kind of ["pointerdown", "pointerup", "click"]) addEventListener(kind, (event) => {
  const target = event.target.closest?.("button") ?? event.target;
  const seconds = (performance.now() / 1000).toFixed(2);
  presses.push([seconds, kind, target.tagName, target.textContent?.slice(0, 30)].join(" "));
}, true);
"""
STATE = """
() => ({
  now: performance.now() / 1000,
  presses: presses.slice(-12),
  status: document.querySelector(".fb-status")?.innerText,
  script: document.querySelector(".stApp")?.dataset.testScriptState,
  messages: [...document.querySelectorAll('[data-testid="stAlert"], [data-testid="stException"]')]
    .map((one) => one.innerText),
  sliders: [...document.querySelectorAll("input[type=range]")].map((one) => one.getAttribute("aria-valuetext")),
  disabled: [...document.querySelectorAll(".st-key-strip button:disabled")].map((button) => button.textContent),
})
"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    opened = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and opened is not None:
        report.sections.append(("the page", repr(opened.evaluate(STATE))))
        log = item.funcargs["server"].log.read_text(errors="replace")
        report.sections.append(("the end of the server's log", log[-3000:]))
    return report


@pytest.fixture
def page(browser, server: Server) -> Iterator[object]:
    """A page of a new context; console errors and failed external requests fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    context.add_init_script(LISTEN)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(f"page error: {error}"))
    opened.on(
        "request",
        lambda request: (
            problems.append(f"request to {request.url}")
            if not request.url.startswith((server.url, "data:", "blob:"))
            else None
        ),
    )
    yield opened
    context.close()
    assert not problems, problems
