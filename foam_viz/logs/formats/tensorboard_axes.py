"""Curves of event files whose step is none: never given, or a count of samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_OVER_SAMPLES = " vs samples"
SAMPLES = "consumed samples"


def without_steps(
    curves: Mapping[str, np.ndarray], step: np.ndarray, time: np.ndarray, notes: list[str]
) -> dict[str, np.ndarray]:
    """Give steps to curves that were logged without (all of them 0).

    Where no curve has steps, the order of its values stands for them. Where others have, a value stands at the step
    that the longest of them had reached by then.

    Args:
        curves: By name, (n,) places of their events in order of writing.
        step: (events,) int64; steps that are given are written into it.
        time: (events,) seconds since 1970.
        notes: What was given is added.
    """
    bare = [
        name
        for name, rows in curves.items()
        if len(rows) > 1 and step[rows[0]] == step[rows[-1]] == 0 and not step[rows].any()
    ]
    if not bare:
        return dict(curves)
    stepped = [name for name, rows in curves.items() if name not in bare and len(rows) > 1]
    listed = ", ".join(map(repr, bare[:5])) + (", ..." if len(bare) > 5 else "")
    guide = curves[max(stepped, key=lambda name: len(curves[name]))] if stepped else None
    if guide is None:
        for name in bare:
            step[curves[name]] = np.arange(len(curves[name]))
        notes.append(f"Logged without steps (all are 0): the order of the values, from 0, stands for them: {listed}.")
        return dict(curves)
    order = guide[np.argsort(time[guide], kind="stable")]
    for name in bare:
        rows = curves[name]
        reached = np.searchsorted(time[order], time[rows], side="right") - 1
        step[rows] = np.where(reached >= 0, step[order[np.maximum(reached, 0)]], 0)
    notes.append(f"Logged without steps (all are 0): put at the step that others had reached by then: {listed}.")
    return dict(curves)


def over_samples(
    curves: Mapping[str, np.ndarray], step: np.ndarray, value: np.ndarray, notes: list[str]
) -> dict[str, np.ndarray]:
    """Take apart Megatron's curves ``lm loss vs samples``: the same loss again, with the samples seen for a step.

    The samples become a curve over the steps of the loss; the repeated losses are left out.

    Args:
        curves: As for :func:`without_steps`.
        step: (events,) int64; written into where samples become values.
        value: (events,) float64; written into as well.
        notes: What was done is added.
    """
    twins = {name: name.removesuffix(_OVER_SAMPLES) for name in curves if name.endswith(_OVER_SAMPLES)}
    if not twins or len(twins) == len(curves):
        return dict(curves)
    kept = {name: rows for name, rows in curves.items() if name not in twins}
    for name, twin in list(twins.items()):
        rows, own = curves[name], curves.get(twin, curves[name][:0])
        if SAMPLES in kept or len(rows) != len(own) or not np.array_equal(value[rows], value[own], equal_nan=True):
            continue
        value[rows], step[rows] = step[rows].astype(np.float64), step[own]
        kept[SAMPLES] = rows
        notes.append(f"{name!r} is {twin!r} over samples: its axis became {SAMPLES!r}.")
        del twins[name]
    left = list(twins)
    if left:
        listed = ", ".join(map(repr, left[:5]))
        notes.append(f"Left out, as their steps count samples and their values are in other curves: {listed}.")
    return kept
