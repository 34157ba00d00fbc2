"""The checks of a run as numpy columns: of all factors, and of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from foam_viz.analysis.grown import grown
from foam_viz.trace import TraceView

DECISION_ORDER = ("reuse", "first", "cadence", "cap", "threshold", "failure")
"""Decisions as the codes 0, 1, ...; -1 stands for none recorded."""


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


def _decisions(trace: TraceView) -> np.ndarray:
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


def checks(trace: TraceView) -> Checks:
    """All checks of a run."""

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

    return grown(trace, "checks", "checks", build)


def checks_of(trace: TraceView, factor: int) -> Checks:
    """Checks of one factor, in the order recorded."""

    def build(_: int, __: Checks | None) -> Checks:
        return checks(trace).where(trace.factor_numbers("checks", factor))

    return grown(trace, "checks", ("checks of", factor), build)
