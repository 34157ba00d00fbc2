"""Corrections of columns: for which logs they hold."""

from __future__ import annotations

from foam_viz.logs.core.reader import ColumnRule
from foam_viz.trace import Manifest, Trace
from foam_viz.ui.session import corrections
from foam_viz.ui.session.corrections import Corrections

RULES = {"a": ColumnRule(target="loss"), "t": ColumnRule(target="total_seconds", unit="s", scale=0.001)}
OTHER = {"a": ColumnRule(target="held_out_loss")}


def trace(*sources: str, kind: str = "table") -> Trace:
    columns = tuple({"source": name, "target": name, "unit": "", "scale": 1.0, "samples": ["1"]} for name in sources)
    return Trace.empty(Manifest(run_id="r", name="r", format=kind, source_columns=columns))


def test_a_correction_holds_for_logs_with_the_same_columns_of_the_same_format() -> None:
    kept = Corrections()
    kept.keep(trace("a", "t"), RULES)
    assert kept.of(trace("t", "a")) == RULES
    assert kept.of(trace("a")) == {}
    assert kept.of(trace("a", "t", kind="wandb")) == {}
    assert kept.of(trace()) == {}


def test_a_log_that_grew_a_column_keeps_its_correction() -> None:
    kept = Corrections()
    kept.keep(trace("a", "t"), RULES)
    assert kept.of(trace("a", "t", "evaluation")) == RULES
    kept.keep(trace("a", "t", "evaluation"), OTHER)
    assert kept.of(trace("a", "t", "evaluation")) == OTHER
    assert kept.of(trace("a", "t")) == RULES
    kept.keep(trace("a", "t", "evaluation"), {})
    assert kept.of(trace("a", "t", "evaluation")) == kept.of(trace("a", "t")) == {}


def test_a_run_without_named_columns_has_no_corrections() -> None:
    kept = Corrections()
    kept.keep(trace(), RULES)
    assert kept.of(trace()) == kept.of(trace("a")) == {}


def test_the_oldest_go_first(monkeypatch) -> None:
    monkeypatch.setattr(corrections, "MOST", 2)
    kept = Corrections()
    for name in ("x", "y", "z"):
        kept.keep(trace(name), RULES)
    assert [kept.of(trace(name)) for name in ("x", "y", "z")] == [{}, RULES, RULES]
    kept.keep(trace("y"), OTHER)
    kept.keep(trace("w"), RULES)
    assert kept.of(trace("z")) == {} and kept.of(trace("y")) == OTHER
