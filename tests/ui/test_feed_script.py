"""How the board speaks to the feed, without a browser: feed.js under node, with a connection and a clock of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from foam_viz.ui.board.assets import SOURCES

SCRIPT = Path(__file__).with_name("feed_script.mjs")
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


@pytest.fixture(scope="module")
def seen() -> dict:
    command = ["node", "--no-warnings", str(SCRIPT), str(SOURCES / "feed.js")]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)


def test_one_look_is_under_way_and_the_newest_wins(seen: dict) -> None:
    assert seen["underWay"] == [[1, None], [2, 5]]
    assert seen["olderAnswer"] == seen["underWay"], "a frame for an older request is no answer"
    assert seen["answered"] == [[1, None], [2, 5], [3, 7]], "6 was overtaken"
    assert seen["unanswered"][-1] == [4, 8], "an answer that never comes holds nothing up"


def test_frames_are_acknowledged_once_applied(seen: dict) -> None:
    assert seen["got"] == [1, 2, 3] and seen["frames"] == [1, 2, 3, 4, 1]


def test_panels_that_come_into_sight_together_are_asked_for_once(seen: dict) -> None:
    assert seen["sight"] == [["a", "b"]]


def test_a_lost_connection_is_sought_ever_less_often_and_told_after_two_seconds(seen: dict) -> None:
    assert seen["pauses"] == [250, 500, 1000, 2000, 4000, 5000, 5000]
    assert seen["lost"] == [[2000, "Connection lost, trying again"]]
    assert seen["whole"]["look"] == {"at": 8} and seen["whole"]["panels"] == ["a", "b"]


def test_what_was_refused_is_asked_again_only_when_something_else_is_looked_at(seen: dict) -> None:
    assert seen["refused"] == 0 and seen["said"] == "gone" and seen["anew"] == 1
    assert seen["again"] == 2, "where the answer says so, it is asked again after a while"


def test_what_was_gone_is_asked_for_again_once_the_page_was_drawn_again(seen: dict) -> None:
    assert seen["gone"] == 2, "the page is told each time"
    assert seen["left"] == 0 and seen["retried"] == 1
