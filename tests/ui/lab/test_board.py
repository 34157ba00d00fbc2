"""What a chip of the live lab says, and of which step."""

from __future__ import annotations

import pytest

from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config
from foam_viz.experiment.config import Experiment
from foam_viz.figures.catalogue import PANELS, panels_for
from foam_viz.figures.panel import without_place
from foam_viz.figures.scene import Lane
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.trace import Trace
from foam_viz.ui.lab.head import awaited, cells
from tests.synthetic import SyntheticRun


def test_a_chip_tells_the_step_of_what_is_older() -> None:
    trace = SyntheticRun("shampoo").advance(250).trace.view()
    shown = {label: (text, words) for label, text, words in cells(trace, 250)}
    assert shown["Held out"][0].endswith("step\u00a0200") and "step" not in shown["Loss"][0]
    assert "Mean of steps 231 to 250." in shown["Loss"][1]
    behind = {label: text for label, text, _ in cells(trace, 400)}
    assert behind["Loss"].endswith("step\u00a0250") and behind["Optimizer"].endswith("step\u00a0250")


def test_a_chip_states_what_a_factor_costs_and_not_how_its_checks_end() -> None:
    trace = SyntheticRun("shampoo").advance(250).trace.view()
    shown = {label: (text, words) for label, text, words in cells(trace, 250)}
    done = int(trace.values("checks", "decompositions").sum())
    assert shown["Decompositions"][0] == f"{done:,}"
    text, words = shown["Per factor, 100 steps"]
    assert float(text) == round(100 * done / 18 / 250, 2)
    assert f"in {trace.rows('checks'):,} checks" in words and "Up to step 250" in words
    assert "EVD rate" not in shown and not any("%" in text for text, _ in shown.values())


def test_an_empty_chip_has_the_same_columns() -> None:
    trace = SyntheticRun("adamw").advance(50).trace.view()
    assert [label for label, *_ in cells(None)] == [label for label, *_ in cells(trace, 50)]
    assert dict((label, text) for label, text, _ in cells(trace, 50))["Per factor, 100 steps"] == "–"


def _experiment(*optimizers: str, task: str = "digits-autoencoder") -> Experiment:
    experiment, errors = config.build(task, [], [], [(name, []) for name in optimizers])
    assert not errors
    return experiment


@pytest.mark.parametrize("optimizers", [("adamw",), ("foam", "adamw"), ("adamw", "soap"), ("sgd", "muon")])
def test_the_cards_of_a_lab_are_there_before_its_run_and_stay(optimizers: tuple[str, ...]) -> None:
    """From before the start to after the first check: the layout never jumps, and none of its cards has no use."""
    experiment = _experiment(*optimizers)
    seen = [[spec.id for spec in panels_for(awaited(experiment))]]
    runs = [Run(experiment.lane_config(i), run_id=f"r{i}") for i in range(len(optimizers))]
    traces = [Trace.empty(run.manifest()) for run in runs]
    for _ in range(22):
        seen.append([spec.id for spec in panels_for([Lane(trace, "run", i) for i, trace in enumerate(traces)])])
        for run, trace in zip(runs, traces, strict=True):
            run.status = "running"
            run.advance()
            trace.manifest = run.manifest().with_(status="running")
            for table, rows in run.drain().items():
                trace.append(table, rows)
    assert all(cards == seen[0] for cards in seen)
    factors = {"factor-map", "damping", "spectrum", "overlap", "raster", "decision"}
    has = any(OPTIMIZERS[name].has_factors for name in optimizers)
    assert factors & set(seen[0]) == (factors if has else set())
    words = without_place(PANELS, awaited(experiment))
    assert ("checks of single factors" in words) is not has
