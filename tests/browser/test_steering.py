"""A run is steered as in a lesson: edited, looked into, forked in its past, and all of it is in the link."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import parse_qs, urlparse

from benchmarks.server import Server
from foam_viz.trace.disk import bundle
from tests.browser.test_live_lab import address, click, eventually, open_lab, run_directory, step_of


def linked(page, key: str) -> list[str]:
    return parse_qs(urlparse(address(page)).query).get(key, [])


def ready(page, step: int) -> None:
    eventually(lambda: step_of(page) == step, 60)
    eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled(), 60)


def downloaded(page, name: str, folder: Path) -> Path:
    """Take a file away from under "Share"."""
    button = page.get_by_role("button", name=name, exact=True)
    if not button.is_visible():
        click(page, "Share")
    with page.expect_download(timeout=60_000) as told:
        button.click(timeout=20_000)
    place = folder / told.value.suggested_filename
    told.value.save_as(place)
    return place


def test_a_session_of_edits_phases_and_forks_is_taken_away_and_survives_a_reload(
    page, server: Server, tmp_path: Path
) -> None:
    lanes = "&lane=foam&lane=shampoo&lane=dr-shampoo&lane=adamw"
    open_lab(page, server, f"?v=2&task=digits-autoencoder&batch_size=16{lanes}")
    for _ in range(3):  # a press while the page is drawn anew may be lost
        click(page, "To check")
        end = time.monotonic() + 20
        while not linked(page, "run") and time.monotonic() < end:
            page.wait_for_timeout(200)
        if linked(page, "run"):
            break
    ready(page, 10)

    # A slider of the run's own settings: it acts in the next step, and stands in the link.
    page.get_by_text("This run", exact=True).wait_for(timeout=60_000)
    slider = page.get_by_role("slider", name=re.compile("Tolerance")).first
    slider.press("ArrowLeft")
    eventually(lambda: linked(page, "edit") == ["11:1:tau=0.74"], 60)
    click(page, "To check")
    ready(page, 20)

    # One press for each phase, with the numbers that it used.
    click(page, "Inside")
    for name, told in (("Gradient", "Loss of the batch"), ("Statistics", "tr L"), ("Check", "none in this step")):
        click(page, name)
        page.get_by_text(told, exact=True).first.wait_for(timeout=60_000)
    assert step_of(page) == 20
    click(page, "Update")
    eventually(lambda: step_of(page) == 21, 60)
    page.keyboard.press("Escape")

    # Back in time, and a fork there: training was never touched.
    page.locator(".fb-time input[type=range]").evaluate(
        """(range) => {
          range.value = 15;
          for (const kind of ["input", "change"]) range.dispatchEvent(new Event(kind, { bubbles: true }));
        }"""
    )
    click(page, "Fork")
    page.get_by_text("after step 15, the time cursor's").first.wait_for(timeout=60_000)
    page.get_by_role("button", name="Fork", exact=True).last.click(timeout=20_000)
    eventually(lambda: linked(page, "fork") == ["5:1:15"], 60)
    page.keyboard.press("Escape")
    eventually(lambda: page.locator(".fb-board, body").get_by_text("from step 15").count() > 0, 60)

    # Back to the newest step; then the run and its command are taken away.
    page.locator(".fb-head").click(position={"x": 2, "y": 2})
    page.keyboard.press("l")
    eventually(lambda: step_of(page) == 21, 60)
    taken = downloaded(page, "Run bundle", tmp_path)
    assert re.fullmatch(r"foam_viz-[0-9a-f]{8}-lane-1-step-21\.zip", taken.name)
    trace = bundle.read(taken)
    assert trace.values("steps", "step")[-1] == 21 and list(trace.values("events", "setting")) == ["tau"]
    assert "--edit 11:tau=0.74" in downloaded(page, "Command", tmp_path).read_text()
    page.keyboard.press("Escape")

    # Everything is there after a reload, and on the disk.
    before = {key: linked(page, key) for key in ("run", "edit", "fork", "lane")}
    page.reload()
    page.get_by_text("This run", exact=True).wait_for(timeout=60_000)
    page.locator(".fb-status .fb-item dd").first.wait_for(timeout=90_000)
    eventually(lambda: step_of(page) in (15, 21), 60)
    assert {key: linked(page, key) for key in before} == before
    page.get_by_text("From step 11 on, lane 1: τ = 0.74").first.wait_for(timeout=60_000)
    child = eventually(lambda: _saved(run_directory(page, server) / "lane-5"), 60)
    assert list(child.values("events", "setting")) == ["tau"]


def _saved(folder):
    try:
        found = bundle.read(folder)
    except (OSError, bundle.BundleError):
        return None
    return found if found.rows("steps") == 21 else None
