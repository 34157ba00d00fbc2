"""What is noticed in the checks of a run's factors: damping at its cap, bases never renewed, rates that jump."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from foam_viz.analysis.configuration import goes_by_residual, optimizer_setting
from foam_viz.analysis.finding import Finding, few
from foam_viz.analysis.totals import intervals
from foam_viz.trace import Trace
from foam_viz.trace.numbers import number, setting

CAP_CHECKS, CAP_SHARE = 10, 0.2
"""Damping is at its cap for long when it is there for so many checks in a row and for this share of all checks."""

NEVER_CHECKS = 10
"""Checks after which a factor that was decomposed only once is worth a word."""

JUMP_FACTOR, JUMP_RISE, JUMP_DEVIATIONS = 3.0, 0.2, 6.0
"""The refresh rate jumps when a stretch has so many times the rate of the median before it, so much more in absolute
terms, and so many binomial standard deviations more."""
_STRETCHES, _BEFORE, _FEWEST = 24, 4, 5

_MOST = 5


def _name(trace: Trace, factor: int) -> str:
    names = trace.manifest.factor_names
    return names[factor].text if 0 <= factor < len(names) else f"factor {factor}"


def _of_factors(trace: Trace, *columns: str) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Each factor with the step and some columns of its checks, in order of step, as float64."""
    owner = np.asarray(trace.values("checks", "factor"), dtype=np.float64)
    rows = np.flatnonzero(np.isfinite(owner))
    if not len(rows):
        return
    step = np.asarray(trace.values("checks", "step"), dtype=np.float64)
    rows = rows[np.lexsort((step[rows], owner[rows]))]
    values = [step, *(np.asarray(trace.values("checks", name), dtype=np.float64) for name in columns)]
    for mine in np.split(rows, np.flatnonzero(np.diff(owner[rows])) + 1):
        yield int(owner[mine[0]]), [column[mine] for column in values]


def epsilon_at_cap(trace: Trace) -> list[Finding]:
    """Factors whose damping stays at its maximum: it cannot rise further, and the basis is not renewed either."""
    cap = optimizer_setting(trace.manifest, "epsilon_max")
    floor = optimizer_setting(trace.manifest, "epsilon")
    if not cap or (floor is not None and floor >= cap):
        return []
    found = []
    for factor, (step, epsilon, checks) in _of_factors(trace, "epsilon", "checks"):
        counts = np.where(np.isfinite(checks), checks, 1.0)
        at = np.isfinite(epsilon) & (epsilon >= 0.99 * cap)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], at, [False]]).astype(np.int8)))
        stretches = [(counts[a:b].sum(), a, b) for a, b in edges.reshape(-1, 2).tolist()]
        longest, a, b = max(stretches, default=(0.0, 0, 0))
        share = counts[at].sum() / counts.sum() if counts.sum() else 0.0
        if longest < CAP_CHECKS or share < CAP_SHARE or b - a < 2:
            continue
        words = (
            f"The damping of {_name(trace, factor)} is at its maximum, {setting(cap)}, from step {step[a]:,.0f} to "
            f"{step[b - 1]:,.0f}, and at {100 * share:.0f} % of its {counts.sum():,.0f} checks ({CAP_CHECKS} in a row "
            f"and {100 * CAP_SHARE:.0f} % are long)."
        )
        found.append((float(longest), Finding("epsilon-at-cap", "warning", int(step[a]), words, factor, "epsilon")))
    return few(found, _MOST, "factors at their cap")


def never_refreshed(trace: Trace) -> list[Finding]:
    """Factors decomposed once and never again, although their basis drifted past the tolerance or nobody measured it.

    A factor that was checked often, found within the tolerance and kept is what an adaptive policy is for, and is no
    finding.
    """
    if not trace.has("checks", "decompositions"):
        return []
    residual = goes_by_residual(trace.manifest) or not trace.has("checks", "proxy")
    measure, symbol = ("residual", "r") if residual else ("proxy", "h")
    tau = optimizer_setting(trace.manifest, "tau") or (0.5 if residual else 1.0)
    ends = trace.values("steps", "step")
    found = []
    for factor, (step, done, checks, drift) in _of_factors(trace, "decompositions", "checks", measure):
        end = max(float(ends.max()) if len(ends) else 0.0, step[-1])
        examined = float(np.nansum(checks))
        if not np.isfinite(done).any() or np.nansum(done) > 1:
            continue
        first = np.flatnonzero(done > 0)
        at = step[first[0]] if len(first) else step[0]
        seen = drift[np.isfinite(drift)]
        times = "decomposed only once, at" if len(first) else "never decomposed since"
        age = f"{_name(trace, factor)} was {times} step {at:,.0f}, {end - at:,.0f} steps before the end"
        if examined >= NEVER_CHECKS and len(seen) and seen[-1] > tau:
            words = f"{age}, although {symbol} = {number(seen[-1])} is above {setting(tau)} at its last check."
            found.append((float(seen[-1] / tau), Finding("never-refreshed", "warning", int(at), words, factor)))
        elif examined >= NEVER_CHECKS and not len(seen):
            words = f"{age}, in {examined:,.0f} checks; the log does not tell how far it drifted."
            found.append((0.5, Finding("never-refreshed", "note", int(at), words, factor)))
    return few(found, _MOST, "factors never decomposed again")


def refresh_rate_jumps(trace: Trace) -> Iterator[Finding]:
    """Stretches of steps in which far more checks decompose than before: the world or the settings have changed."""
    counts = intervals(trace, None, _STRETCHES)
    if counts is None or len(counts.step) <= _BEFORE:
        return
    rate, quiet_until = counts.rate, -1
    for at in range(_BEFORE, len(rate)):
        before = rate[max(at - 2 * _BEFORE, 1) : at]
        before = before[np.isfinite(before)]
        if at <= quiet_until or len(before) < _BEFORE - 1 or not np.isfinite(rate[at]):
            continue
        usual = float(np.median(before))
        deviation = np.sqrt(max(usual * (1 - usual), 0.01) / max(counts.checks[at], 1.0))
        rise = float(rate[at]) - usual
        enough = counts.decompositions[at] >= _FEWEST
        if enough and rise > JUMP_RISE and rate[at] > JUMP_FACTOR * usual and rise > JUMP_DEVIATIONS * deviation:
            words = (
                f"{100 * rate[at]:.0f} % of checks decompose from step {counts.start[at]:,.0f} to "
                f"{counts.step[at]:,.0f}, after {100 * usual:.0f} % before ({JUMP_FACTOR:g} times and "
                f"{100 * JUMP_RISE:.0f} points are a jump)."
            )
            yield Finding("refresh-rate-jump", "warning", int(counts.start[at]), words)
            quiet_until = at + _BEFORE


def failed_checks(trace: Trace) -> Iterator[Finding]:
    """Checks that decomposed because a measure was not finite."""
    rows = np.flatnonzero(trace.values("checks", "decision") == "failure")
    if len(rows):
        step, owner = trace.values("checks", "step")[rows], trace.values("checks", "factor")[rows]
        first = int(np.argmin(step))
        words = (
            f"{len(rows):,} checks found a measure that was not finite, the first at step {step[first]:,} for "
            f"{_name(trace, int(owner[first])) if np.isfinite(owner[first]) else 'all factors'}."
        )
        factor = int(owner[first]) if np.isfinite(owner[first]) else None
        yield Finding("failed-checks", "warning", int(step[first]), words, factor)
