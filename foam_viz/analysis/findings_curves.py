"""What is noticed in the curves of a run: spikes, values that are not finite, gaps, steps that take longer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from foam_viz.analysis.finding import Finding, few
from foam_viz.analysis.series import Missing, divergence_step, recorded, series
from foam_viz.trace import Trace, TraceView
from foam_viz.trace.numbers import number
from foam_viz.trace.schema import is_numeric, table_schema

SPIKE_DEVIATIONS = 10.0
"""A spike rises above the running median by so many robust standard deviations (1.4826 times the median absolute
deviation, which equals the standard deviation of a normal distribution) ..."""
SPIKE_SHARE = 0.2
"""... and by this share of the median, since a curve that hardly moves has hardly any deviation. Losses above 0 are
searched by their logarithm: their noise is a share of them."""
SPIKE_WINDOW = 64
"""Values before a point that its median is of."""
_HOP = 16
"""Medians are taken anew every so many values."""

GAP_FACTOR = 20.0
"""A gap is so many times longer than the usual distance between rows."""

SLOWER_FACTOR = 2.0
"""Steps have become slower when the median of a stretch is so many times that of all before it."""
_STRETCHES, _STRETCH_VALUES, _STRETCHES_SLOW = 40, 20, 3

_MOST = 8


def divergence(trace: Trace | TraceView) -> Iterator[Finding]:
    """The run diverged."""
    step = divergence_step(trace)
    if step is None:
        return
    at = int(step)
    good = series(trace, "loss")
    before = ""
    if not isinstance(good, Missing):
        earlier = np.flatnonzero(good.finite & (good.step < at))
        if len(earlier):
            row = earlier[-1]
            before = f"; the last finite training loss was {number(float(good.y[row]))} at step {good.step[row]:,.0f}"
    yield Finding("diverged", "error", at, f"The run diverged at step {at:,}{before}.", column="loss")


def not_finite(trace: Trace | TraceView) -> Iterator[Finding]:
    """The first NaN or infinity of each column. What was not recorded (null) is no value and no finding."""
    for table in ("steps", "checks"):
        step, schema = trace.values(table, "step"), table_schema(table)
        for field in trace.table(table).schema:
            if not is_numeric(field.type) or not trace.has(table, field.name):
                continue
            rows = recorded(trace, field.name, table)
            values = trace.values(table, field.name)[rows]
            if values.dtype.kind != "f":
                continue
            bad = np.flatnonzero(~np.isfinite(values))
            if not len(bad):
                continue
            at = int(step[rows[bad[0]]])
            value = "NaN" if np.isnan(values[bad[0]]) else "infinite"
            if len(bad) == len(values):
                words = f"{field.name} is never a finite number ({len(values):,} values)."
                yield Finding("not-finite", "note", at, words, column=field.name)
                continue
            owner = trace.values(table, "factor")[rows[bad[0]]] if table == "checks" else np.nan
            count = f"{len(bad):,} of {len(values):,} values are not finite"
            words = f"{field.name} is {value} at step {at:,} for the first time; {count}."
            severity = "error" if field.name == "loss" else "warning" if schema.find(field.name) else "note"
            factor = None if np.isnan(owner) else int(owner)
            yield Finding("not-finite", severity, at, words, factor, field.name)


def spikes(trace: Trace | TraceView) -> list[Finding]:
    """Losses far above their running median that come back down.

    A rise that stays is a new level and no spike; of neighbouring high values the highest is named.
    """
    found = []
    for column in ("loss", "held_out_loss"):
        curve = series(trace, column)
        if isinstance(curve, Missing):
            continue
        rows = np.flatnonzero(curve.finite)
        y, step = curve.y[rows], curve.step[rows]
        log = bool((y > 0).all())
        for peak, usual, deviation in _spikes(np.log(y) if log else y, SPIKE_SHARE if log else None):
            rise = (np.log(y[peak]) if log else y[peak]) - usual
            usual = float(np.exp(usual)) if log else usual
            above = number(rise / deviation) if deviation > 0 else "far more than 10"
            words = (
                f"{column} jumps to {number(y[peak])} at step {step[peak]:,.0f}, from a running median of "
                f"{number(usual)}, and returns: {above} robust standard deviations"
                f"{' of its logarithm' if log else ''}, where {SPIKE_DEVIATIONS:g} are a spike."
            )
            finding = Finding("loss-spike", "warning", int(step[peak]), words, column=column)
            found.append((float(y[peak] / usual) if usual > 0 else 1.0, finding))
    return few(found, _MOST, "spikes")


def _spikes(y: np.ndarray, least: float | None) -> Iterator[tuple[int, float, float]]:
    """Rows of peaks, the median before each and the robust standard deviation before it.

    ``least`` is the rise that a spike has at least; None for a share of the median.
    """
    if len(y) <= SPIKE_WINDOW:
        return
    starts = np.arange(SPIKE_WINDOW, len(y), _HOP)
    windows = np.lib.stride_tricks.sliding_window_view(y, SPIKE_WINDOW)[starts - SPIKE_WINDOW]
    medians = np.median(windows, axis=1)
    deviations = 1.4826 * np.median(np.abs(windows - medians[:, None]), axis=1)
    owner = (np.arange(SPIKE_WINDOW, len(y)) - SPIKE_WINDOW) // _HOP
    excess = y[SPIKE_WINDOW:] - medians[owner]
    high = (excess > SPIKE_DEVIATIONS * deviations[owner]) & (
        excess > (SPIKE_SHARE * np.abs(medians[owner]) if least is None else least)
    )
    at = np.flatnonzero(high)
    if not len(at):
        return
    for cluster in np.split(at, np.flatnonzero(np.diff(at) > _HOP) + 1):
        peak = int(cluster[excess[cluster].argmax()])
        usual, deviation = float(medians[owner[peak]]), float(deviations[owner[peak]])
        row = peak + SPIKE_WINDOW
        after = y[row + 1 : row + 1 + SPIKE_WINDOW]
        if len(after) and after.min() < usual + 0.2 * (y[row] - usual):
            yield row, usual, deviation


def gaps(trace: Trace | TraceView) -> Iterator[Finding]:
    """Stretches without rows that are far longer than usual, and steps that fall."""
    step = np.asarray(trace.values("steps", "step"), dtype=np.float64)
    falls = np.flatnonzero(np.diff(step) < 0)
    if len(falls):
        at = int(step[falls[0] + 1])
        words = (
            f"Steps fall back {len(falls):,} times, first from {step[falls[0]]:,.0f} to {at:,}: the run was resumed, "
            "or the log holds rows of several runs."
        )
        yield Finding("falling-steps", "note", at, words, column="step")
    apart = np.diff(np.unique(step))
    if len(apart) < 20:
        return
    usual = float(np.median(apart))
    at_steps = np.unique(step)
    wide = np.flatnonzero(apart > GAP_FACTOR * usual)
    found = []
    for row in wide:
        first, last = at_steps[row], at_steps[row + 1]
        words = (
            f"Nothing was logged between step {first:,.0f} and step {last:,.0f}: {apart[row] / usual:,.0f} times the "
            f"usual {usual:,.0f}, where {GAP_FACTOR:g} times are a gap."
        )
        found.append((float(apart[row]), Finding("step-gap", "warning", int(first), words, column="step")))
    yield from few(found, _MOST, "gaps")


def slower_steps(trace: Trace | TraceView) -> Iterator[Finding]:
    """The first step from which steps take much longer than before, for at least three stretches of the run."""
    for column in ("optimizer_seconds", "total_seconds"):
        curve = series(trace, column)
        if isinstance(curve, Missing) or len(curve) <= _STRETCH_VALUES:
            continue
        seconds = np.diff(curve.y) / np.diff(curve.step)
        step = curve.step[1:]
        good = np.isfinite(seconds) & (seconds >= 0)
        seconds, step = seconds[good], step[good]
        length = max(_STRETCH_VALUES, -(-len(seconds) // _STRETCHES))
        count = len(seconds) // length
        if count < 2 * _STRETCHES_SLOW:
            return
        blocks = seconds[: count * length].reshape(count, length)
        medians = np.median(blocks, axis=1)
        for block in range(_STRETCHES_SLOW, count - _STRETCHES_SLOW + 1):
            before = float(np.median(medians[:block]))
            after = float(medians[block : block + _STRETCHES_SLOW].min())
            if before > 0 and after > SLOWER_FACTOR * before:
                at = int(step[block * length])
                words = (
                    f"Steps take {number(1e3 * after)} ms or more from about step {at:,} on, {after / before:.1f} "
                    f"times the {number(1e3 * before)} ms before ({column}, medians of {length} rows; "
                    f"{SLOWER_FACTOR:g} times is a jump)."
                )
                yield Finding("step-time-jump", "warning", at, words, column=column)
                return
        return
