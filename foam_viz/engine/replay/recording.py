"""A recorded factor stream as matrices, in the order in which training stacked them."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foam_viz.analysis.replay import Grid, NoReplay, own_setting
from foam_viz.optim import check, gram, linalg
from foam_viz.recording.stream import Record, Sample
from foam_viz.trace.manifest import FactorInfo, Manifest

MEMORY_BYTES = 600_000_000
"""What the matrices of one recording may take in memory; beyond it they lie in a file."""

Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and what is being done; raises to stop."""


@dataclass(eq=False)
class RecordedFactor:
    """One factor at its K recorded checks.

    Attributes:
        info: The factor.
        number: Its number in the manifest.
        root: p.
        beta: beta2 of the statistics; None where only A is known.
        steps: Optimizer steps of the checks.
        counts: t of each: gradients that the statistics had seen.
        statistics: L, (K, n, n).
        traces: Trace of each; one that is not finite cannot be decomposed.
        epsilon: Damping in force after each check of the recorded run, where it is known.
        basis: Q of each, (K, n, n), once decomposed.
        eigenvalues: D of each as the solver gave it, rising, (K, n).
        failed: Whether the decomposition failed.
    """

    info: FactorInfo
    number: int
    root: int
    beta: float | None
    steps: list[int]
    counts: list[int]
    statistics: Tensor
    traces: list[float]
    epsilon: list[float | None]
    basis: Tensor = field(default_factory=lambda: torch.empty(0))
    eigenvalues: Tensor = field(default_factory=lambda: torch.empty(0))
    lifted: Tensor = field(default_factory=lambda: torch.empty(0))
    floored: Tensor = field(default_factory=lambda: torch.empty(0))
    failed: list[bool] = field(default_factory=list)

    @property
    def corrections(self) -> list[float]:
        """1 - beta2^t of each check."""
        return check.corrections(1.0 if self.beta is None else self.beta, self.counts)

    def spectrum(self, rule: str) -> Tensor:
        """D of each check, (K, n), as a rule for the smallest eigenvalues keeps it: a floor is taken at each use."""
        return self.eigenvalues if rule == "floor" else self.lifted

    def used(self, rule: str) -> Tensor:
        """D of each check, (K, n), as it is damped: floored, or lifted."""
        return self.floored if rule == "floor" else self.lifted


@dataclass(eq=False)
class RecordedStack:
    """Factors that training stacked: of one size, root and dtype, in the order of its rows.

    Attributes:
        factors: In order.
        checks: By step, rising: the factors that were checked, as (row, check of that factor).
    """

    factors: list[RecordedFactor]
    checks: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """n."""
        return self.factors[0].info.size

    @property
    def root(self) -> int:
        """p."""
        return self.factors[0].root

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.factors[0].statistics.dtype

    @property
    def portion(self) -> int:
        """How many factors training measures together."""
        return gram.portion(self.factors[0].statistics[:1])


@dataclass(eq=False)
class Recording:
    """A run's stream.

    Attributes:
        manifest: Of the run.
        grid: Which checks there are.
        stacks: The factors.
        gradients: By step: gradients by parameter.
        notes: What a reader should know.
        eigh_seconds: Seconds of one decomposition, by size, once measured.
    """

    manifest: Manifest
    grid: Grid
    stacks: list[RecordedStack]
    gradients: dict[int, dict[str, np.ndarray]]
    notes: list[str]
    eigh_seconds: dict[int, float] = field(default_factory=dict)
    _folder: tempfile.TemporaryDirectory | None = None

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
        if self._folder is not None:
            return 0
        return sum(2 * factor.statistics.numel() * factor.statistics.element_size() for factor in self.factors)

    def decompose(self, progress: Progress) -> None:
        """Decomposes every recorded factor once, which everything else is made of."""
        done, total = 0, self.decompositions
        for stack in self.stacks:
            began, count = time.perf_counter(), 0
            for factor in stack.factors:
                self._decompose(factor)
                done, count = done + len(factor.steps), count + len(factor.steps)
                progress(done / total, f"decomposing {done:,} of {total:,} recorded factors")
            self.eigh_seconds[stack.size] = (time.perf_counter() - began) / max(count, 1)

    def _decompose(self, factor: RecordedFactor) -> None:
        checks, size, dtype = len(factor.steps), factor.info.size, factor.statistics.dtype
        factor.basis = self.allocate((checks, size, size), dtype)
        factor.eigenvalues = torch.zeros(checks, size, dtype=dtype)
        factor.failed = [False] * checks
        corrections = factor.corrections
        for k in range(checks):
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
        return _allocate(self._folder, shape, dtype)

    def close(self) -> None:
        """Deletes what lies in files."""
        if self._folder is not None:
            self._folder.cleanup()


