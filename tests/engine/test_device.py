"""The choice of a device and the clocks; a GPU's events are played by fakes."""

from __future__ import annotations

import types

import pytest
import torch

from foam_viz import device


class FakeEvent:
    """Records the fake device's time when the device gets to it, which is later than the host."""

    now = 0.0
    done = 0.0

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing
        self.at = -1.0

    def record(self) -> None:
        FakeEvent.now += 2.0
        self.at = FakeEvent.now

    def query(self) -> bool:
        return self.at <= FakeEvent.done

    def elapsed_time(self, other: FakeEvent) -> float:
        return other.at - self.at


@pytest.fixture
def clock() -> device.EventClock:
    FakeEvent.now = FakeEvent.done = 0.0
    return device.EventClock(types.SimpleNamespace(Event=FakeEvent))


def test_device_seconds_join_when_the_device_is_done(clock: device.EventClock) -> None:
    clock.begin("update")
    clock.stop()
    clock.start()
    clock.stop()
    assert clock.seconds() == {}
    FakeEvent.done = 4.0
    assert clock.seconds() == {"update": pytest.approx(0.002)}
    FakeEvent.done = 100.0
    assert clock.seconds() == {"update": pytest.approx(0.004)}


def test_work_within_a_phase_is_charged_to_its_own(clock: device.EventClock) -> None:
    clock.begin("check")
    with clock.within("decomposition"):
        clock.stop()  # as the recorder does
        clock.start()
    clock.stop()
    FakeEvent.done = 100.0
    assert clock.seconds() == {"check": pytest.approx(0.004), "decomposition": pytest.approx(0.004)}


def test_restore_goes_on_from_saved_seconds(clock: device.EventClock) -> None:
    clock.restore({"update": 5.0})
    clock.begin("update")
    clock.stop()
    FakeEvent.done = 100.0
    assert clock.seconds() == {"update": pytest.approx(5.002)}


def test_a_gpu_comes_before_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Fake 9000")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert [found.name for found in device.available()] == ["cuda", "mps", "cpu"]
    assert device.choose("auto") == "cuda"
    assert device.choose("cpu") == "cpu"


def test_a_device_that_is_not_there_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.choose("cuda") == "cpu"
    assert isinstance(device.clock(torch.device("cpu")), device.ThreadClock)
    assert isinstance(device.clock(torch.device("mps")), device.EventClock)


def test_the_hardware_is_named() -> None:
    told = device.hardware("cpu")
    assert told["system"] and told["machine"]
    assert all(isinstance(value, str) and value for value in told.values())
