"""How soon the page answers one who steers: a phase of a step, an edit and a fork of now, with four lanes.

Each is measured in headless Chromium from the press: to the first frame of the feed after it, for which the limit is
set, and until the page shows the outcome in words: the numbers of the phase, the edit in the list of this run's edits,
the row of the new lane. Both hold on a quiet machine; the load of this one is reported beside them.
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
EDITS, STEPS, FORKS, PAGES = 4, 3, 2, 2
LANES = "&".join(f"lane={lane}" for lane in ("foam", "shampoo", "dr-shampoo", "adamw"))
PHASES = ("Gradient", "Statistics", "Check", "Update")

# Notes when frames of the feed come.
LISTEN = """
window.__frames = [];
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    if (!String(given[0]).includes("_stcore")) this.addEventListener("message", () => __frames.push(performance.now()));
  }
};
"""
# From now until an expression is true, frame by frame.
ARM = """
(condition) => {
  const holds = new Function(`return (${condition})`);
  const began = performance.now();
  const frame = () => (__frames.find((at) => at > began) ?? NaN) - began;
  window.__answer = new Promise((done, fail) => {
    const late = () => performance.now() - began > 20_000;
    const look = () => holds() && frame() >= 0 ? done([frame(), performance.now() - began])
      : late() ? fail(Error(`20 s without ${condition}`)) : requestAnimationFrame(look);
    look();
  });
}
"""


def _timed(page: object, press: Callable[[], None], condition: str) -> tuple[float, float]:
    """Milliseconds from a press to the next frame of the feed, and until a condition holds on the page, too."""
    page.evaluate(ARM, condition)
    press()
    frame, shown = page.evaluate("() => window.__answer")
    return frame, shown


def _report(report: Report, name: str, spent: list[tuple[float, float]]) -> None:
    report.at_most(f"{name}: first frame, ms", statistics.median(frame for frame, _ in spent), LIMIT_MS)
    report.add(f"{name}: in words, ms", statistics.median(shown for _, shown in spent))


def _button(page: object, name: str, *, last: bool = False) -> Callable[[], None]:
    found = page.get_by_role("button", name=name, exact=True)
    return (found.last if last else found.first).click


def _begin(page: object) -> None:
    begun = page.get_by_text("This run", exact=True)
    while not begun.is_visible():  # a press while the page is drawn anew may be lost
        page.get_by_role("button", name="To check", exact=True).click()
        page.wait_for_timeout(3000)
    page.wait_for_timeout(3000)


def _steer(report: Report, page: object) -> None:
    shown = "document.body.innerText"
    edits = []
    for n in range(EDITS):
        slider = page.get_by_role("slider", name=re.compile("Tolerance")).first
        said = f"{shown}.includes('τ = {0.74 - n / 100:.2f}')"
        edits.append(_timed(page, lambda slider=slider: slider.press("ArrowLeft"), said))
        page.wait_for_timeout(700)
    _report(report, "an edit", edits)

    page.get_by_role("button", name="Inside", exact=True).click()
    page.wait_for_timeout(700)
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in PHASES}
    for _ in range(STEPS):
        for name, told in zip(PHASES, ("Loss of the batch", "tr L", "Check", "‖ΔW‖"), strict=True):
            enabled = f"[...document.querySelectorAll('button')].find((b) => b.innerText.trim() === '{name}')?.disabled"
            gone = f"{enabled} !== false && {shown}.includes('{told}')"
            spent[name].append(_timed(page, _button(page, name), gone))
            page.wait_for_timeout(700)
    for name in PHASES:
        _report(report, f"phase {name.lower()}", spent[name])
    page.keyboard.press("Escape")


def _forks(page: object) -> list[tuple[float, float]]:
    """Forks of now, until a run has as many lanes as it may have."""
    spent = []
    for lanes in range(5, 5 + FORKS):
        page.get_by_role("button", name="Fork", exact=True).first.click()
        page.wait_for_timeout(1000)
        rows = f"document.querySelectorAll('.fb-runs tbody tr').length === {lanes}"
        spent.append(_timed(page, _button(page, "Fork", last=True), rows))
        page.wait_for_timeout(1500)
        page.keyboard.press("Escape")
        page.wait_for_timeout(500)
    return spent


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
        forks = []
        for first in (True, *[False] * (PAGES - 1)):
            page = browser.new_page(viewport={"width": 1280, "height": 1400})  # another browser to the server
            page.add_init_script(LISTEN)
            page.add_init_script('localStorage.setItem("foam_viz:tour", "seen")')
            page.goto(f"{server.url}/live-lab?v=2&{LANES}&panel=inspect")
            page.locator(".fb-card").first.wait_for(timeout=120_000)
            page.wait_for_timeout(3000)
            _begin(page)
            if first:
                _steer(report, page)
            forks += _forks(page)
            page.close()
        _report(report, "a fork of now", forks)
        browser.close()
    report.add("load of the machine over its cores after", os.getloadavg()[0] / (os.cpu_count() or 1))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
