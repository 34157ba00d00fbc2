"""Numbers that stand together belong to one moment, and each card says to which."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from itertools import product

import numpy as np
import pyarrow.compute as pc
import pytest

from foam_viz.analysis.checks import checks_of
from foam_viz.figures.catalogue import PANELS
from foam_viz.figures.look import Look
from foam_viz.figures.panel import Drawing, PanelSpec
from foam_viz.figures.panels import damping, decision, loss, metrics, overlap, spectrum
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import record_batch
from foam_viz.trace.numbers import number
from tests.figures.imported import intervals
from tests.figures.reading import values
from tests.synthetic import SyntheticRun


@pytest.mark.parametrize("spec", PANELS, ids=lambda spec: spec.id)
def test_every_card_states_its_moment(spec: PanelSpec, lanes: list[Lane]) -> None:
    drawing = spec.draw(Scene(lanes, Look(factor=0)))
    assert re.search(r"steps? (to )?\d", drawing.moment), drawing.moment


@pytest.mark.parametrize("steps", [10, 95, 250, 445])
def test_damping_and_drift_of_a_sentence_are_of_one_check(steps: int) -> None:
    lane = Lane(SyntheticRun("foam").advance(steps).trace, "FOAM", 0)
    for factor in (0, 4, 7):
        rows = checks_of(lane.trace, factor)
        drawing = damping.draw(Scene([lane], Look(factor=factor)))
        assert drawing.moment == f"check of step {rows.step[-1]:,}"
        if np.isfinite(rows.proxy[-1]):
            assert f"h = {number(float(rows.proxy[-1]))} " in drawing.reading
            if rows.epsilon_before[-1] != rows.epsilon[-1]:
                assert f"with ε = {number(float(rows.epsilon_before[-1]))}; then ε" in drawing.reading
        assert f"ε = {number(float(rows.epsilon[-1]))}" in drawing.reading


def test_a_decision_to_decompose_is_not_told_as_a_drift_at_the_new_damping() -> None:
    trace = SyntheticRun("foam").advance(20).trace
    check = {"step": [30], "factor": [0], "checks": [1], "decompositions": [1], "decision": ["cap"]}
    trace.append(
        "checks", record_batch("checks", {**check, "proxy": [3.31], "epsilon_before": [2e-7], "epsilon": [1e-9]})
    )
    drawing = damping.draw(Scene([Lane(trace, "FOAM", 0)], Look(factor=0)))
    assert "h = 3.31 > τ = 0.75 with ε = 2.0e-7; then ε = 1.0e-9, 1.00 × ε₀" in drawing.reading
    assert drawing.moment == "check of step 30"


def test_a_snapshot_older_than_the_last_check_says_so() -> None:
    run = SyntheticRun("foam").advance(410)
    lane = Lane(run.trace, "FOAM", 0)
    for panel in (spectrum, overlap):
        moment = panel.draw(Scene([lane], Look(factor=3))).moment
        assert moment == "snapshot of step 400; last check 410"
    assert decision.draw(Scene([lane], Look(factor=3))).moment == "check of step 410"


def test_a_snapshot_at_a_check_that_decomposed_is_of_before() -> None:
    trace = SyntheticRun("foam").advance(90).trace
    check = {"step": [100], "factor": [0], "checks": [1], "decompositions": [1], "decision": ["cap"]}
    trace.append("checks", record_batch("checks", {**check, "last_decomposition_step": [100]}))
    shot = {"step": [100], "factor": [0], "last_decomposition_step": [60], "eigenvalues": [np.ones(4, np.float32)]}
    trace.append("snapshots", record_batch("snapshots", shot))
    drawing = spectrum.draw(Scene([Lane(trace, "FOAM", 0)], Look(factor=0)))
    assert (
        drawing.moment == "snapshot of step 100, before its check decided" and "basis from step 60" in drawing.reading
    )


def test_the_end_of_an_interval_is_named_as_that() -> None:
    lane = Lane(intervals(), "log", 0)
    assert damping.draw(Scene([lane], Look(factor=1))).moment == "end of steps 97 to 128"
    assert decision.draw(Scene([lane], Look(factor=1))).moment == "steps 97 to 128"


def test_counts_are_whole_and_what_a_factor_pays_is_told(lanes: list[Lane]) -> None:
    rows = {label: value for label, value, _ in decision.draw(Scene(lanes, Look(factor=2, lane=1))).text}
    done, checked = re.match(r"(\d+) of (\d+) checks", rows["spent so far"]).groups()
    assert (done, checked) == ("15", "15") and rows["per 100 steps"] == "2.14"


def test_a_rate_says_to_which_step_it_is_where_that_is_not_the_checks(lanes: list[Lane]) -> None:
    """The card is of the last check; the rate counts the steps since, too."""
    run = SyntheticRun("foam").advance(417).trace
    drawing = decision.draw(Scene([Lane(run, "FOAM", 0)], Look(factor=0)))
    rows = {label: value for label, value, _ in drawing.text}
    assert drawing.moment == "check of step 410" and rows["per 100 steps"].endswith(", to step 417")


def _sent(drawing: Drawing) -> str:
    return json.dumps(asdict(drawing), sort_keys=True, default=str)


@pytest.mark.parametrize("at", [0, 5, 100, 409])
def test_a_longer_run_at_a_step_is_drawn_as_the_run_that_has_come_so_far(at: int) -> None:
    kinds = ("foam", "shampoo", "dr-shampoo")
    runs = [SyntheticRun(kind, seed=i).advance(at) for i, kind in enumerate(kinds)]
    before = [run.trace.truncated(at) for run in runs]
    longer = [Lane(run.advance(700 - at).trace, run.optimizer, i) for i, run in enumerate(runs)]
    # Axes of time are those of the whole run; everything else is of the moment.
    shorter = [Lane(trace, lane.label, lane.position, lane.trace) for trace, lane in zip(before, longer, strict=True)]
    cut = [Lane(lane.trace.truncated(at), lane.label, lane.position, lane.trace) for lane in longer]
    for spec, lane in product([*PANELS, *metrics.cards(longer)], range(3)):
        spec.draw(Scene(longer, Look(factor=lane, lane=lane)))  # what is kept of the whole run is not that of the step
        then = spec.draw(Scene(longer, Look(factor=lane, lane=lane, at=at)))
        for lanes in (cut, shorter):
            assert _sent(then) == _sent(spec.draw(Scene(lanes, Look(factor=lane, lane=lane)))), (spec.id, lane)
        told = [int(text.replace(",", "")) for text in re.findall(r"[\d,]+", then.moment)]
        assert max(told) <= at if told else then.empty


def _ranges(drawing: Drawing) -> dict[str, list]:
    return {
        name: axis["range"] for name, axis in drawing.figure["layout"].items() if "axis" in name and "range" in axis
    }


def test_axes_over_time_stand_still_while_the_cursor_moves() -> None:
    lanes = [Lane(SyntheticRun(kind, seed=i).advance(700).trace, kind, i) for i, kind in enumerate(("foam", "shampoo"))]
    for spec in [*PANELS, *metrics.cards(lanes)]:
        if not spec.over_time:
            continue
        whole = _ranges(spec.draw(Scene(lanes, Look(factor=0))))
        for at in (150, 333, 690):
            assert _ranges(spec.draw(Scene(lanes, Look(factor=0, at=at)))) == whole, (spec.id, at)


def test_a_lane_that_ended_earlier_shows_its_end_and_others_the_moment() -> None:
    ended = SyntheticRun("foam").advance(200).trace
    ended.manifest = ended.manifest.with_(status="diverged", diverged_step=200)
    lanes = [Lane(ended, "ended", 0), Lane(SyntheticRun("shampoo").advance(700).trace, "goes on", 1)]
    scene = Scene(lanes, Look(factor=0, at=450))
    assert [lane.trace.last_step for lane in scene.lanes] == [200, 450]
    assert "ended diverged at step 200" in damping.draw(scene).reading
    assert damping.draw(scene).moment == "check of step 200"
    early = Scene(lanes, Look(factor=0, at=199))
    assert "diverged" not in damping.draw(early).reading


def test_of_steps_that_were_written_twice_the_later_row_counts() -> None:
    trace = SyntheticRun("foam").advance(100).trace
    again = SyntheticRun("foam", seed=1).advance(150).trace.view()
    for name in ("steps", "checks", "snapshots"):
        trace.append(name, again.table(name).filter(pc.greater(again.table(name)["step"], 50)))
    scene = Scene([Lane(trace, "resumed", 0)], Look(factor=0, at=80))
    step = scene.lanes[0].trace.values("steps", "step")
    assert step.max() == 80 and len(step) == 80 + 30
    shot = again.view(80).latest_snapshot(0)
    assert spectrum.draw(scene).moment.startswith(f"snapshot of step {shot.step}")
    drawn = next(part for part in spectrum.draw(scene).figure["data"] if part["meta"]["series"] == "eigenvalues")
    np.testing.assert_array_equal(values(drawn["y"]), shot.eigenvalues)
    assert loss.draw(scene).moment == "steps to 80"
