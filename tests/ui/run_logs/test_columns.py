"""The table of columns: what an edit of it means."""

from __future__ import annotations

from foam_viz.logs.core.reader import ColumnRule
from foam_viz.trace import Manifest, Trace
from foam_viz.ui.run_logs.columns import LEFT_OUT, rows_of, rules_of


def trace(*sources: str) -> Trace:
    columns = tuple({"source": name, "target": name, "unit": "", "scale": 1.0, "samples": ["1"]} for name in sources)
    return Trace.empty(Manifest(run_id="r", name="r", format="table", source_columns=columns))


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
