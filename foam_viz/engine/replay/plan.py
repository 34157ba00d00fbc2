"""A recorded run made ready to be replayed: decomposed once, then every setting is a walk over what is kept."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from foam_viz.analysis.calibrate import Spectra
from foam_viz.analysis.fronts import Front, Work, front, reference_settings
from foam_viz.analysis.replay import (
    COURSE,
    MAP_ERROR_EVERY,
    NEAR,
    TABLE,
    Replay,
    Setting,
    Summary,
    default_setting,
    tau_and_cap,
)
from foam_viz.engine.replay.errors import NOTHING, ErrorMeter
from foam_viz.engine.replay.pairs import BLOCK, Grid, Overlaps
from foam_viz.engine.replay.recording import TELL_SECONDS, Progress, Recording, build
from foam_viz.engine.replay.spectra import read_spectra
from foam_viz.engine.replay.updates import update_errors
from foam_viz.engine.replay.walk import PairStore, Row, Walker, held
from foam_viz.optim import check, linalg
from foam_viz.optim.precision import full_precision
from foam_viz.recording import stream
from foam_viz.recording.stream import Record
from foam_viz.trace.disk import bundle
from foam_viz.trace.manifest import Manifest

OVERLAP_BYTES, ROTATED_BYTES = 280_000_000, 60_000_000
"""Of what pairs of checks of one run keep: overlaps, and B as training measures it."""
_LARGE_STREAM = 200_000_000
"""Bytes on the disk beyond which a stream is never in memory as a whole."""
_WARM_CHECKS = 64
"""Pairs of checks farther apart are computed when they are asked for: bases are seldom kept so long."""
_DECADES = 3
"""The damping that pairs know reaches so far beyond that of the run."""


def _unheard(_: float, __: str) -> None:
    pass


class Plan:
    """Answers what other settings would have done.

    Args:
        recording: The recorded factors.

    Attributes:
        recording: The recorded factors.
        own: The setting that a move begins from: the run's own where it is known.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        grid = recording.grid
        first = recording.factors[0].epsilon[0]
        self.own = grid.own or default_setting(first or 1e-9, grid.period)
        count = len(recording.manifest.factors)
        self._rotated, self._overlaps = PairStore(ROTATED_BYTES), Overlaps(OVERLAP_BYTES)
        damping = self._damping()
        self._walkers = [
            Walker(stack, grid, count, self._rotated, damping, self._overlaps) for stack in recording.stacks
        ]
        self._meters = [
            ErrorMeter(stack, walker) for stack, walker in zip(recording.stacks, self._walkers, strict=True)
        ]
        self._kernels: dict[int, tuple[float, float, float]] = {}

    @classmethod
    def prepare(cls, manifest: Manifest, record: Record, progress: Progress = _unheard) -> Plan:
        """Decomposes what was recorded, and replays the run's own setting.

        Args:
            manifest: Of the run.
            record: Its stream.
            progress: Told what is being done; what it raises stops the preparation.

        Raises:
            NoReplay: There is no stream, or none that a replay can use.
            FieldError: What the run says of its own setting is refused.
        """
        plan = cls(build(manifest, record, progress))
        try:
            with torch.no_grad(), full_precision():
                plan.recording.decompose(progress)
                plan._time_kernels()
                # First, in the portions of training: what it measures is kept, so its bits never change.
                with plan._telling(progress):
                    plan.run(plan._nearest_own())
        except BaseException:
            plan.close()
            raise
        progress(1.0, "ready")
        return plan

    def _nearest_own(self) -> Setting:
        """The own setting, at a period that the stream can answer where checks were thinned out."""
        grid = self.recording.grid
        period = -(-self.own.policy.period // grid.period) * grid.period
        return self.own if period == self.own.policy.period else self.own.changed({"period": period, "start": None})

    @contextmanager
    def _telling(self, progress: Progress) -> Iterator[None]:
        """Say that the own setting is replayed: of a large run that takes long, and can be stopped."""
        told = time.perf_counter()

        def tick() -> None:
            nonlocal told
            if time.perf_counter() - told > TELL_SECONDS:
                told = time.perf_counter()
                progress(1.0 - 1e-6, "replaying the run's own setting")

        for walker in self._walkers:
            walker.tick = tick
        try:
            yield
        finally:
            for walker in self._walkers:
                walker.tick = lambda: None

    def _damping(self) -> Grid:
        """The damping that moves are likely to ask for: around that of the own setting."""
        values = self.own.values
        return Grid(values["epsilon"] / 10**_DECADES, values.get("epsilon_max", values["epsilon"]) * 10**_DECADES)

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        kept = sum(walker.pairs.bytes for walker in self._walkers)
        return self.recording.bytes + self._rotated.bytes + self._overlaps.bytes + kept

    def close(self) -> None:
        """Gives back what the recording takes."""
        self.recording.close()

    def _time_kernels(self) -> None:
        for stack in self.recording.stacks:
            factor = stack.factors[0]
            statistics, basis, values = factor.statistics[:1], factor.basis[:1], factor.eigenvalues[:1].clamp(min=0)
            in_force = values, torch.ones(1, dtype=stack.dtype)
            judge = _seconds(lambda a, q, d, p: check.measure(check.rotate(a, q, 1.0), d, p, None),
                             statistics, basis, in_force, stack.root)  # fmt: skip
            rebuild = _seconds(linalg.inverse_root, basis, *in_force, stack.root)
            self._kernels[stack.size] = (self.recording.eigh_seconds[stack.size], judge, rebuild)

    def run(self, setting: Setting | None = None, *, updates: bool = False) -> Replay:
        """One setting.

        Args:
            setting: The setting; the run's own by default.
            updates: Whether to measure the error of updates too, where gradients were kept.

        Raises:
            FieldError: The stream cannot answer for it.
        """
        (replay,) = self.run_many([setting or self.own], updates=updates)
        return replay

    def run_many(self, settings: Sequence[Setting], *, updates: bool = False) -> list[Replay]:
        """Several settings in one walk, which costs less than one after the other.

        Raises:
            FieldError: The stream cannot answer for one of them.
        """
        for setting in settings:
            self.recording.grid.require(setting)
        with torch.no_grad(), full_precision():
            walked = [walker.walk(settings) for walker in self._walkers]
            return [self._replay(setting, [one[i] for one in walked], updates) for i, setting in enumerate(settings)]

    def summaries(self, settings: Sequence[Setting], *, error_every: int = 1) -> list[Summary]:
        """The totals of several settings in one walk, without a row for each check.

        Args:
            settings: The settings.
            error_every: Errors are means over one check of so many of each factor; 0 measures none. Decisions are
                made at every check.

        Raises:
            FieldError: The stream cannot answer for one of them.
        """
        for setting in settings:
            self.recording.grid.require(setting)
        with torch.no_grad(), full_precision():
            walked = [walker.walk(settings) for walker in self._walkers]
            return [
                self._summary(setting, [one[i] for one in walked], error_every) for i, setting in enumerate(settings)
            ]

    def _summary(self, setting: Setting, walked: list[list[list[Row]]], error_every: int) -> Summary:
        counts: Counter[str] = Counter()
        total = np.zeros(4)
        measured = 0
        for stack, meter, tracks in zip(self.recording.stacks, self._meters, walked, strict=True):
            for track in tracks:
                counts.update(row.decision.reason for row in track)
            if error_every:
                some = [held(t, len(f.steps))[::error_every] for f, t in zip(stack.factors, tracks, strict=True)]
                found = [e for one in meter.errors(some, _fresh(setting), setting.rule) for e in one]
                finite = np.array([error for error in found if math.isfinite(error[0])]).reshape(-1, 4)
                total += finite.sum(0)
                measured += len(finite)
        error, staleness, damping, damped = (total / measured if measured else np.full(4, np.nan)).tolist()
        checks = counts.total()
        return Summary(
            setting=setting,
            exact=self.recording.grid.is_own(setting),
            checks=checks,
            decompositions=checks - counts["reuse"] - counts["failure"],
            cap_refreshes=counts["cap"],
            error_left=error,
            staleness_error=staleness,
            damping_error=damping,
            directions_damped=damped,
            kernel_seconds=self._kernel_seconds(walked),
        )

    def _kernel_seconds(self, walked: list[list[list[Row]]]) -> float:
        """Seconds of the decompositions, measures and rebuilds of inverse roots, as timed on this machine."""
        seconds = 0.0
        for stack, tracks in zip(self.recording.stacks, walked, strict=True):
            eigh, judge, rebuild = self._kernels.get(stack.size, (0.0, 0.0, 0.0))
            for track in tracks:
                for _, decision, before, measure, _, _ in track:
                    if measure is not None:
                        seconds += judge
                    if decision.decompose:
                        seconds += eigh + rebuild
                    elif decision.epsilon != before or decision.refresh_eigenvalues:
                        seconds += rebuild
        return seconds

    def _replay(self, setting: Setting, walked: list[list[list[Row]]], updates: bool) -> Replay:
        rows, course, near = [], [], 0
        for stack, meter, tracks in zip(self.recording.stacks, self._meters, walked, strict=True):
            standing = [held(track, len(f.steps)) for f, track in zip(stack.factors, tracks, strict=True)]
            measured = meter.errors(standing, _fresh(setting), setting.rule)
            for factor, track, mine, errors in zip(stack.factors, tracks, standing, measured, strict=True):
                steps, number = factor.steps, factor.number
                told = {one.check: error for one, error in zip(mine, errors, strict=True) if error is not NOTHING}
                course += [(steps[k], number, *error) for k, error in told.items()]
                for k, decision, before, measure, decomposed, _ in track:
                    last = steps[decomposed] if decomposed >= 0 else None
                    row = (steps[k], number, decision.reason, before, decision.epsilon, measure, last)
                    rows.append((*row, *told.get(k, (None, None, None, None))))
                    if measure is not None:
                        share = setting.at(steps[k]).policy.threshold_share(before, measure)
                        near += share is not None and abs(share - 1) <= NEAR
        rows.sort(key=lambda row: row[:2])
        course.sort(key=lambda row: row[:2])
        found: tuple[dict[str, Any], ...] = ()
        if updates:
            found = update_errors(self.recording, self._walkers, walked, setting)
        return Replay(
            setting=setting,
            exact=self.recording.grid.is_own(setting),
            table=_table(rows, TABLE),
            course=_table(course, COURSE),
            factors=tuple(info.id for info in self.recording.manifest.factors),
            near_ties=near,
            kernel_seconds=self._kernel_seconds(walked),
            updates=found,
            notes=tuple(self.recording.notes),
        )

    def warm(self) -> Iterator[None]:
        """Compute what moves are likely to need, a little at a time: pairs of near checks before those far apart."""
        rule = self.own.rule
        most = max(len(factor.steps) for factor in self.recording.factors)
        for apart in range(1, min(most, _WARM_CHECKS), BLOCK):
            for stack, walker in zip(self.recording.stacks, self._walkers, strict=True):
                for s in range(most - apart):
                    rows = [row for row, factor in enumerate(stack.factors) if s + apart < len(factor.steps)]
                    with torch.no_grad(), full_precision():
                        walker.pairs.proxies(rule, [(row, s, s + apart) for row in rows])
                    yield

    def map(self, setting: Setting, taus: Sequence[float], caps: Sequence[float]) -> list[Summary]:
        """Settings over (tau, eps_max), row by row of eps_max.

        Raises:
            FieldError: A value is refused, or the stream cannot answer for it.
        """
        return self.summaries(tau_and_cap(setting, taus, caps), error_every=MAP_ERROR_EVERY)

    def front(self, points: Sequence[Summary], setting: Setting, work: Work = "decompositions") -> Front:
        """The front of some points, with fixed periods and taking turns as reference.

        Args:
            points: Of a map, say.
            setting: Gives the references their eps0.
            work: What was paid.
        """
        references = self.summaries(reference_settings(setting, self.recording.grid))
        return front([*points, *references], work)

    def spectra(self) -> Spectra:
        """What calibration reads: see ``analysis.calibrate``."""
        return read_spectra(self.recording, self.own.policy.epsilon)


def _fresh(setting: Setting) -> Callable[[int], float]:
    """eps0 at a step."""
    return lambda step: setting.at(step).policy.epsilon


def _table(rows: Sequence[tuple], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _seconds(work: Callable[..., object], *arguments: object) -> float:
    """The shortest of three laps."""
    laps = []
    for _ in range(3):
        began = time.perf_counter()
        work(*arguments)
        laps.append(time.perf_counter() - began)
    return min(laps)


def prepare_path(path: str | os.PathLike[str], progress: Progress = _unheard) -> Plan:
    """The plan of a run bundle, a directory or a zip file.

    Raises:
        BundleError: It cannot be read.
        NoReplay: There is no stream, or none that a replay can use.
        FieldError: What the run says of its own setting is refused.
    """
    progress(0.0, "reading the stream")
    large = Path(path).is_dir() and stream.size_of(Path(path)) > _LARGE_STREAM
    record = stream.open_large(path) if large else stream.read(path)
    return Plan.prepare(bundle.read(path).manifest, record, progress)
