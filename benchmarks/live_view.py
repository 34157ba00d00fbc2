"""The live view in headless Chromium while training: frames, re-mounts, bytes, server CPU, answers to clicks.

Four updates a second: the charts that are in view at 1280 x 720, and nine charts on a high page. The frames of the page
are compared with those of an empty page in the same browser while the same run keeps training; everything else is
counted on the page itself. Each scenario is measured ``ROUNDS`` times and the median taken, since these machines are
shared.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Report
from benchmarks.server import CHROMIUM_FLAGS, Server, chromium

PROBE = (Path(__file__).parent / "probe.js").read_text()
SECONDS, WARM_SECONDS, ROUNDS = 6.0, 4.0, 3
CLICKS = 5


@dataclass(frozen=True)
class Size:
    """A page and what it may cost.

    Attributes:
        height: Of the page, in pixels.
        charts: That are in view, at least.
        ratio: Frames a second over those of an empty page, at least.
        server_ms: CPU of the server an update, at most.
        kilobytes: Of an update with one lane, and with four, at most.
    """

    height: int
    charts: int
    ratio: float
    server_ms: float
    kilobytes: tuple[float, float]


LAPTOP, HIGH = Size(720, 3, 0.95, 8, (18, 18)), Size(1400, 6, 0.85, 25, (30, 100))

# Clicks a button and waits, frame by frame, until another one can be pressed: what a visitor feels.
CLICK = """
async ([name, awaited]) => {
  const find = (text) => [...document.querySelectorAll('button')].find((b) => b.innerText.trim().endsWith(text));
  const began = performance.now();
  find(name).click();
  while (find(awaited)?.disabled !== false) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}
"""
# From the click on Start until every figure has something drawn in it.
FIRST = """
async () => {
  const began = performance.now();
  [...document.querySelectorAll('button')].find((b) => b.innerText.trim().endsWith('Start')).click();
  const shown = () => [...document.querySelectorAll('.js-plotly-plot')].filter((p) => p.data?.length).length;
  while (shown() < 1) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}
"""


def _open(
    browser: object, server: Server, query: str, received: list[int] | None = None, height: int = HIGH.height
) -> object:
    """The lab in a new page, ready to start; sizes of what its websocket receives go to ``received``."""
    page = browser.new_page(viewport={"width": 1280, "height": height})
    page.add_init_script(PROBE)
    if received is not None:
        page.on("websocket", lambda socket: socket.on("framereceived", lambda data: received.append(len(data))))
    page.goto(f"{server.url}/live-lab?{query}")
    page.wait_for_function(
        "() => [...document.querySelectorAll('button')].some(b => b.innerText.trim().endsWith('Start') && !b.disabled)",
        timeout=60_000,
    )
    page.wait_for_timeout(1500)
    return page


def _measure(browser: object, page: object, server: Server, received: list[int], height: int) -> dict[str, float]:
    import psutil

    process = psutil.Process(server.process.pid)
    received.clear()
    page.evaluate("__probe.arm()")
    before = sum(process.cpu_times()[:2])
    page.wait_for_timeout(SECONDS * 1e3)
    found = page.evaluate("__probe.read()")
    cpu = sum(process.cpu_times()[:2]) - before
    total = sum(received)
    empty = browser.new_page(viewport={"width": 1280, "height": height})
    empty.add_init_script(PROBE)
    empty.goto("data:text/html,<p>empty</p>")
    empty.bring_to_front()
    empty.wait_for_timeout(500)
    empty.evaluate("__probe.arm()")
    empty.wait_for_timeout(SECONDS * 1e3)
    bare = empty.evaluate("__probe.read()")
    empty.close()
    page.bring_to_front()
    updates = max(max(found["updatesPerSecond"], default=0) * found["seconds"], 1)
    return {
        "ratio": found["framesPerSecond"] / max(bare["framesPerSecond"], 1e-9),
        "plots": found["plots"],
        "updates": max(found["updatesPerSecond"], default=0),
        "remounts": found["remounts"],
        "frozen": found["frozen"],
        "kilobytes": total / updates / 1e3,
        "server_ms": cpu / updates * 1e3,
        "long_ms": found["longMsPerSecond"],
    }


def _scenario(
    report: Report, browser: object, server: Server, name: str, query: str, size: Size, step: int = 1
) -> None:
    received: list[int] = []
    page = _open(browser, server, query, received, size.height)
    page.get_by_role("button", name="Start", exact=True).click(timeout=60_000)
    page.wait_for_timeout(WARM_SECONDS * 1e3)
    page.wait_for_function(
        "(step) => Number(document.querySelector('.fb-status dd').textContent.replace(/[^0-9]/g, '')) >= step",
        arg=step,
        timeout=240_000,
    )
    rounds = [_measure(browser, page, server, received, size.height) for _ in range(ROUNDS)]
    median = {key: statistics.median(found[key] for found in rounds) for key in rounds[0]}
    report.at_least(f"{name}: charts", median["plots"], size.charts)
    report.add(f"{name}: updates/s of the busiest chart", median["updates"])
    report.at_least(f"{name}: frames/s over an empty page's", median["ratio"], size.ratio)
    report.at_most(f"{name}: re-mounts", max(found["remounts"] for found in rounds), 0)
    report.at_most(f"{name}: charts that stood still for 2 s", max(found["frozen"] for found in rounds), 0)
    kilobytes = size.kilobytes[query.count("lane=") > 1]
    report.at_most(f"{name}: kB an update", median["kilobytes"], kilobytes)
    report.at_most(f"{name}: server CPU an update, ms", median["server_ms"], size.server_ms)
    report.add(f"{name}: long tasks, ms/s", median["long_ms"])
    page.get_by_role("button", name="Pause", exact=True).click()
    page.wait_for_timeout(500)
    page.close()


def _clicks(report: Report, browser: object, server: Server) -> None:
    page = _open(browser, server, "lane=foam&lane=shampoo")
    report.at_most("first snapshot after Start, ms", page.evaluate(FIRST), 1000)
    page.wait_for_timeout(2000)
    pauses, starts = [], []
    for _ in range(CLICKS):
        pauses.append(page.evaluate(CLICK, ["Pause", "Start"]))
        page.wait_for_timeout(700)
        starts.append(page.evaluate(CLICK, ["Start", "Pause"]))
        page.wait_for_timeout(900)
    report.at_most("a click on Pause answers while training, ms", statistics.median(pauses), 250)
    report.at_most("a click on Start answers, ms", statistics.median(starts), 250)
    page.evaluate(CLICK, ["Pause", "Start"])
    page.close()


def main() -> int:
    report = Report("live_view")
    path = chromium()
    if path is None:
        print("  no Chromium is installed", file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    four = "&".join(f"lane={lane}" for lane in ("foam", "shampoo", "dr-shampoo", "shampoo:period=50"))
    with (
        tempfile.TemporaryDirectory() as home,
        Server(Path(home), FOAM_VIZ_GRACE_SECONDS="2", FOAM_VIZ_ENGINES="1") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        _open(browser, server, "lane=adamw").close()  # the engine is warm after this
        _clicks(report, browser, server)
        _scenario(report, browser, server, "one lane, 1280 x 720", "lane=foam", LAPTOP)
        _scenario(report, browser, server, "four lanes, 1280 x 720", four, LAPTOP)
        _scenario(report, browser, server, "one lane", "lane=foam", HIGH)
        _scenario(report, browser, server, "four lanes", four, HIGH)
        _scenario(report, browser, server, "one lane at step 10,000", "lane=foam", HIGH, 10_000)
        browser.close()
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
