from __future__ import annotations

import numpy as np
import pytest

from foam_viz.analysis.downsample import smoothing_width
from foam_viz.analysis.smoothing import centred_mean
from foam_viz.figures.look import Look
from foam_viz.figures.panels import loss
from foam_viz.figures.scene import Band, Lane, Scene
from foam_viz.trace import Manifest, Trace, record_batch
from tests.figures.reading import trace, traces, values
from tests.synthetic import SyntheticRun


def _column(lane: Lane, name: str) -> np.ndarray:
    return np.asarray(lane.trace.values("steps", name), dtype=np.float64)


@pytest.mark.parametrize("axis", ["step", "optimizer_seconds", "decompositions"])
def test_raw_points_are_values_of_the_trace(axis: str, long_lanes: list[Lane]) -> None:
    figure = loss.draw(Scene(long_lanes, Look(loss_axis=axis))).figure
    for lane in long_lanes:
        if not lane.trace.has("steps", axis):
            continue
        drawn = trace(figure, "raw", lane=lane.position)
        x, y = values(drawn["x"]).astype(float), values(drawn["y"])
        recorded = set(zip(_column(lane, axis).astype("f4"), _column(lane, "loss").astype("f4"), strict=True))
        assert set(zip(x.astype("f4"), y, strict=True)) <= recorded
        assert len(y) <= 400
        assert y[0] == np.float32(_column(lane, "loss")[0])
        assert y.max() == _column(lane, "loss").astype("f4").max()


def test_a_short_run_is_drawn_point_for_point(lanes: list[Lane]) -> None:
    figure = loss.draw(Scene(lanes[:1], Look(max_points=1000))).figure
    np.testing.assert_array_equal(values(trace(figure, "raw")["y"]), _column(lanes[0], "loss").astype("f4"))
    np.testing.assert_array_equal(values(trace(figure, "raw")["x"]), _column(lanes[0], "step"))


def test_the_mean_is_of_the_last_twenty_steps(lanes: list[Lane]) -> None:
    drawing = loss.draw(Scene(lanes[:1]))
    expected = _column(lanes[0], "loss")[-20:].mean()
    assert f"{expected:.3f}, mean of steps 681 to 700" in drawing.reading


def test_held_out_losses_are_markers(lanes: list[Lane]) -> None:
    drawn = trace(loss.draw(Scene(lanes[:1])).figure, "held-out")
    assert drawn["mode"] == "markers"
    np.testing.assert_array_equal(values(drawn["x"]), [100, 200, 300, 400, 500, 600, 700])


def test_every_lane_keeps_its_colour_dash_and_label(lanes: list[Lane]) -> None:
    figure = loss.draw(Scene(lanes)).figure
    lines = traces(figure, "mean")
    assert len({(line["line"]["color"], line["line"]["dash"]) for line in lines}) == 4
    assert sorted(note["text"] for note in figure["layout"]["annotations"]) == ["AdamW", "DR", "FOAM", "Shampoo f = 50"]


def test_a_fork_takes_no_label_from_any_curve(lanes: list[Lane]) -> None:
    """One long name must not take away all of them; names that begin alike differ in what is kept of them."""
    names = ["FOAM", "FOAM from step 1,200, τ = 0.5", "FOAM from step 1,200, τ = 0.25", "AdamW"]
    forked = [Lane(lane.trace, name, lane.position) for lane, name in zip(lanes, names, strict=True)]
    texts = [note["text"] for note in loss.draw(Scene(forked)).figure["layout"]["annotations"]]
    assert len(set(texts)) == 4 and all(len(text) <= 16 for text in texts)
    assert {"FOAM", "AdamW"} < set(texts)
    left, right = loss.draw(Scene(forked)).figure["layout"]["xaxis"]["range"]
    assert (right - 700) / (right - left) * 520 >= 16 * 6.5, "the longest has room beside its curve"


def test_ranges_hold_still_while_a_run_grows(lanes: list[Lane]) -> None:
    shorter = [Lane(lane.trace.truncated(690), lane.label, lane.position) for lane in lanes]
    before, after = (loss.draw(Scene(group)).figure["layout"] for group in (shorter, lanes))
    assert before["xaxis"]["range"] == after["xaxis"]["range"]
    assert before["yaxis"]["range"] == after["yaxis"]["range"]


