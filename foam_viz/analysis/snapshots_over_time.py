"""The snapshots of one factor over time, as numpy arrays that grow with the run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from foam_viz.analysis.grown import grown
from foam_viz.trace import TraceView


@dataclass(frozen=True, eq=False)
class Spectra:
    """The spectra of a factor.

    Attributes:
        step: (m,) steps of the snapshots, as they were taken.
        epsilon: (m,) damping in force, NaN where it was not recorded.
        eigenvalues: (m, n) of the factor at each of them, falling.
    """

    step: np.ndarray
    epsilon: np.ndarray
    eigenvalues: np.ndarray

    def __len__(self) -> int:
        return len(self.step)


@dataclass(frozen=True, eq=False)
class Turns:
    """How far the eigenbasis of a factor had turned.

    Attributes:
        step: (m,) steps of the snapshots.
        since: (m,) step at which the basis in force was decomposed, NaN where it was not recorded.
        turn: (m,) share of the factor's trace that had turned out of its group of near-equal eigenvalues, 0 to 1.
        angles: (m, 3) smallest, median and largest principal angle of the leading directions, radians; NaN without.
        top: How many leading directions the newest angles are of.
    """

    step: np.ndarray
    since: np.ndarray
    turn: np.ndarray
    angles: np.ndarray
    top: int

    def __len__(self) -> int:
        return len(self.step)


def spectra_of(trace: TraceView, factor: int) -> Spectra | None:
    """All spectra of a factor; None before the first.

    Snapshots without a spectrum, or with one of another length than the first, are left out.
    """

    def build(seen: int, known: Spectra | None) -> Spectra | None:
        rows = _fresh(trace, factor, seen)
        lists = _lists(trace, "eigenvalues", rows)
        size = known.eigenvalues.shape[1] if known is not None else next((len(one) for one in lists if len(one)), 0)
        fits = np.array([len(one) == size and size > 0 for one in lists], bool)
        if not fits.any():
            return known
        made = Spectra(
            trace.values("snapshots", "step")[rows[fits]],
            trace.values("snapshots", "epsilon")[rows[fits]].astype(np.float64),
            np.stack([one for one, fit in zip(lists, fits, strict=True) if fit]),
        )
        return made if known is None else Spectra(*_joined(known, made, ("step", "epsilon", "eigenvalues")))

    return grown(trace, "snapshots", ("spectra", factor), build)


def turns_of(trace: TraceView, factor: int) -> Turns | None:
    """How far the eigenbasis of a factor had turned at each snapshot that tells; None before the first."""

    def build(seen: int, known: Turns | None) -> Turns | None:
        rows = _fresh(trace, factor, seen)
        turn = trace.values("snapshots", "turn")[rows].astype(np.float64)
        lists = _lists(trace, "top_angles", rows)
        told = np.isfinite(turn) | np.array([len(one) > 0 for one in lists], bool)
        if not told.any():
            return known
        lists = [one for one, tells in zip(lists, told, strict=True) if tells]
        angles = np.array([[one[0], np.median(one), one[-1]] if len(one) else [np.nan] * 3 for one in lists])
        since = trace.values("snapshots", "last_decomposition_step")[rows[told]].astype(np.float64)
        top = next((len(one) for one in reversed(lists) if len(one)), 0)
        made = Turns(trace.values("snapshots", "step")[rows[told]], since, turn[told], angles, top)
        if known is None:
            return made
        step, since, share, angles = _joined(known, made, ("step", "since", "turn", "angles"))
        return Turns(step, since, share, angles, top or known.top)

    return grown(trace, "snapshots", ("turns", factor), build)


def newest_values(trace: TraceView, column: str, factors: int) -> tuple[np.ndarray, np.ndarray]:
    """The newest value that each factor's snapshots have in a column of numbers, and its step.

    Args:
        trace: The run.
        column: Of the table of snapshots.
        factors: How many factors there are.

    Returns:
        Two arrays (factors,), NaN for a factor without such a value.
    """

    def build(seen: int, known: tuple[np.ndarray, np.ndarray] | None) -> tuple[np.ndarray, np.ndarray]:
        values, steps = (np.full(factors, np.nan), np.full(factors, np.nan)) if known is None else map(np.copy, known)
        fresh = trace.values("snapshots", column)[seen:].astype(np.float64)
        owner = trace.values("snapshots", "factor")[seen:]
        told = np.flatnonzero(np.isfinite(fresh) & (owner >= 0) & (owner < factors))
        owner = owner[told].astype(np.int64)
        values[owner], steps[owner] = fresh[told], trace.values("snapshots", "step")[seen:][told]
        return values, steps

    return grown(trace, "snapshots", ("newest", column, factors), build)


def _fresh(trace: TraceView, factor: int, seen: int) -> np.ndarray:
    """Numbers of the rows of a factor from a row of the table on."""
    rows = trace.factor_numbers("snapshots", factor)
    return rows[np.searchsorted(rows, seen) :]


def _lists(trace: TraceView, column: str, rows: np.ndarray) -> list[np.ndarray]:
    """A column of lists at some rows, an array each; of null an empty one."""
    if not len(rows):
        return []
    first = int(rows[0])  # `take` of a part of the table: of the whole it would copy all chunks together
    taken = trace.snapshots.column(column).slice(first).take(pa.array(rows - first)).combine_chunks()
    if isinstance(taken, pa.ChunkedArray):
        taken = pa.concat_arrays(taken.chunks)
    flat = taken.flatten().to_numpy(zero_copy_only=False)
    ends = np.cumsum(taken.value_lengths().fill_null(0).to_numpy(zero_copy_only=False))
    return np.split(flat, ends[:-1])


def _joined(known: object, made: object, names: tuple[str, ...]) -> list[np.ndarray]:
    return [np.concatenate([getattr(known, name), getattr(made, name)]) for name in names]
