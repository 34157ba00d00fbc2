from __future__ import annotations

import numpy as np
import pytest

from foam_viz.figures import loss
from foam_viz.figures.panel import Lane, View
from tests.figures.reading import trace, traces, values


def _column(lane: Lane, name: str) -> np.ndarray:
    return np.asarray(lane.trace.values("steps", name), dtype=np.float64)


@pytest.mark.parametrize("axis", ["step", "optimizer_seconds", "decompositions"])
def test_raw_points_are_values_of_the_trace(axis: str, long_lanes: list[Lane]) -> None:
    figure = loss.draw(long_lanes, View(loss_x=axis)).figure
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
    figure = loss.draw(lanes[:1], View(max_points=1000)).figure
    np.testing.assert_array_equal(values(trace(figure, "raw")["y"]), _column(lanes[0], "loss").astype("f4"))
    np.testing.assert_array_equal(values(trace(figure, "raw")["x"]), _column(lanes[0], "step"))


def test_the_mean_is_of_the_last_twenty_steps(lanes: list[Lane]) -> None:
    drawing = loss.draw(lanes[:1], View())
    expected = _column(lanes[0], "loss")[-20:].mean()
    assert values(trace(drawing.figure, "mean")["y"])[-1] == pytest.approx(expected, rel=1e-6)
    assert f"{expected:.3g}" in drawing.reading


def test_held_out_losses_are_markers(lanes: list[Lane]) -> None:
    drawn = trace(loss.draw(lanes[:1], View()).figure, "held-out")
    assert drawn["mode"] == "markers"
    np.testing.assert_array_equal(values(drawn["x"]), [100, 200, 300, 400, 500, 600, 700])


def test_every_lane_keeps_its_colour_dash_and_label(lanes: list[Lane]) -> None:
    figure = loss.draw(lanes, View()).figure
    lines = traces(figure, "mean")
    assert len({(line["line"]["color"], line["line"]["dash"]) for line in lines}) == 4
    assert sorted(note["text"] for note in figure["layout"]["annotations"]) == ["AdamW", "DR", "FOAM", "Shampoo f = 50"]


def test_ranges_hold_still_while_a_run_grows(lanes: list[Lane]) -> None:
    shorter = [Lane(lane.trace.truncated(690), lane.label, lane.position) for lane in lanes]
    before, after = (loss.draw(group, View()).figure["layout"] for group in (shorter, lanes))
    assert before["xaxis"]["range"] == after["xaxis"]["range"]
    assert before["yaxis"]["range"] == after["yaxis"]["range"]


def test_changing_the_axis_forgets_the_zoom_of_that_axis_only() -> None:
    from tests.synthetic import SyntheticRun

    lane = Lane(SyntheticRun("foam").advance(50).trace, "FOAM", 0)
    by_step, by_time = (loss.draw([lane], View(loss_x=x)).figure["layout"] for x in ("step", "optimizer_seconds"))
    assert by_step["uirevision"] == by_time["uirevision"]
    assert by_step["xaxis"]["uirevision"] != by_time["xaxis"]["uirevision"]
    assert by_step["yaxis"]["uirevision"] == by_time["yaxis"]["uirevision"]


def test_linear_axis(lanes: list[Lane]) -> None:
    axis = loss.draw(lanes, View(loss_log=False)).figure["layout"]["yaxis"]
    assert axis.get("type") != "log" and axis["range"][0] == 0
