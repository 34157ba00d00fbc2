"""Bundles with anything wrong: read, and drawn by every panel, or refused; never the page's end."""

from __future__ import annotations

import json
import logging
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foam_viz.analysis.findings import findings
from foam_viz.figures.catalogue import PANELS
from foam_viz.figures.look import Look
from foam_viz.figures.panel import Drawing, PanelSpec
from foam_viz.figures.scene import Lane, Scene
from foam_viz.logs.core.reading import read_all
from foam_viz.trace import TABLES, Trace, summarize
from foam_viz.trace.schema import LARGEST_STEP
from foam_viz.ui import isolation
from foam_viz.ui.feed import deflated, frame, recorded
from tests.trace import malformed

LONGEST = 2_000


def draw_everything(trace: Trace) -> None:
    """Every number and panel that the page makes of a run, at its end and in the middle, without any net."""
    label = trace.manifest.name
    json.dumps(summarize(trace), allow_nan=False)
    findings(trace)
    for moment in (None, 0, 3):
        recorded.cells(Lane(trace if moment is None else trace.truncated(moment), label, 0), 3)
    steps = trace.values("steps", "step")
    assert not len(steps) or 0 <= int(steps.min()) <= int(steps.max()) <= LARGEST_STEP, "beyond what the slider can"
    for factor in range(min(2, len(trace.manifest.factors))) or (None,):
        look = Look(factor=factor)
        for moment in (None, 50):
            then = trace if moment is None else trace.truncated(moment)
            for spec in PANELS:
                frame.body(spec, spec.draw(Scene([Lane(then, label, 0)], look)))


@pytest.mark.parametrize("what", malformed.MALFORMED)
def test_a_malformed_bundle_is_drawn_or_refused_with_words(what, tmp_path, caplog):
    folder = malformed.MALFORMED[what](tmp_path / "run")
    reading = read_all([folder])
    assert bool(reading.traces) != bool(reading.problems)
    for problem in reading.problems:
        assert "Error" not in problem.reason, "a defect, not an answer"
    for trace in reading.traces:
        draw_everything(trace)
        texts = [trace.manifest.name, *trace.manifest.notes, *(f.parameter for f in trace.manifest.factors)]
        assert all(text.isprintable() and len(text) <= LONGEST for text in texts)
    assert not caplog.records, "nothing had to be caught"


def _value(column: str, table: str) -> st.SearchStrategy:
    kind = str(TABLES[table].find(column).type)
    if kind.startswith("int"):
        edge = 2 ** (int(kind[3:]) - 1)
        return st.none() | st.sampled_from([-edge, edge - 1, -1, 0, 1, 50]) | st.integers(-edge, edge - 1)
    if kind == "double":
        return st.none() | st.floats()
    if kind == "list<item: int32>":
        return st.none() | st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=5)
    if kind.startswith("list"):
        numbers = st.floats(width=32) | st.none()
        return st.none() | st.lists(numbers, max_size=6) | st.builds(lambda v: [v] * 64, numbers)
    if kind == "binary":
        return st.none() | st.binary(max_size=20) | st.just(b"\x7f" * 4096)
    return st.text(max_size=50) | st.sampled_from(["cap", "input", "x" * 9_000, "\u202e\x1b[2J"])


COLUMNS = [(table.name, column.name) for table in TABLES.values() for column in table.columns]


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, str, dict[int, object]]:
    table, column = draw(st.sampled_from(COLUMNS))
    value = _value(column, table)
    if TABLES[table].find(column).required:
        value = value.filter(lambda v: v is not None)
    rows = st.integers(0, 80) | st.just(-1)
    return table, column, draw(st.dictionaries(rows, value, min_size=1, max_size=5))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(changes(), max_size=4), st.integers(0, 18), st.sampled_from(["reconstruction", "decision", "", "other"])
)
def test_any_bundle_is_drawn(mutations, factors, picture):
    whole = malformed.whole()
    tables = malformed.tables()
    for table, column, values in mutations:
        tables[table] = malformed.replaced(tables[table], column, values)
    manifest = whole.manifest.with_(factors=whole.manifest.factors[:factors], picture=picture)
    with TemporaryDirectory() as folder:
        reading = read_all([malformed.write(Path(folder) / "run", manifest, tables)])
    (trace,) = reading.traces
    if not mutations and factors == 18 and picture == "reconstruction":
        assert not trace.manifest.notes
    with np.errstate(all="ignore"):
        draw_everything(trace)


def _panel(draw) -> PanelSpec:
    return PanelSpec("broken", "Broken", "", draw, columns=6, height=200, reads=frozenset())


def test_a_panel_that_fails_says_so_in_its_card_and_in_the_log(caplog):
    def fail(scene):
        raise OverflowError("/srv/secret/place")

    with caplog.at_level(logging.ERROR):
        drawing = isolation.drawing(_panel(fail), Scene())
    assert drawing.empty.startswith("The panel Broken cannot be drawn from these runs (OverflowError).")
    assert "secret" not in drawing.empty and "secret" in caplog.text


def test_a_panel_that_cannot_be_sent_costs_its_own_card_only(caplog):
    drawings = Drawing(figure={"data": [2**70], "layout": {}}), Drawing(reading="good")
    with caplog.at_level(logging.ERROR):
        parts = [frame.encoded(_panel(lambda scene, made=made: made), Scene()).part for made in drawings]
    broken, good = (json.loads(zlib.decompress(deflated.joined([part]))) for part in parts)
    assert broken["empty"].startswith("The panel Broken cannot be drawn") and good["reading"] == "good"
