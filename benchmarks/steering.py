"""How soon the page answers one who steers: a phase of a step, an edit and a fork of now, with four lanes.

Each is measured in headless Chromium from the press to the frame in which the page shows its outcome: the numbers of
the phase, the edit in the list of this run's edits, the row of the new lane. The limits hold on a quiet machine; the
load of this one is reported beside them.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Report
from benchmarks.server import CHROMIUM_FLAGS, Server, chromium

LIMIT_MS = 250
EDITS, STEPS = 4, 3
LANES = "&".join(f"lane={lane}" for lane in ("foam", "shampoo", "dr-shampoo", "adamw"))
PHASES = ("Gradient", "Statistics", "Check", "Update")

# From now until an expression is true, frame by frame.
ARM = """
(condition) => {
  const holds = new Function(`return (${condition})`);
  const began = performance.now();
  window.__answer = new Promise((done, fail) => {
    const late = () => performance.now() - began > 20_000;
    const look = () => holds() ? done(performance.now() - began)
      : late() ? fail(Error(`20 s without ${condition}`)) : requestAnimationFrame(look);
    look();
  });
}
"""


def _timed(page: object, press: Callable[[], None], condition: str) -> float:
    """Milliseconds from a press until a condition holds on the page."""
    page.evaluate(ARM, condition)
    press()
    return page.evaluate("() => window.__answer")


def _button(page: object, name: str, *, last: bool = False) -> Callable[[], None]:
    found = page.get_by_role("button", name=name, exact=True)
    return (found.last if last else found.first).click


def _steer(report: Report, page: object) -> None:
    shown = "document.body.innerText"
    begun = page.get_by_text("This run", exact=True)
    while not begun.is_visible():  # a press while the page is drawn anew may be lost
        page.get_by_role("button", name="To check", exact=True).click()
        page.wait_for_timeout(3000)
    page.wait_for_timeout(3000)

    edits = []
    for place in range(EDITS):
        slider = page.get_by_role("slider", name=re.compile("Tolerance")).first
        said = f"{shown}.includes('τ = {0.74 - place / 100:.2f}')"
        edits.append(_timed(page, lambda slider=slider: slider.press("ArrowLeft"), said))
        page.wait_for_timeout(700)
    report.at_most("an edit, ms", statistics.median(edits), LIMIT_MS)

    page.get_by_role("button", name="Inside", exact=True).click()
    page.wait_for_timeout(700)
    spent: dict[str, list[float]] = {name: [] for name in PHASES}
    for _ in range(STEPS):
        for name, told in zip(PHASES, ("Loss of the batch", "tr L", "Check", "‖ΔW‖"), strict=True):
            enabled = f"[...document.querySelectorAll('button')].find((b) => b.innerText.trim() === '{name}')?.disabled"
            gone = f"{enabled} !== false && {shown}.includes('{told}')"
            spent[name].append(_timed(page, _button(page, name), gone))
            page.wait_for_timeout(700)
    for name in PHASES:
        report.at_most(f"phase {name.lower()}, ms", statistics.median(spent[name]), LIMIT_MS)
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Fork", exact=True).first.click()
    page.wait_for_timeout(1000)
    rows = "document.querySelectorAll('.fb-runs tbody tr').length === 5"
    report.at_most("a fork of now, ms", _timed(page, _button(page, "Fork", last=True), rows), LIMIT_MS)


def main() -> int:
    """Measure and report; 1 where a limit is passed."""
    report = Report("steering")
    path = chromium()
    if path is None:
        print("  no Chromium is installed", file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    report.add("load of the machine over its cores before", os.getloadavg()[0] / (os.cpu_count() or 1))
    with (
        tempfile.TemporaryDirectory() as home,
        Server(Path(home), FOAM_VIZ_ENGINES="1") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.add_init_script('localStorage.setItem("foam_viz:tour", "seen")')
        page.goto(f"{server.url}/live-lab?v=2&{LANES}&panel=inspect")
        page.locator(".fb-card").first.wait_for(timeout=120_000)
        page.wait_for_timeout(3000)
        _steer(report, page)
        browser.close()
    report.add("load of the machine over its cores after", os.getloadavg()[0] / (os.cpu_count() or 1))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
