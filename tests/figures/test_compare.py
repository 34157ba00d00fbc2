from __future__ import annotations

import json
import time
import warnings
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from foam_viz.analysis.axes import AXES
from foam_viz.analysis.groups import group_runs
from foam_viz.analysis.smoothing import ema
from foam_viz.figures import theme
from foam_viz.figures.catalogue import COMPARE_PANELS, compared
from foam_viz.figures.compare import comparison as compare
from foam_viz.figures.look import Look
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Lane, Reference, Scene
from foam_viz.trace import Manifest, Trace, record_batch
from tests.figures.reading import is_of_the_theme, trace, traces, values


def _lane(position: int = 0, label: str = "", count: int = 500, seed: int | None = None, **columns: object) -> Lane:
    step = np.arange(1, count + 1)
    random = np.random.default_rng(position if seed is None else seed)
    given = {"step": step, "loss": np.exp(-step / 200) + 0.3 + 0.02 * random.standard_normal(count), **columns}
    name = label or f"run {position}"
    held = Trace.empty(Manifest(run_id=name, name=name, format="table", config={"lr": 1, "seed": position}))
    held.append("steps", record_batch("steps", given))
    return Lane(held, name, position)


def _look(**chosen: object) -> Look:
    """Each run by itself, as logged, unless chosen otherwise."""
    return Look(**{"smoothing": "none", "seeds": False, **chosen})


def _checked(drawing: Drawing) -> dict:
    """The figure, after everything that holds for each of them."""
    figure = drawing.figure
    assert figure is not None and drawing.reading and not drawing.empty
    go.Figure(figure)
    json.dumps(figure, allow_nan=False)
    assert "template" not in figure["layout"] and figure["layout"]["uirevision"]
    for axis in (figure["layout"]["xaxis"], figure["layout"]["yaxis"]):
        assert axis["title"]["text"]
    for drawn in figure["data"]:
        assert "hovertemplate" in drawn or drawn.get("hoverinfo") == "skip"
        colour = drawn["line"]["color"] if "line" in drawn else drawn["marker"]["color"]
        assert is_of_the_theme(colour)
    return figure


def test_the_curve_is_the_metric_against_the_axis() -> None:
    lane = _lane(optimizer_seconds=np.arange(500) * 0.25)
    figure = _checked(compare.draw(Scene([lane], _look(x="fair_time"))))
    drawn = trace(figure, "curve")
    np.testing.assert_allclose(values(drawn["x"]), np.arange(500) * 0.25)
    np.testing.assert_array_equal(values(drawn["y"]), lane.trace.values("steps", "loss").astype("f4"))
    assert figure["layout"]["xaxis"]["title"]["text"] == "training time (s)"
    assert traces(figure, "raw") == [], "nothing is smoothed, so there is nothing to keep behind"


