"""The drawing of the damping panel against the table it is drawn from, at many lengths."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foam_viz.analysis.checks import checks_of
from foam_viz.analysis.downsample import bin_width
from foam_viz.figures.look import Look
from foam_viz.figures.panels import damping
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Manifest, Trace, record_batch
from tests.figures.reading import trace, traces, values
from tests.synthetic import SyntheticRun, factor_infos

PIXELS = 400
"""Checks that are drawn one by one, at least: a card is narrower than that."""


def _sawtooth(checks: int, seed: int, optimizer: str = "foam", period: int = 10) -> Trace:
    """A run with one factor whose damping rises tenfold and falls back, at random places."""
    random = np.random.default_rng(seed)
    step = period * np.arange(1, checks + 1)
    falls = random.random(checks) < 0.15
    growth = np.exp(random.uniform(0.1, 0.8, checks))
    epsilon, level = np.empty(checks), 1e-9
    for at in range(checks):
        level = 1e-9 if falls[at] else level * growth[at]
        level = 1e-9 if level > 3e-7 else level
        epsilon[at] = level
    run = Trace.empty(
        Manifest(
            run_id=f"{optimizer}{seed}",
            name=optimizer,
            optimizer=optimizer,
            factors=factor_infos()[:1],
            config={"optimizer_settings": {"tau": 0.75, "epsilon": 1e-9, "epsilon_max": 3e-7, "period": period}},
        )
    )
    rows = {
        "step": step,
        "factor": np.zeros(checks, np.int32),
        "checks": np.ones(checks, np.int32),
        "decompositions": (epsilon == 1e-9).astype(np.int32),
        "decision": ["cap" if value == 1e-9 else "reuse" for value in epsilon],
        "epsilon": epsilon,
        "proxy": random.uniform(0.01, 2.0, checks),
        "residual": random.uniform(0.01, 0.9, checks),
    }
    run.append("checks", record_batch("checks", rows))
    run.append("steps", record_batch("steps", {"step": [int(step[-1])], "loss": [1.0]}))
    return run


def _against_the_table(drawn: dict, step: np.ndarray, recorded: np.ndarray) -> None:
    """Each vertex is a row; with few rows each row is a vertex; with many each bin has its lowest and highest row."""
    x, y = values(drawn["x"]).astype(np.int64), values(drawn["y"])
    rows = np.searchsorted(step, x)
    np.testing.assert_array_equal(step[rows], x)
    np.testing.assert_array_equal(recorded[rows].astype("f4"), y)
    assert (np.diff(rows) > 0).all()
    if len(step) <= PIXELS:
        assert len(x) == len(step), "nothing is left out while there is room"
    for begin in range(0, len(step), bin_width(len(step), PIXELS // 2)):
        inside = slice(begin, begin + bin_width(len(step), PIXELS // 2))
        mine = (rows >= inside.start) & (rows < inside.stop)
        assert y[mine].min() == recorded[inside].astype("f4").min()
        assert y[mine].max() == recorded[inside].astype("f4").max()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3000), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_what_is_drawn_is_what_was_recorded(checks: int, count: int, seed: int) -> None:
    """Found at about 130 checks with two lanes: steps joined thinned points and showed damping that never was."""
    lanes = [Lane(_sawtooth(checks, seed % 1000 + i), f"lane {i}", i) for i in range(count)]
    figure = damping.draw(Scene(lanes, Look(factor=0, max_points=(400, 260, 200, 160)[count - 1]))).figure
    for lane in lanes:
        table = checks_of(lane.trace, 0)
        drawn = trace(figure, "epsilon", lane=lane.position)
        assert drawn["line"]["shape"] == "hv"
        _against_the_table(drawn, table.step, table.epsilon)
        _against_the_table(trace(figure, "drift", lane=lane.position), table.step, table.proxy)
    table = checks_of(lanes[0].trace, 0)
    ticks = traces(figure, "refresh")
    done = table.step[table.decompositions > 0]
    drawn = np.concatenate([values(tick["x"]) for tick in ticks]) if ticks else np.empty(0)
    assert set(drawn) <= set(done)
    counted = sum(
        values(tick["customdata"]).sum() if tick.get("customdata") else len(values(tick["x"])) for tick in ticks
    )
    assert counted == len(done), "each decomposition has its tick, or is counted at one"


def test_an_envelope_says_so() -> None:
    few, many = (
        damping.draw(Scene([Lane(_sawtooth(count, 0), "FOAM", 0)], Look(factor=0))).figure for count in (300, 3000)
    )
    assert "lowest or highest" not in trace(few, "epsilon")["hovertemplate"]
    assert "lowest or highest of 16 checks" in trace(many, "epsilon")["hovertemplate"]


def test_intervals_too_many_for_the_plot_are_added_up_and_none_is_left_out() -> None:
    count = 3000
    run = Trace.empty(Manifest(run_id="i", name="i", factors=factor_infos()[:1]))
    ends = 100 * np.arange(1, count + 1)
    rows = {
        "step": ends, "interval_start": ends - 99, "factor": np.zeros(count, np.int32),
        "checks": np.full(count, 10, np.int32), "decompositions": np.arange(count, dtype=np.int32) % 4,
        "epsilon": np.full(count, 1e-9),
    }  # fmt: skip
    run.append("checks", record_batch("checks", rows))
    drawn = trace(damping.draw(Scene([Lane(run, "log", 0)], Look(factor=0))).figure, "counts")
    assert values(drawn["customdata"])[:, 0].sum() == (np.arange(count) % 4).sum()


def _soap(seed: int = 0) -> Trace:
    """A run whose optimizer keeps no damping and goes by the residual."""
    made = _sawtooth(60, seed, optimizer="soap-residual")
    checks = made.checks
    for name in ("proxy", "epsilon", "epsilon_before"):
        place = checks.column_names.index(name)
        checks = checks.set_column(place, checks.schema.field(name), pa.nulls(len(checks), pa.float64()))
    settings_of = {"optimizer_settings": {"tau": 0.3, "period": 10}}
    return Trace(made.manifest.with_(config=settings_of), steps=made.steps, checks=checks)


def test_a_lane_that_goes_by_r_has_an_axis_of_its_own() -> None:
    foam, residual = Lane(_sawtooth(60, 0), "FOAM", 0), Lane(_sawtooth(60, 1, optimizer="dr-shampoo"), "DR", 1)
    layouts = {}
    for followed, own, other in ((0, "h", "r"), (1, "r", "h")):
        figure = damping.draw(Scene([foam, residual], Look(factor=0, lane=followed))).figure
        layout = layouts[own] = figure["layout"]
        for lane, measure, column in ((foam, "h", "proxy"), (residual, "r", "residual")):
            drawn = trace(figure, "drift", lane=lane.position)
            np.testing.assert_array_equal(values(drawn["y"]), getattr(checks_of(lane.trace, 0), column).astype("f4"))
            assert f": {measure} = " in drawn["hovertemplate"]
            title = layout["yaxis" + drawn["yaxis"][1:]]["title"]["text"]
            assert title == {"h": "drift h", "r": "residual r"}[measure]
        assert layout["yaxis2"]["title"]["text"].endswith(own) and layout["yaxis4"]["title"]["text"].endswith(other)
        tau = next(shape for shape in layout["shapes"] if shape["type"] == "line" and shape["y0"] == 0.75)
        assert tau["yref"] == "y2", "the tolerance stands on the axis of the lane followed"


def test_low_rows_name_decades_only() -> None:
    """Plotly would label 1, 2 and 5 of each decade, over each other in a row of 40 pixels."""
    both = [Lane(_sawtooth(60, 0), "FOAM", 0), Lane(_sawtooth(60, 1, optimizer="dr-shampoo"), "DR", 1)]
    shown = damping.draw(Scene(both, Look(factor=0))).figure["layout"]
    rows = [shown[name] for name in shown if name.startswith("yaxis") and shown[name].get("type") == "log"]
    assert len(rows) == 3
    for row in rows:
        decades = row["range"][1] - row["range"][0]
        assert decades <= 1 or decades / row["dtick"] <= 3 and row["dtick"] % 1 == 0


def test_lanes_of_one_measure_share_one_axis(lanes: list[Lane]) -> None:
    layout = damping.draw(Scene(lanes[:2], Look(factor=0))).figure["layout"]
    assert "yaxis4" not in layout and layout["yaxis2"]["title"]["text"] == "drift h"


def test_without_damping_the_panel_is_of_the_residual_alone() -> None:
    drawing = damping.draw(Scene([Lane(_soap(), "SOAP", 0)], Look(factor=0)))
    assert "yaxis" not in drawing.figure["layout"] and not traces(drawing.figure, "epsilon")
    assert drawing.figure["layout"]["yaxis2"]["title"]["text"] == "residual r"
    assert drawing.title == "Basis drift" and "r = " in drawing.reading and "ε" not in drawing.reading
    beside = damping.draw(Scene([Lane(_soap(), "SOAP", 0), Lane(_sawtooth(60, 0), "FOAM", 1)], Look(factor=0)))
    assert beside.title == "" and beside.figure["layout"]["yaxis"]["title"]["text"] == "damping ε"


@pytest.mark.parametrize("followed", [0, 1])
def test_a_diverged_lane_stretches_no_axis_and_is_marked_at_its_step(followed: int) -> None:
    run = SyntheticRun("foam").advance(300)
    wild = SyntheticRun("foam", seed=1).advance(60)
    last = {"step": [61], "factor": [0], "epsilon": [1e36], "proxy": [1e30], "checks": [1], "decompositions": [0]}
    wild.trace.append("checks", record_batch("checks", last))
    wild.trace.manifest = wild.trace.manifest.with_(status="diverged", diverged_step=62)
    lanes = [Lane(run.trace, "FOAM", 0), Lane(wild.trace, "wild", 1)]
    drawing = damping.draw(Scene(lanes, Look(factor=0, lane=followed)))
    layout = drawing.figure["layout"]
    assert layout["yaxis"]["range"][1] <= -5 and layout["yaxis2"]["range"][1] <= 1.5
    cross = trace(drawing.figure, "diverged")
    assert values(cross["x"])[0] == 62 and "wild: diverged at step 62" in cross["hovertemplate"]
    assert "wild diverged at step 62" in drawing.reading


def test_a_lane_by_the_residual_that_has_measured_nothing_yet_stands_beside_one_by_h() -> None:
    """At its first check a factor has no basis to judge: there is no residual, and no axis for one."""
    beside = _sawtooth(3, 1, optimizer="dr-shampoo")
    bare = beside.checks.drop_columns(["residual", "proxy"])
    young = Trace.empty(beside.manifest)
    young.append("checks", record_batch("checks", {name: bare[name] for name in bare.column_names if name != "error"}))
    young.append("steps", record_batch("steps", {"step": [30], "loss": [1.0]}))
    lanes = (Lane(_sawtooth(3, 0).view(), "FOAM", 0), Lane(young.view(), "residual", 1))
    drawn = damping.draw(Scene(lanes, Look(factor=0, lane=0)))
    assert drawn.figure is not None


def test_names_of_lines_that_are_close_keep_apart() -> None:
    """ε₀ and εₘₐₓ may be a fifth apart: their names would be written over each other."""
    run = _sawtooth(40, 3)
    config = {"optimizer_settings": {"tau": 0.75, "epsilon": 1e-9, "epsilon_max": 1.2e-9, "period": 10}}
    drawn = damping.draw(
        Scene([Lane(Trace(run.manifest.with_(config=config), **_tables(run)), "FOAM", 0)], Look(factor=0))
    )
    layout = drawn.figure["layout"]
    axis = layout["yaxis"]
    scale = 250 * (axis["domain"][1] - axis["domain"][0]) / (axis["range"][1] - axis["range"][0])
    heights = [note["y"] * scale + note.get("yshift", 0) for note in layout["annotations"] if note["yref"] == "y"]
    assert len(heights) == 2 and abs(heights[0] - heights[1]) >= 13


def _tables(run: Trace) -> dict[str, pa.Table]:
    return {name: run.table(name) for name in ("steps", "checks")}
