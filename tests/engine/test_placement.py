"""Room on the engines: what is admitted, what waits, in which order it begins. No process is started."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from foam_viz.engine.server.lab_run import NOWHERE, LabRun
from foam_viz.engine.server.placement import Placement
from foam_viz.engine.wire.commands import Pause, SetSpeed, Start
from foam_viz.experiment import cost
from foam_viz.experiment.cost import Cost
from foam_viz.settings import Settings
from tests.engine.conftest import experiment

MIB = 2**20


@dataclass
class FakePool:
    """Remembers what was sent."""

    count: int = 1
    own: int = 0
    sent: list[tuple[int, str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return self.count

    def send(self, index: int, message: dict[str, Any]) -> None:
        self.sent.append((index, message["view_id"], message["command"]))

    def add(self) -> int:
        self.own += 1
        return self.count + self.own - 1

    def remove(self, index: int) -> None:
        self.own -= 1

    def leaves(self, index: int) -> bool:
        return False


class House:
    def __init__(self, **settings: Any) -> None:
        self.pool, self.runs = FakePool(), {}
        self.placement = Placement(Settings(engines=1, **settings), self.pool, self.runs)

    def open(self, name: str, memory: float = 0.0, seconds: float = 0.01, *, train: bool = True) -> LabRun:
        run = LabRun(name, experiment("adamw"), "cpu", "", Cost(0, memory, seconds), "", "")
        self.runs[name] = run
        with run.lock:
            self.placement.open(run)
            if train:
                self.placement.give(run, Start())
        return run

    def give(self, run: LabRun, command: Any) -> None:
        with run.lock:
            self.placement.give(run, command)

    def close(self, run: LabRun) -> None:
        self.placement.release(self.runs.pop(run.view_id))
        self.placement.admit_waiting()

    def told(self, name: str) -> list[str]:
        return [command for _, view_id, command in self.pool.sent if view_id == name]

    def places(self) -> dict[str, int | None]:
        return {name: run.ahead for name, run in self.runs.items()}


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> House:
    """Two runs have all the memory; three wait."""
    monkeypatch.setattr(cost, "needs_own_engine", lambda *_: False)
    house = House(engine_memory_mb=100)
    for name in "abcde":
        house.open(name, 50 * MIB)
    return house


def test_memory_is_shared_and_the_rest_waits_in_order(full: House) -> None:
    assert full.places() == {"a": None, "b": None, "c": 0, "d": 1, "e": 2}
    assert [run.engine for run in full.runs.values()] == [0, 0, NOWHERE, NOWHERE, NOWHERE]
    assert full.told("c") == []
    assert not full.runs["c"].pending and "engine_memory_mb" in full.runs["c"].room


def test_who_waited_longest_begins_by_itself(full: House) -> None:
    full.close(full.runs["a"])
    assert full.places() == {"b": None, "c": None, "d": 0, "e": 1}
    assert full.told("c") == ["create", "start"]
    full.close(full.runs["b"])
    assert full.told("d") == ["create", "start"] and full.told("e") == []


def test_who_leaves_the_queue_makes_the_others_move_up(full: House) -> None:
    full.close(full.runs["c"])
    assert full.places() == {"a": None, "b": None, "d": 0, "e": 1}


def test_pause_takes_a_run_out_of_the_queue_and_start_puts_it_back(full: House) -> None:
    run = full.runs["c"]
    full.give(run, Pause())
    assert (run.queued, run.gone, run.running, run.pending) == (False, True, False, False)
    full.placement.admit_waiting()
    assert full.places() == {"a": None, "b": None, "c": None, "d": 0, "e": 1}
    full.give(run, Start())
    full.placement.admit_waiting()
    assert run.ahead == 2
    for name in "abde":
        full.close(full.runs[name])
    assert full.told("c") == ["create", "start"]


def test_time_is_shared_by_those_that_train() -> None:
    house = House(round_seconds=1.0)
    first, second = house.open("a", seconds=0.6), house.open("b", seconds=0.6, train=False)
    assert (second.queued, second.engine) == (False, 0)  # it is built, and makes no step yet
    house.give(second, SetSpeed(5.0))
    house.give(second, Start())
    assert (second.queued, second.ahead) == (True, 0) and "round_seconds" in second.room
    assert house.told("b") == ["create", "speed"]
    with first.lock:
        first.waiting, first.header = [], {"running": False, "handled": first.sent}  # it paused
    house.placement.admit_waiting()
    assert not second.queued
    assert house.told("b")[-1] == "start"


def test_one_run_is_always_admitted() -> None:
    assert not House(round_seconds=0.1).open("a", seconds=0.9).queued


def test_small_runs_do_not_wait_behind_those_that_need_an_engine_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House(own_engines=1)
    monkeypatch.setattr(cost, "needs_own_engine", lambda cost, _: cost.seconds > 1)
    house.open("a", seconds=2)
    waits = house.open("b", seconds=2)
    assert (waits.ahead, house.runs["a"].engine) == (0, 1) and "own_engines" in waits.room
    assert house.open("c").engine == 0
    house.close(house.runs["a"])
    assert waits.engine == 1 and not waits.queued


def test_the_device_of_the_installation_is_that_of_runs_that_ask_for_none() -> None:
    placement = House(device="cpu").placement
    placement.devices = [("cuda", "GPU"), ("cpu", "CPU")]
    assert (placement.device("auto"), placement.device("cuda"), placement.device("mps")) == ("cpu", "cuda", "cuda")
    placement = House(device="auto").placement
    placement.devices = [("cuda", "GPU"), ("cpu", "CPU")]
    assert placement.device("auto") == "cuda"
