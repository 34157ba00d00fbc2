"""The start page: doors, the recording, and the run that repeats it."""

from __future__ import annotations

from foam_viz.files import SAMPLE_RUNS
from foam_viz.trace.disk import bundle
from foam_viz.ui.feed import opening
from foam_viz.ui.start import page as start


def test_the_live_run_is_the_recording_and_more() -> None:
    experiment = start.recorded_experiment(600)
    for lane, (name, _) in enumerate(opening.RECORDED):
        assert bundle.read(SAMPLE_RUNS / name).manifest.config == experiment.lane_config(lane)
    assert start.recorded_experiment(2000).run_settings["steps"] == 2000


def test_there_are_three_doors() -> None:
    assert [name for _, _, name, _, _ in start._DOORS] == ["Teach", "Tune", "Inspect"]
