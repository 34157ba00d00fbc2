"""A fork is a lane that shares its past: the same run from its link bit for bit, from memory or from a checkpoint."""

from __future__ import annotations

import os
import random
import signal
import time

import numpy as np
import pytest

from foam_viz.engine import store
from foam_viz.engine.server.hub import ControlRefused, Hub
from foam_viz.engine.wire.commands import Change, make
from foam_viz.engine.worker.group import Group
from foam_viz.engine.worker.run import Run
from foam_viz.engine.worker.to_save import kept_steps
from foam_viz.experiment import config, links
from foam_viz.experiment.config import Parent
from foam_viz.experiment.cost import TooCostly
from foam_viz.settings import Settings
from foam_viz.trace.disk import bundle
from tests.engine.conftest import experiment, until
from tests.engine.test_edits import made
from tests.engine.test_group import VIEW, advance, killed, lane, save, saved_steps
from tests.engine.test_run import assert_same_rows, recorded


@pytest.fixture
def group(settings: Settings) -> Group:
    started = Group(VIEW, made("foam:tau=0.5", "adamw"), settings, "cpu")
    started.open_autosave()
    return started


def go(group: Group, steps: int) -> None:
    advance(group, steps)
    group.pause()
    group.drain()


def catch_up(group: Group) -> int:
    """How many steps the fork needed."""
    steps = 0
    while group.catching_up:
        assert group.due(time.monotonic()) and group.wait(time.monotonic()) == 0
        group.advance(time.monotonic())
        steps += 1
    group.drain()
    return steps


def of_link(group: Group, number: int, steps: int):
    query = {k: v if isinstance(v, list) else [v] for k, v in links.to_query(group.experiment).items()}
    linked, errors = links.from_query(query)
    assert errors == [] and linked == group.experiment
    return recorded(Run(linked.lane_config(number), run_id="x"), steps)


def test_an_unchanged_fork_of_now_is_its_parent(group: Group, settings: Settings) -> None:
    go(group, 23)
    group.fork(1, None)
    assert group.notice == "" and not group.catching_up
    assert group.experiment.lanes[2].parent == Parent(1, 23)
    go(group, 20)
    group.close()
    parent, child = bundle.read(lane(settings, 0)), bundle.read(lane(settings, 2))
    assert_same_rows(parent, child)
    assert child.manifest.config["parent"] == {"lane": 1, "step": 23}
    assert child.manifest.name == "FOAM τ = 0.5 from step 23"


def test_a_what_if_is_a_fork_with_one_setting_changed_from_the_same_step(group: Group, settings: Settings) -> None:
    go(group, 23)
    group.fork(1, None, [Change(1, "tau", 0.1)])
    go(group, 20)
    group.close()
    assert [(edit.key, edit.value) for edit in group.experiment.edits] == [("24:3:tau", 0.1)]
    parent, child = bundle.read(lane(settings, 0)), bundle.read(lane(settings, 2))
    assert_same_rows(parent.truncated(23), child.truncated(23))
    assert_same_rows(child, of_link(group, 2, 43))
    assert group.experiment.labels()[2] == "FOAM τ = 0.5 from step 23, τ = 0.1"


def test_a_fork_of_an_earlier_step_catches_up_alone_from_the_nearest_checkpoint(
    group: Group, settings: Settings
) -> None:
    for _ in range(3):
        go(group, 12)
        save(group)
    assert saved_steps(settings)[-1] == 36
    group.start()
    group.fork(1, 30, [Change(1, "lr", 0.3)])
    assert group.header()["catching_up"] == {"lane": 3, "step": 24, "until": 36}
    assert catch_up(group) == 12
    assert {run.step for run in group.lanes} == {36}
    assert group.running  # the others go on
    go(group, 9)
    group.close()
    child = bundle.read(lane(settings, 2))
    assert_same_rows(child, of_link(group, 2, 45))
    assert np.array_equal(child.values("steps", "step"), np.arange(1, 46))


def test_without_a_checkpoint_it_begins_at_the_first_step(group: Group, settings: Settings) -> None:
    go(group, 12)
    group.fork(2, 5, [Change(1, "lr", 0.3)])
    assert catch_up(group) == 12
    group.close()
    assert_same_rows(bundle.read(lane(settings, 2)), of_link(group, 2, 12))


