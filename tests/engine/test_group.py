"""A lab run in one process: lockstep, goals, autosave and what a continuation finds."""

from __future__ import annotations

import time

import numpy as np
import pytest

from foam_viz.engine import store
from foam_viz.engine.worker.group import Group
from foam_viz.settings import Settings
from foam_viz.trace.disk import bundle
from foam_viz.trace.disk.checkpoints import usable
from tests.engine.conftest import experiment

VIEW = "0" * 31 + "a"


@pytest.fixture
def group(settings: Settings) -> Group:
    made = Group(VIEW, experiment("foam", "adamw"), settings, "cpu")
    made.open_autosave()
    return made


def advance(group: Group, steps: int) -> None:
    group.start()
    for _ in range(steps):
        group.advance(time.monotonic())


def save(group: Group) -> None:
    """Everything is on the disk afterwards."""
    group.save(time.monotonic(), everything=True)
    assert group.saving.saver.wait()


def killed(group: Group) -> None:
    """What the system does for an engine that dies; the objects are forgotten."""
    group.saving.saver._release()


def saved_steps(settings: Settings, number: int = 0) -> list[int]:
    return sorted(checkpoint.step for checkpoint in usable(lane(settings, number)))


def lane(settings: Settings, number: int = 0):
    return store.lane_directory(store.run_directory(settings.data_directory, VIEW), number)


def test_goals_pause_where_they_say(group: Group) -> None:
    for goal, step in (("step", 1), ("check", 10), ("refresh", 20)):
        group.until(goal)
        while group.running:
            group.advance(time.monotonic())
        assert group.step == step


def test_a_checkpoint_waits_until_its_rows_were_drained(group: Group, settings: Settings) -> None:
    """Else whoever continues from it finds a gap."""
    advance(group, 12)
    save(group)
    assert not list((lane(settings) / "checkpoints").glob("*.pt"))
    group.drain()
    save(group)
    assert saved_steps(settings) == [12]
    assert bundle.read(lane(settings)).rows("steps") == 12


def test_a_continuation_has_every_step_once(group: Group, settings: Settings) -> None:
    advance(group, 15)
    group.drain()
    save(group)
    advance(group, 7)  # lost: neither drained nor saved
    killed(group)
    again = Group(VIEW, experiment("foam", "adamw"), settings, "cpu")
    again.restore()
    assert (again.step, again.running) == (15, False)
    advance(again, 10)
    again.close()
    for number in (0, 1):
        steps = bundle.read(lane(settings, number)).values("steps", "step")
        assert np.array_equal(steps, np.arange(1, 26))


def test_a_lane_that_ended_stays_ended_after_a_continuation(settings: Settings) -> None:
    group = Group(VIEW, experiment("sgd:lr=1000", "adamw"), settings, "cpu")
    group.open_autosave()
    advance(group, 80)
    diverged = group.lanes[0].diverged_step
    assert diverged is not None
    group.close()
    again = Group(VIEW, experiment("sgd:lr=1000", "adamw"), settings, "cpu")
    again.restore()
    assert again.lanes[0].status == "diverged"
    assert again.lanes[0].diverged_step == diverged
    assert again.lanes[1].step == 80
    assert bundle.read(lane(settings)).manifest.status == "diverged"


def test_a_torn_checkpoint_gives_way_to_an_older_one(group: Group, settings: Settings) -> None:
    for steps in (10, 10):
        advance(group, steps)
        group.drain()
        save(group)
    killed(group)
    newest = usable(lane(settings))[0].path
    newest.write_bytes(newest.read_bytes()[:1000])
    again = Group(VIEW, experiment("foam", "adamw"), settings, "cpu")
    again.restore()
    assert again.step == 10
    assert "(lane 1, step 20: CheckpointError): training goes on from step 10" in again.saving.notice
