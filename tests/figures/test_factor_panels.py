"""Panels that follow one factor or show all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from foam_viz.analysis.checks import DECISION_ORDER, checks
from foam_viz.figures.look import Look
from foam_viz.figures.panels import damping, factor_map, overlap, raster, spectrum
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Manifest, Trace, record_batch
from foam_viz.trace.numbers import number, percent
from tests.figures.reading import trace, traces, values
from tests.rows import factor_rows
from tests.synthetic import SyntheticRun, factor_infos


def _rows(lane: Lane, factor: int) -> np.ndarray:
    return np.flatnonzero(lane.trace.values("checks", "factor") == factor)


def test_damping_draws_the_recorded_steps(lanes: list[Lane]) -> None:
    figure = damping.draw(Scene(lanes[:1], Look(factor=4))).figure
    rows = _rows(lanes[0], 4)
    drawn = trace(figure, "epsilon")
    assert drawn["line"]["shape"] == "hv"
    np.testing.assert_array_equal(values(drawn["x"]), lanes[0].trace.values("checks", "step")[rows])
    np.testing.assert_array_equal(values(drawn["y"]), lanes[0].trace.values("checks", "epsilon")[rows].astype("f4"))
    drift = lanes[0].trace.values("checks", "proxy")[rows]
    np.testing.assert_array_equal(values(trace(figure, "drift")["y"]), drift[np.isfinite(drift)].astype("f4"))


def test_refresh_ticks_carry_their_reason(lanes: list[Lane]) -> None:
    figure = damping.draw(Scene(lanes[:1], Look(factor=4))).figure
    rows = _rows(lanes[0], 4)
    words = np.array(lanes[0].trace.values("checks", "decision"))[rows]
    steps = lanes[0].trace.values("checks", "step")[rows]
    assert {tick["meta"]["reason"] for tick in traces(figure, "refresh")} == set(words) - {"reuse"}
    np.testing.assert_array_equal(values(trace(figure, "refresh", reason="cap")["x"]), steps[words == "cap"])


def test_thresholds_are_drawn_where_the_optimizer_has_them(lanes: list[Lane]) -> None:
    foam = damping.draw(Scene(lanes[:1], Look(factor=0))).figure["layout"]
    assert {shape["y0"] for shape in foam["shapes"]} == {1e-9, 3e-7, 0.75}
    shampoo = damping.draw(Scene(lanes[1:2], Look(factor=0, lane=1))).figure["layout"]
    assert {shape["y0"] for shape in shampoo["shapes"]} == {1e-9}


def test_the_residual_takes_the_place_of_the_proxy(lanes: list[Lane]) -> None:
    drawing = damping.draw(Scene(lanes[2:3], Look(factor=0, lane=2)))
    rows = _rows(lanes[2], 0)
    residual = lanes[2].trace.values("checks", "residual")[rows]
    np.testing.assert_array_equal(
        values(trace(drawing.figure, "drift")["y"]), residual[np.isfinite(residual)].astype("f4")
    )
    assert "r = " in drawing.reading


def test_other_lanes_are_thin_lines_of_the_same_factor(lanes: list[Lane]) -> None:
    figure = damping.draw(Scene(lanes, Look(factor=0))).figure
    widths = {line["meta"]["lane"]: line["line"]["width"] for line in traces(figure, "drift")}
    assert widths == {0: 2, 1: 1, 2: 1}


def test_true_errors_stand_beside_the_proxy(lanes: list[Lane]) -> None:
    drawn = trace(damping.draw(Scene(lanes[:1], Look(factor=0))).figure, "true error")
    recorded = factor_rows(lanes[0].trace, "snapshots", 0).column("true_error").to_numpy().astype("f4")
    assert drawn["mode"] == "markers" and set(values(drawn["y"])) <= set(recorded)


def test_spectrum_counts_what_is_damped_away(lanes: list[Lane]) -> None:
    drawing = spectrum.draw(Scene(lanes[:1], Look(factor=0)))
    snapshot = lanes[0].trace.latest_snapshot(0)
    np.testing.assert_array_equal(values(trace(drawing.figure, "eigenvalues")["y"]), snapshot.eigenvalues)
    np.testing.assert_array_equal(values(trace(drawing.figure, "ghost")["y"]), snapshot.basis_eigenvalues)
    below = int((snapshot.eigenvalues < snapshot.epsilon).sum())
    assert f"damped away: {below} of 128 directions" in drawing.reading
    assert values(trace(drawing.figure, "damping")["y"])[0] == np.float32(snapshot.epsilon)


@pytest.mark.parametrize(
    ("eigenvalues", "words"),
    [
        ([4.0, 2.0, 5.4e-3], "damping inactive: ε lies under every eigenvalue; the smallest is 5,400 × ε"),
        ([4.0, 2.0, 2e-5], "damping inactive: ε lies under every eigenvalue; the smallest is 20 × ε"),
        ([4.0, 2.0, 1e-6], "damping inactive: ε lies under every eigenvalue; the smallest is 1 × ε"),
        ([4.0, 2e-7, 2e-9], "damped away: 2 of 3 directions; the smallest is 0.002 × ε"),
        ([4.0, 2.0, 0.0], "damped away: 1 of 3 directions; the smallest is 0 × ε"),
    ],
)
def test_the_spectrum_says_whether_damping_does_anything(
    lanes: list[Lane], monkeypatch: pytest.MonkeyPatch, eigenvalues: list[float], words: str
) -> None:
    shown = replace(lanes[0].trace.latest_snapshot(0), epsilon=1e-6, eigenvalues=np.array(eigenvalues, "f4"))
    monkeypatch.setattr(spectrum, "latest_snapshot", lambda *target: shown)
    assert words in spectrum.draw(Scene(lanes[:1], Look(factor=0))).reading


def test_the_range_of_the_spectrum_only_grows() -> None:
    run = SyntheticRun("foam")
    before = None
    for _ in range(10):
        span = spectrum.draw(Scene([Lane(run.advance(60).trace, "FOAM", 0)], Look(factor=0))).figure["layout"]["yaxis"][
            "range"
        ]
        assert before is None or (span[0] <= before[0] and span[1] >= before[1])
        before = span


def test_overlap_is_drawn_as_recorded_on_a_fixed_scale(lanes: list[Lane]) -> None:
    drawing = overlap.draw(Scene(lanes[:1], Look(factor=0)))
    drawn = trace(drawing.figure, "overlap")
    assert drawn["z"]["dtype"] == "u1" and (drawn["zmin"], drawn["zmax"]) == (0, 100)
    recorded = lanes[0].trace.latest_snapshot(0)
    np.testing.assert_array_equal(values(drawn["z"]), np.round(recorded.overlap / 2.55))
    since = recorded.last_decomposition_step
    assert f"{percent(recorded.turn)} of its energy has turned since step {since:,}" in drawing.reading
    angle = np.degrees(recorded.top_angles[-1])
    assert f"its top 8 directions by {number(angle)}° at most" in drawing.reading


def test_every_direction_of_the_overlap_is_named_once_and_counted_from_one(lanes: list[Lane]) -> None:
    drawn = trace(overlap.draw(Scene(lanes[:1], Look(factor=0))).figure, "overlap")
    assert drawn["x"] == drawn["y"] and len(set(drawn["x"])) == 64
    assert (drawn["x"][0], drawn["x"][1], drawn["x"][-1]) == ("1–2", "3–4", "127–128")
    assert "of 128, largest first" in drawn["hovertemplate"]
    for size, directions in ((64, 100), (3, 7), (5, 5), (64, 513)):
        names = overlap._directions(size, directions)
        held = [name.partition("–")[::2] for name in names]
        members = [list(range(int(a), int(b or a) + 1)) for a, b in held]
        assert sum(members, []) == list(range(1, directions + 1)), "each direction once, in order"
        groups = np.arange(directions) * size // directions  # as the recorder pools them
        assert [len(group) for group in members] == np.bincount(groups).tolist()


def test_an_older_run_without_a_turn_says_what_it_lacks(lanes: list[Lane]) -> None:
    held = lanes[0].trace
    bare = Trace(held.manifest, checks=held.checks, snapshots=held.snapshots.drop_columns(["turn", "top_angles"]))
    reading = overlap.draw(Scene([Lane(bare, "old", 0)], Look(factor=0))).reading
    assert "how far it has turned was not recorded" in reading and "%" not in reading


def test_factor_map_has_a_cell_for_every_factor(lanes: list[Lane]) -> None:
    figure = factor_map.draw(Scene(lanes[:1], Look(factor=5))).figure
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
    drawing = factor_map.draw(Scene(lanes[1:2], Look(factor=0, lane=1)))
    newest = lanes[1].trace.values("checks", "proxy")[-18:]
    assert np.nanmax(values(trace(drawing.figure, "factors")["z"])) == pytest.approx(np.log10(newest.max()), abs=1e-5)
    assert "largest drift h" in drawing.reading


def test_raster_marks_every_check_with_its_decision(lanes: list[Lane]) -> None:
    drawing = raster.draw(Scene(lanes[:1], Look(factor=0)))
    drawn = trace(drawing.figure, "raster")
    codes, rows = values(drawn["z"]), checks(lanes[0].trace)
    assert codes.shape == (18, 70) and values(drawn["x"]).tolist() == list(range(0, 701, 10))
    for step, factor, decision in zip(rows.step, rows.factor, rows.decision, strict=True):
        reason = DECISION_ORDER[decision]
        full = 1 if reason == "reuse" else 2 + 4 * (decision - 1) + 3
        assert codes[factor, (step - 1) // 10] == full
    total = int(rows.decompositions.sum())
    assert f"{total:,} decompositions in {len(rows):,} checks" in drawing.reading


def test_crowded_checks_become_strips(long_lanes: list[Lane]) -> None:
    drawing = raster.draw(Scene(long_lanes[:1], Look(factor=0)))
    codes = values(trace(drawing.figure, "raster")["z"])
    assert codes.shape[1] <= 200 and "a mark stands for 8 checks" in drawing.reading
    reuse, first, cap, cadence = 1, 2, 2 + 4 * 2, 2 + 4 * 1
    assert set(np.unique(codes)) == {reuse, first, cap}, "one of eight checks decomposed: the weakest strength"
    every = raster.draw(Scene(long_lanes[1:2], Look(factor=0, lane=1)))
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
    codes = values(trace(raster.draw(Scene([Lane(trace_, "log", 0)], Look(factor=0))).figure, "raster")["z"])[0]
    cadence, cap = 2 + 4 * 1, 2 + 4 * 2
    assert codes.tolist() == [cadence + 3, cap], "ten of ten checks, then one of ten"


def test_a_first_check_before_the_period_leaves_no_gaps(lanes: list[Lane]) -> None:
    codes = values(trace(raster.draw(Scene(lanes[1:2], Look(factor=0, lane=1))).figure, "raster")["z"])
    assert codes.shape == (18, 14) and codes.min() > 0


def test_clicks_know_their_factor(lanes: list[Lane]) -> None:
    for panel in (factor_map, raster):
        meta = panel.draw(Scene(lanes, Look(factor=3, lane=2))).figure["layout"]["meta"]
        assert meta["follow"]["lane"] == 2 and meta["follow"]["factor"] == 3


def test_a_growing_trace_is_read_on(lanes: list[Lane]) -> None:
    run = SyntheticRun("foam").advance(50)
    first = checks(run.trace.view())
    run.advance(50)
    second = checks(run.trace.view())
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
    drawing = factor_map.draw(Scene([Lane(bare, "SOAP", 0)], Look(factor=0)))
    assert drawing.figure is not None
    assert "no drift measured" not in drawing.reading
    assert any("r = " in text for row in drawing.figure["data"][0]["hovertext"] for text in row)


@pytest.mark.parametrize(
    ("lane", "key", "column", "word"),
    [(0, "h/τ", "proxy", "drift h"), (1, "h", "proxy", "drift h"), (2, "r/τ", "residual", "residual r")],
)
def test_the_map_is_coloured_by_the_lane_s_own_measure_and_says_which(
    lane: int, key: str, column: str, word: str, lanes: list[Lane]
) -> None:
    drawing = factor_map.draw(Scene(lanes[:3], Look(factor=0, lane=lane)))
    drawn = trace(drawing.figure, "factors")
    assert drawn["name"] == drawing.figure["layout"]["annotations"][0]["text"] == key
    assert word in drawing.reading and drawing.moment == "checks of step 700"
    tau = {0: 0.75, 2: 0.2}.get(lane, 1.0)
    newest = lanes[lane].trace.values("checks", column)[-18:] / tau
    shown, owner = values(drawn["meta"]["values"]), np.array(drawn["customdata"])
    for factor, value in enumerate(newest):
        if np.isfinite(value):
            assert shown[owner == factor][0] == pytest.approx(value, rel=1e-6)
    assert all(f"{word} = " in text for row in drawn["hovertext"] for text in row if "= " in text.split("<br>")[2])


def test_names_of_the_map_are_unique_for_a_table(lanes: list[Lane]) -> None:
    cells = trace(factor_map.draw(Scene(lanes[:1], Look(factor=0))).figure, "factors")["meta"]["cells"]
    told = [name for row in cells for name in row if name]
    assert len(told) == len(set(told)) == 18


def test_a_residual_without_threshold_has_a_scale_that_ends_at_one() -> None:
    run = SyntheticRun("shampoo").advance(60).trace
    checks = run.checks
    for name in ("proxy", "epsilon", "epsilon_before"):
        place = checks.column_names.index(name)
        checks = checks.set_column(place, checks.schema.field(name), pa.nulls(len(checks), pa.float64()))
    drawing = factor_map.draw(
        Scene([Lane(Trace(run.manifest, steps=run.steps, checks=checks), "SOAP", 0)], Look(factor=0))
    )
    drawn = trace(drawing.figure, "factors")
    assert drawn["name"] == "r" and 10 ** drawn["zmax"] == 1 and drawn["colorbar"]["ticktext"][-1] == "1"
    assert "largest residual r" in drawing.reading


@pytest.mark.parametrize("steps", [7, 60, 61, 140, 605, 10_000])
@pytest.mark.parametrize("kind", ["foam", "shampoo"])
def test_no_mark_of_the_raster_lies_beyond_the_last_step(kind: str, steps: int, long_lanes: list[Lane]) -> None:
    run = SyntheticRun(kind).advance(max(steps, 10))
    drawn = trace(raster.draw(Scene([Lane(run.trace, "run", 0)], Look(factor=0))).figure, "raster")
    edges = values(drawn["x"])
    assert len(edges) == values(drawn["z"]).shape[1] + 1 and edges[-1] <= max(steps, 10)
