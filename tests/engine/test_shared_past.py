"""A run of a link with forks: what lanes share is trained once, and every lane has the rows it would have alone."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from foam_viz.engine import store
from foam_viz.engine.replay.plan import prepare_path
from foam_viz.engine.worker.group import Group
from foam_viz.engine.worker.run import Run
from foam_viz.experiment import links
from foam_viz.experiment.config import Experiment
from foam_viz.settings import Settings
from foam_viz.trace.disk import bundle
from tests.engine.test_run import assert_same_rows, recorded

VIEW = "f" * 32
LINK = {
    "v": ["2"], "batch_size": ["8"], "width": ["16"], "steps": ["60"],
    "lane": ["foam:tau=0.5,period=5", "foam:tau=0.5,period=5", "adamw", "foam:tau=0.5,period=5"],
    "fork": ["2:1:20", "4:2:30"], "edit": ["12:1:lr=0.02", "21:2:tau=0.1", "35:4:lr=0.005"],
}  # fmt: skip


def _experiment(**changes: list[str]) -> Experiment:
    made, errors = links.from_query({**LINK, **changes})
    assert not errors
    return made


def _settings(tmp_path: Path) -> Settings:
    return replace(Settings(), data_directory=tmp_path, device="cpu")


def _lane(tmp_path: Path, number: int) -> Path:
    return store.lane_directory(store.run_directory(tmp_path, VIEW), number)


def _advance(group: Group, steps: int, drain_every: int = 7) -> None:
    for step in range(1, steps + 1):
        group.advance(time.monotonic())
        if step % drain_every == 0:
            group.drain()
    group.drain()


def _same_as_alone(tmp_path: Path, experiment: Experiment, steps: int) -> None:
    for number in range(len(experiment.lanes)):
        alone = recorded(Run(experiment.lane_config(number), run_id="x"), steps)
        assert_same_rows(bundle.read(_lane(tmp_path, number)), alone)


def test_the_past_is_trained_once_and_every_lane_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    whole = Run.advance

    def counted(run: Run) -> None:
        nonlocal steps
        steps += 1
        whole(run)

    experiment = _experiment()
    group = Group(VIEW, experiment, _settings(tmp_path), "cpu")
    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", counted)
        group.open_autosave()
        _advance(group, 19)
        assert [run.step for run in group.lanes] == [19] * 4 and steps == 2 * 19
        _advance(group, 21)
        assert steps == 2 * 40 + (40 - 20) + (40 - 30)
    group.close()
    _same_as_alone(tmp_path, experiment, 40)
    for number in (0, 1, 3):
        assert prepare_path(_lane(tmp_path, number)).run().differs(bundle.read(_lane(tmp_path, number)).checks) == 0


@pytest.mark.parametrize("lost_at", [10, 24, 33])
def test_an_engine_that_is_lost_goes_on_wherever_it_was(lost_at: int, tmp_path: Path) -> None:
    experiment = _experiment()
    group = Group(VIEW, experiment, _settings(tmp_path), "cpu")
    group.open_autosave()
    _advance(group, lost_at)
    group.save(time.monotonic(), everything=True)
    assert group.saving.saver.wait()
    _advance(group, 3)  # not saved
    group.saving.saver.close()
    again = Group(VIEW, experiment, _settings(tmp_path), "cpu")
    again.restore()
    assert again.step == lost_at
    _advance(again, 40 - lost_at)
    again.close()
    _same_as_alone(tmp_path, experiment, 40)


def test_it_is_led_through_a_step_and_to_a_check_as_its_parent(tmp_path: Path) -> None:
    experiment = _experiment()
    group = Group(VIEW, experiment, _settings(tmp_path), "cpu")
    group.open_autosave()
    group.until("check", 2, 0)
    while group.running:
        group.advance(time.monotonic())
    assert group.step == 10
    for _ in range(4):
        group.next_phase()
    assert [run.step for run in group.lanes] == [11] * 4 and not group.phase
    _advance(group, 29)
    group.close()
    _same_as_alone(tmp_path, experiment, 40)


def test_a_parent_that_diverges_before_takes_its_fork_along(tmp_path: Path) -> None:
    lanes = {"lane": ["sgd:lr=10", "sgd:lr=10"], "fork": ["2:1:50"], "edit": []}
    group = Group(VIEW, _experiment(**lanes), _settings(tmp_path), "cpu")
    group.open_autosave()
    while group.live and group.step < 50:
        group.advance(time.monotonic())
    group.close()
    diverged = [run.diverged_step for run in group.lanes]
    assert diverged[0] is not None and diverged[0] == diverged[1]
    assert_same_rows(bundle.read(_lane(tmp_path, 0)), bundle.read(_lane(tmp_path, 1)))
