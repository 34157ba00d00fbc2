"""Numbers that stand together belong to one moment, and each card says to which."""

from __future__ import annotations

import re

import numpy as np
import pytest

from foam_viz.figures import damping, decision, overlap, spectrum
from foam_viz.figures.catalogue import PANELS
from foam_viz.figures.columns import checks_of
from foam_viz.figures.look import Look
from foam_viz.figures.panel import PanelSpec
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Trace, record_batch
from foam_viz.trace.numbers import number
from tests.figures.imported import intervals
from tests.synthetic import SyntheticRun


@pytest.mark.parametrize("spec", PANELS, ids=lambda spec: spec.id)
def test_every_card_states_its_moment(spec: PanelSpec, lanes: list[Lane]) -> None:
    drawing = spec.draw(Scene(lanes, Look(factor=0)))
    assert re.search(r"steps? (to )?\d", drawing.moment), drawing.moment


@pytest.mark.parametrize("steps", [10, 95, 250, 445])
def test_damping_and_drift_of_a_sentence_are_of_one_check(steps: int) -> None:
    lane = Lane(SyntheticRun("foam").advance(steps).trace, "FOAM", 0)
    for factor in (0, 4, 7):
        rows = checks_of(lane, factor)
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


def test_a_run_truncated_to_a_moment_says_that_moment() -> None:
    whole = SyntheticRun("foam").advance(700).trace
    lane = Lane(whole.truncated(333) if isinstance(whole, Trace) else whole, "FOAM", 0)
    for spec in PANELS:
        drawing = spec.draw(Scene([lane], Look(factor=0)))
        if drawing.empty:
            continue
        told = [int(text.replace(",", "")) for text in re.findall(r"[\d,]+", drawing.moment)]
        assert told and max(told) <= 333, spec.id