def test_changing_the_axis_forgets_the_zoom_of_that_axis_only() -> None:
    lane = Lane(SyntheticRun("foam").advance(50).trace, "FOAM", 0)
    by_step, by_time = (
        loss.draw(Scene([lane], Look(loss_axis=x))).figure["layout"] for x in ("step", "optimizer_seconds")
    )
    assert by_step["uirevision"] == by_time["uirevision"]
    assert by_step["xaxis"]["uirevision"] != by_time["xaxis"]["uirevision"]
    assert by_step["yaxis"]["uirevision"] == by_time["yaxis"]["uirevision"]


def test_linear_axis(lanes: list[Lane]) -> None:
    axis = loss.draw(Scene(lanes, Look(loss_log=False))).figure["layout"]["yaxis"]
    assert axis.get("type") != "log" and axis["range"][0] == 0


def _bursty(burst: int = 400, steps: int = 600) -> Lane:
    """A loss that falls fast, has one burst, and ends on a slope."""
    at = np.arange(1, steps + 1)
    losses = 0.2 + 2 * np.exp(-at / 60) + 0.001 * (steps - at) / 10
    losses[burst - 1] = 15.5
    run = Trace.empty(Manifest(run_id="b", name="b"))
    run.append("steps", record_batch("steps", {"step": at, "loss": losses}))
    return Lane(run, "bursty", 0)


def test_a_burst_stays_at_its_step_with_the_raw_peak_in_sight() -> None:
    figure = loss.draw(Scene([_bursty()])).figure
    raw, mean = trace(figure, "raw"), trace(figure, "mean")
    assert values(raw["y"]).max() == np.float32(15.5) and values(raw["x"])[values(raw["y"]).argmax()] == 400
    x, y = values(mean["x"]).astype(float), values(mean["y"])
    high = x[(y > 0.5) & (x > 200)]
    assert high.min() >= 389 and high.max() <= 411
    assert 10.0 ** figure["layout"]["yaxis"]["range"][1] > 15.5


def test_the_mean_is_biased_neither_at_the_start_nor_at_the_end() -> None:
    lane = _bursty()
    figure = loss.draw(Scene([lane])).figure
    mean = trace(figure, "mean")
    x, y = values(mean["x"]).astype(int), values(mean["y"])
    recorded = _column(lane, "loss")[x - 1]
    near = (x < 380) | (x > 420)
    assert np.abs(y / recorded - 1)[near].max() < 0.02
    assert y[0] == np.float32(recorded[0]) and y[-1] == np.float32(recorded[-1])


@pytest.mark.parametrize("log", [True, False])
def test_a_mean_that_grows_with_its_run_is_the_mean_of_the_whole(log: bool) -> None:
    run = SyntheticRun("foam")
    for steps in (1, 3, 30, 5, 500, 1, 7, 3600, 4, 100):
        drawn = loss.draw(
            Scene([Lane(run.advance(steps).trace, "FOAM", 0)], Look(max_points=20_000, loss_log=log))
        ).figure
        step, losses = (_column(Lane(run.trace, "", 0), name) for name in ("step", "loss"))
        whole = centred_mean(step, losses, smoothing_width(step))
        np.testing.assert_allclose(values(trace(drawn, "mean")["y"]), whole, rtol=1e-6)


@pytest.mark.parametrize("log", [True, False])
def test_a_diverged_lane_leaves_the_axis_to_the_finite_ones(log: bool, lanes: list[Lane]) -> None:
    at = np.arange(1, 90)
    losses = np.where(at < 60, 2.0 - 0.01 * at, 10.0 ** (1.2 * (at - 59)))
    run = Trace.empty(Manifest(run_id="d", name="d", status="diverged", diverged_step=90))
    run.append("steps", record_batch("steps", {"step": at, "loss": losses}))
    bad = Lane(run, "steep", 3)
    drawing = loss.draw(Scene([*lanes[:2], bad], Look(loss_log=log)))
    alone = loss.draw(Scene(lanes[:2], Look(loss_log=log))).figure["layout"]["yaxis"]["range"]
    span = drawing.figure["layout"]["yaxis"]["range"]
    assert span[1] <= alone[1] + (1 if log else 0.3 * alone[1]), "the finite lanes keep their height"
    cross = trace(drawing.figure, "diverged")
    assert values(cross["x"])[0] == 89 and values(cross["y"])[0] <= (10.0 ** span[1] if log else span[1]) * 1.0001
    assert "diverged at step 90" in cross["hovertemplate"] and "steep diverged at step 90" in drawing.reading
    shifts = [abs(note["yshift"]) for note in drawing.figure["layout"]["annotations"]]
    assert max(shifts) < 60


