"""Panels on logs of other programs: what they counted over intervals is points and counts, never a step line."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from foam_viz.analysis.settings import settings_at
from foam_viz.figures.catalogue import PANELS
from foam_viz.figures.look import Look
from foam_viz.figures.panel import PanelSpec
from foam_viz.figures.panels import damping, decision, factor_map, loss, overlap, raster, spectrum
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Manifest, Trace, record_batch
from tests.figures.imported import intervals, totals
from tests.figures.reading import trace, traces, values

LANE = Lane(intervals(), "log", 0)


@pytest.mark.parametrize("spec", PANELS, ids=lambda spec: spec.id)
def test_no_panel_draws_a_step_line_between_intervals(spec: PanelSpec) -> None:
    drawing = spec.draw(Scene([LANE], Look(factor=1)))
    assert drawing.figure or drawing.empty or drawing.text
    if drawing.figure is None:
        return
    go.Figure(drawing.figure)
    json.dumps(drawing.figure, allow_nan=False)
    for drawn in drawing.figure["data"]:
        if drawn["type"] == "scatter" and drawn["meta"]["series"] not in ("mean",):
            assert "markers" in drawn["mode"], drawn["meta"]
            assert drawn["mode"] == "markers" or drawn.get("line", {}).get("shape") is None


def test_damping_of_intervals_is_points_at_their_ends() -> None:
    figure = damping.draw(Scene([LANE], Look(factor=1))).figure
    for series in ("epsilon", "drift"):
        drawn = trace(figure, series)
        assert drawn["mode"] == "markers"
        np.testing.assert_array_equal(values(drawn["x"]), [32, 64, 96, 128])
    np.testing.assert_allclose(values(trace(figure, "epsilon")["y"]), [1.5e-4, 2.5e-4, 3.5e-4, 4.5e-4], rtol=1e-6)


def test_decompositions_of_intervals_are_counted_bars() -> None:
    drawn = trace(damping.draw(Scene([LANE], Look(factor=1))).figure, "counts")
    np.testing.assert_allclose(values(drawn["x"]), [16.5, 80.5])
    np.testing.assert_allclose(values(drawn["error_x"]["array"]), 15.5)
    assert drawn["text"] == ["3", "3"]
    assert values(drawn["customdata"]).tolist() == [[3, 16], [3, 16]]
    assert traces(damping.draw(Scene([LANE], Look(factor=1))).figure, "refresh") == []


def test_the_raster_says_that_reasons_are_not_told() -> None:
    drawing = raster.draw(Scene([LANE], Look(factor=0)))
    assert [entry["name"] for entry in traces(drawing.figure, "legend")] == [
        "all reused",
        "decomposed, reason not told",
        "the last one, where the log says it was",
    ]
    assert "counts by intervals" in drawing.reading and "a mark stands for" not in drawing.reading


def test_intervals_are_bars_with_their_counts_and_no_invented_checks() -> None:
    """Four intervals of 32 steps with 16 checks each: four columns, not 64 marks."""
    figure = raster.draw(Scene([LANE], Look(factor=1))).figure
    drawn = trace(figure, "raster")
    assert values(drawn["z"]).shape == (3, 4)
    assert values(drawn["x"]).tolist() == [0, 32, 64, 96, 128]
    assert drawn["text"][0] == ["3/16", "0/16", "3/16", "0/16"]
    assert drawn["hovertext"][0][0].endswith("steps 1–32: 3 of 16 checks decomposed")
    stated = trace(figure, "stated")
    np.testing.assert_allclose(values(stated["x"]), np.repeat([28.5, 92.5], 3))
    assert values(stated["customdata"]).tolist() == [29] * 3 + [93] * 3


@pytest.mark.parametrize("length", [1, 7, 32, 60])
@pytest.mark.parametrize("epochs", [1, 3, 250])
def test_bars_of_intervals_end_with_the_log(length: int, epochs: int) -> None:
    lane = Lane(intervals(epochs=epochs, length=length), "log", 0)
    drawn = trace(raster.draw(Scene([lane], Look(factor=0))).figure, "raster")
    edges = values(drawn["x"])
    assert len(edges) == values(drawn["z"]).shape[1] + 1 <= 201 and edges[0] >= 0 and edges[-1] == epochs * length


def test_the_decision_card_speaks_of_the_interval() -> None:
    card = {label: value for label, value, _ in decision.draw(Scene([LANE], Look(factor=1))).text}
    assert card["last interval"] == "0 of 16 checks decomposed" and card["interval"] == "steps 97 to 128"
    assert "decision" not in card and "because" not in card
    assert card["spent so far"].startswith("6 of 64 checks")


@pytest.mark.parametrize("panel", [spectrum, overlap])
def test_without_snapshots_panels_say_that_the_run_recorded_none(panel: object) -> None:
    drawing = panel.draw(Scene([LANE], Look(factor=1)))
    assert drawing.figure is None and "log did not" in drawing.empty and "step" not in drawing.empty


@pytest.mark.parametrize("panel", [damping, factor_map, raster, decision, spectrum, overlap])
def test_totals_of_all_factors_are_not_taken_for_a_run_that_has_not_begun(panel: object) -> None:
    without = panel.draw(Scene([Lane(totals(), "all", 0)], Look(factor=0)))
    assert without.figure is None and "all factors" not in without.reading
    assert "counts them all together" in without.empty
    named = panel.draw(Scene([Lane(totals(with_factors=True), "all", 0)], Look(factor=0)))
    assert named.figure is None and "all did not" in named.empty


def test_a_foreign_log_without_factors_is_not_said_to_keep_none() -> None:
    bare = Trace.empty(Manifest(run_id="t", name="t", format="table", optimizer=""))
    bare.append("steps", record_batch("steps", {"step": [1, 2], "loss": [1.0, 0.5]}))
    empty = damping.draw(Scene([Lane(bare, "table", 0)], Look(factor=0))).empty
    assert "tells of single factors" in empty and "keeps none" not in empty


@pytest.mark.parametrize(
    ("optimizer", "tau", "cap", "residual"),
    [("foam", 0.5, 0.1, False), ("dr_shampoo", 0.4, None, True), ("stale_shampoo", None, None, False)],
)
def test_settings_of_the_artifact_are_those_of_the_run_s_own_optimizer(
    optimizer: str, tau: float | None, cap: float | None, residual: bool
) -> None:
    chosen = settings_at(intervals(optimizer).view(), 128)
    assert (chosen.tau, chosen.epsilon_max, chosen.residual) == (tau, cap, residual)
    assert (chosen.epsilon, chosen.period, chosen.start) == (1e-4, 2, 2)


def test_few_losses_are_points_and_not_called_steps() -> None:
    drawing = loss.draw(Scene([LANE]))
    assert trace(drawing.figure, "raw")["mode"] == "lines+markers"
    assert "at step 128" in drawing.reading and "steps" not in drawing.reading


def test_a_log_with_held_out_losses_alone_is_drawn() -> None:
    bare = Trace.empty(Manifest(run_id="t", name="t", format="table"))
    bare.append("steps", record_batch("steps", {"step": [100, 200], "held_out_loss": [1.0, 0.5]}))
    drawing = loss.draw(Scene([Lane(bare, "held", 0)]))
    np.testing.assert_array_equal(values(trace(drawing.figure, "held-out")["y"]), [1.0, 0.5])
    assert "0.500" in drawing.reading and "held out, at step 200" in drawing.reading
