"""Runs that differ only in their seed, and their mean with a band."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np

from foam_viz.analysis.configuration import entries
from foam_viz.analysis.downsample import bin_width, minmax
from foam_viz.trace import Trace, TraceView

_SEED_KEY = re.compile(
    r"^(?:.*[._/-])?(?:seed|random_seed|rng_seed|data_seed|init_seed|manual_seed|run_id|run_name|experiment_id|"
    r"experiment_name|run|name|id|uuid|out_dir|output_dir|log_dir|logdir|logging_dir|save_dir|run_dir|checkpoint_dir|"
    r"ckpt_dir|result_dir|results_dir|trial|trial_dir|timestamp|created|start_time|hostname)$"
)
"""Keys of a configuration that say which run it was, not what was run."""

_SEED = re.compile(r"^(?:.*[._/-])?(?:(?:random|rng|data|init|manual)_)?seed$")
"""The key of a seed itself: a configuration that has one is that of a program, and complete."""

_RESULT_KEY = re.compile(
    r"^_|(?:^|[._/-])(?:final|best|results?|metrics|elapsed|wall|duration|seconds|minutes|hours|created|username)(?:[._/-]|$)"
)
"""Keys under which summaries keep what came out of a run, and services who ran it."""

_SEED_NAME = re.compile(r"(?:(?<=[^A-Za-z0-9(])|^)(?:seed|run|trial|rep|s)[ _.=-]?\d+(?=[^A-Za-z0-9]|$)", re.IGNORECASE)
"""The part of a name that numbers a seed or a repetition: ``seed137``, ``_s0``, ``run1``, ``trial_3``. Not ``(run 2)``,
which numbers the parts of one file."""


@dataclass(frozen=True)
class Group:
    """Runs of one configuration.

    Attributes:
        label: Name to show: that of its members without the seed.
        members: Positions of the runs in what was given.
        reason: Why they are together, in words; empty for a run alone.
    """

    label: str
    members: tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Band:
    """The mean of some curves and how far they spread.

    Attributes:
        x: (m,) ascending.
        mean: (m,) NaN where no curve has a value.
        low: (m,) lower edge of the band.
        high: (m,) upper edge.
        count: (m,) int64, curves that have a value there.
        runs: Curves in all.
        kind: ``range``: smallest to largest (fewer than 5 curves); ``deviation``: mean -+ sample standard deviation.
        note: The count and the kind in words, and what is left out.
    """

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray
    runs: int
    kind: Literal["range", "deviation"]
    note: str


def without_seed(name: str) -> str:
    """A run's name without what numbers its seed: ``soap_seed137`` and ``soap_seed2`` both give ``soap``."""
    path = PurePosixPath(name.replace("\\", "/"))
    bare = _SEED_NAME.sub("", str(path.with_suffix("")) if path.suffix.lower() in _SUFFIXES else str(path))
    return re.sub(r"[\s_.,=/-]{2,}", lambda match: match[0][0], bare).strip(" _.,=/-")


_SUFFIXES = {".txt", ".log", ".csv", ".tsv", ".json", ".jsonl", ".parquet", ".zip"}


def group_runs(traces: Sequence[Trace | TraceView]) -> list[Group]:
    """Put the seeds of one configuration together.

    Two runs belong together when format, task and optimizer are equal and so are their configurations, but for keys
    that name a run (seed, run id, output folder) or its results. A configuration without a seed may be a scrap, in
    which the difference is missing: there the names must hold a seed too, and differ in nothing else. Nothing else is
    guessed: a run that fits nowhere is a group of its own.

    Returns:
        Groups in order of their first run.
    """
    buckets: dict[tuple[str, ...], list[int]] = {}
    for position, trace in enumerate(traces):
        buckets.setdefault(_key(trace, position), []).append(position)
    groups = []
    for key, members in buckets.items():
        first = traces[members[0]].manifest
        if len(members) == 1:
            groups.append(Group(first.name, tuple(members)))
            continue
        names = {without_seed(traces[member].manifest.name) for member in members}
        label = names.pop() if len(names) == 1 else first.optimizer or first.name
        same = "configuration" if key[0] == "config" else "name"
        groups.append(Group(label or first.name, tuple(members), f"{len(members)} runs: equal {same} but for the seed"))
    return groups


def _key(trace: Trace | TraceView, position: int) -> tuple[str, ...]:
    manifest = trace.manifest
    same = (manifest.format, manifest.task, manifest.optimizer)
    # A parameter more or less in the model is another configuration, even where the log keeps no settings.
    shapes = json.dumps([[info.parameter, info.size] for info in manifest.factors])
    settings = _settings(manifest.config)
    if any(_SEED.match(path[-1].lower()) for path, _ in entries(manifest.config)):
        return ("config", *same, settings, shapes)
    if _SEED_NAME.search(manifest.name):
        return ("name", *same, settings, shapes, without_seed(manifest.name))
    return ("alone", *same, str(position))


