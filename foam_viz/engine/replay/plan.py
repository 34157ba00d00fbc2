"""A recorded run made ready to be replayed: decomposed once, then every setting is a walk over what is kept."""

from __future__ import annotations

import math
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foam_viz.analysis.calibrate import Spectra
from foam_viz.analysis.fronts import Front, Work, front, reference_settings
from foam_viz.analysis.replay import MAP_ERROR_EVERY, Replay, Summary
from foam_viz.analysis.replay_setting import Setting, default_setting, tau_and_cap
from foam_viz.engine.replay import tables
from foam_viz.engine.replay.building import build
from foam_viz.engine.replay.errors import ErrorMeter, Held
from foam_viz.engine.replay.measuring import Measures, PairStore
from foam_viz.engine.replay.pairs import Curves, Overlaps, Pairs
from foam_viz.engine.replay.recording import TELL_SECONDS, Progress, Recording
from foam_viz.engine.replay.spectra import read_spectra
from foam_viz.engine.replay.tracks import Tracks
from foam_viz.engine.replay.updates import update_errors
from foam_viz.engine.replay.walk import Walker
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
_MOST_SUMMARIES = 10_000
"""Totals of settings that are remembered, a few MB."""
_ROUNDING = 1e-3
"""Damping that differs by no larger share is that of another machine's rounding, which few steps make larger."""
_DECADES = 3
"""The damping that pairs know reaches so far beyond that of the run."""


def _unheard(_: float, __: str) -> None:
    pass


