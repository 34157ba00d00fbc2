"""The board of cards in a real browser: what only its own JavaScript and style sheet do."""

from __future__ import annotations

import re

import numpy as np
import pytest

from benchmarks.server import Server
from tests.browser.test_live_lab import click, eventually, open_lab, step_of
from tests.browser.test_run_logs import drawn, open_logs

INSPECT = "?tab=inspect&sample=digits-autoencoder-foam"

# Pixels of the raster's image as it stands on the screen, drawn by Plotly and then moved in place.
BOTH_WAYS = """
async () => {
  const plot = document.querySelector('[data-panel="raster"] .js-plotly-plot');
  const sheet = document.head.querySelector("link[data-foam-board]").href;
  const { quick } = await import(sheet.replace("board.css", "quick.js"));
  const pixels = async () => {
    const element = plot.querySelector(".heatmaplayer image");
    const size = (name) => Math.round(Number(element.getAttribute(name)));
    const picture = new Image();
    picture.src = element.getAttribute("href") ?? element.getAttributeNS("http://www.w3.org/1999/xlink", "href");
    await picture.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: size("width"), height: size("height") });
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const data = context.getImageData(0, Math.floor(canvas.height / 2), canvas.width, 1).data;
    return { x: size("x"), width: canvas.width, row: Array.from(data) };
  };
  await Plotly.react(plot, plot.data, plot.layout);
  const whole = await pixels();
  const moved = quick(plot, { data: plot.data, layout: plot.layout });
  return { moved, whole, quick: await pixels(), columns: Number(plot.data[0].z.shape.split(",")[1]) };
}
"""


def test_columns_of_unequal_width_are_moved_to_where_plotly_draws_them(page, server: Server) -> None:
    open_lab(page, server, "?batch_size=16&lane=splus:period=30")
    for step in (1, 30, 60):
        click(page, "To check")
        eventually(lambda step=step: step_of(page) == step)
        eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())
    click(page, "Step")
    eventually(lambda: step_of(page) == 61)
    raster = page.locator('[data-panel="raster"]')
    raster.scroll_into_view_if_needed()
    eventually(lambda: "61" in raster.locator(".fb-moment").inner_text())
    seen = page.evaluate(BOTH_WAYS)
    assert seen["moved"] and seen["columns"] == 3  # to step 30, to step 60, and one step more
    whole, moved = (np.array(seen[way]["row"]).reshape(-1, 4) for way in ("whole", "quick"))
    assert (seen["whole"]["x"], len(whole)) == pytest.approx((seen["quick"]["x"], len(moved)), abs=1)
    length = min(len(whole), len(moved))
    differ = (np.abs(whole[:length] - moved[:length]).max(axis=1) > 2).sum()
    assert differ <= 4, "but for a pixel at the edge of each column"


# Where everything in the figures stands: ticks, and the boxes around marks, shapes and labels.
PLACES = """
() => Object.fromEntries([...document.querySelectorAll("[data-panel] .js-plotly-plot")].map((plot) => {
  const home = plot.getBoundingClientRect();
  const found = (query) => [...plot.querySelectorAll(query)];
  const box = (element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return [x - home.x, y - home.y, width, height];
  };
  const marks = [".scatterlayer .js-line", ".scatterlayer .point", ".heatmaplayer image", ".barlayer .trace.bars"];
  return [plot.closest("[data-panel]").dataset.panel, {
    ticks: found(".xtick text, .ytick text, .y2tick text").map((tick) => tick.textContent).sort(),
    marks: [...marks, ".shapelayer path", ".annotation"].flatMap((query) => found(query).map(box)),
  }];
}))
"""
ENTER = """
() => document.querySelectorAll(".fb-plot").forEach((box) => box.dispatchEvent(new PointerEvent("pointerenter")))
"""


