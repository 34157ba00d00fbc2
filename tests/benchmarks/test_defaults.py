"""The damping that the page starts with shows the method: one seed of ``python -m benchmarks.defaults``."""

from __future__ import annotations

import pytest
import torch

from benchmarks import defaults
from benchmarks.report import Report
from foam_viz.optim.factor import CheckObservation
from foam_viz.optim.refresh import Decision
from foam_viz.tasks.catalogue import DEFAULT_TASK, TASKS


def test_the_default_page_is_calibrated(capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    assert TASKS[DEFAULT_TASK].optimizer_defaults
    report = Report("defaults")
    defaults.check(report, DEFAULT_TASK, [defaults.measure(DEFAULT_TASK, seed=0)])
    assert [figure["name"] for figure in report.figures if not figure["ok"]] == []
    capsys.readouterr()


def test_the_damping_of_the_first_release_is_found_wanting(capsys: pytest.CaptureFixture[str]) -> None:
    """eps_max = 3e-7 over eps0 = 1e-9: never resolved, and nothing is ever damped."""
    torch.set_num_threads(1)
    paper = {"epsilon": 1e-9, "epsilon_max": 3e-7}
    report = Report("defaults")
    defaults.check(report, DEFAULT_TASK, [defaults.measure(DEFAULT_TASK, 0, paper, steps=300)])
    missed = {figure["name"].partition(": ")[2] for figure in report.figures if not figure["ok"]}
    assert {
        "eps0 over 2^-23 lambda_max", "directions under eps at its peaks", "more than under eps0 by",
    } <= missed  # fmt: skip
    capsys.readouterr()


def seen(step: int, epsilon: float, decompose: bool) -> CheckObservation:
    current = torch.diag(torch.tensor([1.0, 1e-2, 1e-4, 1e-6]))[None]
    decision = Decision(decompose, epsilon, "cap" if decompose else "reuse")
    return CheckObservation(
        step=step, positions=(7,), root=2, current=current, rotated=None, basis_before=None, eigenvalues_before=None,
        epsilon_before=(epsilon,), proxy=(None,), relative_condition=(None,), alpha=(None,), residual=(None,),
        decisions=(decision,), basis=current, eigenvalues=current.diagonal(dim1=-2, dim2=-1), epsilon=(epsilon,),
        floor=None,
    )  # fmt: skip


def test_peaks_are_the_highest_damping_between_decompositions() -> None:
    watch = defaults.Watch(followed=7, fresh=1e-5)
    history = [(90, 1.0, False), (110, 1e-5, True), (120, 1e-3, False), (130, 1e-4, False), (140, 1e-5, True)]
    for step, epsilon, decompose in [*history, (150, 0.5, False)]:
        watch(seen(step, epsilon, decompose))
    watch.close()
    assert [(peak.step, peak.epsilon, peak.under, peak.under_fresh) for peak in watch.peaks] == [
        (120, 1e-3, 0.5, 0.25), (150, 0.5, 0.75, 0.25),
    ]  # fmt: skip
    assert watch.largest == {7: pytest.approx(1.0)}
