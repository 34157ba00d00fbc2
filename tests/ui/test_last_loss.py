"""The last loss is one number, wherever it is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from foam_viz import cli
from foam_viz.analysis.comparison import compare
from foam_viz.analysis.series import series
from foam_viz.analysis.targets import last
from foam_viz.figures.panels import loss
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Manifest, Trace, record_batch, summarize
from foam_viz.trace.disk import bundle
from foam_viz.trace.final import final_of
from foam_viz.trace.numbers import number
from foam_viz.ui.feed import recorded
from foam_viz.ui.lab import head as lab_head


def _bursty(every: int, steps: int = 6000) -> Trace:
    """A noisy loss logged at every so many steps, with a burst near its end and a resumed stretch."""
    step = np.arange(every, steps + 1, every)
    random = np.random.default_rng(every)
    losses = 0.2 + 3 * np.exp(-step / 900) + 0.05 * random.standard_normal(len(step)) ** 2
    losses[-3] = 4.0
    run = Trace.empty(Manifest(run_id="b", name="bursty"))
    first = len(step) - 30
    for begin, end, factor in ((0, first, 1.0), (first, first + 10, 99.0), (first, len(step), 1.0)):  # and resumed
        rows = {
            "step": step[begin:end],
            "loss": factor * losses[begin:end],
            "optimizer_seconds": step[begin:end] * 1e-3,
        }
        run.append("steps", record_batch("steps", rows))
    return run


@pytest.mark.parametrize("every", [1, 3, 100])
def test_every_place_says_the_same_last_loss(every: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = _bursty(every)
    value = final_of(run, "loss").value
    rows = run.values("steps", "step") > 5980
    assert value == pytest.approx(run.values("steps", "loss")[rows].mean())
    assert last(series(run, "loss")).value == value == compare([run], "loss")[0].last.value
    assert summarize(run)["final_loss"] == value
    lane = Lane(run, "bursty", 0)
    assert loss.draw(Scene([lane])).reading.startswith(f"{number(value)}, ")
    for rows in (lab_head.cells(lane.trace), recorded.recorded_head([lane], None)[0][0].cells):
        assert [text for label, text, _ in rows if label == "Loss"] == [number(value)]
    path = tmp_path / "run.zip"
    bundle.write(run, path)
    assert cli.main(["inspect", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["final_loss"] == pytest.approx(value, rel=1e-12)
    assert cli.main(["inspect", str(path)]) == 0
    assert f"loss {number(value)}" in capsys.readouterr().out