def test_what_is_moved_stands_where_plotly_draws_it(page, server: Server) -> None:
    """Axes that grow, gaps in curves, bars and shapes included."""
    page.set_viewport_size({"width": 1280, "height": 2600})
    open_lab(page, server, "?lane=foam&lane=shampoo")
    click(page, "Start")
    eventually(lambda: "turn" in page.evaluate(PLACES), 60)
    first, step = page.evaluate(PLACES), step_of(page)
    eventually(lambda: step_of(page) > 2 * step, 60)
    click(page, "Pause")
    eventually(lambda: page.get_by_role("button", name="Start", exact=True).is_enabled())
    page.wait_for_timeout(2500)  # the last update is drawn
    moved = page.evaluate(PLACES)
    assert moved["turn"]["ticks"] != first["turn"]["ticks"], "its axis has grown"
    page.evaluate(ENTER)
    page.wait_for_timeout(2500)  # every figure was drawn anew
    anew = page.evaluate(PLACES)
    assert moved.keys() == anew.keys() >= {"loss", "turn", "waterfall", "raster", "cost", "damping", "spectrum"}
    for panel, places in moved.items():
        assert places["ticks"] == anew[panel]["ticks"], panel
        one, other = np.array(places["marks"]), np.array(anew[panel]["marks"])
        assert one.shape == other.shape, panel
        assert np.abs(one - other).max(initial=0) <= 1.5, (panel, one, other)


def test_the_card_of_a_second_metric_follows_the_first(page, server: Server) -> None:
    open_logs(page, server)
    drawn(page, "sides")
    order = "() => [...document.querySelectorAll('.fb-grid [data-panel]')].map((card) => card.dataset.panel)"
    assert page.evaluate(order) == ["compare-0", "rates", "sides"]
    page.get_by_role("combobox", name="Metrics").click()
    page.get_by_role("option", name="held_out_loss").click()
    eventually(lambda: page.evaluate(order) == ["compare-0", "compare-1", "rates", "sides"])


def test_a_switch_of_the_theme_reaches_every_figure(page, server: Server) -> None:
    """Those out of sight and those whose marks are an image too, while nothing runs. Cividis is the same in both."""
    open_logs(page, server, INSPECT)
    drawn(page, "picture")
    plots = "[data-panel]:not([data-panel='waterfall']) .js-plotly-plot"
    colours = (
        f"() => [...document.querySelectorAll(`{plots}`)]"
        + """.map((plot) => [plot.layout.font.color,
        ...plot.data.filter((trace) => trace.type === "heatmap").map((trace) => JSON.stringify(trace.colorscale))])"""
    )
    images = f"() => [...document.querySelectorAll(`{plots} .heatmaplayer image`)].map((image) => image.outerHTML)"
    light, before = page.evaluate(colours), page.evaluate(images)
    page.emulate_media(color_scheme="dark")

    def every_one_changed() -> bool:
        dark, after = page.evaluate(colours), page.evaluate(images)
        pairs = [*zip(light, dark, strict=True), *zip(before, after, strict=True)]
        return all(one != other for one, other in pairs)

    eventually(every_one_changed, 15)


