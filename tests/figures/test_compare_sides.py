"""Refresh rates and damping of left and right factors."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from foam_viz.analysis.totals import side_factors
from foam_viz.figures.compare import damping as compare_damping
from foam_viz.figures.compare import rates as compare_rates
from foam_viz.figures.look import Look
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace.counts import PER_FACTOR
from tests.figures.imported import intervals, totals
from tests.figures.reading import trace, traces, values
from tests.synthetic import SyntheticRun

BOTH = pytest.mark.parametrize("panel", [compare_rates, compare_damping], ids=["rates", "damping"])
IMPORTED = Lane(intervals(), "log", 5)


def _checked(drawing: Drawing) -> dict:
    figure = drawing.figure
    assert figure is not None and drawing.reading
    go.Figure(figure)
    json.dumps(figure, allow_nan=False)
    for drawn in figure["data"]:
        assert drawn["mode"] == "markers" and "line" not in drawn, "what happened between is not known"
        assert drawn["hovertemplate"]
    assert figure["layout"]["xaxis"]["title"]["text"] and figure["layout"]["yaxis"]["title"]["text"]
    return figure


def test_rates_are_those_of_the_checks(lanes: list[Lane], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_rates, "BINS", 7)
    figure = _checked(compare_rates.draw(Scene(lanes[:1])))
    held = lanes[0].trace
    for side in ("left", "right"):
        drawn = trace(figure, PER_FACTOR, side=side)
        mine = np.isin(held.values("checks", "factor"), side_factors(held, side))
        step, done = held.values("checks", "step")[mine], held.values("checks", "decompositions")[mine]
        expected = [done[(step > low) & (step <= low + 100)].sum() / 6 for low in range(0, 700, 100)]
        np.testing.assert_allclose(values(drawn["y"]), expected, rtol=1e-6)


def test_left_and_right_differ_by_more_than_colour(lanes: list[Lane]) -> None:
    for panel in (compare_rates, compare_damping):
        figure = _checked(panel.draw(Scene(lanes[:2])))
        looks = {(drawn["marker"]["color"], drawn["marker"]["symbol"]) for drawn in figure["data"]}
        assert len(looks) == len(figure["data"]) == 4


def test_intervals_of_a_log_are_points_as_wide_as_the_interval() -> None:
    figure = _checked(compare_rates.draw(Scene([IMPORTED])))
    drawn = trace(figure, PER_FACTOR, side="left")
    np.testing.assert_allclose(values(drawn["y"]), [100 * 3 / 32, 0, 100 * 3 / 32, 0], rtol=1e-6)
    np.testing.assert_allclose(values(drawn["x"]), [16.5, 48.5, 80.5, 112.5])
    np.testing.assert_allclose(values(drawn["error_x"]["array"]), 15.5)


def test_damping_of_intervals_stands_at_their_ends() -> None:
    drawn = trace(_checked(compare_damping.draw(Scene([IMPORTED]))), "median damping", side="right")
    np.testing.assert_allclose(values(drawn["x"]), [32, 64, 96, 128])
    np.testing.assert_allclose(values(drawn["y"]), [1.5e-4, 2.5e-4, 3.5e-4, 4.5e-4], rtol=1e-6)
    assert "error_x" not in drawn


def test_damping_is_the_median_with_the_range_over_factors(lanes: list[Lane], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_damping, "BINS", 7)
    held = lanes[0].trace
    drawn = trace(_checked(compare_damping.draw(Scene(lanes[:1]))), "median damping", side="left")
    mine = np.isin(held.values("checks", "factor"), side_factors(held, "left"))
    last = mine & (held.values("checks", "step") > 600)
    epsilon = held.values("checks", "epsilon")[last]
    y, error = values(drawn["y"])[-1], drawn["error_y"]
    assert y == pytest.approx(np.median(epsilon), rel=1e-5)
    assert y + values(error["array"])[-1] == pytest.approx(epsilon.max(), rel=1e-5)
    assert y - values(error["arrayminus"])[-1] == pytest.approx(epsilon.min(), rel=1e-4)


def test_totals_are_drawn_and_said_to_be_totals() -> None:
    counted = totals()
    counted.manifest = counted.manifest.with_(extra={"factor_count": 3})
    drawing = compare_rates.draw(Scene([Lane(counted, "all", 0)]))
    drawn = trace(_checked(drawing), PER_FACTOR, side="all")
    np.testing.assert_allclose(values(drawn["y"]), [100 * done / 3 / 32 for done in (9, 3, 6)], rtol=1e-6)
    assert "all 6.25 (12\u202f% of its checks), left and right not told apart up to step 96" in drawing.reading
    silent = compare_rates.draw(Scene([Lane(totals(), "all", 0)]))
    assert silent.figure is None and "how many factors its 18 decompositions are of" in silent.empty


def test_refresh_rates_of_two_periods_differ_although_both_always_decompose() -> None:
    lanes = [Lane(SyntheticRun("shampoo", seed=0).advance(700).trace, "f = 50", 0)]
    drawing = compare_rates.draw(Scene(lanes))
    assert "(100\u202f% of its checks)" in drawing.reading and "left 2." in drawing.reading


@BOTH
def test_runs_without_checks_are_named_and_alone_say_what_would_appear(panel: object, lanes: list[Lane]) -> None:
    drawing = panel.draw(Scene([lanes[0], lanes[3]]))
    assert {drawn["meta"]["lane"] for drawn in _checked(drawing)["data"]} == {0} and "AdamW" in drawing.reading
    alone = panel.draw(Scene([lanes[3]]))
    assert alone.figure is None and "appear" in alone.empty and "AdamW" in alone.empty
    assert panel.draw(Scene([])).empty


@BOTH
@pytest.mark.parametrize("axis", ["step", "relative", "fair_time", "decompositions"])
@pytest.mark.parametrize("log", [False, True])
def test_progress_along_every_axis(panel: object, axis: str, log: bool, lanes: list[Lane]) -> None:
    figure = _checked(panel.draw(Scene(lanes[:2], Look(x=axis, log_x=log))))
    low, high = figure["layout"]["xaxis"]["range"]
    for drawn in figure["data"]:
        x = np.log10(values(drawn["x"])) if log else values(drawn["x"])
        assert np.isfinite(x).all() and (x >= low - 1).all() and (x <= high).all()


@BOTH
def test_an_axis_that_a_run_lacks_is_no_error(panel: object) -> None:
    drawing = panel.draw(Scene([IMPORTED], Look(x="tokens")))
    assert drawing.figure is None and "log has no place on this axis" in drawing.empty


@BOTH
def test_many_runs_and_one_brought_forward(panel: object) -> None:
    many = [Lane(intervals(), f"<{i}>", i) for i in range(20)]
    figure = _checked(panel.draw(Scene(many, Look(highlight=4))))
    assert len(traces(figure, figure["data"][0]["meta"]["series"])) == 40
    assert all(("rgba" in drawn["marker"]["color"]) == (drawn["meta"]["lane"] != 4) for drawn in figure["data"])
    assert all(drawn["name"].startswith("&lt;") for drawn in figure["data"])