def _settings(config: Mapping[str, object]) -> str:
    def kept(value: object) -> object:
        if isinstance(value, Mapping):
            keys = {key: str(key).lower() for key in value}
            left = [key for key, name in keys.items() if not (_SEED_KEY.match(name) or _RESULT_KEY.search(name))]
            return {str(key): kept(value[key]) for key in left}
        return [kept(item) for item in value] if isinstance(value, list | tuple) else value

    return json.dumps(kept(config), sort_keys=True, default=str)


_MOST_EXACT = 5


def band(curves: Sequence[tuple[np.ndarray, np.ndarray]], points: int = 400) -> Band:
    """Mean and band of curves at the places where any of them has a point.

    Each curve is interpolated in straight lines between its own neighbouring finite points, never beyond its first or
    last point and never across a value that is not finite. Where there are more than ``points`` places, those that are
    kept hold the extremes of the mean and of both edges, and one place of each gap that is wide enough to see.

    Args:
        curves: Pairs (x, y), each (n,), x ascending; at least one.
        points: At most so many places for each of the mean, the two edges and the gaps, 8 or more.
    """
    usable = [(np.asarray(x, np.float64), np.asarray(y, np.float64)) for x, y in curves if len(x)]
    kind: Literal["range", "deviation"] = "range" if len(curves) < _MOST_EXACT else "deviation"
    empty = np.empty(0)
    if not usable:
        return Band(empty, empty, empty, empty, empty.astype(np.int64), len(curves), kind, "no values")
    grid = np.unique(np.concatenate([x for x, _ in usable]))
    count, mean, low, high = _mean_and_edges(usable, grid, kind)
    if len(grid) > points:
        kept = _extremes(mean, low, high, points)
        grid, count, mean, low, high = grid[kept], count[kept], mean[kept], low[kept], high[kept]
    words = "smallest to largest" if kind == "range" else "mean ± standard deviation"
    notes = [f"{len(curves)} run{'s' if len(curves) != 1 else ''}, band: {words}"]
    lost = sum(1 for _, y in usable if not np.isfinite(y).all())
    if lost:
        notes.append(f"{lost} of them had values that are not finite; there the mean is over the others")
    return Band(grid, mean, low, high, count, len(curves), kind, "; ".join(notes))


def _mean_and_edges(
    curves: Sequence[tuple[np.ndarray, np.ndarray]], grid: np.ndarray, kind: Literal["range", "deviation"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Count, mean and edges at every place of the grid, (m,) each: one curve at a time, for long logs of many runs."""
    count = np.zeros(len(grid), np.int64)
    mean, low, high = np.zeros(len(grid)), np.full(len(grid), np.inf), np.full(len(grid), -np.inf)
    squares = np.zeros(len(grid))
    for x, y in curves:
        value = inside(x, y, grid)
        known = np.isfinite(value)
        count += known
        # Welford's update, which loses no digits where the spread is small beside the mean.
        away = np.where(known, value - mean, 0.0)
        mean += np.divide(away, count, out=np.zeros(len(grid)), where=known)
        squares += away * np.where(known, value - mean, 0.0)
        low, high = np.fmin(low, value), np.fmax(high, value)
    some = count > 0
    if kind == "deviation":
        deviation = np.sqrt(np.divide(squares, count - 1, out=np.zeros(len(grid)), where=count > 1))
        low, high = mean - deviation, mean + deviation
    mean, low, high = (np.where(some, each, np.nan) for each in (mean, low, high))
    return count, mean, low, high


def _extremes(mean: np.ndarray, low: np.ndarray, high: np.ndarray, points: int) -> np.ndarray:
    """Places to draw, ascending: the envelope of the mean and of each edge, and a place of each bin that has a gap."""
    known, gaps = np.flatnonzero(np.isfinite(mean)), np.flatnonzero(~np.isfinite(mean))
    _, first = np.unique(gaps // bin_width(len(mean), points), return_index=True)
    lines = [known[minmax(each[known], points)] for each in (mean, low, high)]
    return np.unique(np.concatenate([gaps[first], *lines]))


def inside(x: np.ndarray, y: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """A curve at the places of a grid, NaN outside its range and wherever a neighbour is not finite; (m,) float64."""
    after = np.searchsorted(x, grid, side="left").clip(0, len(x) - 1)
    exact = x[after] == grid
    before = np.where(exact, after, np.maximum(after - 1, 0))
    gap = np.where(exact, 1.0, x[after] - x[before])
    share = np.where(exact, 0.0, (grid - x[before]) / np.where(gap > 0, gap, 1.0))
    with np.errstate(invalid="ignore"):
        value = np.where(share == 0, y[before], y[before] + share * (y[after] - y[before]))
    outside = (grid < x[0]) | (grid > x[-1])
    return np.where(outside | ~np.isfinite(value), np.nan, value)
