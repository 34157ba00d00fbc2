"""Settings as they were at each step: the configuration, and the edits made while a run trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foam_viz.analysis.settings import course, settings_at
from foam_viz.figures.look import Look
from foam_viz.figures.panels import damping, decision, factor_map, spectrum
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Trace, record_batch
from foam_viz.trace.disk import bundle
from tests.figures.reading import trace, traces, values
from tests.synthetic import SyntheticRun


def _edited(*edits: tuple[int, str, float], steps: int = 300) -> Trace:
    run = SyntheticRun("foam").advance(steps).trace
    step, setting, value = zip(*edits, strict=True)
    rows = {"step": step, "kind": ["edit"] * len(step), "setting": setting, "value": value}
    run.append("events", record_batch("events", rows))
    return run


def test_without_edits_the_configuration_holds_all_along() -> None:
    view = SyntheticRun("foam").advance(30).trace.view()
    for step in (0, 10, 10**9):
        assert settings_at(view, step) == settings_at(view, 0)
    tau = course(view, "tau")
    assert not tau.changes and tau.at(np.array([0, 5])).tolist() == [0.75, 0.75]
    assert np.isnan(course(view, "no such setting").at(3))


def test_an_edit_holds_from_its_step_on_and_of_one_step_the_last() -> None:
    view = _edited((120, "tau", 0.5), (200, "tau", 2.0), (200, "tau", 1.0), (150, "epsilon_max", 1e-4)).view()
    before = settings_at(view, 119)
    assert before.tau == 0.75
    assert settings_at(view, 120) == replace(before, tau=0.5)
    assert settings_at(view, 150) == replace(before, tau=0.5, epsilon_max=1e-4)
    assert settings_at(view, 200).tau == 1.0
    assert course(view, "tau").step.tolist() == [0, 120, 200]
    assert settings_at(view.view(149), 10**6) == settings_at(view, 149), "a later edit is not known yet"


def test_events_of_other_kinds_and_values_that_are_no_numbers_change_nothing() -> None:
    run = SyntheticRun("foam").advance(30).trace
    rows = {"step": [5, 6], "kind": ["pause", "edit"], "setting": [None, "tau"], "value": [9.0, float("nan")]}
    run.append("events", record_batch("events", rows))
    assert settings_at(run.view(), 30).tau == 0.75


def test_bundles_written_before_there_were_edits_are_read(tmp_path) -> None:
    old = SyntheticRun("foam").advance(30).trace
    old.append("events", record_batch("events", {"step": [3], "kind": ["pause"]}))
    bare = Trace(old.manifest, events=old.events.drop_columns(["setting"]))
    bundle.write(bare, tmp_path / "old")
    assert settings_at(bundle.read(tmp_path / "old").view(), 9).tau == 0.75


def _scene(run: Trace, **look) -> Scene:
    return Scene([Lane(run, "FOAM", 0)], Look(factor=0, **look))


def test_the_damping_panel_draws_each_threshold_as_it_was() -> None:
    run = _edited((120, "tau", 0.5), (200, "epsilon_max", 1e-4))
    figure = damping.draw(_scene(run)).figure
    tau = trace(figure, "tau")
    end = figure["layout"]["xaxis"]["range"][1]
    assert values(tau["x"]).tolist() == [0, 120, end] and tau["line"]["shape"] == "hv"
    np.testing.assert_allclose(values(tau["y"]), [0.75, 0.5, 0.5])
    assert values(trace(figure, "epsilon_max")["x"]).tolist() == [0, 200, end]
    tints = [shape for shape in figure["layout"]["shapes"] if shape["type"] == "rect"]
    assert [(shape["x0"], shape["x1"], shape["y0"]) for shape in tints] == [(0, 120, 0.75), (120, end, 0.5)]
    lines = [shape["y0"] for shape in figure["layout"]["shapes"] if shape["type"] == "line"]
    assert lines == [1e-9], "epsilon alone did not change"
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < -9 and high >= -4
    early = damping.draw(_scene(run, at=119)).figure
    assert traces(early, "tau") == [] and len(early["layout"]["shapes"]) == 4


def test_words_and_cells_go_by_the_settings_of_their_own_check() -> None:
    run = _edited((300, "tau", 0.123))
    last = decision.draw(_scene(run)).text
    assert ("τ", "0.123") in [(label, value) for label, value, _ in last]
    before = decision.draw(_scene(run, at=299)).text
    assert ("τ", "0.75") in [(label, value) for label, value, _ in before]
    assert "τ = 0.123" in damping.draw(_scene(run)).reading
    cells = trace(factor_map.draw(_scene(run)).figure, "factors")
    drift = run.view().factor_numbers("checks", 0)[-1]
    expected = run.values("checks", "proxy")[drift] / 0.123
    assert np.nanmin(np.abs(values(cells["meta"]["values"]) / expected - 1)) < 1e-6


@pytest.mark.parametrize(("at", "epsilon_max"), [(None, 1e-3), (250, 3e-7)])
def test_the_spectrum_shows_the_dampings_of_its_snapshot(at: int | None, epsilon_max: float) -> None:
    notes = spectrum.draw(_scene(_edited((290, "epsilon_max", 1e-3)), at=at)).figure["layout"]["annotations"]
    shown = [note["y"] for note in notes if note["text"] == "ε<sub>max</sub>"]
    assert shown == [pytest.approx(np.log10(epsilon_max))]
