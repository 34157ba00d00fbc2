"""A step made phase by phase is the same step; what each phase used is told; engines may die in its middle."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
import torch

from foam_viz.engine.server.hub import Hub
from foam_viz.engine.wire.commands import Change, make
from foam_viz.engine.worker.group import Group
from foam_viz.engine.worker.inside import PHASES, InsideStep
from foam_viz.engine.worker.run import Run
from foam_viz.experiment import links
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.settings import Settings
from foam_viz.trace.disk import bundle
from tests.engine.conftest import experiment, until
from tests.engine.test_group import VIEW, advance, lane, save, saved_steps
from tests.engine.test_run import assert_same_rows, recorded
from tests.engine.test_run import lane as configured


@pytest.mark.parametrize("name", ["foam", "shampoo", "soap", "splus", "kl-shampoo", "muon", "adamw"])
def test_a_step_in_phases_is_the_same_step(name: str) -> None:
    whole, parts = Run(configured(name), run_id="a"), Run(configured(name), run_id="a")
    for step in range(22):
        if step % 3 != 2:
            seen = []
            while True:
                seen.append(parts.next_phase)
                parts.advance_phase()
                if not parts.within_step:
                    break
            assert tuple(seen) == parts.phase_names
        else:
            parts.advance()
        whole.advance()
    rows = [one.drain() for one in (whole, parts)]
    assert np.array_equal(*(tables["steps"]["loss"].to_numpy() for tables in rows))
    states = [one.model.state_dict() for one in (whole, parts)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_phases_are_those_of_the_optimizer() -> None:
    names = {name: Run(configured(name), run_id="a").phase_names for name in ("foam", "soap", "adamw")}
    assert names == {
        "foam": ("gradient", "statistics", "check", "update"),
        "soap": ("gradient", "statistics", "update", "check"),
        "adamw": ("gradient", "update"),
    }


@pytest.fixture
def group(settings: Settings) -> Group:
    made = Group(VIEW, experiment("foam", "soap", "adamw"), settings, "cpu")
    made.open_autosave()
    return made


def numbers(group: Group, place: int, phase: str) -> dict[str, str]:
    rows = group.header()["inside"]["lanes"][str(place)].get(phase, ())
    return {label: text for label, text, _ in rows}


def test_lanes_are_led_through_a_step_together(group: Group) -> None:
    advance(group, 9)
    group.pause()
    seen = []
    for _ in PHASES:
        group.next_phase()
        seen.append((group.header()["inside"]["phase"], group.header()["inside"]["done"], group.step))
    assert seen == [
        ("gradient", "gradient", 9),
        ("statistics", "statistics", 9),
        ("check", "check", 9),
        ("", "update", 10),
    ]
    assert [run.step for run in group.lanes] == [10, 10, 10]
    assert set(group.header()["inside"]["lanes"]["1"]) == set(PHASES)
    assert set(group.header()["inside"]["lanes"]["2"]) == {"gradient", "update"}
    advance(group, 1)
    assert group.header()["inside"] is None
    again = Run(group.experiment.lane_config(0), run_id="x")
    group.drain()
    save(group)
    assert_same_rows(recorded(again, 11), bundle.read(lane(group._settings)))


def test_start_and_step_finish_the_step_at_hand(group: Group) -> None:
    group.next_phase()
    group.until("step")
    while group.running:
        group.advance(time.monotonic())
    assert (group.step, group.phase) == (1, "")
    group.next_phase()
    group.next_phase()
    advance(group, 3)
    assert group.step == 4


def test_nothing_is_saved_within_a_step_and_closing_ends_it(group: Group, settings: Settings) -> None:
    advance(group, 5)
    group.drain()
    group.next_phase()
    group.next_phase()
    group.save(time.monotonic(), everything=True)
    group.saving.saver.wait()
    assert saved_steps(settings) == []
    group.close()
    assert saved_steps(settings) == [6]
    assert bundle.read(lane(settings)).rows("steps") == 6


def test_an_edit_within_a_step_acts_in_the_one_after_it(group: Group) -> None:
    advance(group, 5)
    group.next_phase()
    group.edit([Change(1, "tau", 0.2)])
    assert [edit.step for edit in group.experiment.edits] == [7]


def test_each_phase_tells_the_numbers_that_it_used() -> None:
    """Against the formulas, in float64."""
    run = Run(configured("foam", start=5, period=5), run_id="a")
    for _ in range(9):
        run.advance()
    position = run.recorder.followed
    factor_stack = next(
        factor_stack for factor_stack in run.optimizer.factor_stacks() if position in factor_stack.positions
    )
    row = list(factor_stack.positions).index(position)
    parameter = dict(run.model.named_parameters())[run.factors[position].parameter]
    weights, old = parameter.detach().clone(), factor_stack.statistics[row].diagonal().sum().item()
    inside = InsideStep(run)
    for name in PHASES:
        assert run.next_phase == name
        run.advance_phase()
        inside.after(name)
    told = {label: text for rows in inside.phases.values() for label, text, _ in rows}

    def value(label: str) -> float:
        return float(told[label].split("=")[0].split("\u202f")[0].replace(",", "").replace("−", "-"))

    gradient = parameter.grad.double()
    assert value("‖G‖, this parameter") == pytest.approx(gradient.norm().item(), rel=1e-2)
    added = 0.01 * gradient.square().sum().item()
    assert value("Share of this gradient") == pytest.approx(100 * added / (0.99 * old + added), rel=1e-2)
    rows = run.drain()["checks"].to_pandas()
    check = rows[(rows.step == 10) & (rows.factor == position)].iloc[0]
    assert value("h = RC α / p") == pytest.approx(check.proxy, rel=1e-2)
    assert check.proxy == pytest.approx(check.relative_condition * check.alpha / factor_stack.root, rel=1e-5)
    assert "decompose" in told["Decision"] or "keep" in told["Decision"]
    change = (parameter.detach() - weights).double()
    assert value("‖ΔW‖") == pytest.approx(change.norm().item(), rel=1e-2)
    # lr = 0.01: the update is the grafted direction times lr.
    assert value("‖d‖ after grafting") == pytest.approx(change.norm().item() / 0.01, rel=1e-2)
    cosine = -(change * gradient).sum().item() / (change.norm() * gradient.norm()).item()
    assert value("cos(−ΔW, G)") == pytest.approx(cosine, rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_can_be_looked_into(name: str) -> None:
    run = Run(configured(name), run_id="a")
    for _ in range(11):
        inside = InsideStep(run)
        for phase in run.phase_names:
            run.advance_phase()
            inside.after(phase)
        assert not run.within_step and inside.phases["update"]


def test_a_goal_follows_one_factor_of_one_lane_at_full_speed(settings: Settings) -> None:
    lanes = ("shampoo:period=3,start=3", "foam:period=7,start=7,tau=0.99,epsilon_max=1")
    made, errors = links.from_query({"v": ("2",), "lane": lanes, "batch_size": ("16",)})
    assert errors == []
    group = Group(VIEW, made, settings, "cpu")
    group.speed = 0.001  # steps a second

    def to(*goal: object) -> int:
        group.until(*goal)
        while group.running:
            assert group.due(time.monotonic()), "it waits"
            group.advance(time.monotonic())
        return group.step

    assert to("check", 2, 0) == 7
    assert to("check") == 9  # any lane
    assert to("check", 2, 3) == 14
    assert to("refresh", 1, 0) == 15
    assert to("refresh", 1) == 18


def test_an_engine_that_dies_within_a_step_is_there_again(hub: Hub) -> None:
    run, key = hub.create(experiment("foam", "adamw"), session="s")
    hub.command(run.view_id, key, make("check"))
    until(lambda: run.step == 10 and not run.running)
    for _ in range(3):
        hub.command(run.view_id, key, make("phase"))
    until(lambda: (run.header.get("inside") or {}).get("phase") == "check")
    os.kill(hub.engine_processes()[0], signal.SIGKILL)
    until(lambda: "replaced" in run.notice)
    until(lambda: not run.pending and (run.header.get("inside") or {}).get("phase") == "check", 120)
    assert run.step == 10
    hub.command(run.view_id, key, make("phase"))
    until(lambda: run.step == 11 and not run.pending)
    with run.lock:
        assert np.array_equal(run.traces[0].values("steps", "step"), np.arange(1, 12))
        checks = run.traces[0].checks.to_pandas()
    assert not checks.duplicated(["step", "factor"]).any()
