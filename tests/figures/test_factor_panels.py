"""Panels that follow one factor or show all of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from foam_viz.figures import damping, factor_map, overlap, raster, spectrum
from foam_viz.figures.columns import DECISION_ORDER, checks
from foam_viz.figures.panel import Lane, View
from foam_viz.trace import Manifest, Trace, record_batch
from tests.figures.reading import trace, traces, values
from tests.synthetic import SyntheticRun, factor_infos


def _rows(lane: Lane, factor: int) -> np.ndarray:
    return np.flatnonzero(lane.trace.values("checks", "factor") == factor)


def test_damping_draws_the_recorded_steps(lanes: list[Lane]) -> None:
    figure = damping.draw(lanes[:1], View(factor=4)).figure
    rows = _rows(lanes[0], 4)
    drawn = trace(figure, "epsilon")
    assert drawn["line"]["shape"] == "hv"
    np.testing.assert_array_equal(values(drawn["x"]), lanes[0].trace.values("checks", "step")[rows])
    np.testing.assert_array_equal(values(drawn["y"]), lanes[0].trace.values("checks", "epsilon")[rows].astype("f4"))
    drift = lanes[0].trace.values("checks", "proxy")[rows]
    np.testing.assert_array_equal(values(trace(figure, "drift")["y"]), drift[np.isfinite(drift)].astype("f4"))


def test_refresh_ticks_carry_their_reason(lanes: list[Lane]) -> None:
    figure = damping.draw(lanes[:1], View(factor=4)).figure
    rows = _rows(lanes[0], 4)
    words = np.array(lanes[0].trace.values("checks", "decision"))[rows]
    steps = lanes[0].trace.values("checks", "step")[rows]
    assert {tick["meta"]["reason"] for tick in traces(figure, "refresh")} == set(words) - {"reuse"}
    np.testing.assert_array_equal(values(trace(figure, "refresh", reason="cap")["x"]), steps[words == "cap"])


def test_thresholds_are_drawn_where_the_optimizer_has_them(lanes: list[Lane]) -> None:
    foam = damping.draw(lanes[:1], View(factor=0)).figure["layout"]
    assert {shape["y0"] for shape in foam["shapes"]} == {1e-9, 3e-7, 0.75}
    shampoo = damping.draw(lanes[1:2], View(factor=0, lane=1)).figure["layout"]
    assert {shape["y0"] for shape in shampoo["shapes"]} == {1e-9}


def test_the_residual_takes_the_place_of_the_proxy(lanes: list[Lane]) -> None:
    drawing = damping.draw(lanes[2:3], View(factor=0, lane=2))
    rows = _rows(lanes[2], 0)
    residual = lanes[2].trace.values("checks", "residual")[rows]
    np.testing.assert_array_equal(
        values(trace(drawing.figure, "drift")["y"]), residual[np.isfinite(residual)].astype("f4")
    )
    assert "r = " in drawing.reading


def test_other_lanes_are_thin_lines_of_the_same_factor(lanes: list[Lane]) -> None:
    figure = damping.draw(lanes, View(factor=0)).figure
    widths = {line["meta"]["lane"]: line["line"]["width"] for line in traces(figure, "drift")}
    assert widths == {0: 2, 1: 1, 2: 1}


def test_true_errors_stand_beside_the_proxy(lanes: list[Lane]) -> None:
    drawn = trace(damping.draw(lanes[:1], View(factor=0)).figure, "true error")
    recorded = lanes[0].trace.factor_rows("snapshots", 0).column("true_error").to_numpy().astype("f4")
    assert drawn["mode"] == "markers" and set(values(drawn["y"])) <= set(recorded)


def test_spectrum_counts_what_is_damped_away(lanes: list[Lane]) -> None:
    drawing = spectrum.draw(lanes[:1], View(factor=0))
    snapshot = lanes[0].trace.latest_snapshot(0)
    np.testing.assert_array_equal(values(trace(drawing.figure, "eigenvalues")["y"]), snapshot.eigenvalues)
    np.testing.assert_array_equal(values(trace(drawing.figure, "ghost")["y"]), snapshot.basis_eigenvalues)
    below = int((snapshot.eigenvalues < snapshot.epsilon).sum())
    assert f"damped away: {below} of 128 directions" in drawing.reading
    assert values(trace(drawing.figure, "damping")["y"])[0] == np.float32(snapshot.epsilon)


def test_the_range_of_the_spectrum_only_grows() -> None:
    run = SyntheticRun("foam")
    before = None
    for _ in range(10):
        span = spectrum.draw([Lane(run.advance(60).trace, "FOAM", 0)], View(factor=0)).figure["layout"]["yaxis"][
            "range"
        ]
        assert before is None or (span[0] <= before[0] and span[1] >= before[1])
        before = span


def test_overlap_is_drawn_as_recorded_on_a_fixed_scale(lanes: list[Lane]) -> None:
    drawing = overlap.draw(lanes[:1], View(factor=0))
    drawn = trace(drawing.figure, "overlap")
    assert drawn["z"]["dtype"] == "u1" and (drawn["zmin"], drawn["zmax"]) == (0, 255)
    recorded = lanes[0].trace.latest_snapshot(0).overlap
    np.testing.assert_array_equal(values(drawn["z"]), recorded)
    turned = round(100 * (1 - recorded.diagonal().mean() / 255))
    assert f"{turned}\u202f% of the basis has turned since step" in drawing.reading


def test_factor_map_has_a_cell_for_every_factor(lanes: list[Lane]) -> None:
    figure = factor_map.draw(lanes[:1], View(factor=5)).figure
    drawn = trace(figure, "factors")
    factors = np.array(drawn["customdata"])
    assert sorted(factors[factors >= 0]) == list(range(18)) and factors.shape == (3, 6)
    newest = lanes[0].trace.values("checks", "proxy")[-18:]
    colours = values(drawn["z"])
    for factor, drift in enumerate(newest):
        assert colours[factors == factor][0] == pytest.approx(np.log2(drift / 0.75), abs=1e-5)
    (row, column) = np.argwhere(factors == 5)[0]
    outline = figure["layout"]["shapes"][-1]
    assert outline["x0"] < column < outline["x1"] and outline["y0"] < row < outline["y1"]


def test_without_tau_the_map_shows_plain_drift(lanes: list[Lane]) -> None:
    drawing = factor_map.draw(lanes[1:2], View(factor=0, lane=1))
    newest = lanes[1].trace.values("checks", "proxy")[-18:]
    assert np.nanmax(values(trace(drawing.figure, "factors")["z"])) == pytest.approx(np.log10(newest.max()), abs=1e-5)
    assert "largest h" in drawing.reading


def test_raster_marks_every_check_with_its_decision(lanes: list[Lane]) -> None:
    drawing = raster.draw(lanes[:1], View(factor=0))
    drawn = trace(drawing.figure, "raster")
    codes, rows = values(drawn["z"]), checks(lanes[0])
    assert codes.shape == (18, 70) and drawn["dx"] == 10
    for step, factor, decision in zip(rows.step, rows.factor, rows.decision, strict=True):
        reason = DECISION_ORDER[decision]
        full = 1 if reason == "reuse" else 2 + 4 * (decision - 1) + 3
        assert codes[factor, (step - 1) // 10] == full
    total = int(rows.decompositions.sum())
    assert f"{total:,} decompositions in {len(rows):,} checks" in drawing.reading


def test_crowded_checks_become_strips(long_lanes: list[Lane]) -> None:
    drawing = raster.draw(long_lanes[:1], View(factor=0))
    codes = values(trace(drawing.figure, "raster")["z"])
    assert codes.shape[1] <= 200 and "a mark stands for 8 checks" in drawing.reading
    reuse, first, cap, cadence = 1, 2, 2 + 4 * 2, 2 + 4 * 1
    assert set(np.unique(codes)) == {reuse, first, cap}, "one of eight checks decomposed: the weakest strength"
    every = raster.draw(long_lanes[1:2], View(factor=0, lane=1))
    assert np.unique(values(trace(every.figure, "raster")["z"])).tolist() == [cadence + 3], "all of them: the strongest"


def test_intervals_of_imported_logs_fill_the_steps_they_cover() -> None:
    trace_ = Trace.empty(Manifest(run_id="log", name="log", factors=factor_infos()[:1]))
    rows = {
        "step": [100, 200],
        "interval_start": [1, 101],
        "factor": [0, 0],
        "checks": [10, 10],
        "decompositions": [10, 1],
        "cap_refreshes": [0, 1],
    }
    trace_.append("checks", record_batch("checks", rows))
    codes = values(trace(raster.draw([Lane(trace_, "log", 0)], View(factor=0)).figure, "raster")["z"])[0]
    cadence, cap = 2 + 4 * 1, 2 + 4 * 2
    assert codes.tolist() == [cadence + 3, cap], "ten of ten checks, then one of ten"


def test_a_first_check_before_the_period_leaves_no_gaps(lanes: list[Lane]) -> None:
    codes = values(trace(raster.draw(lanes[1:2], View(factor=0, lane=1)).figure, "raster")["z"])
    assert codes.shape == (18, 14) and codes.min() > 0


def test_clicks_know_their_factor(lanes: list[Lane]) -> None:
    for panel in (factor_map, raster):
        meta = panel.draw(lanes, View(factor=3, lane=2)).figure["layout"]["meta"]
        assert meta["follow"]["lane"] == 2 and meta["follow"]["factor"] == 3


def test_a_growing_trace_is_read_on(lanes: list[Lane]) -> None:
    run = SyntheticRun("foam").advance(50)
    first = checks(Lane(run.trace, "FOAM", 0))
    run.advance(50)
    second = checks(Lane(run.trace, "FOAM", 0))
    assert len(first) == 5 * 18 and len(second) == 10 * 18
    words = [DECISION_ORDER[code] for code in second.decision]
    assert words == list(run.trace.values("checks", "decision"))


def test_an_optimizer_without_a_proxy_is_judged_by_its_residual() -> None:
    """SOAP's factors have no damping and so no h; the map shows r instead of nothing."""
    run = SyntheticRun("shampoo")
    trace = run.advance(60).trace
    names = ("proxy", "relative_condition", "alpha", "epsilon", "epsilon_before")
    checks = trace.checks
    for name in names:
        place = checks.column_names.index(name)
        checks = checks.set_column(place, checks.schema.field(name), pa.nulls(len(checks), pa.float64()))
    bare = Trace(trace.manifest, steps=trace.steps, checks=checks, snapshots=trace.snapshots)
    drawing = factor_map.draw([Lane(bare, "SOAP", 0)], View(factor=0))
    assert drawing.figure is not None
    assert "no drift measured" not in drawing.reading
    assert any("r = " in text for row in drawing.figure["data"][0]["hovertext"] for text in row)
