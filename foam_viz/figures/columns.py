"""The tables of a trace as the numpy columns that panels draw, computed once however many panels ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa

from foam_viz.analysis.configuration import goes_by_residual, optimizer_setting
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Manifest, Snapshot, Trace, TraceView
from foam_viz.trace.view import Source

DECISION_ORDER = ("reuse", "first", "cadence", "cap", "threshold", "failure")
"""Decisions as the codes 0, 1, ...; -1 stands for none recorded."""

_T = TypeVar("_T")
_CACHE: WeakKeyDictionary[Source, dict[Any, tuple[int, Any]]] = WeakKeyDictionary()
_LOCK = threading.Lock()


def _grown(trace: Trace | TraceView, table: str, what: Any, build: Callable[[int, _T | None], _T]) -> _T:
    """A value computed from the rows of a table, brought up to date when rows were appended.

    Several threads may ask at once, some of them with a view of an earlier moment: values are kept as they are made
    and are never changed, so ``build`` returns a new one.

    Args:
        trace: whose table; a view, where it grows meanwhile.
        table: its name.
        what: names the value.
        build: given the number of rows already seen and the value for those (0 and None at first), the new
            value.
    """
    rows = trace.rows(table)
    with _LOCK:
        seen, value = _CACHE.setdefault(trace.source, {}).get(what, (-1, None))
    if seen == rows:
        return value
    value = build(max(seen, 0), value) if seen < rows else build(0, None)
    with _LOCK:
        kept = _CACHE.setdefault(trace.source, {})
        if kept.get(what, (-1, None))[0] < rows:
            kept[what] = (rows, value)
    return value


def column(trace: Trace | TraceView, table: str, name: str) -> np.ndarray | None:
    """A numeric column as float64 with NaN for null; None if the table lacks it or holds nothing but nulls."""
    return trace.values(table, name).astype(np.float64) if trace.has(table, name) else None


def of_steps(trace: Trace | TraceView, what: Any, build: Callable[[_T | None], _T]) -> _T:
    """What ``build`` makes of the rows of steps and of what it made of fewer of them (None at first)."""
    return _grown(trace, "steps", what, lambda _, known: build(known))


@dataclass(frozen=True)
class Checks:
    """Rows of the table of checks that belong to one factor, or to all.

    Attributes:
        step: (n,) the check, or the last step of an interval.
        start: (n,) first step covered; equal to `step` for a single check.
        factor: (n,) index into `manifest.factors`; -1 for all factors together.
        decision: (n,) code in `DECISION_ORDER`, -1 for none.
        epsilon_before, epsilon, proxy, residual: (n,) NaN where not recorded.
        last_decomposition: (n,) step, NaN where not recorded.
        checks, decompositions, cap_refreshes: (n,) counts.
    """

    step: np.ndarray
    start: np.ndarray
    factor: np.ndarray
    decision: np.ndarray
    epsilon_before: np.ndarray
    epsilon: np.ndarray
    proxy: np.ndarray
    residual: np.ndarray
    last_decomposition: np.ndarray
    checks: np.ndarray
    decompositions: np.ndarray
    cap_refreshes: np.ndarray

    def __len__(self) -> int:
        return len(self.step)

    @property
    def counted(self) -> bool:
        """True when rows count the checks of intervals: values are then known at their ends and nowhere between."""
        return bool((self.start != self.step).any() or (self.checks > 1).any())

    def where(self, mask: np.ndarray) -> Checks:
        """The rows that `mask` selects: booleans (n,) or row numbers."""
        return _Picked(self, mask)


class _Picked(Checks):
    """Some rows of others. A column is taken when it is first read: panels read a few, several times a second."""

    def __init__(self, rows: Checks, mask: np.ndarray) -> None:
        object.__setattr__(self, "_rows", rows)
        object.__setattr__(self, "_mask", mask)

    def __getattr__(self, name: str) -> np.ndarray:
        if name not in Checks.__dataclass_fields__:
            raise AttributeError(name)
        values = getattr(self._rows, name)[self._mask]
        object.__setattr__(self, name, values)
        return values


def _decisions(trace: Trace | TraceView) -> np.ndarray:
    """Codes of the decisions of all checks; only rows not seen before are converted."""
    return trace.derived("checks", "decision codes", _decision_codes)


def _decision_codes(checks: pa.Table) -> np.ndarray:
    codes = [np.empty(0, np.int64)]
    for chunk in checks.column("decision").chunks:
        chunk = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        words = [DECISION_ORDER.index(w) if w in DECISION_ORDER else -1 for w in chunk.dictionary.to_pylist()]
        indices = chunk.indices.fill_null(len(words)) if chunk.null_count else chunk.indices
        codes.append(np.array([*words, -1], dtype=np.int64)[indices.to_numpy()])
    return np.concatenate(codes)


def _counts(values: np.ndarray, missing: int = 0) -> np.ndarray:
    """Whole numbers, with `missing` for null; without nulls they are whole already."""
    return values if values.dtype.kind == "i" else np.nan_to_num(values, nan=missing).astype(np.int64)


def checks(lane: Lane) -> Checks:
    """All checks of a lane."""
    trace = lane.trace

    def read(name: str) -> np.ndarray:
        return trace.values("checks", name)

    def build(_: int, __: Checks | None) -> Checks:
        step, start, factor = read("step"), read("interval_start"), read("factor")
        return Checks(
            step=step,
            start=np.where(np.isnan(start), step, start).astype(np.int64),
            factor=_counts(factor, -1),
            decision=_decisions(trace),
            epsilon_before=read("epsilon_before"),
            epsilon=read("epsilon"),
            proxy=read("proxy"),
            residual=read("residual"),
            last_decomposition=read("last_decomposition_step"),
            checks=_counts(read("checks")),
            decompositions=_counts(read("decompositions")),
            cap_refreshes=_counts(read("cap_refreshes")),
        )

    return _grown(trace, "checks", "checks", build)


def checks_of(lane: Lane, factor: int) -> Checks:
    """Checks of one factor, in the order recorded."""

    def build(_: int, __: Checks | None) -> Checks:
        rows = checks(lane)
        return rows.where(lane.trace.factor_numbers("checks", factor))

    return _grown(lane.trace, "checks", ("checks of", factor), build)


def true_errors(lane: Lane, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and true errors of the snapshots of a factor that have one; both (n,)."""
    step, error = lane.trace.values("snapshots", "step"), lane.trace.values("snapshots", "true_error")
    mine = lane.trace.factor_numbers("snapshots", factor)
    known = mine[np.isfinite(error[mine])]
    return step[known], error[known]


