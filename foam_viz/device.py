"""Which device trains, and a clock that charges a step's work to its phases.

The CUDA and MPS paths are thin: the same few calls under other names.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class DeviceInfo:
    """A device that can train.

    Attributes:
        name: ``cuda``, ``mps`` or ``cpu``: what torch calls it.
        label: What a person calls it.
    """

    name: str
    label: str


def available() -> tuple[DeviceInfo, ...]:
    """The devices of this machine, the preferred one first: CUDA, else MPS, else CPU."""
    found = []
    if torch.cuda.is_available():
        found.append(DeviceInfo("cuda", torch.cuda.get_device_name()))
    if torch.backends.mps.is_available():
        found.append(DeviceInfo("mps", "Apple GPU"))
    return (*found, DeviceInfo("cpu", "CPU"))


def choose(name: str) -> str:
    """The device of that name, or the preferred one where the name is ``auto`` or is not there."""
    names = [device.name for device in available()]
    return name if name in names else names[0]


def widest(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in the widest floating-point type of its device: float64, which MPS does not have."""
    return tensor if tensor.device.type == "mps" else tensor.double()


@cache
def _processor() -> str:
    """The model of the processor, as the system tells it; empty where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def hardware(name: str) -> dict[str, str]:
    """What a run's manifest tells of the machine: two runs' seconds compare only on equal hardware."""
    label = next((device.label for device in available() if device.name == name), "")
    told = {
        "machine": platform.machine(),
        "system": platform.system(),
        "device_name": _processor() if name == "cpu" else label,
    }
    return {key: value for key, value in told.items() if value}


class _Clock:
    """Seconds by phase. Work is charged to the phase that was begun last, between :meth:`start` and :meth:`stop`."""

    def __init__(self) -> None:
        self._phase = ""
        self._totals: dict[str, float] = {}

    def begin(self, phase: str) -> None:
        """Begin a phase and its first stretch of work."""
        self._phase = phase
        self.start()

    def start(self) -> None:
        """Begin a stretch of work, of the phase begun last."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the stretch of work."""
        raise NotImplementedError

    @contextmanager
    def within(self, phase: str) -> Iterator[None]:
        """Charge the work done meanwhile to a phase of its own; the clock must run."""
        around = self._phase
        self.stop()
        self.begin(phase)
        try:
            yield
        finally:
            self.stop()
            self.begin(around)

    def _add(self, phase: str, seconds: float) -> None:
        self._totals[phase] = self._totals.get(phase, 0.0) + seconds

    def seconds(self) -> dict[str, float]:
        """Return the seconds of all stretches, by phase."""
        return dict(self._totals)

    def restore(self, seconds: Mapping[str, float]) -> None:
        """Go on from times measured before."""
        self._totals = dict(seconds)


class ThreadClock(_Clock):
    """CPU seconds of the calling thread, without those of other processes."""

    def __init__(self) -> None:
        super().__init__()
        self._started = 0.0

    def start(self) -> None:
        """Begin a stretch of work, of the phase begun last."""
        self._started = time.thread_time()

    def stop(self) -> None:
        """End the stretch of work."""
        self._add(self._phase, time.thread_time() - self._started)


class EventClock(_Clock):
    """Device seconds, by events, without waiting for the device.

    :meth:`seconds` holds what the device has finished; the newest steps join it a moment later.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._event = module.Event
        self._pending: list[tuple[str, Any, Any]] = []
        self._started: Any = None

    def _mark(self) -> Any:
        event = self._event(enable_timing=True)
        event.record()
        return event

    def start(self) -> None:
        """Mark the begin of a stretch of work on the stream."""
        self._started = self._mark()

    def stop(self) -> None:
        """Mark the end of the stretch of work on the stream."""
        self._pending.append((self._phase, self._started, self._mark()))

    def seconds(self) -> dict[str, float]:
        """Return the seconds of all stretches that the device has finished, by phase."""
        while self._pending and self._pending[0][2].query():
            phase, first, last = self._pending.pop(0)
            self._add(phase, first.elapsed_time(last) / 1e3)
        return super().seconds()

    def restore(self, seconds: Mapping[str, float]) -> None:
        """Go on from times measured before."""
        super().restore(seconds)
        self._pending = []


def clock(device: torch.device) -> ThreadClock | EventClock:
    """The clock of a device."""
    if device.type in ("cuda", "mps"):
        return EventClock(getattr(torch, device.type))
    return ThreadClock()
