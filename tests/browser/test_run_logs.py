"""The page of logs in a real browser: samples, an upload, panels, a comparison, a zoom that loads detail."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from benchmarks.server import Server
from tests.browser.test_live_lab import DRAWN, address, eventually, numbers

STEPS = 60_000


def open_logs(page, server: Server, query: str = "") -> None:
    page.goto(f"{server.url}/run-logs{query}")
    page.get_by_text("Compare many", exact=True).wait_for(timeout=60_000)


def curve(page, panel: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Places and values of the first curve of a kind in a panel."""
    for trace in page.evaluate(DRAWN, panel):
        if trace["meta"]["series"] == kind:
            return numbers(trace["x"]), numbers(trace["y"])
    return np.empty(0), np.empty(0)


def drawn(page, panel: str) -> None:
    """Bring a panel into sight, since what nobody sees is not drawn, and wait for it."""
    page.locator(f'[data-panel="{panel}"]').first.scroll_into_view_if_needed(timeout=30_000)
    page.locator(f'[data-panel="{panel}"] .main-svg').first.wait_for(timeout=30_000)


def test_samples_open_side_by_side_and_one_from_the_inside(page, server: Server) -> None:
    open_logs(page, server)
    for panel in ("compare-0", "rates", "sides"):
        drawn(page, panel)
    assert page.locator(".fb-runs tbody tr").count() == 5
    card = page.locator('[data-panel="compare-0"]')
    card.hover()
    card.get_by_label("Export Training loss").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="SVG vector picture").last.click()
    assert download.value.suggested_filename == "foam_viz-5-runs-training-loss-step-600.svg"
    legend = Path(download.value.path()).read_text(encoding="utf-8")
    assert all(name in legend for name in ("digits-autoencoder-foam", "digits-autoencoder-adamw"))
    page.get_by_text("Inspect one", exact=True).click()
    for panel in ("loss", "damping", "spectrum", "overlap", "raster"):
        drawn(page, panel)
    assert "tab=inspect" in eventually(lambda: "tab=" in address(page) and address(page))


def test_an_upload_is_compared_and_a_zoom_loads_its_detail(page, server: Server, tmp_path: Path) -> None:
    open_logs(page, server, "?sample=none&smoothing=none&log_y=false")
    log = tmp_path / "long.csv"
    values = np.sin(np.arange(STEPS) / 7.0) + 3
    log.write_text("step,loss\n" + "".join(f"{step},{value:.5f}\n" for step, value in enumerate(values)))
    page.locator('input[type="file"]').first.set_input_files(str(log))
    page.get_by_text("Columns", exact=False).first.wait_for(timeout=60_000)
    page.get_by_text("Compare many", exact=True).click()
    drawn(page, "compare-0")
    x, _ = eventually(lambda: (found := curve(page, "compare-0", "curve")) and len(found[0]) and found)
    sparse = np.diff(x).mean()
    box = page.locator('[data-panel="compare-0"] .nsewdrag').first.bounding_box()
    height = box["y"] + 0.5 * box["height"]
    page.mouse.move(box["x"] + 0.5 * box["width"], height)
    page.mouse.down()
    for share in (0.505, 0.51, 0.52):
        page.mouse.move(box["x"] + share * box["width"], height)
        page.wait_for_timeout(60)
    page.mouse.up()

    def dense() -> bool:
        places, found = curve(page, "compare-0", "curve")
        inside = (places > 0.502 * STEPS) & (places < 0.518 * STEPS)
        at = places[inside].astype(int)
        return (
            inside.sum() > 100 and np.diff(at).mean() < sparse / 4 and np.allclose(found[inside], values[at], atol=1e-3)
        )

    eventually(dense, 20)
    low, high = page.evaluate("""() => document.querySelector('[data-panel="compare-0"] .js-plotly-plot')
        ._fullLayout.xaxis.range""")
    assert 0.49 * STEPS < low < high < 0.53 * STEPS  # the zoom itself stayed


def table_of(page, panel: str) -> list[list[str]]:
    """The numbers drawn in a card, as its export writes them."""
    card = page.locator(f'[data-panel="{panel}"]')
    card.hover()
    card.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV, the numbers drawn").last.click()
    with open(download.value.path(), newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def test_tables_name_each_cell_once_and_a_key_names_its_measure(page, server: Server) -> None:
    open_logs(page, server, "?tab=inspect&sample=digits-autoencoder-foam")
    for panel, cells in (("overlap", 64 * 64), ("factor-map", 18), ("raster", 18 * 60)):
        drawn(page, panel)
        rows = table_of(page, panel)
        assert len({(x, y) for _, _, x, y, _ in rows}) == len(rows) == cells, panel
    assert "1–2" in {row[2] for row in table_of(page, "overlap")}
    assert page.locator('[data-panel="factor-map"] .fb-scale-title').inner_text() == "h/τ"
    assert "check of step 600" in page.locator('[data-panel="damping"] .fb-moment').inner_text()