def _allocate(folder: tempfile.TemporaryDirectory | None, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if folder is None:
        return torch.zeros(shape, dtype=dtype)
    with tempfile.NamedTemporaryFile(dir=folder.name, delete=False) as file:
        kind = np.float64 if dtype == torch.float64 else np.float32
        return torch.from_numpy(np.memmap(Path(file.name), kind, "w+", shape=shape))


def build(manifest: Manifest, record: Record) -> Recording:
    """The recording of a run from its stream.

    Raises:
        NoReplay: There is no stream, or none of factors that a replay can use.
        FieldError: What the run says of its own setting is refused.
    """
    own = own_setting(manifest)
    samples: dict[str, list[Sample]] = {}
    gradients: dict[int, dict[str, np.ndarray]] = {}
    for sample in record.samples:
        if sample.kind == "factor":
            samples.setdefault(sample.id, []).append(sample)
        else:
            gradients.setdefault(sample.step, {})[sample.id] = sample.values
    if not samples and record.notes:
        raise NoReplay(
            f"its factor stream cannot be read: {record.notes[0]}",
            "It may be of a later version of this program, or damaged: update it, copy the file again, or train the "
            "run again with --stream",
        )
    if not samples:
        raise NoReplay(
            "this run kept no factor stream, so its factors are not there to be decided about",
            "Train it again with one: python -m foam_viz train --stream, or Writer(stream=Stream(...))",
        )
    infos = {info.id: (number, info) for number, info in enumerate(manifest.factors)}
    notes = list(record.notes)
    size = sum(2 * s.values.nbytes for mine in samples.values() for s in mine)
    folder = tempfile.TemporaryDirectory(prefix="foam_viz-replay-") if size > MEMORY_BYTES else None
    factors = []
    for name, mine in samples.items():
        number, info = infos.get(name, (-1, None))
        root = mine[0].root
        if info is None or not root or any(s.root != root or s.values.shape != (info.size,) * 2 for s in mine):
            notes.append(f"factor {name} is left out: the stream does not tell its root, or does not fit the manifest")
            continue
        factors.append(_factor(number, info, root, sorted(mine, key=lambda s: s.step), folder))
    if not factors:
        raise NoReplay(
            "the stream names no factor with the root of its inverse", "Only optimizers with inverse roots can be tried"
        )
    for factor in factors:
        if bad := [step for step, trace in zip(factor.steps, factor.traces, strict=True) if not math.isfinite(trace)]:
            notes.append(f"factor {factor.info.id} is not finite from step {bad[0]:,}: its last basis stays in force")
    steps = sorted({step for factor in factors for step in factor.steps})
    if len(steps) == 1:
        notes.append(f"the only recorded check, at step {steps[0]:,}, is the first one, which always decomposes")
    spacing = record.spacing
    if spacing.first is None and len(steps) > 1:  # of the first release: nothing was thinned out
        spacing = type(spacing)(int(np.gcd.reduce(np.diff(steps))), 1, steps[0])
    if own is not None and any(name == "period" for _, name, _ in own.edits) and len(steps) > 1:
        spacing = type(spacing)(int(np.gcd.reduce(np.diff(steps))), spacing.stride, steps[0])
        notes.append("the period was edited while it trained: other settings are replayed at the checks that it made")
    grid = Grid(spacing, steps[0], steps[-1], own)
    return Recording(manifest, grid, _stacks(factors), gradients, notes, _folder=folder)


def _factor(
    number: int, info: FactorInfo, root: int, samples: list[Sample], folder: tempfile.TemporaryDirectory | None
) -> RecordedFactor:
    dtype = torch.float64 if samples[0].values.dtype == np.float64 else torch.float32
    statistics = _allocate(folder, (len(samples), info.size, info.size), dtype)
    for k, sample in enumerate(samples):
        statistics[k] = torch.from_numpy(sample.values)
    return RecordedFactor(
        info=info,
        number=number,
        root=root,
        beta=samples[0].beta,
        steps=[sample.step for sample in samples],
        counts=[sample.steps or 0 for sample in samples],
        statistics=statistics,
        traces=check.traces(statistics).tolist(),
        epsilon=[sample.epsilon for sample in samples],
    )


def _stacks(factors: Iterable[RecordedFactor]) -> list[RecordedStack]:
    """The factors as ``optim.group`` stacks them: blocks of one shape next to each other, a dimension at a time."""
    blocks: dict[tuple[int, int], list[RecordedFactor]] = {}
    for factor in factors:
        blocks.setdefault((int(factor.info.id.partition(".")[0]), factor.info.block), []).append(factor)
    shelves: dict[tuple[int, ...], list[list[RecordedFactor]]] = {}
    for _, mine in sorted(blocks.items()):
        mine.sort(key=lambda factor: factor.info.dim)
        shelves.setdefault(tuple(factor.info.size for factor in mine), []).append(mine)
    stacks: dict[tuple[int, int, torch.dtype], RecordedStack] = {}
    for shape, shelf in shelves.items():
        for dim in range(len(shape)):
            for mine in shelf:
                factor = mine[dim]
                key = (factor.info.size, factor.root, factor.statistics.dtype)
                stacks.setdefault(key, RecordedStack([])).factors.append(factor)
    for stack in stacks.values():
        for row, factor in enumerate(stack.factors):
            for k, step in enumerate(factor.steps):
                stack.checks.setdefault(step, []).append((row, k))
        stack.checks = {step: sorted(stack.checks[step]) for step in sorted(stack.checks)}
    return list(stacks.values())
