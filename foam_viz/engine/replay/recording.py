"""A recorded factor stream as matrices, in the order in which training stacked them."""

from __future__ import annotations

import math
import mmap
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foam_viz.analysis.replay import Grid, NoReplay, Setting, artifact_setting, noted_setting, own_setting
from foam_viz.optim import check, gram, linalg
from foam_viz.recording.stream import Record, Sample
from foam_viz.trace.manifest import FactorInfo, Manifest

MEMORY_BYTES = 600_000_000
"""What the matrices of one recording may take in memory; beyond it they lie in a file."""

_PAIR_BYTES = 460_000_000
"""What is kept of pairs of checks at most, beside the matrices."""
RELEASE_EVERY = 32
"""Steps, or matrices read, after which what lies in files is let go of."""
_LONG_SECONDS, TELL_SECONDS, MEASURED_SECONDS = 5.0, 0.2, 1.0

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
        spill: Where their matrices lie; None where they are in memory.
    """

    factors: list[RecordedFactor]
    checks: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    spill: Spill | None = None

    def release(self, count: int) -> None:
        """Let go of what was read from files, once in a while: ``count`` rises with what was read."""
        if self.spill is not None and count % RELEASE_EVERY == 0:
            self.spill.release()

    @cached_property
    def starts(self) -> np.ndarray:
        """Where the recorded checks of each factor begin among those of all, one factor after the other, (R,)."""
        return np.array([0, *accumulate(len(factor.steps) for factor in self.factors)])[:-1]

    @cached_property
    def rows(self) -> np.ndarray:
        """The factor of each recorded check, (T,)."""
        return np.repeat(np.arange(len(self.factors)), [len(factor.steps) for factor in self.factors])

    @cached_property
    def numbers(self) -> np.ndarray:
        """k: the number of each recorded check among those of its factor, (T,)."""
        return np.arange(len(self.rows)) - self.starts[self.rows]

    @cached_property
    def steps(self) -> np.ndarray:
        """The step of each recorded check, (T,)."""
        return np.concatenate([factor.steps for factor in self.factors])

    @cached_property
    def failed(self) -> np.ndarray:
        """Whether each recorded factor could not be decomposed, (T,), once decomposed."""
        return np.concatenate([np.array(factor.failed, bool) for factor in self.factors])

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


class Spill:
    """Arrays in temporary files, of recordings that are too large for memory.

    Args:
        bytes: That will be asked for.

    Raises:
        NoReplay: The disk has no room for them.
    """

    def __init__(self, bytes: int) -> None:
        self.bytes = bytes
        self._folder = tempfile.TemporaryDirectory(prefix="foam_viz-replay-")
        self._maps: list[mmap.mmap] = []
        free = shutil.disk_usage(self._folder.name).free
        if bytes > free:
            self._folder.cleanup()
            raise NoReplay(
                f"it would take {bytes / 1e9:.1f} GB of temporary files, and their disk has {free / 1e9:.1f} GB free",
                "Free some, let TMPDIR name a folder on a larger disk, or record fewer factors or checks",
            )

    def allocate(self, shape: tuple[int, ...], dtype: type | np.dtype) -> np.ndarray:
        """An array of zeros in a file of its own."""
        with tempfile.NamedTemporaryFile(dir=self._folder.name, delete=False) as file:
            array = np.memmap(Path(file.name), dtype, "w+", shape=shape)
        assert isinstance(array.base, mmap.mmap)
        self._maps.append(array.base)
        return array

    def release(self) -> None:
        """Take what was read or written out of this process's memory; it stays in the files."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not everywhere, and then the system does it when memory is short
            for one in self._maps:
                one.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Delete the files."""
        self._maps.clear()
        self._folder.cleanup()


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
        return _allocate(self.spill, shape, dtype)

    def close(self) -> None:
        """Deletes what lies in files."""
        if self.spill is not None:
            self.spill.close()


def _allocate(spill: Spill | None, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if spill is None:
        return torch.zeros(shape, dtype=dtype)
    return torch.from_numpy(spill.allocate(shape, np.float64 if dtype == torch.float64 else np.float32))


def build(manifest: Manifest, record: Record, progress: Progress = lambda _, __: None) -> Recording:
    """The recording of a run from its stream.

    Raises:
        NoReplay: There is no stream, or none of factors that a replay can use.
        FieldError: What the run says of its own setting is refused.
    """
    own = own_setting(manifest) or noted_setting(manifest)
    heads: dict[str, list[_Head]] = {}
    gradient_bytes = 0
    for sample in record.samples:
        if sample.kind == "factor":
            heads.setdefault(sample.id, []).append(_Head.of(sample))
        else:
            gradient_bytes += sample.values.nbytes
    if not heads and record.notes:
        raise NoReplay(
            f"its factor stream cannot be read: {record.notes[0]}",
            "It may be of a later version of this program, or damaged: update it, copy the file again, or train the "
            "run again with --stream",
        )
    if not heads:
        raise NoReplay(
            "this run kept no factor stream, so it cannot be replayed",
            "Train it again with one: python -m foam_viz train --stream, or Writer(stream=Stream(...))",
        )
    infos = {info.id: (number, info) for number, info in enumerate(manifest.factors)}
    notes = list(record.notes)
    size = gradient_bytes + sum(2 * head.bytes for mine in heads.values() for head in mine)
    spill = Spill(size) if size > MEMORY_BYTES else None
    factors = []
    for name, mine in heads.items():
        number, info = infos.get(name, (-1, None))
        root = mine[0].root
        if info is None or not root or any(head.root != root or head.shape != (info.size,) * 2 for head in mine):
            notes.append(f"factor {name} is left out: the stream does not tell its root, or does not fit the manifest")
            continue
        factors.append(_factor(number, info, root, sorted(mine, key=lambda head: head.step), spill))
    if not factors:
        raise NoReplay(
            "the stream names no factor with the root of its inverse", "Only optimizers with inverse roots can be tried"
        )
    gradients = _fill(factors, record, spill, progress)
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
    begins = artifact_setting(manifest, grid.period) if own is None else None
    return Recording(manifest, grid, _stacks(factors, spill), gradients, notes, begins=begins, spill=spill)


@dataclass(frozen=True)
class _Head:
    """A sample of a factor without its numbers."""

    step: int
    root: int | None
    epsilon: float | None
    beta: float | None
    count: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @classmethod
    def of(cls, sample: Sample) -> _Head:
        values = sample.values
        return cls(sample.step, sample.root, sample.epsilon, sample.beta, sample.steps or 0, values.shape, values.dtype)

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _factor(number: int, info: FactorInfo, root: int, heads: list[_Head], spill: Spill | None) -> RecordedFactor:
    dtype = torch.float64 if heads[0].dtype == np.float64 else torch.float32
    return RecordedFactor(
        info=info,
        number=number,
        root=root,
        beta=heads[0].beta,
        steps=[head.step for head in heads],
        counts=[head.count for head in heads],
        statistics=_allocate(spill, (len(heads), info.size, info.size), dtype),
        traces=[0.0] * len(heads),
        epsilon=[head.epsilon for head in heads],
    )


def _fill(
    factors: list[RecordedFactor], record: Record, spill: Spill | None, progress: Progress
) -> dict[int, dict[str, np.ndarray]]:
    """Take the numbers of the factors from the stream; returns the gradients by step and parameter."""
    gradients: dict[int, dict[str, np.ndarray]] = {}
    known = {factor.info.id: (factor, {step: k for k, step in enumerate(factor.steps)}) for factor in factors}
    told = time.perf_counter()
    done, total = 0, sum(len(factor.steps) for factor in factors)
    for sample in record.samples:
        if sample.kind != "factor":
            values = sample.values
            if spill is not None:
                values = spill.allocate(values.shape, values.dtype)
                values[...] = sample.values
            gradients.setdefault(sample.step, {})[sample.id] = values
        elif sample.id in known:
            factor, places = known[sample.id]
            k = places[sample.step]
            factor.statistics[k] = torch.from_numpy(sample.values)
            # While it is in memory: one number of each row reads every page of a file.
            factor.traces[k] = float(check.traces(factor.statistics[k]))
            done += 1
        if spill is not None and time.perf_counter() - told > TELL_SECONDS:
            told = time.perf_counter()
            spill.release()
            progress(0.0, f"reading {done:,} of {total:,} recorded factors")
    return gradients


def _stacks(factors: Iterable[RecordedFactor], spill: Spill | None) -> list[RecordedStack]:
    """The factors as ``optim.group`` stacks them: blocks of one shape next to each other, a dimension at a time."""
    blocks: dict[tuple[int, str, int], list[RecordedFactor]] = {}
    for factor in factors:
        parameter = factor.info.id.partition(".")[0]  # of a stranger's factors it may be no number
        place = int(parameter) if parameter.isdecimal() else -1
        blocks.setdefault((place, factor.info.parameter, factor.info.block), []).append(factor)
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
                stacks.setdefault(key, RecordedStack([], spill=spill)).factors.append(factor)
    for stack in stacks.values():
        for row, factor in enumerate(stack.factors):
            for k, step in enumerate(factor.steps):
                stack.checks.setdefault(step, []).append((row, k))
        stack.checks = {step: sorted(stack.checks[step]) for step in sorted(stack.checks)}
    return list(stacks.values())