def test_a_fork_of_step_zero_is_a_duplicate(group: Group, settings: Settings) -> None:
    go(group, 6)
    group.fork(1, 0, [Change(1, "period", 3)])
    assert catch_up(group) == 6
    group.close()
    assert_same_rows(bundle.read(lane(settings, 2)), of_link(group, 2, 6))


def test_a_diverged_lane_is_forked_before_its_end(settings: Settings) -> None:
    one = Group(VIEW, experiment("sgd:lr=1000", "adamw"), settings, "cpu")
    one.open_autosave()
    go(one, 80)
    ended = one.lanes[0].diverged_step
    one.fork(1, None)
    assert f"lane 1 has ended at step {ended}; must be from 0 to {ended - 1}" in one.notice and len(one.lanes) == 2
    one.notice = ""
    one.fork(1, ended - 3, [Change(1, "lr", 1e-3)])
    assert one.notice == ""
    catch_up(one)
    assert one.lanes[2].live and one.lanes[2].step == 80
    one.close()
    assert_same_rows(bundle.read(lane(settings, 2)), of_link(one, 2, 80))


def test_what_cannot_be_forked_is_said(group: Group) -> None:
    go(group, 6)
    for asked, words in (
        ((9, None), "lane = 9: must be one from 1 to 2"),
        ((1, 7), "step = 7: must be from 0 to 6"),
        ((1, None, [Change(1, "tau", 3.0)]), "edit 7:3:tau = 3.0: must be a number strictly between 0 and 1"),
        ((2, None, [Change(1, "beta2", 0.5)]), "stays as it is while a run trains"),
    ):
        group.notice = ""
        group.fork(*asked)
        assert words in group.notice and len(group.lanes) == 2, words
    group.notice = ""
    for _ in range(4):
        group.fork(1, None)
    assert group.notice == "" and len(group.lanes) == 6
    group.fork(1, None)
    assert "There are 6 lanes, as many as a run may have" in group.notice


def test_cancel_removes_the_fork_that_catches_up(group: Group, settings: Settings) -> None:
    go(group, 20)
    before = group.experiment
    group.fork(1, 10, [Change(1, "lr", 0.3)])
    for _ in range(4):
        group.advance(time.monotonic())
    group.drain()
    group.cancel_fork()
    assert group.experiment == before and len(group.lanes) == 2 and not group.catching_up
    go(group, 3)
    group.close()
    assert not lane(settings, 2).exists()
    assert_same_rows(bundle.read(lane(settings, 0)), of_link(group, 0, 23))
    group.cancel_fork()
    assert "nothing to cancel" in group.notice


def test_a_fork_of_a_fork_and_edits_of_all(group: Group, settings: Settings) -> None:
    go(group, 10)
    group.fork(1, None, [Change(1, "tau", 0.2)])
    go(group, 5)
    group.edit([Change(None, "lr", 0.02)])
    go(group, 5)
    group.fork(3, 17, [Change(1, "period", 4)])
    catch_up(group)
    go(group, 5)
    group.close()
    for number in range(4):
        assert_same_rows(bundle.read(lane(settings, number)), of_link(group, number, 25))


@pytest.mark.parametrize("seed", range(3))
def test_random_edits_and_forks_are_the_run_of_their_link(seed: int, settings: Settings) -> None:
    """Also over an engine that is lost, whether the fork was saved by then or not."""
    rng = random.Random(seed)
    group = Group(VIEW, made("foam:tau=0.5", "shampoo"), settings, "cpu")
    group.open_autosave()
    while group.step < 50:
        go(group, rng.randrange(1, 9))
        change = [Change(None, "lr", rng.choice([5e-3, 0.02]))]
        if rng.random() < 0.4 and len(group.lanes) < 5:
            step = rng.choice([None, rng.randrange(group.step)])
            group.fork(rng.randrange(len(group.lanes)) + 1, step, change * rng.randrange(2))
            if rng.random() < 0.7:
                catch_up(group)
        elif rng.random() < 0.5:
            group.edit(change)
        group.drain()
        if rng.random() < 0.3:
            save(group)
        if rng.random() < 0.3:
            reached, told = group.step, group.experiment
            assert group.saving.saver.wait()
            killed(group)
            group = Group(VIEW, told, settings, "cpu")
            group.restore()
            group.recovering = reached if reached > group.step else 0
            while group.recovering:
                group.advance(time.monotonic())
        catch_up(group)
    steps = group.step
    group.close()
    for number in range(len(group.lanes)):
        assert_same_rows(bundle.read(lane(settings, number)), of_link(group, number, steps))


