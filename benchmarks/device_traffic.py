"""How often a step makes the host wait for a device: copies to the host and synchronizations, counted."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_READS = ("tolist", "cpu", "numpy")
_SOLVERS = ((torch.linalg, "eigh"), (torch, "geqrf"))


class _Reads(TorchDispatchMode):
    """Counts numbers and truth values that are read, and the tensors that reach the host."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.solves = 0

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operator in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            self.reads += 1
        return operator(*args, **(kwargs or {}))

    def counting(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            setattr(self, name, getattr(self, name) + 1)
            return method(*args, **kwargs)

        return counted


@contextmanager
def counted_reads() -> Iterator[_Reads]:
    """Count the reads of device values, and the solver calls, that Python code makes within the block."""
    mode = _Reads()
    with mode:
        patches = [patch.object(Tensor, name, mode.counting("reads", getattr(Tensor, name))) for name in _READS]
        patches += [patch.object(at, name, mode.counting("solves", getattr(at, name))) for at, name in _SOLVERS]
        for each in patches:
            each.start()
        try:
            yield mode
        finally:
            for each in patches:
                each.stop()


@dataclass(frozen=True)
class Traffic:
    """What one step cost in waiting.

    Attributes:
        reads: Values that Python code brought to the host.
        solves: Calls of a solver; torch waits for each by itself.
        waits: Synchronizations that CUDA reports, those of the solvers among them; None without CUDA.
        copies: Copies from the device to the host that CUDA's profiler saw; None without CUDA.
    """

    reads: int
    solves: int
    waits: int | None
    copies: int | None


def traffic(step: Callable[[int], object], number: int, device: str) -> Traffic:
    """Count the traffic of ``step(number)``."""
    if device != "cuda":
        with counted_reads() as counted:
            step(number)
        return Traffic(counted.reads, counted.solves, None, None)
    from torch.profiler import ProfilerActivity, profile

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with (
                profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled,
                counted_reads() as counted,
            ):
                step(number)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    copies = sum(event.count for event in profiled.key_averages() if event.key.startswith("Memcpy DtoH"))
    waits = sum("synchroniz" in str(warning.message).lower() for warning in told)
    return Traffic(counted.reads, counted.solves, waits, copies)
