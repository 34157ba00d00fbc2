"""What a chip of the live lab says, and of which step."""

from __future__ import annotations

from foam_viz.ui.lab_board import _cells
from tests.synthetic import SyntheticRun


def test_a_chip_tells_the_step_of_what_is_older() -> None:
    trace = SyntheticRun("shampoo").advance(250).trace.view()
    cells = {label: (text, words) for label, text, words in _cells(trace, 250)}
    assert cells["Held out"][0].endswith("step 200") and "step" not in cells["Loss"][0]
    assert "Steps 231 to 250." in cells["Loss"][1]
    behind = {label: text for label, text, _ in _cells(trace, 400)}
    assert behind["Loss"].endswith("step 250") and behind["Optimizer"].endswith("step 250")


def test_a_chip_states_what_a_factor_costs_and_not_how_its_checks_end() -> None:
    trace = SyntheticRun("shampoo").advance(250).trace.view()
    cells = {label: (text, words) for label, text, words in _cells(trace, 250)}
    done = int(trace.values("checks", "decompositions").sum())
    assert cells["Decompositions"][0] == f"{done:,}"
    text, words = cells["Per factor, 100 steps"]
    assert float(text) == round(100 * done / 18 / 250, 2)
    assert f"in {trace.rows('checks'):,} checks" in words and "Up to step 250" in words
    assert "EVD rate" not in cells and not any("%" in shown for shown, _ in cells.values())


def test_an_empty_chip_has_the_same_columns() -> None:
    trace = SyntheticRun("adamw").advance(50).trace.view()
    assert [label for label, *_ in _cells(None)] == [label for label, *_ in _cells(trace, 50)]
    assert dict((label, text) for label, text, _ in _cells(trace, 50))["Per factor, 100 steps"] == "–"