@pytest.mark.parametrize("width", [400, 1280])
def test_a_card_cuts_off_no_moment_and_covers_no_reading(page, server: Server, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{server.url}/run-logs{INSPECT}")
    drawn(page, "spectrum")
    cut = """() => [...document.querySelectorAll(".fb-moment")].filter((moment) => moment.clientWidth > 0
        && moment.scrollWidth > moment.clientWidth + 1).map((moment) => moment.textContent)"""
    long = """() => document.querySelectorAll(".fb-moment").forEach((moment) => {
        moment.textContent = "snapshot of step 12,260; last check 12,261"; })"""
    page.evaluate(long)  # as long as they come
    assert page.evaluate(cut) == []
    covered = """() => [...document.querySelectorAll(".fb-card")].filter((card) => {
        const [actions, reading] = [".fb-actions", ".fb-reading"].map((name) => card.querySelector(name));
        const [upper, lower] = [actions, reading].map((element) => element.getBoundingClientRect());
        return getComputedStyle(actions).opacity === "1" && upper.bottom > lower.top + 1;
    }).map((card) => card.dataset.panel)"""
    assert page.evaluate(covered) == []


def test_a_number_is_never_broken_over_two_lines(page, server: Server) -> None:
    open_logs(page, server, INSPECT)
    drawn(page, "damping")
    broken = """() => [...document.querySelectorAll(".fb-whole")].filter((whole) => whole.getClientRects().length > 1)
        .map((whole) => whole.textContent)"""
    whole = page.locator(".fb-whole").all_inner_texts()
    for kept in (r"ε = [\d.]+e-\d", r"h = [\d.]+ [≤>] τ = 0.75"):
        assert any(re.match(kept, text) for text in whole), kept
    for width in (1280, 1000, 400):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(500)
        assert page.evaluate(broken) == []


def test_what_sticks_to_the_top_leaves_room_for_the_panels(page, server: Server) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    lanes = "&lane=foam&lane=shampoo&lane=dr-shampoo&lane=soap&lane=kl-shampoo&lane=adamw"
    open_lab(page, server, f"?v=2&batch_size=16{lanes}")
    edges = """() => Object.fromEntries([["above", "[data-testid=stHeader]"], ["strip", ".st-key-strip"],
      ["head", ".fb-head"], ["card", ".fb-card"]].map(([name, where]) => {
        const { top, bottom } = document.querySelector(where).getBoundingClientRect();
        return [name, [top, bottom]];
      }))"""
    page.locator(".fb-card").first.wait_for(timeout=60_000)
    assert page.evaluate(edges)["card"][0] <= 200
    page.evaluate("() => { document.querySelector('[data-testid=stMain]').scrollTop = 700 }")
    eventually(lambda: page.evaluate(edges)["card"][0] < 0)
    for height in (720, 900, 1000):
        page.set_viewport_size({"width": 1280, "height": height})
        page.wait_for_timeout(300)
        seen = page.evaluate(edges)
        assert seen["strip"][0] >= seen["above"][1] - 0.5, "the buttons lie under the navigation"
        assert seen["head"][1] - seen["above"][1] <= 120, height
    # Nothing that the head may have to say makes it grow.
    long = """() => document.querySelectorAll('.fb-status dd').forEach((one, at) => {
      one.textContent = ["123,456", "1,234", "lane 4 at step 12,300 of 123,456", "CUDA, shared"][at] ?? "long words";
    }) ?? [document.querySelector('.fb-step')].forEach((one) => { one.textContent = "Step 123,456 of 123,456" })"""
    page.evaluate(long)
    told = page.evaluate("""() => [...document.querySelectorAll('.fb-top > *')].filter((one) => one.checkVisibility())
      .map((one) => one.getBoundingClientRect()).map(({ top, bottom }) => (top + bottom) / 2)""")
    assert max(told) - min(told) < 8
    # Cards of one row are equally high, and the state of a run is in sight: its word, or on a phone its mark.
    rows = """() => { const rows = {}; for (const slot of document.querySelectorAll('.fb-slot')) {
      const { top, height } = slot.querySelector('.fb-card').getBoundingClientRect();
      (rows[Math.round(top)] ??= new Set()).add(Math.round(height)); }
      return Object.values(rows).map((heights) => heights.size) }"""
    state = """() => { const box = document.querySelector('.fb-runs-box').getBoundingClientRect();
      const cell = document.querySelector('.fb-runs td.fb-state'), mark = getComputedStyle(cell, '::before');
      const seen = cell.getBoundingClientRect(), left = parseFloat(getComputedStyle(cell).paddingLeft);
      const word = document.createRange(); word.selectNodeContents(cell);
      const end = Math.max(seen.left + left + parseFloat(mark.width) + 2, word.getBoundingClientRect().right);
      return [end, Math.min(box.right, seen.right)] }"""
    for width in (1280, 1000, 720, 400):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(800)
        assert set(page.evaluate(rows)) == {1}, width
        end, edge = page.evaluate(state)
        assert end <= edge + 0.5, width


def test_the_names_of_curves_stand_above_a_narrow_card(page, server: Server) -> None:
    open_lab(page, server, "?v=2&batch_size=16&lane=foam&lane=adamw")
    page.get_by_role("button", name="Step", exact=True).first.click(timeout=20_000)
    page.locator('[data-panel="loss"] .main-svg').first.wait_for(timeout=60_000)
    names = """() => [[...document.querySelectorAll('[data-panel="loss"] .fb-entry')].map((one) => one.textContent),
      [...document.querySelectorAll('[data-panel="loss"] .annotation-text')].map((one) => one.textContent)]"""
    page.set_viewport_size({"width": 1280, "height": 900})
    eventually(lambda: page.evaluate(names)[1] and page.evaluate(names)[0] == [], 20)
    page.set_viewport_size({"width": 400, "height": 900})
    eventually(lambda: page.evaluate(names) == [["FOAM", "AdamW"], []], 20)
