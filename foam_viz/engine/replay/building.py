"""The recording of a run, built from its factor stream."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from foam_viz.analysis.replay import Grid
from foam_viz.analysis.replay_setting import NoReplay, artifact_setting, noted_setting, own_setting
from foam_viz.engine.replay.recorded_factors import RecordedFactor, RecordedStack
from foam_viz.engine.replay.recording import TELL_SECONDS, Progress, Recording
from foam_viz.engine.replay.spill import MEMORY_BYTES, Spill, allocate
from foam_viz.optim import check
from foam_viz.recording.stream import Record, Sample
from foam_viz.trace.manifest import FactorInfo, Manifest


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
        statistics=allocate(spill, (len(heads), info.size, info.size), dtype),
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
