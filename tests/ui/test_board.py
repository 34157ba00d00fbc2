from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import plotly
import pytest
from streamlit.testing.v1 import AppTest

from foam_viz.figures import theme
from foam_viz.figures.catalogue import BY_ID
from foam_viz.figures.look import Look
from foam_viz.figures.scene import Lane, Scene
from foam_viz.ui.board import assets
from foam_viz.ui.board.board import Looking
from foam_viz.ui.feed.deflated import joined
from foam_viz.ui.feed.frame import encoded
from tests.synthetic import SyntheticRun

IN_VIEW = ("loss", "factor-map", "damping", "spectrum", "overlap")
"""Panels that a window of 1280 by 720 shows."""


@pytest.mark.parametrize(("kinds", "limit"), [(["foam"], 18_000), (["foam", "shampoo", "dr-shampoo", "adamw"], 40_000)])
def test_an_update_of_a_long_run_is_few_bytes(kinds: list[str], limit: int) -> None:
    lanes = [Lane(SyntheticRun(kind, seed=i).advance(3000).trace, kind, i) for i, kind in enumerate(kinds)]
    scene = Scene(lanes, Look(factor=0, max_points={1: 400, 4: 160}[len(lanes)]))
    parts = [encoded(BY_ID[name], scene).part for name in IN_VIEW]
    assert len(joined(parts)) < limit


APP = """
import streamlit as st
from foam_viz.ui.board import board

board.board(key="board", source="sample:x", look={"factor": 0}, on_follow=lambda factor, lane: None)
st.text(st.session_state["board looking"].serial)
"""


def test_the_board_mounts_in_a_page_and_a_rerun_asks_for_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "published", lambda: assets.Published("app/static/board-x", "app/static/plotly.js"))
    page = AppTest.from_string(APP).run()
    assert not page.exception
    serial = page.text[0].value
    assert int(serial) > 0 and page.run().text[0].value == serial


def test_the_page_wins_where_its_controls_choose_another_look() -> None:
    looking = Looking()
    looking.choose("run", {"factor": 0, "lane": 0})
    first = looking.serial
    looking.told(factor=3)  # a click in the browser, which looks at it already
    looking.choose("run", {"factor": 3, "lane": 0})
    assert looking.serial == first
    looking.choose("run", {"factor": 4, "lane": 0})
    second = looking.serial
    assert second > first
    looking.choose("run", {"factor": 4, "lane": 0})
    assert looking.serial == second
    looking.choose("another run", {"factor": 4, "lane": 0})
    assert looking.serial > second


def test_a_click_that_the_page_does_not_follow_is_taken_back() -> None:
    looking = Looking()
    looking.choose("run", {"factor": 0, "lane": 0})
    first = looking.serial
    looking.told(lane=1)
    looking.choose("run", {"factor": 0, "lane": 0})
    assert looking.serial > first


def test_assets_are_published_whole_once_and_under_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = assets.publish(tmp_path)
    board = tmp_path / Path(first.board).name
    assert {path.name for path in board.iterdir()} >= {"board.js", "board.css", "theme.js", "quick.js"}
    script = tmp_path / Path(first.plotly).name
    source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    assert script.read_bytes() == source.read_bytes() and not script.is_symlink()
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert assets.publish(tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times

    changed = tmp_path / "sources"
    shutil.copytree(assets.SOURCES, changed)
    (changed / "board.css").write_text("")
    monkeypatch.setattr(assets, "SOURCES", changed)
    assert assets.publish(tmp_path).board != first.board


def test_the_browser_gets_the_palettes_of_the_figures() -> None:
    lines = dict(
        line.removeprefix("export const ").rstrip(";").split(" = ", 1) for line in assets.palettes().splitlines()
    )
    assert json.loads(lines["DARK_OF"]) == theme.DARK_OF
    assert json.loads(lines["DARK"])["accent"] == theme.DARK.accent
    assert [lane["dash"] for lane in json.loads(lines["LANES"])] == [
        theme.lane(position).dash for position in range(theme.DISTINCT_LANES)
    ]


def test_data_never_becomes_markup_in_the_browser() -> None:
    for script in assets.SOURCES.glob("*.js"):
        text = script.read_text()
        for word in ("innerHTML", "insertAdjacentHTML", "outerHTML", "document.write", "eval("):
            assert word not in text, f"{script.name} uses {word}"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_scripts_parse() -> None:
    for script in assets.SOURCES.glob("*.js"):
        subprocess.run(["node", "--check", "--input-type=module", "-"], input=script.read_bytes(), check=True)