def test_checkpoints_are_kept_over_the_whole_run() -> None:
    steps: list[int] = []
    for step in range(100, 20_100, 100):
        steps = sorted(kept_steps([*steps, step], 2, 20))
        assert len(steps) <= 20 and steps[-1] == step
    gaps = np.diff([0, *steps])
    assert gaps.max() <= 3_300 and steps[0] <= 1_600
    assert sorted(kept_steps([3, 5, 9], 2, 2)) == [5, 9]
    assert sorted(kept_steps([], 2, 20)) == []


def test_a_run_keeps_checkpoints_every_hundred_steps(settings: Settings) -> None:
    group = Group(VIEW, experiment("adamw"), settings, "cpu")
    group.open_autosave()
    now = time.monotonic()
    for _ in range(30):
        group.start()
        for _ in range(50):
            group.advance(time.monotonic())
        group.drain()
        now += 2.0
        group.saving._checkpoint_seconds = 1e9  # by the clock none is due
        group.save(now)
        assert group.saving.saver.wait()
    assert saved_steps(settings) == list(range(100, 1501, 100))


def test_lanes_that_go_leave_forks_with_their_past() -> None:
    one = made("foam:tau=0.5", "adamw", edit=("5:1:tau=0.4", "7:lr=0.5")).forked(0, 6)
    one = one.edited([config.Edit(7, 3, "tau", 0.2)])[0].forked(2, 9)
    without = one.without(0)
    assert [lane.parent for lane in without.lanes] == [None, None, Parent(2, 9)]
    for old, new in ((1, 0), (2, 1), (3, 2)):
        for step in (4, 5, 6, 7, 10):
            assert one.settings_at(old, step) == without.settings_at(new, step), (old, step)


def test_forks_over_the_wire_and_a_crash(hub: Hub, settings: Settings) -> None:
    run, key = hub.create(experiment("foam", "adamw"), session="s")
    hub.command(run.view_id, key, make("check"))
    until(lambda: run.step == 10 and not run.running)
    change = {"lane": 1, "setting": "tau", "value": 0.3}
    hub.command(run.view_id, key, make("fork", lane=1, step=4, changes=(change,)))
    until(lambda: len(run.traces) == 3 and not run.header.get("catching_up") and not run.pending)
    with run.lock:
        assert np.array_equal(run.traces[2].values("steps", "step"), np.arange(1, 11))
        assert run.traces[2].manifest.run_id == f"{run.view_id}-3"
        assert run.traces[2].manifest.config["edits"][0]["step"] == 5
    os.kill(hub.engine_processes()[0], signal.SIGKILL)
    until(lambda: "replaced" in run.notice)
    hub.command(run.view_id, key, make("step"))
    until(lambda: not run.pending and run.step == 11, 120)
    with run.lock:
        for trace in run.traces:
            assert np.array_equal(trace.values("steps", "step"), np.arange(1, 12))
        losses = run.traces[2].values("steps", "loss")
    again = recorded(Run(run.experiment.lane_config(2), run_id="x"), 11)
    assert np.array_equal(losses, again.values("steps", "loss"))
    kept = config.from_json(store.read_json(lane_of(settings, run.view_id) / store.EXPERIMENT))
    assert kept == run.experiment
    with pytest.raises(ControlRefused):
        hub.command(run.view_id, None, make("fork", lane=1))


def lane_of(settings: Settings, view_id: str):
    return store.run_directory(settings.data_directory, view_id)


def test_a_fork_counts_as_a_lane_for_the_limits(settings: Settings) -> None:
    hub = Hub(Settings(**{**vars(settings), "maximum_lanes": 1}))
    try:
        run, key = hub.create(experiment("adamw"), session="s")
        with pytest.raises(TooCostly, match="at most 1 here"):
            hub.command(run.view_id, key, make("fork", lane=1))
    finally:
        hub.close()