def latest_snapshot(lane: Lane, factor: int) -> Snapshot | None:
    """The newest snapshot of a factor; several panels ask for it."""
    return _grown(lane.trace, "snapshots", ("latest", factor), lambda _, __: lane.trace.latest_snapshot(factor))


def snapshot_moment(lane: Lane, factor: int, snapshot: Snapshot) -> str:
    """The step of a snapshot, and that of the factor's last check where it is another."""
    words = f"snapshot of step {snapshot.step:,}"
    rows = checks_of(lane, factor)
    if not len(rows):
        return words
    last = int(rows.step[-1])
    if last != snapshot.step:
        return f"{words}; last check {last:,}"
    # At a check a snapshot shows what was in force before the decision.
    decided = rows.decompositions[-1] > 0 and not rows.counted and snapshot.last_decomposition_step != last
    return f"{words}, before its check decided" if decided else words


def of_picture(lane: Lane, build: Callable[[Lane, dict[str, np.ndarray]], _T]) -> _T:
    """What ``build`` makes of the newest state of every array of the picture, made once for each picture."""
    key = ("picture", lane.label, lane.position)
    return _grown(lane.trace, "pictures", key, lambda _, __: build(lane, lane.trace.latest_picture()))


def spectrum_extremes(lane: Lane, factor: int) -> tuple[float, float] | None:
    """Smallest positive and largest eigenvalue over all snapshots of a factor; None before the first."""

    def build(seen: int, known: tuple[float, float] | None) -> tuple[float, float] | None:
        fresh = lane.trace.snapshots.slice(seen)
        mine = lane.trace.factor_numbers("snapshots", factor)
        mine = mine[np.searchsorted(mine, seen) :] - seen
        spectra = fresh.column("eigenvalues").take(pa.array(mine)).combine_chunks()
        values = spectra.flatten().to_numpy(zero_copy_only=False)
        values = values[(values > 0) & np.isfinite(values)]
        if len(values) == 0:
            return known
        low, high = known or (np.inf, 0.0)
        return min(low, float(values.min())), max(high, float(values.max()))

    return _grown(lane.trace, "snapshots", ("extremes", factor), build)