class Plan:
    """Answers what other settings would have done.

    Args:
        recording: The recorded factors.
        own: The setting that a move begins from, where it is not that of ``recording.grid``.

    Attributes:
        recording: The recorded factors.
        own: The setting that a move begins from: the run's own where it is known.
    """

    def __init__(self, recording: Recording, own: Setting | None = None) -> None:
        self.recording = recording
        grid = recording.grid
        first = recording.factors[0].epsilon[0]
        self.own = own or grid.own or recording.begins or default_setting(first or 1e-9, grid.period)
        self._rotated, self._overlaps = PairStore(ROTATED_BYTES), Overlaps(OVERLAP_BYTES)
        self._curves = self._curves_around_own()
        self._measures = [Measures(stack, self._rotated) for stack in recording.stacks]
        self._pairs = [Pairs(stack, self._curves, self._overlaps) for stack in recording.stacks]
        self._walker = Walker(recording, self._measures, self._pairs, self._curves)
        parts = zip(recording.stacks, self._measures, self._pairs, strict=True)
        self._meters = [ErrorMeter(*mine) for mine in parts]
        self._summaries: OrderedDict[tuple[Setting, int], Summary] = OrderedDict()
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
                    if "writer" in manifest.config:
                        plan = plan._confirmed()
        except BaseException:
            plan.close()
            raise
        progress(1.0, "ready")
        return plan

    def _confirmed(self) -> Plan:
        """A plan for which what a ``Writer`` noted is the run's own setting only where its damping is the recorded one.

        The loop that it watched may have changed the setting, or have been resumed.
        """
        grid = self.recording.grid
        if grid.own is None or not grid.is_own(self.own):
            return self
        track = self._walker.walk([self.own])[0]
        known = np.array([one or math.nan for factor in self._walker.factors for one in factor.epsilon])
        moved = track.made & np.isfinite(known) & (track.epsilon != known)
        apart = np.abs(track.epsilon[moved] / known[moved] - 1).tolist()
        if not apart:
            return self
        counts = f"of {track.made.sum():,} checks {len(apart):,}"
        told = f"{counts} were damped otherwise than the setting noted by the Writer says"
        if max(apart) <= _ROUNDING:
            self.recording.notes.append(f"{told}, by at most {max(apart):.1g}: another machine rounds otherwise")
            return self
        self.recording.notes.append(f"{told} ({grid.own.label()}): the loop changed its setting, or was resumed")
        self.recording.grid = replace(grid, own=None)
        return Plan(self.recording, self.own)

    def _nearest_own(self) -> Setting:
        """The own setting, at a period that the stream can answer where checks were thinned out."""
        grid = self.recording.grid
        period = -(-self.own.policy.period // grid.period) * grid.period
        return self.own if period == self.own.policy.period else self.own.changed({"period": period, "start": None})

    @contextmanager
    def _telling(self, progress: Progress) -> Iterator[None]:
        """Say that the own setting is replayed: of a large run that takes long, and can be stopped."""
        told, done, total = time.perf_counter(), 0, len(set(self._walker.steps.tolist()))

        def tick() -> None:
            nonlocal told, done
            if time.perf_counter() - told > TELL_SECONDS:
                told = time.perf_counter()
                doing = f"{done:,} of {total:,} checks" if done < total else "measuring its errors"
                progress(1.0 - 1e-6, f"replaying the run's own setting: {doing}")
            done += 1

        ticking = (self._walker, *self._meters)
        for one in ticking:
            one.tick = tick
        try:
            yield
        finally:
            for one in ticking:
                one.tick = lambda: None

    def _curves_around_own(self) -> Curves:
        """Over the damping that moves are likely to ask for."""
        values = self.own.values
        return Curves(values["epsilon"] / 10**_DECADES, values.get("epsilon_max", values["epsilon"]) * 10**_DECADES)

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        kept = self._curves.bytes + sum(pairs.bytes for pairs in self._pairs)
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
            walked = self._walker.walk(settings)
            return [self._replay(setting, walked[i : i + 1], updates) for i, setting in enumerate(settings)]

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
        known = self._summaries
        missing = [one for one in dict.fromkeys(settings) if (one, error_every) not in known]
        with torch.no_grad(), full_precision():
            walked = self._walker.walk(missing)
            errors = self._errors(missing, walked, error_every)
            found = {one: self._summary(one, walked[i], errors[i]) for i, one in enumerate(missing)}
        told = [found[one] if one in found else known[one, error_every] for one in settings]
        for summary in told:
            known[summary.setting, error_every] = summary
            known.move_to_end((summary.setting, error_every))
        while len(known) > _MOST_SUMMARIES:
            known.popitem(last=False)
        return told

    def _of_stacks(self, tracks: Tracks) -> list[Tracks]:
        """The recorded checks of each stack."""
        ends = np.cumsum([0, *(len(stack.steps) for stack in self.recording.stacks)])
        return [tracks[..., first:last] for first, last in pairwise(ends.tolist())]

    def _errors(self, settings: Sequence[Setting], walked: Tracks, every: int) -> list[np.ndarray]:
        """Errors of each setting at one check of so many, (N, 4)."""
        found: list[list[np.ndarray]] = [[np.empty((0, 4))] for _ in settings]
        parts = zip(self.recording.stacks, self._meters, self._of_stacks(walked), strict=True)
        for stack, meter, part in parts if every else ():
            for rule in dict.fromkeys(setting.rule for setting in settings):
                places = [i for i, setting in enumerate(settings) if setting.rule == rule]
                held = Held.of(stack, part[places], every)
                ends = np.searchsorted(held.setting, range(1, len(places)))
                for i, mine in zip(places, np.split(meter.errors(held, rule).values, ends), strict=True):
                    found[i].append(mine)
        return [np.concatenate(mine) for mine in found]

    def _summary(self, setting: Setting, track: Tracks, errors: np.ndarray) -> Summary:
        finite = errors[np.isfinite(errors[:, 0])]
        means = finite.mean(0) if len(finite) else np.full(4, np.nan)
        error, staleness, damping, damped = means.tolist()
        checks = int(track.made.sum())
        return Summary(
            setting=setting,
            exact=self.recording.grid.is_own(setting),
            checks=checks,
            decompositions=checks - track.count("reuse", "failure"),
            cap_refreshes=track.count("cap"),
            error_left=error,
            staleness_error=staleness,
            damping_error=damping,
            directions_damped=damped,
            kernel_seconds=self._kernel_seconds(track),
        )

    def _kernel_seconds(self, track: Tracks) -> float:
        """Seconds of the decompositions, measures and rebuilds of inverse roots, as timed on this machine."""
        seconds = 0.0
        for stack, mine in zip(self.recording.stacks, self._of_stacks(track), strict=True):
            decomposed = mine.made & (mine.decomposed == stack.numbers)
            rebuilt = decomposed | mine.made & ((mine.refreshed == stack.numbers) | (mine.epsilon != mine.before))
            times = self._kernels.get(stack.size, (0.0, 0.0, 0.0))
            counts = decomposed.sum(), (mine.made & mine.measured).sum(), rebuilt.sum()
            seconds += sum(int(count) * time_ for count, time_ in zip(counts, times, strict=True))
        return seconds

    def _replay(self, setting: Setting, tracks: Tracks, updates: bool) -> Replay:
        rows, course, parts = [], [], self._of_stacks(tracks)
        for stack, meter, mine in zip(self.recording.stacks, self._meters, parts, strict=True):
            held = Held.of(stack, mine)
            errors = meter.errors(held, setting.rule)
            rows.append(tables.checks(stack, mine, held, errors))
            course.append(tables.course(stack, held, errors))
        found: tuple[dict[str, Any], ...] = ()
        if updates:
            found = update_errors(self.recording, self._measures, [part[0] for part in parts], setting)
        return Replay(
            setting=setting,
            exact=self.recording.grid.is_own(setting),
            table=tables.in_order(rows),
            course=tables.in_order(course),
            factors=tuple(info.id for info in self.recording.manifest.factors),
            near_ties=tables.near_ties(setting, tracks[0], self._walker.steps),
            kernel_seconds=self._kernel_seconds(tracks[0]),
            updates=found,
            notes=tuple(self.recording.notes),
        )

    def warm(self) -> Iterator[None]:
        """Compute what moves are likely to need, a little at a time: pairs of near checks before those far apart."""
        rule = self.own.rule
        most = max(len(factor.steps) for factor in self.recording.factors)
        for apart in range(min(most, _WARM_CHECKS)):
            for stack, pairs in zip(self.recording.stacks, self._pairs, strict=True):
                if apart % pairs.block:
                    continue
                for s in range(most - apart - 1):
                    if self._curves.is_full():
                        return
                    with torch.no_grad(), full_precision():
                        lengths = np.array([len(factor.steps) for factor in stack.factors])
                        rows = np.flatnonzero(s + apart + 1 < lengths)
                        pairs.blocks(rule, rows, np.full(len(rows), s), np.full(len(rows), s + apart + 1))
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
        return read_spectra(self.recording)


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
    large = stream.size_of(Path(path)) > _LARGE_STREAM
    record = stream.open_large(path) if large else stream.read(path)
    return Plan.prepare(bundle.read(path).manifest, record, progress)
