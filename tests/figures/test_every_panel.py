"""What holds for every panel, whatever it draws."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from foam_viz.figures import theme
from foam_viz.figures.catalogue import BY_ID, PANELS, compared
from foam_viz.figures.look import Look
from foam_viz.figures.look_fields import BY_NAME, FIELDS
from foam_viz.figures.panel import PanelSpec
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Manifest, Trace, record_batch
from foam_viz.ui.feed.deflated import _LEVEL as LEVEL
from tests.figures.conftest import LABELS
from tests.figures.reading import is_of_the_theme
from tests.synthetic import SyntheticRun, factor_infos

EACH_PANEL = pytest.mark.parametrize("spec", PANELS, ids=lambda spec: spec.id)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "bdata":
                yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, str):
        yield value


@EACH_PANEL
@pytest.mark.parametrize("lane", range(4))
def test_figures_are_valid_plain_and_coloured_by_the_theme(spec: PanelSpec, lane: int, lanes: list[Lane]) -> None:
    drawing = spec.draw(Scene(lanes, Look(factor=0, lane=lane)))
    if spec.id == "decision":
        assert drawing.figure is None and drawing.text
        return
    assert drawing.figure is not None and drawing.reading and not drawing.empty
    go.Figure(drawing.figure)
    json.dumps(drawing.figure, allow_nan=False)
    assert "template" not in drawing.figure["layout"]
    assert drawing.figure["layout"]["uirevision"]
    known = set(theme.DARK_OF) | {colour for _, colour in theme.SEQUENTIAL}
    for text in _strings(drawing.figure):
        if text.startswith("#") and len(text) == 7:
            assert text.upper() in known, text
        if text.startswith("rgba"):
            assert is_of_the_theme(text), text


@EACH_PANEL
def test_axes_have_titles_and_marks_have_hover_texts(spec: PanelSpec, lanes: list[Lane]) -> None:
    figure = spec.draw(Scene(lanes, Look(factor=0))).figure
    if figure is None:
        return
    axes = {name: axis for name, axis in figure["layout"].items() if name[:5] in ("xaxis", "yaxis")}
    for name, axis in axes.items():
        named_by_ticks = bool(axis.get("ticktext"))
        assert axis.get("visible") is False or axis["title"]["text"] or named_by_ticks, name
    for trace in figure["data"]:
        assert "hovertemplate" in trace or trace.get("hoverinfo") == "skip"


@EACH_PANEL
def test_without_runs_every_panel_says_what_will_appear(spec: PanelSpec) -> None:
    drawing = spec.draw(Scene())
    assert drawing.figure is None and "appear" in drawing.empty


@EACH_PANEL
def test_an_optimizer_without_factors_is_normal(spec: PanelSpec, lanes: list[Lane]) -> None:
    drawing = spec.draw(Scene([lanes[3]], Look(factor=0, lane=3)))
    if spec.id in ("loss", "picture", "cost"):
        assert drawing.figure is not None
    else:
        assert drawing.figure is None and "AdamW keeps none" in drawing.empty


@EACH_PANEL
def test_a_run_that_has_not_begun_is_normal(spec: PanelSpec) -> None:
    run = SyntheticRun("foam")
    drawing = spec.draw(Scene([Lane(run.trace, "FOAM", 0)], Look(factor=0)))
    assert drawing.figure is None and drawing.empty
    if spec.id not in ("loss", "picture", "cost"):
        assert "step 10" in drawing.empty


@EACH_PANEL
@pytest.mark.parametrize("factor", [None, -1, 18, 10_000])
def test_a_factor_that_does_not_exist_is_no_error(spec: PanelSpec, factor: int | None, lanes: list[Lane]) -> None:
    drawing = spec.draw(Scene(lanes, Look(factor=factor)))
    assert drawing.figure is not None or drawing.empty


@EACH_PANEL
def test_missing_columns_are_normal(spec: PanelSpec) -> None:
    trace = Trace.empty(Manifest(run_id="x", name="x", optimizer="foreign", factors=factor_infos()[:2]))
    trace.append("steps", record_batch("steps", {"step": np.arange(1, 30), "loss": np.linspace(2, 1, 29)}))
    trace.append("checks", record_batch("checks", {"step": [10, 20], "factor": [0, 0]}))
    trace.append("snapshots", record_batch("snapshots", {"step": [20], "factor": [0]}))
    drawing = spec.draw(Scene([Lane(trace, "foreign", 0)], Look(factor=0)))
    if drawing.figure is not None:
        go.Figure(drawing.figure)
        json.dumps(drawing.figure, allow_nan=False)


@EACH_PANEL
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_diverged_runs_are_drawn_up_to_where_they_diverged(spec: PanelSpec, bad: float) -> None:
    run = SyntheticRun("foam").advance(60)
    rows = {"step": [61], "loss": [bad], "held_out_loss": [bad], "optimizer_seconds": [1.0], "decompositions": [18]}
    run.trace.append("steps", record_batch("steps", rows))
    check = {"step": [70], "factor": [0], "epsilon": [bad], "epsilon_before": [bad], "proxy": [bad], "residual": [bad]}
    run.trace.append("checks", record_batch("checks", {**check, "checks": [1], "decision": ["failure"]}))
    spectrum = np.array([np.nan, 1e-3, 0.0, -1e-9], dtype=np.float32)
    snapshot = {"step": [70], "factor": [0], "epsilon": [bad], "eigenvalues": [spectrum], "true_error": [bad]}
    run.trace.append("snapshots", record_batch("snapshots", snapshot))
    run.trace.manifest = run.trace.manifest.with_(status="diverged", diverged_step=61)
    drawing = spec.draw(Scene([Lane(run.trace, "FOAM", 0)], Look(factor=0)))
    if drawing.figure is not None:
        go.Figure(drawing.figure)
        json.dumps(drawing.figure, allow_nan=False)
    if spec.id == "loss":
        assert "diverged at step 61" in drawing.reading


@EACH_PANEL
def test_labels_from_people_are_never_markup(spec: PanelSpec) -> None:
    run = SyntheticRun("foam").advance(200)
    drawing = spec.draw(Scene([Lane(run.trace, "<b>x</b>", 0), Lane(run.trace, "y", 1)], Look(factor=0)))
    if drawing.figure is not None:
        assert "<b>x</b>" not in list(_strings(drawing.figure["data"])) + list(_strings(drawing.figure["layout"]))


def test_forks_are_told_apart_wherever_their_names_are_shortened(lanes: list[Lane]) -> None:
    names = ["FOAM from step 1,200, τ = 0.5", "FOAM from step 1,200, τ = 0.3"]
    forks = [Lane(lane.trace, name, lane.position) for lane, name in zip(lanes, names, strict=False)]
    cost = BY_ID["cost"].draw(Scene(forks)).figure["layout"]["yaxis"]["ticktext"]
    assert len({text.partition("<br>")[0] for text in cost}) == 2
    beside = BY_ID["multiples"].draw(Scene(forks * 3, Look(factor=0))).figure["layout"]["annotations"]
    assert len({note["text"] for note in beside}) == 2


def test_each_number_drawn_side_by_side_says_of_which_lane_it_is(lanes: list[Lane]) -> None:
    for kind in ("overlap", "damping", "raster"):
        drawn = BY_ID["multiples"].draw(Scene(lanes[:2], Look(factor=0, side_by_side=kind))).figure["data"]
        assert all(any(lane.label in trace["name"] for lane in lanes[:2]) for trace in drawn), kind


def _all(lanes: list[Lane]) -> list[dict | None]:
    return [spec.draw(Scene(lanes, Look(factor=0))).figure for spec in PANELS]


SEEN = ("loss", "decision", "factor-map", "damping", "spectrum")
"""The panels of a page of 1280 x 720."""


@pytest.mark.parametrize(("count", "limit"), [(1, 13_000), (4, 19_000)])
def test_an_update_stays_small_at_step_ten_thousand(count: int, limit: int, long_lanes: list[Lane]) -> None:
    scene = Scene(long_lanes[:count], Look(factor=0, max_points=400 if count == 1 else 160))
    sizes = {}
    for spec in PANELS:
        text = json.dumps(spec.draw(scene).figure, separators=(",", ":")).encode()
        sizes[spec.id] = len(zlib.compress(text, LEVEL))
        assert len(text) < 120_000 and sizes[spec.id] < 12_000, spec.id
    assert sum(sizes[name] for name in SEEN) < limit, sizes


def test_drawing_takes_few_milliseconds() -> None:
    runs = [SyntheticRun(kind, seed=i).advance(10_000).trace for i, kind in enumerate(LABELS)]
    spent = []
    for _ in range(7):
        for run in runs:  # a new row, so that no cache can hide the cost
            row = {"step": [run.values("steps", "step")[-1] + 1], "loss": [0.1]}
            run.append("steps", record_batch("steps", row))
        begin = time.thread_time()
        _all([Lane(run, label, i) for i, (run, label) in enumerate(zip(runs, LABELS.values(), strict=True))])
        spent.append(time.thread_time() - begin)
    assert min(spent) < 0.04  # 10 ms on an idle core; the limit only catches a loop over rows


def test_a_drawing_depends_on_what_its_panel_reads_and_on_nothing_else(lanes: list[Lane]) -> None:
    random = np.random.default_rng(0)
    choices = {
        "factor": [None, 0, 5],
        "lane": [0, 1, 2],
        "quantity": ["loss", "norms"],
        "loss_axis": ["step", "optimizer_seconds"],
        "loss_log": [True, False],
        "measure": list(BY_NAME["measure"].choices),
        "cost": list(BY_NAME["cost"].choices),
        "side_by_side": list(BY_NAME["side_by_side"].choices),
        "at": [None, 333],
        "max_points": [60, 400],
        "metrics": [("loss",), ("held_out_loss", "loss")],
        "x": ["step", "fair_time"],
        "log_x": [False, True],
        "log_y": [True, False],
        "smoothing": ["none", "ema", "window"],
        "scale": [5.0, 20.0],
        "raw": [True, False],
        "whole": [True, False],
        "seeds": [True, False],
        "target": [None, 0.4],
        "read_at": [None, 100.0],
        "baseline": [None, 1],
        "highlight": [None, 1],
    }
    for _ in range(6):
        chosen = {name: values[random.integers(len(values))] for name, values in choices.items()}
        look = Look(**chosen, x_from=100.0, x_to=200.0)
        for spec in [*PANELS, *compared(Scene(lanes, Look(metrics=("loss", "held_out_loss"))))]:
            if spec.id == "compare-1" and len(look.metrics) == 1:
                continue
            assert spec.draw(Scene(lanes, look)) == spec.draw(Scene(lanes, spec.key(look))), spec.id
    assert {name for spec in [*PANELS, *compared(Scene(lanes))] for name in spec.reads} == (
        {field.name for field in FIELDS} - {"at", "read_at", "baseline"}
    )
