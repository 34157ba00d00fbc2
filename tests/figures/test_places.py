"""A panel has a card where a run has its data or will have it; the page says what the others need."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from foam_viz.figures.catalogue import PANELS, panels_for
from foam_viz.figures.panel import without_place
from foam_viz.figures.panels import metrics
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Manifest, Trace, record_batch
from tests.figures.imported import intervals, totals
from tests.figures.reading import trace, values
from tests.synthetic import SyntheticRun


def _ids(trace_: Trace) -> list[str]:
    return [spec.id for spec in panels_for([Lane(trace_, "run", 0)])]


def _log(**columns: object) -> Trace:
    bare = Trace.empty(Manifest(run_id="t", name="t", format="table", status="finished"))
    bare.append("steps", record_batch("steps", columns))
    return bare


def test_a_log_without_factors_shows_what_it_has_and_no_empty_card() -> None:
    step = np.arange(1, 101)
    log = _log(step=step, loss=1 / step, accuracy=step / 100, gradient_norm=np.ones(100), learning_rate=1e-3 / step)
    assert _ids(log) == ["loss", "metric-learning_rate", "metric-gradient_norm", "metric-accuracy"]
    lanes = [Lane(log, "<i>log</i>", 0)]
    for spec in panels_for(lanes):
        drawing = spec.draw(Scene(lanes))
        assert drawing.figure is not None and "step" in drawing.moment + drawing.reading, spec.id
        go.Figure(drawing.figure)
        json.dumps(drawing.figure, allow_nan=False)
    words = without_place(PANELS, lanes)
    assert "Last decision, Factor map, Damping and drift and Refresh raster (needs checks of single factors)" in words
    assert "Spectrum and Spectrum over time (needs spectra of factors)" in words and "eigenbases" in words


def test_metrics_are_drawn_as_logged_each_on_its_own_axis() -> None:
    log = _log(step=[10, 20, 30], accuracy=[0.1, np.nan, 0.7], perplexity=[1e6, 1e3, 5.0])
    accuracy, perplexity = (spec.draw(Scene([Lane(log, "log", 2)])) for spec in metrics.cards([Lane(log, "log", 2)]))
    drawn = trace(accuracy.figure, "accuracy")
    assert values(drawn["x"]).tolist() == [10, 30] and "markers" in drawn["mode"]
    assert accuracy.reading == "0.700 at step 30; lowest 0.100, highest 0.700"
    (constant,) = metrics.cards([Lane(_log(step=[1, 2], rate=[0.5, 0.5]), "log", 0)])
    assert constant.draw(Scene([Lane(_log(step=[1, 2], rate=[0.5, 0.5]), "log", 0)])).reading.endswith(
        "the same all along"
    )
    assert perplexity.figure["layout"]["yaxis"]["type"] == "log" and "5.00 at step 30" in perplexity.reading


def test_more_metrics_than_cards_are_counted() -> None:
    log = _log(step=[1, 2], **{f"m{i}": [0.0, 1.0] for i in range(9)})
    cards = metrics.cards([Lane(log, "log", 0)])
    assert len(cards) == metrics.MOST and "6 of 9 further metrics" in cards[0].help


def test_a_log_of_intervals_has_the_cards_of_checks_and_not_those_of_snapshots() -> None:
    assert _ids(intervals()) == ["loss", "decision", "factor-map", "damping", "raster"]
    assert _ids(totals()) == ["loss"], "counts of all factors together are no checks of single ones"


@pytest.mark.parametrize(("kind", "count"), [("foam", 11), ("adamw", 2)])
@pytest.mark.parametrize("steps", [0, 5, 120])
def test_a_live_run_has_the_place_of_what_it_will_record(kind: str, count: int, steps: int) -> None:
    run = SyntheticRun(kind)
    run.trace.manifest = run.trace.manifest.with_(status="running")
    assert len(_ids(run.advance(steps).trace if steps else run.trace)) == count


def test_a_finished_run_promises_nothing() -> None:
    run = SyntheticRun("foam")
    run.advance(5)
    run.trace.manifest = run.trace.manifest.with_(status="finished")
    assert "factor-map" not in _ids(run.trace) and "damping" not in _ids(run.trace)