def last_step(lane: Lane) -> int:
    """The newest step of a lane, 0 before the first."""
    ends = [values[-1] for table in ("steps", "checks") if len(values := lane.trace.values(table, "step"))]
    return int(max(ends, default=0))


def _goes_by_residual(trace: Trace | TraceView) -> bool:
    """Where the residual decides, or where it is all there is: SOAP does not damp its factors, so it has no proxy."""
    if goes_by_residual(trace.manifest):
        return True
    return trace.has("checks", "residual") and not trace.has("checks", "proxy")


@dataclass(frozen=True)
class Settings:
    """What the panels need of a lane's hyperparameters; None where its optimizer has no such thing."""

    tau: float | None
    epsilon: float | None
    epsilon_max: float | None
    period: int | None
    start: int | None
    residual: bool
    """The basis is judged by the diagonalization residual r, not by the proxy h."""

    @property
    def measure(self) -> str:
        """Symbol of the measured number that decides."""
        return "r" if self.residual else "h"


def settings(lane: Lane) -> Settings:
    """The hyperparameters of a lane, as its configuration tells them."""
    manifest, residual = lane.trace.manifest, _goes_by_residual(lane.trace)
    with _LOCK:
        known = _CACHE.setdefault(lane.trace.source, {}).get("settings")
    if known is None or known[0] is not manifest or known[1].residual != residual:
        known = (manifest, _settings(manifest, residual))
        with _LOCK:
            _CACHE.setdefault(lane.trace.source, {})["settings"] = known
    return known[1]


def _settings(manifest: Manifest, residual: bool) -> Settings:
    period, start = optimizer_setting(manifest, "period"), optimizer_setting(manifest, "start")
    return Settings(
        tau=optimizer_setting(manifest, "tau"),
        epsilon=optimizer_setting(manifest, "epsilon"),
        epsilon_max=optimizer_setting(manifest, "epsilon_max"),
        period=int(period) if period else None,
        start=int(start) if start else int(period) if period else None,
        residual=residual,
    )


def factor_name(lane: Lane, factor: int) -> str:
    """Name of a factor as the reader sees it: "layer 1 left"."""
    return lane.trace.manifest.factor_names[factor].text


def same_factor(lane: Lane, other: Lane, factor: int) -> int | None:
    """Index in `other` of the factor that `factor` is in `lane`, matched by id and size."""
    info = lane.trace.manifest.factors[factor]
    for index, candidate in enumerate(other.trace.manifest.factors):
        if candidate.id == info.id and candidate.size == info.size:
            return index
    return None


def why_empty(scene: Scene, what: str, *, single: bool = True) -> str:
    """What a panel of factors says while it has nothing to show.

    Args:
        scene: what the panel was to draw.
        what: the thing that will appear, capitalized, e.g. "The spectrum of the followed factor".
        single: whether the panel shows the followed factor alone.
    """
    if not scene.lanes:
        return f"{what} appears here once a run starts."
    lane, first = scene.focus, scene.lanes[0]
    if lane is None and first.trace.rows("checks"):
        return f"{what} appears here where a log tells factors apart; {first.label} counts them all together."
    if lane is None and first.trace.manifest.format != "foam_viz":
        return f"{what} appears here where a log tells of single factors; that of {first.label} does not."
    if lane is None:
        return f"{what} appears here for an optimizer with factors, such as FOAM or Shampoo; {first.label} keeps none."
    if single and scene.followed is None:
        return f"{what} appears here once you click a factor in the factor map."
    if lane.trace.manifest.status not in ("running", "paused"):
        return f"{what} appears here where a run recorded it; {lane.label} did not."
    start = settings(lane).start
    when = f"step {start:,}" if start else "the first check"
    return f"{what} appears here from {when} on, when the factors of {lane.label} are first checked."