def test_held_out_losses_are_all_drawn_while_they_are_few() -> None:
    lane = Lane(SyntheticRun("foam").advance(6000).trace, "FOAM", 0)
    drawn = trace(loss.draw(Scene([lane])).figure, "held-out")
    np.testing.assert_array_equal(values(drawn["x"]), np.arange(100, 6001, 100))


def test_a_lane_that_explodes_at_once_and_stays_finite_leaves_the_plot_and_is_marked(lanes: list[Lane]) -> None:
    at = np.arange(1, 701)
    losses = np.where(at < 3, 5.0, 7.8e8 + 1e6 * np.sin(at))
    run = Trace.empty(Manifest(run_id="e", name="e"))
    held = [7e8 if step % 100 == 0 else None for step in at]
    run.append("steps", record_batch("steps", {"step": at, "loss": losses, "held_out_loss": held}))
    drawing = loss.draw(Scene([*lanes[:2], Lane(run, "lr = 300", 3)]))
    alone = loss.draw(Scene(lanes[:2])).figure["layout"]["yaxis"]["range"]
    assert drawing.figure["layout"]["yaxis"]["range"][1] <= alone[1] + 0.5
    assert values(trace(drawing.figure, "beyond")["x"])[0] == 3
    assert (
        "lr = 300 above the plot, up to 781,000,000" in drawing.reading
        or "above the plot, up to 7.81e8" in drawing.reading
    )


def test_the_past_that_a_fork_shares_is_drawn_once_as_its_parents(lanes: list[Lane]) -> None:
    """Where its parent is not on the page, the fork's curve is whole."""
    parent = Trace(lanes[0].trace.manifest.with_(run_id="run-1"), steps=lanes[0].trace.table("steps"))
    told = {"parent": {"lane": 1, "step": 240}}
    child = Trace(lanes[0].trace.manifest.with_(run_id="run-3", config=told), steps=lanes[0].trace.table("steps"))
    both = [Lane(parent, "FOAM", 0), Lane(child, "FOAM from step 240", 2)]
    look = Look(max_points=10_000)
    figure = loss.draw(Scene(both, look)).figure
    assert values(trace(figure, "raw", lane=0)["x"])[0] == 1
    for series, first in (("raw", 240), ("mean", 240), ("held-out", 300)):
        assert values(trace(figure, series, lane=2)["x"])[0] == first
    alone = loss.draw(Scene(both[1:], look)).figure
    assert values(trace(alone, "raw")["x"])[0] == 1


def test_the_band_of_other_seeds_lies_behind_the_curves_against_the_step_alone(lanes: list[Lane]) -> None:
    band = Band(lanes[0].position, [1, 50, 100], [1.0, 0.5, 0.2], [2.0, 1.0, 0.4])
    drawn = loss.draw(Scene(lanes[:1], bands=[band]))
    first, second, *rest = drawn.figure["data"]
    assert [each["meta"]["series"] for each in (first, second)] == ["band", "band"]
    np.testing.assert_allclose(values(first["y"]), [2.0, 1.0, 0.4], rtol=1e-6)
    np.testing.assert_allclose(values(second["y"]), [1.0, 0.5, 0.2], rtol=1e-6)
    assert second["fill"] == "tonexty" and all(each["meta"]["series"] != "band" for each in rest)
    assert "other seeds" in drawn.reading
    seconds = loss.draw(Scene(lanes[:1], Look(loss_axis="optimizer_seconds"), bands=[band]))
    assert all(each["meta"]["series"] != "band" for each in seconds.figure["data"])
    assert "other seeds" not in seconds.reading
