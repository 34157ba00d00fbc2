from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from foam_viz.trace import DECISIONS, TABLES, SchemaError, record_batch
from foam_viz.trace.batches import conform
from foam_viz.trace.document import renew, sections
from foam_viz.trace.schema import unit_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "trace.md"


def test_the_document_holds_every_table_as_the_schema_has_it():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert renew(text) == text, "run: python -m foam_viz.trace.document docs/trace.md"
    assert set(re.findall(r"<!-- generated: ([\w ]+) -->", text)) == set(sections())
    for table in TABLES.values():
        for column in table.columns:
            assert f"| `{column.name}` |" in sections()[f"table {table.name}"]
            assert column.meaning.endswith(".")
            assert "|" not in column.meaning


def test_a_batch_has_every_column_and_its_unit():
    batch = record_batch("steps", {"step": [1, 2], "loss": [0.5, None], "bleu": [1, 2]}, {"bleu": "%"})
    assert batch.schema.names[: len(TABLES["steps"].columns)] == [column.name for column in TABLES["steps"].columns]
    assert batch["held_out_loss"].null_count == 2
    assert unit_of(batch.schema.field("optimizer_seconds")) == "s"
    assert (batch.schema.field("bleu").type, unit_of(batch.schema.field("bleu"))) == (pa.float64(), "%")


def test_nan_and_inf_are_values_and_none_is_null():
    loss = record_batch("steps", {"step": [1, 2, 3, 4], "loss": [float("nan"), None, float("inf"), 1.0]})["loss"]
    assert loss.null_count == 1
    assert repr(loss.to_pylist()) == "[nan, None, inf, 1.0]"
    assert record_batch("steps", {"step": [1], "loss": np.array([np.nan])})["loss"].null_count == 0


def test_list_columns_take_rows_or_a_matrix_and_round_to_float32():
    matrix = np.array([[0.1, 0.2], [0.3, 0.4]])
    rows = record_batch("snapshots", {"step": [1, 2], "factor": [0, 0], "eigenvalues": list(matrix)})
    block = record_batch("snapshots", {"step": [1, 2], "factor": [0, 0], "eigenvalues": matrix})
    assert rows["eigenvalues"].equals(block["eigenvalues"])
    ragged = record_batch("snapshots", {"step": [1, 2, 3], "factor": [0, 0, 0], "eigenvalues": [[1.0], None, [2, 3]]})
    assert ragged["eigenvalues"].to_pylist() == [[1.0], None, [2.0, 3.0]]


@pytest.mark.parametrize(
    ("table", "columns", "words"),
    [
        ("checks", {"step": [1], "tau": [0.5]}, "unknown column 'tau'"),
        ("checks", {"step": [1.5]}, "checks.step: must be int64"),
        ("checks", {"step": [1], "decision": ["maybe"]}, "'maybe' is none of first, reuse"),
        ("checks", {"step": [1, 2], "checks": [1]}, "different lengths"),
        ("checks", {"factor": [1]}, "checks.step: a row has no value"),
        ("snapshots", {"step": [1], "factor": [None]}, "snapshots.factor: a row has no value"),
        ("snapshots", {"step": [1], "factor": [0], "overlap": [np.zeros(4)]}, "snapshots.overlap"),
        ("steps", {"step": [1], "note": ["text"]}, "steps.note: must be double"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(table, columns, words):
    with pytest.raises(SchemaError, match=re.escape(words)):
        record_batch(table, columns)
    with pytest.raises(KeyError, match="a trace has steps, checks"):
        record_batch("losses", columns)


def test_decisions_have_one_code_everywhere():
    written = record_batch("checks", {"step": [1, 2], "decision": ["failure", None]})
    assert written["decision"].dictionary.to_pylist() == list(DECISIONS)
    foreign = pa.table({"step": pa.array([1, 2], pa.int32()), "decision": ["cap", "by-lottery"]})
    fitted = conform("checks", foreign)
    assert fitted["decision"].to_pylist() == ["cap", "by-lottery"]
    assert fitted["decision"].chunk(0).indices.to_pylist() == [DECISIONS.index("cap"), len(DECISIONS)]


def test_rows_of_a_later_version_keep_their_further_columns():
    later = pa.table({"step": [1], "kind": ["fork"], "parent": ["abc"]})
    assert conform("events", later)["parent"].to_pylist() == ["abc"]
    with pytest.raises(SchemaError, match="events.step"):
        conform("events", pa.table({"step": ["one"], "kind": ["fork"]}))
