"""A recorded factor stream as matrices, in the order in which training stacked them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from foam_viz.analysis.replay import Grid
from foam_viz.analysis.replay_setting import Setting
from foam_viz.engine.replay.recorded_factors import RecordedFactor, RecordedStack
from foam_viz.engine.replay.spill import Spill, allocate
from foam_viz.optim import check, gram, linalg
from foam_viz.trace.manifest import Manifest

_PAIR_BYTES = 460_000_000
"""What is kept of pairs of checks at most, beside the matrices."""
_LONG_SECONDS, TELL_SECONDS, MEASURED_SECONDS = 5.0, 0.2, 1.0

Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and what is being done; raises to stop."""


@dataclass(frozen=True)
class Estimate:
    """What it takes to prepare a run.

    Attributes:
        seconds: Of decompositions and of a replay of the run's own setting, about.
        memory: Bytes in memory.
        disk: Bytes in a temporary file; 0 where everything fits into memory.
    """

    seconds: float
    memory: int
    disk: int

    @property
    def is_large(self) -> bool:
        """Whether a reader wants to know before it is done."""
        return self.seconds > _LONG_SECONDS or self.disk > 0

    @property
    def words(self) -> str:
        """``it takes about 90 s, 0.5 GB of memory and 4.2 GB of disk``."""
        time_ = f"{self.seconds:,.0f} s" if self.seconds < 120 else f"{self.seconds / 60:,.0f} min"
        disk = f" and {self.disk / 1e9:.1f} GB of disk" if self.disk else ""
        return f"it takes about {time_}, {'' if disk else 'and '}{self.memory / 1e9:.1f} GB of memory{disk}"


@dataclass(eq=False)
class Recording:
    """A run's stream.

    Attributes:
        manifest: Of the run.
        grid: Which checks there are.
        stacks: The factors.
        gradients: By step: gradients by parameter.
        notes: What a reader should know.
        begins: Where a move begins, of a run whose own setting the stream cannot answer for.
        eigh_seconds: Seconds of one decomposition, by size, once measured.
        spill: Where the matrices of a large recording lie; None where they are in memory.
    """

    manifest: Manifest
    grid: Grid
    stacks: list[RecordedStack]
    gradients: dict[int, dict[str, np.ndarray]]
    notes: list[str]
    begins: Setting | None = None
    eigh_seconds: dict[int, float] = field(default_factory=dict)
    spill: Spill | None = None

    @property
    def factors(self) -> list[RecordedFactor]:
        """All factors, by number."""
        return sorted((f for stack in self.stacks for f in stack.factors), key=lambda f: f.number)

    @property
    def decompositions(self) -> int:
        """Matrices to decompose."""
        return sum(len(factor.steps) for factor in self.factors)

    @property
    def bytes(self) -> int:
        """What the matrices take in memory; those in a file take none."""
        if self.spill is not None:
            return 0
        return sum(2 * factor.statistics.numel() * factor.statistics.element_size() for factor in self.factors)

    def decompose(self, progress: Progress) -> None:
        """Decomposes every recorded factor once, which everything else is made of."""
        estimate, each = self.estimate()
        whole = estimate.seconds
        progress(0.0, estimate.words)
        done, spent, total, began = 0, 0.0, self.decompositions, time.perf_counter()
        told = began
        for stack, expected in zip(self.stacks, each, strict=True):
            began_stack, count = time.perf_counter(), 0
            for factor in stack.factors:
                for _ in self._decompose(factor):
                    done, count, spent = done + 1, count + 1, spent + expected
                    if (now := time.perf_counter()) - told > TELL_SECONDS or done == total:
                        told = now
                        self.release()
                        if now - began > MEASURED_SECONDS and spent:
                            estimate = replace(estimate, seconds=(now - began) / spent * whole)
                        words = f"decomposing {done:,} of {total:,} recorded factors"
                        progress(done / total, f"{words}; {estimate.words}" if estimate.is_large else words)
            self.eigh_seconds[stack.size] = (time.perf_counter() - began_stack) / max(count, 1)

    def estimate(self) -> tuple[Estimate, list[float]]:
        """What the preparation will take, from one check of each stack, and the seconds of one check of each.

        The last check is taken: the first ones, of few gradients, are of low rank, and decomposed sooner than most.
        A check is decomposed, and measured once for the run's own setting.
        """
        each = []
        for stack in self.stacks:
            found = ((one, k) for one in stack.factors for k, trace in enumerate(one.traces) if math.isfinite(trace))
            factor, k = max(found, key=lambda pair: pair[1], default=(None, 0))
            began = time.perf_counter()
            if factor is not None:
                matrix = gram.complete(factor.statistics[k : k + 1].clone())
                values, basis, _ = linalg.eigh_robust(matrix, [0.0], shift=False)
                in_force = values.clamp(min=0), torch.ones(1, dtype=values.dtype)
                check.measure(check.rotate(matrix, basis, 1.0), in_force, stack.root, None)
                (basis.mT @ basis).square_().double()  # an overlap, of which its errors are made
            each.append(time.perf_counter() - began)
        counts = [sum(len(one.steps) for one in stack.factors) for stack in self.stacks]
        seconds = sum(one * count for one, count in zip(each, counts, strict=True))
        disk = self.spill.bytes if self.spill is not None else 0
        return Estimate(seconds, (0 if disk else self.bytes) + _PAIR_BYTES, disk), each

    def release(self) -> None:
        """Let go of what lies in files and was read: it is read again when it is asked for."""
        if self.spill is not None:
            self.spill.release()

    def _decompose(self, factor: RecordedFactor) -> Iterator[None]:
        checks, size, dtype = len(factor.steps), factor.info.size, factor.statistics.dtype
        factor.basis = self.allocate((checks, size, size), dtype)
        factor.eigenvalues = torch.zeros(checks, size, dtype=dtype)
        factor.failed = [False] * checks
        corrections = factor.corrections
        for k in range(checks):
            yield
            if not math.isfinite(factor.traces[k]):
                factor.failed[k] = True
                continue
            matrix = gram.complete(factor.statistics[k : k + 1]) / corrections[k]
            values, basis, (outcome,) = linalg.eigh_robust(matrix, [factor.epsilon[k] or 0.0], shift=False)
            factor.eigenvalues[k], factor.basis[k] = values[0], basis[0]
            factor.failed[k] = outcome == "failed"
        factor.lifted = linalg.lifted(factor.eigenvalues)
        factor.floored = linalg.floored(factor.eigenvalues, torch.finfo(dtype).eps)

    def allocate(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """An array of the recording, in memory or, where the whole recording is large, in a temporary file."""
        return allocate(self.spill, shape, dtype)

    def close(self) -> None:
        """Deletes what lies in files."""
        if self.spill is not None:
            self.spill.close()
