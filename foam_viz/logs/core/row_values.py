"""What stands in cells for "not logged" although it looks like a value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foam_viz.logs.core.columns import Series


def without_filler(series: Sequence[Series]) -> tuple[list[Series], list[str]]:
    """Take NaN for "not logged" in columns where it plainly fills rows of other metrics.

    A run that diverges reaches NaN and stays there; a column that returns from NaN to numbers again and again, more NaN
    than numbers, was written by a program that has no blank. NaN after the last number stays NaN where it goes on for
    longer than ever before.
    """
    kept, notes = [], []
    for one in series:
        nan = np.isnan(one.values) if one.missing is None else np.isnan(one.values) & ~one.missing
        numbers = np.flatnonzero(
            np.isfinite(one.values) if one.missing is None else np.isfinite(one.values) & ~one.missing
        )
        if len(numbers) < 2 or nan[: numbers[-1]].sum() <= len(numbers):
            kept.append(one)
            continue
        gaps = np.diff(numbers) - 1
        tail = len(one.values) - 1 - numbers[-1]
        filler = nan.copy()
        if (gaps > 0).sum() < min(3, len(numbers) - 1):
            kept.append(one)
            continue
        if tail > 2 * max(gaps.max(), numbers[0]):
            filler[numbers[-1] :] = False
        notes.append(f"{one.name!r}: NaN in {int(filler.sum()):,} rows between its values was taken for “not logged”.")
        missing = filler if one.missing is None else one.missing | filler
        kept.append(Series(one.name, one.values, missing, one.unit, one.three()))
    return kept, notes
