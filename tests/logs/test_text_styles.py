"""Every style of :mod:`tests.logs.text_styles` gets its reading, as one run, with nothing replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from foam_viz.logs import read_all
from tests.logs.reading import column, said, written
from tests.logs.text_styles import STYLES, Style


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_a_style_gets_its_reading(tmp_path: Path, style: Style) -> None:
    (trace,) = read_all([written(tmp_path, "x.log", style.text).path]).traces
    assert column(trace, "step") == list(style.steps)
    if style.loss:
        assert column(trace, "loss") == pytest.approx(list(style.loss), abs=1e-4)
    if style.held_out:
        found = zip(column(trace, "step"), column(trace, "held_out_loss"), strict=True)
        assert {step: value for step, value in found if value is not None} == pytest.approx(style.held_out, abs=1e-4)
    if style.epochs:
        assert column(trace, "epoch") == list(style.epochs)
    if style.planned:
        assert trace.manifest.config["steps_planned"] == style.planned
    if style.seconds is not None:
        assert column(trace, "total_seconds")[-1] == pytest.approx(style.seconds)
    if style.clock is not None:
        assert trace.has("steps", "total_seconds") == style.clock and not trace.has("steps", "optimizer_seconds")
    assert said(trace, "lines hold values") and not said(trace, "resume") and not said(trace, "was kept")
