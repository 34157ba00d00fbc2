"""Corrections of columns, remembered in a file that may be missing, broken or too large."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foam_viz.logs.reader import ColumnRule
from foam_viz.trace import Manifest, Trace
from foam_viz.ui.logs_columns import LEFT_OUT, rows_of, rules_of
from foam_viz.ui.logs_memory import MOST_BYTES, MOST_ENTRIES, ColumnMemory, shape_of

RULES = {"a": ColumnRule(target="loss"), "t": ColumnRule(target="total_seconds", unit="s", scale=0.001)}


def trace(*sources: str, kind: str = "table") -> Trace:
    columns = tuple({"source": name, "target": name, "unit": "", "scale": 1.0, "samples": ["1"]} for name in sources)
    return Trace.empty(Manifest(run_id="r", name="r", format=kind, source_columns=columns))


def test_the_shape_is_the_format_and_the_set_of_columns() -> None:
    assert shape_of(trace("a", "b")) == shape_of(trace("b", "a"))
    assert shape_of(trace("a", "b")) != shape_of(trace("a"))
    assert shape_of(trace("a")) != shape_of(trace("a", kind="wandb"))
    assert shape_of(trace()) == ""


def test_rules_are_remembered_and_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "data" / "log_columns.json"
    ColumnMemory(path).remember("shape", RULES)
    again = ColumnMemory(path)
    assert again.rules("shape") == RULES
    assert again.rules("other") == {}
    again.remember("shape", {})
    assert ColumnMemory(path).rules("shape") == {}


def test_the_oldest_go_first(tmp_path: Path) -> None:
    memory = ColumnMemory(tmp_path / "m.json")
    document = {str(number): {"a": {"target": "loss"}} for number in range(MOST_ENTRIES)}
    memory.path.write_text(json.dumps({"version": 1, "columns": document}))
    memory.remember("new", RULES)
    assert memory.rules("0") == {}
    assert memory.rules("1") and memory.rules("new") == RULES


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"version": 2, "columns": {}}',
        '{"version": 1, "columns": {"s": {"a": {"target": 3}}}}',
        '{"version": 1, "columns": {"s": {"a": {"target": "x", "scale": NaN}}}}',
        '{"version": 1, "columns": {"s": {"a": {"target": "x", "scale": 0}}}}',
        '{"version": 1, "columns": {"s": {"a": {"target": "x", "scale": true}}}}',
        " " * (MOST_BYTES + 1),
        "[" * 100_000,
    ],
)
def test_a_file_that_cannot_be_used_is_set_aside_aloud(tmp_path: Path, text: str) -> None:
    memory = ColumnMemory(tmp_path / "m.json")
    memory.path.write_text(text)
    assert memory.rules("s") == {}
    assert "m.json" in memory.problem
    memory.remember("s", RULES)
    assert memory.rules("s") == RULES
    assert memory.problem == ""


def test_an_edited_table_becomes_rules() -> None:
    before = rows_of(trace("step", "ms", "x"))
    after = [dict(row) for row in before]
    after[1] |= {"target": "total_seconds", "unit": "ms", "scale": 0.001}
    after[2] |= {"target": LEFT_OUT}
    rules, wrong = rules_of(before, after, {"old": ColumnRule(target="y")})
    assert not wrong
    assert rules == {
        "old": ColumnRule(target="y"),
        "ms": ColumnRule(target="total_seconds", unit="s", scale=0.001),  # the schema's own unit
        "x": ColumnRule(target=""),
    }


def test_edits_that_cannot_be_are_refused_by_name() -> None:
    before = rows_of(trace("step", "a", "b"))
    after = [dict(row) for row in before]
    after[1] |= {"target": "loss"}
    after[2] |= {"target": "loss"}
    rules, wrong = rules_of(before, after, {})
    assert rules == {}
    assert "a, b cannot all be loss" in wrong[0]
    after[2] |= {"target": "b", "scale": 0.0}
    assert "b: the scale" in rules_of(before, after, {})[1][0]