@pytest.mark.parametrize("axis", [axis.id for axis in AXES])
@pytest.mark.parametrize("log", [False, True])
def test_every_axis_in_both_scales(axis: str, log: bool) -> None:
    count = np.arange(500)
    everything = {"optimizer_seconds": count * 0.1, "total_seconds": count * 0.2, "epoch": count / 50}
    lane = _lane(**everything, tokens=count * 1024.0, decompositions=count // 10)
    figure = _checked(compare.draw(Scene([lane, _lane(1)], _look(x=axis, log_x=log, log_y=log))))
    for name in ("xaxis", "yaxis"):
        assert (figure["layout"][name].get("type") == "log") == log
        low, high = figure["layout"][name]["range"]
        assert np.isfinite([low, high]).all() and low < high


def test_the_raw_curve_stays_faint_behind_the_smoothed_one() -> None:
    lane = _lane()
    figure = _checked(compare.draw(Scene([lane], _look(smoothing="ema", scale=30.0))))
    step, loss = lane.trace.values("steps", "step"), lane.trace.values("steps", "loss")
    np.testing.assert_allclose(values(trace(figure, "curve")["y"]), ema(step, loss, 30.0), rtol=1e-5)
    np.testing.assert_array_equal(values(trace(figure, "raw")["y"]), loss.astype("f4"))
    order = [drawn["meta"]["series"] for drawn in figure["data"]]
    assert order.index("raw") < order.index("curve") and "rgba" in trace(figure, "raw")["line"]["color"]
    assert traces(compare.draw(Scene([lane], _look(smoothing="ema", scale=30.0, raw=False))).figure, "raw") == []


def test_nan_is_a_gap_with_a_mark_and_a_divergence_a_cross() -> None:
    loss = np.linspace(2, 1, 500)
    loss[200:205] = np.nan
    loss[400:] = np.inf
    drawing = compare.draw(Scene([_lane(loss=loss)], _look()))
    figure = _checked(drawing)
    drawn = trace(figure, "curve")
    assert np.isnan(values(drawn["y"])[200:205]).all() and drawn["connectgaps"] is False
    assert values(trace(figure, "gap")["x"]).tolist() == [200]
    assert values(trace(figure, "diverged")["x"]).tolist() == [400]
    assert "diverged at step 401" in drawing.reading and trace(figure, "diverged")["marker"]["symbol"] == "x"


def test_a_diverged_run_does_not_squeeze_the_others() -> None:
    loss = np.linspace(2, 1, 500)
    loss[300:] = 10.0 ** np.arange(0, 200)
    diverged = _lane(1, loss=loss)
    diverged.trace.manifest = diverged.trace.manifest.with_(status="diverged", diverged_step=310)
    for log in (False, True):
        with warnings.catch_warnings(action="error"):
            drawing = compare.draw(Scene([_lane(), diverged], _look(log_y=log)))
        high = _checked(drawing)["layout"]["yaxis"]["range"][1]
        assert (10**high if log else high) < 20


def test_values_without_a_place_on_a_logarithmic_axis_are_counted() -> None:
    loss = np.linspace(1, -1, 500)
    drawing = compare.draw(Scene([_lane(loss=loss)], _look(log_y=True)))
    _checked(drawing)
    assert f"{(loss <= 0).sum():,} values at or below 0" in drawing.reading
    assert "at or below" not in compare.draw(Scene([_lane(loss=loss)], _look(log_y=False))).reading


def test_a_run_keeps_its_look_and_no_two_of_thirty_six_look_alike() -> None:
    lanes = [_lane(position, count=60) for position in range(36)]
    looks = {}
    for drawn in traces(_checked(compare.draw(Scene(lanes, _look()))), "curve"):
        looks[drawn["meta"]["lane"]] = (drawn["line"]["color"], drawn["line"]["dash"])
    assert len(set(looks.values())) == 36
    assert looks[7][0] == looks[1][0] == theme.LANES[1].colour
    some = traces(compare.draw(Scene([lanes[20], lanes[3]], _look())).figure, "curve")
    assert {(d["line"]["color"], d["line"]["dash"]) for d in some} == {looks[20], looks[3]}


def test_one_run_is_brought_forward() -> None:
    figure = _checked(compare.draw(Scene([_lane(i) for i in range(4)], _look(highlight=1))))
    lines = {drawn["meta"]["lane"]: drawn["line"] for drawn in traces(figure, "curve")}
    assert lines[1]["color"] == theme.LANES[1].colour and lines[1]["width"] > lines[0]["width"]
    assert all("rgba" in lines[other]["color"] for other in (0, 2, 3))
    assert figure["data"][-1]["meta"]["lane"] == 1, "painted last"


def test_groups_are_a_mean_with_a_band() -> None:
    lanes = [_lane(0, "a_seed0"), _lane(1, "a_seed1"), _lane(2, "a_seed2"), _lane(3, "b", count=300)]
    lanes[3].trace.manifest = lanes[3].trace.manifest.with_(config={"lr": 2})
    groups = [group.members for group in group_runs([lane.trace for lane in lanes])]
    assert groups == [(0, 1, 2), (3,)]
    drawing = compare.draw(Scene(lanes, _look(seeds=True)))
    figure = _checked(drawing)
    (mean,) = traces(figure, "mean")
    expected = np.mean([lane.trace.values("steps", "loss") for lane in lanes[:3]], axis=0)
    np.testing.assert_allclose(values(mean["y"]), expected[values(mean["x"]) - 1], rtol=1e-5)
    assert mean["name"] == "a, mean of 3" and values(mean["customdata"]).tolist() == [3] * len(values(mean["x"]))
    band = trace(figure, "band")
    assert band["fill"] == "toself" and len(values(band["x"])) == 2 * len(values(mean["x"]))
    highest = max(lane.trace.values("steps", "loss").max() for lane in lanes[:3])
    assert values(band["y"]).max() == pytest.approx(highest, rel=1e-5)
    assert [drawn["meta"]["lane"] for drawn in traces(figure, "curve")] == [3]
    assert "a: 3 runs, band: smallest to largest" in drawing.reading
    assert {drawn["meta"]["lane"] for drawn in traces(figure, "raw")} == {0, 1, 2}


def test_a_run_of_one_row_is_in_the_range_although_it_is_early_and_high() -> None:
    lone = Trace.empty(Manifest(run_id="lone", name="lone", format="test"))
    lone.append("steps", record_batch("steps", {"step": [1], "loss": [50.0]}))
    layout = _checked(compare.draw(Scene([_lane(), Lane(lone, "lone", 1)], _look())))["layout"]
    assert layout["yaxis"]["range"][1] >= np.log10(50.0)


def test_the_target_is_a_line_with_its_value() -> None:
    layout = _checked(compare.draw(Scene([_lane()], _look(target=0.5))))["layout"]
    assert layout["shapes"][0]["y0"] == 0.5 and layout["annotations"][0]["text"] == "0.5"
    assert layout["annotations"][0]["y"] == pytest.approx(np.log10(0.5))
    assert _checked(compare.draw(Scene([_lane()], _look(target=-1.0))))["layout"]["shapes"] == []


def test_a_run_without_the_metric_is_named_with_the_reason() -> None:
    drawing = compare.draw(Scene([_lane(), _lane(1, tokens=np.arange(500.0))], _look(x="tokens")))
    assert "run 0 left out: the log has no token count" in drawing.reading
    several = compare.draw(Scene([*map(_lane, range(4)), _lane(4, tokens=np.arange(500.0))], _look(x="tokens")))
    assert "4 runs left out: the log has no token count" in several.reading
    nothing = compare.draw(Scene([_lane()], _look(metrics=("bleu",))))
    assert nothing.figure is None and "bleu" in nothing.empty
    assert compare.draw(Scene([], _look())).empty


def test_a_few_values_are_points_too() -> None:
    lane = _lane(held_out_loss=[1.0 if step % 100 == 99 else None for step in range(500)])
    drawn = trace(_checked(compare.draw(Scene([lane], _look(metrics=("held_out_loss",))))), "curve")
    assert drawn["mode"] == "lines+markers" and len(values(drawn["x"])) == 5


def test_names_and_metrics_are_never_markup() -> None:
    lane = _lane(label="<b>x</b>", **{"<i>m</i>": np.ones(500)})
    figure = _checked(compare.draw(Scene([lane], _look(metrics=("<i>m</i>",), target=1.0))))
    assert figure["data"][0]["name"] == "&lt;b&gt;x&lt;/b&gt;"
    assert figure["layout"]["yaxis"]["title"]["text"] == "&lt;i&gt;m&lt;/i&gt;"


def test_zooming_in_loads_detail_and_a_spike_is_never_lost() -> None:
    count = 200_000
    loss = np.ones(count)
    loss[123_456] = 50.0
    lane = _lane(count=count, loss=loss)
    whole = trace(compare.draw(Scene([lane], _look())).figure, "curve")
    assert len(values(whole["x"])) <= 820 and values(whole["y"]).max() == 50
    part = trace(compare.draw(Scene([lane], _look(x_from=123_450.0, x_to=123_550.0))).figure, "curve")
    assert values(part["x"]).tolist() == list(range(123_349, 123_652))


def test_a_clock_that_starts_again_is_drawn_in_order_of_step() -> None:
    seconds = np.concatenate([np.arange(300.0), np.arange(200.0)])
    drawn = trace(_checked(compare.draw(Scene([_lane(optimizer_seconds=seconds)], _look(x="fair_time")))), "curve")
    np.testing.assert_array_equal(values(drawn["x"]), seconds)
    groups = compare.draw(
        Scene([_lane(i, optimizer_seconds=seconds) for i in range(2)], _look(x="fair_time", seeds=True))
    )
    assert (np.diff(values(trace(_checked(groups), "mean")["x"])) > 0).all()


def test_redrawing_is_quick() -> None:
    lanes = [_lane(i, count=1000, seed=i) for i in range(200)]
    big = [_lane(0, count=1_000_000)]
    smoothing = {"smoothing": "ema", "scale": 50.0}
    begin = time.thread_time()
    figure = compare.draw(Scene(lanes, _look(**smoothing))).figure
    assert time.thread_time() - begin < 1.0
    assert len(json.dumps(figure)) < 2_000_000
    compare.draw(Scene(big, _look(**smoothing)))
    spent = []
    for low in (1000.0, 200_000.0, 300_000.0):
        begin = time.thread_time()
        compare.draw(Scene(big, _look(**smoothing, x_from=low, x_to=low + 500_000)))
        spent.append(time.thread_time() - begin)
    assert min(spent) < 0.05


def test_a_run_that_leaves_the_plot_has_its_cross_at_the_edge() -> None:
    step = np.arange(1, 101)
    loss = np.where(step < 90, 1.0, 10.0 ** (step - 60.0))
    loss[-1] = np.inf
    trace = Trace.empty(Manifest(run_id="x", name="x", status="diverged", diverged_step=100))
    trace.append("steps", record_batch("steps", {"step": step, "loss": loss}))
    figure = compare.draw(Scene([Lane(trace, "x", 0)], _look())).figure
    (cross,) = [part for part in figure["data"] if part["meta"]["series"] == "diverged"]
    height = values(cross["y"])[0]
    assert np.log10(height) <= figure["layout"]["yaxis"]["range"][1] + 1e-6
    assert cross["customdata"] == ["1.0e39"]


def test_the_panels_of_a_comparison_draw_a_scene_like_all_others(lanes: list[Lane]) -> None:
    bare = [_lane(0), _lane(1)]
    look = Look(metrics=("loss", "held_out_loss"))
    assert [spec.id for spec in compared(Scene(bare, look))] == ["compare-0", "compare-1"]
    scene = Scene(lanes, look)
    specs = compared(scene)
    assert [spec.id for spec in specs] == ["compare-0", "compare-1", *(spec.id for spec in COMPARE_PANELS)]
    assert {spec.columns for spec in specs} == {6} and compared(Scene(lanes))[0].columns == 12
    for spec in specs:
        drawing = spec.draw(scene)
        assert drawing.moment == "steps to 700"
        assert drawing.figure["layout"]["meta"]["cursor"] == "step"
        assert drawing.figure["layout"]["xaxis"]["showspikes"] is False
    assert compare.draw(Scene(lanes), position=1).empty, "only one metric is compared"


def test_a_comparison_at_a_step_is_that_of_the_runs_until_then(lanes: list[Lane]) -> None:
    cut = [Lane(lane.trace.truncated(333), lane.label, lane.position) for lane in lanes]
    look = Look(metrics=("loss", "held_out_loss"))
    for spec in compared(Scene(lanes, look)):
        spec.draw(Scene(lanes, look))
        assert spec.draw(Scene(lanes, replace(look, at=333))) == spec.draw(Scene(cut, look)), spec.id


def test_references_are_lines_beside_the_target() -> None:
    references = [Reference("loss", 0.4, "<published>"), Reference("accuracy", 0.9, "another metric")]
    layout = _checked(compare.draw(Scene([_lane()], _look(target=0.5), references)))["layout"]
    assert [shape["y0"] for shape in layout["shapes"]] == [0.5, 0.4]
    assert [note["hovertext"] for note in layout["annotations"]] == ["target", "&lt;published&gt;"]


def test_the_spike_at_the_start_is_cut_said_and_one_choice_away() -> None:
    step = np.arange(1, 1001)
    loss = np.where(step < 60, 11.0 - step / 10, 2.0 + 100 / (step + 100))
    run = Trace.empty(Manifest(run_id="r", name="r", format="table", status="finished"))
    run.append("steps", record_batch("steps", {"step": step, "loss": loss}))
    lanes = [Lane(run, "run", 0)]
    for log in (True, False):
        near = compare.draw(Scene(lanes, Look(smoothing="none", log_y=log)))
        high = near.figure["layout"]["yaxis"]["range"][1]
        assert (10.0**high if log else high) < 4 and "Whole range" in near.reading
        every = compare.draw(Scene(lanes, Look(smoothing="none", log_y=log, whole=True)))
        high = every.figure["layout"]["yaxis"]["range"][1]
        assert (10.0**high if log else high) > 10.9 and "Whole range" not in every.reading
