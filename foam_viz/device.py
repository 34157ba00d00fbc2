"""Which device trains, and a clock that charges the optimizer alone.

The CUDA and MPS paths are thin: the same few calls under other names.
"""

from __future__ import annotations

import platform
import time
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


class ThreadClock:
    """CPU seconds of the calling thread between :meth:`start` and :meth:`stop`, without those of other processes."""

    def __init__(self) -> None:
        self._total = 0.0
        self._started = 0.0

    def start(self) -> None:
        """Begin a stretch of work."""
        self._started = time.thread_time()

    def stop(self) -> None:
        """End the stretch of work."""
        self._total += time.thread_time() - self._started

    def seconds(self) -> float:
        """Return the CPU seconds of all stretches."""
        return self._total

    def restore(self, seconds: float) -> None:
        """Go on from a time measured before."""
        self._total = seconds


class EventClock:
    """Device seconds between :meth:`start` and :meth:`stop`, by events, without waiting for the device.

    :meth:`seconds` holds what the device has finished; the newest steps join it a moment later.
    """

    def __init__(self, module: Any) -> None:
        self._event = module.Event
        self._pending: list[tuple[Any, Any]] = []
        self._started: Any = None
        self._total = 0.0

    def _mark(self) -> Any:
        event = self._event(enable_timing=True)
        event.record()
        return event

    def start(self) -> None:
        """Mark the begin of a stretch of work on the stream."""
        self._started = self._mark()

    def stop(self) -> None:
        """Mark the end of the stretch of work on the stream."""
        self._pending.append((self._started, self._mark()))

    def seconds(self) -> float:
        """Return the seconds of all stretches that the device has finished."""
        while self._pending and self._pending[0][1].query():
            first, last = self._pending.pop(0)
            self._total += first.elapsed_time(last) / 1e3
        return self._total

    def restore(self, seconds: float) -> None:
        """Go on from a time measured before."""
        self._total, self._pending = seconds, []


def clock(device: torch.device) -> ThreadClock | EventClock:
    """The clock of a device."""
    if device.type in ("cuda", "mps"):
        return EventClock(getattr(torch, device.type))
    return ThreadClock()
