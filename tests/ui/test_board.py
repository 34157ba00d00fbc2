from __future__ import annotations

import json
import shutil
import subprocess
import zlib
from pathlib import Path

import plotly
import pytest
from streamlit.testing.v1 import AppTest

from foam_viz.figures import theme
from foam_viz.figures.catalogue import BY_ID, PANELS
from foam_viz.figures.look import Look
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Lane, Scene
from foam_viz.ui import assets
from foam_viz.ui.board import Panel, Sent, _window, payload
from tests.synthetic import SyntheticRun

LOSS, SPECTRUM = BY_ID["loss"], BY_ID["spectrum"]


def _panel(value: float = 1.0) -> Panel:
    return Panel(LOSS, Drawing(figure={"data": [{"y": [value]}], "layout": {"uirevision": "x"}}, reading="r"))


def _decode(data: bytes) -> dict:
    return json.loads(zlib.decompress(data))


def test_the_first_payload_is_complete() -> None:
    sent = Sent()
    message = _decode(payload([_panel()], {"lanes": [], "status": [("step", "1", "")]}, sent))
    assert message["status"] == [["step", "1", ""]]
    (panel,) = message["panels"]
    assert panel["id"] == "loss" and panel["title"] == "Loss" and panel["help"] and panel["columns"] == 8
    assert panel["figure"] == {"data": [{"y": [1.0]}], "layout": {"uirevision": "x"}}


def test_unchanged_panels_send_nothing_but_their_revision() -> None:
    sent = Sent()
    first = _decode(payload([_panel()], {}, sent))["panels"][0]
    second = _decode(payload([_panel()], {}, sent))["panels"][0]
    assert second == {"id": "loss", "revision": first["revision"]}
    third = _decode(payload([_panel(2.0)], {}, sent))["panels"][0]
    assert third["revision"] != first["revision"] and third["figure"]["data"][0]["y"] == [2.0]


def test_a_changed_reading_alone_is_a_change() -> None:
    sent = Sent()
    payload([Panel(LOSS, Drawing(empty="a"))], {}, sent)
    message = _decode(payload([Panel(LOSS, Drawing(empty="b"))], {}, sent))
    assert message["panels"][0]["empty"] == "b" and message["panels"][0]["figure"] is None


def test_a_panel_that_went_away_is_sent_whole_when_it_returns() -> None:
    sent = Sent()
    payload([_panel(), Panel(SPECTRUM, Drawing(empty="e"))], {}, sent)
    payload([_panel()], {}, sent)
    message = _decode(payload([_panel(), Panel(SPECTRUM, Drawing(empty="e"))], {}, sent))
    assert "figure" not in message["panels"][0] and message["panels"][1]["empty"] == "e"


def test_text_of_any_kind_survives() -> None:
    text = 'a "quoted" </script> ε₀ \u2028 {"panels":[]}'
    message = _decode(payload([Panel(LOSS, Drawing(empty=text))], {"lanes": [{"label": text}]}, Sent()))
    assert message["lanes"][0]["label"] == text and message["panels"][0]["empty"] == text


def test_a_nan_is_a_gap() -> None:
    data = payload([_panel(float("nan"))], {}, Sent())
    assert b"NaN" not in zlib.decompress(data) and b"null" in zlib.decompress(data)


@pytest.mark.parametrize(
    ("kinds", "limit"), [(["foam"], 30_000), (["foam", "shampoo", "dr-shampoo", "adamw"], 100_000)]
)
def test_the_first_payload_of_a_long_run_is_small(kinds: list[str], limit: int) -> None:
    lanes = [Lane(SyntheticRun(kind, seed=i).advance(3000).trace, kind, i) for i, kind in enumerate(kinds)]
    panels = [Panel(spec, spec.draw(Scene(lanes, Look(factor=0)))) for spec in PANELS]
    assert len(payload(panels, {}, Sent())) < 0.6 * limit


APP = """
import streamlit as st
from pathlib import Path
from foam_viz.figures.catalogue import BY_ID
from foam_viz.figures.panel import Drawing
from foam_viz.ui import assets, board

assets.published = lambda: assets.Published("app/static/board-x", "app/static/plotly.js")
board.board(
    key="board",
    panels=[board.Panel(BY_ID["loss"], Drawing(empty="soon"))],
    lanes=[board.LaneChip(0, "FOAM", [("loss", "0.3", "h")], "running")],
    status=[("step", "1", "")],
    session={"view_id": "v", "control_key": None},
    everything=True,
    on_follow=lambda factor, lane: None,
)
st.text(len(st.session_state["board sent"].revisions))
"""


def test_the_board_mounts_in_a_page() -> None:
    page = AppTest.from_string(APP).run()
    assert not page.exception
    assert page.text[0].value == "1"


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


def test_a_zoomed_range_from_the_browser_is_two_ascending_finite_numbers_or_none() -> None:
    assert _window(None) is None
    assert _window([1, 2.5]) == (1.0, 2.5)
    for value in ([2, 1], [1], [1, 2, 3], [True, 2], ["1", 2], [float("nan"), 1.0], {"0": 1}, "12", 3):
        assert _window(value) is False, value
