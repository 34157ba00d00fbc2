"""docs/feed.md names every field of both directions, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path

from foam_viz.figures.look_fields import BY_NAME
from foam_viz.ui.feed import protocol
from tests.ui.feed.client import Served

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "feed.md").read_text()


def fields(after: str) -> list[str]:
    """The names in the first column of the first table after some words."""
    table = TEXT[TEXT.index(after) :].partition("\n|---")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[1:]]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_every_field_is_documented() -> None:
    assert fields("**A request**") == list(protocol.REQUEST)
    assert fields("**An answer to a frame**") == list(protocol.GOT)
    assert fields("### Look") == list(BY_NAME)
    assert sorted(fields("**A frame**")) == sorted(protocol.FRAME)
    assert fields("A lane:") == list(protocol.LANE)
    assert fields("A panel comes") == list(protocol.PANEL)
    assert fields("**A problem**") == list(protocol.PROBLEM)


def test_the_example_runs(served: Served, capsys) -> None:
    (example,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", TEXT, re.DOTALL)
    exec(example.replace("8501", str(served.port)), {})
    assert "recorded" in capsys.readouterr().out


def test_the_limits_are_those_of_the_code() -> None:
    from foam_viz.ui.feed import feed, watcher

    assert f"at most {protocol.MESSAGE_BYTES:,} bytes" in TEXT
    assert f"within {watcher._PATIENCE_SECONDS:.0f} s" in TEXT
    assert f"more than {feed._MOST_OF_ONE} connections of one address, or {feed._MOST:,} in all" in TEXT
    assert f"more than {1 / watcher._MESSAGE_SECONDS:.0f} messages a second" in TEXT
