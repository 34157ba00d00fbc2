"""What is noticed in the checks of a run's factors: damping at its cap, bases never renewed, rates that jump."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from foam_viz.analysis.configuration import goes_by_residual, optimizer_setting
from foam_viz.analysis.finding import Finding, few
from foam_viz.analysis.totals import intervals
from foam_viz.trace import Trace, TraceView
from foam_viz.trace.numbers import number, percent, setting

CAP_CHECKS, CAP_SHARE = 10, 0.2
"""Damping is at its cap for long when it is there for so many checks in a row and for this share of all checks."""

NEVER_CHECKS = 10
"""Checks after which a factor that was decomposed only once is worth a word."""

JUMP_FACTOR, JUMP_RISE, JUMP_DEVIATIONS = 3.0, 0.2, 6.0
"""The refresh rate jumps when a stretch has so many times the rate of the median before it, so much more in absolute
terms, and so many binomial standard deviations more."""
_STRETCHES, _BEFORE, _FEWEST = 24, 4, 5

_MOST = 5


def _name(trace: Trace | TraceView, factor: int) -> str:
    names = trace.manifest.factor_names
    return names[factor].text if 0 <= factor < len(names) else f"factor {factor}"


def _of_factors(trace: Trace | TraceView, *columns: str) -> Iterator[tuple[int, list[np.ndarray]]]:
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


def epsilon_at_cap(trace: Trace | TraceView) -> list[Finding]:
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


def never_refreshed(trace: Trace | TraceView) -> list[Finding]:
    """Factors decomposed once and never again, although their basis drifted past the tolerance or nobody measured it.

    A factor that was checked often, found within the tolerance and kept is what an adaptive policy is for, and is no
    finding. Nor is drift past the threshold that damping meets, while it is under its cap.
    """
    if not trace.has("checks", "decompositions"):
        return []
    residual = goes_by_residual(trace.manifest) or not trace.has("checks", "proxy")
    measure, symbol = ("residual", "r") if residual else ("proxy", "h")
    tau = optimizer_setting(trace.manifest, "tau") or (0.5 if residual else 1.0)
    cap = optimizer_setting(trace.manifest, "epsilon_max")
    ends = trace.values("steps", "step")
    found = []
    columns = ("decompositions", "checks", measure, "last_decomposition_step", "interval_start", "epsilon")
    for factor, (step, done, checks, drift, last, start, epsilon) in _of_factors(trace, *columns):
        end = max(float(ends.max()) if len(ends) else 0.0, step[-1])
        examined = float(np.nansum(checks))
        if not np.isfinite(done).any() or np.nansum(done) > 1:
            continue
        first = np.flatnonzero(done > 0)
        stated = last[np.isfinite(last)]
        if len(stated):
            at, when = stated[-1], f"at step {stated[-1]:,.0f}"
        elif len(first) and start[first[0]] < step[first[0]]:
            at = start[first[0]]
            when = f"in steps {at:,.0f} to {step[first[0]]:,.0f}"
        else:
            at = step[first[0]] if len(first) else step[0]
            when = f"at step {at:,.0f}"
        once = "decomposed only once," if len(first) else "last decomposed" if len(stated) else "not decomposed since"
        when = when.removeprefix("at ") if once == "not decomposed since" else when
        age = f"{_name(trace, factor)} was {once} {when}, {end - at:,.0f} steps before the end"
        known = np.flatnonzero(np.isfinite(drift))
        value = float(drift[known[-1]]) if len(known) else np.nan
        if cap and not residual and len(known) and epsilon[known[-1]] < cap:
            continue
        if examined >= NEVER_CHECKS and value > tau:
            words = (
                f"{age}, although {symbol} = {number(value)} at step {step[known[-1]]:,.0f} is above {setting(tau)}."
            )
            found.append((value / tau, Finding("never-refreshed", "warning", int(at), words, factor)))
        elif examined >= NEVER_CHECKS and not len(known):
            words = f"{age}, in {number(int(examined))} checks; the log does not tell how far it drifted."
            found.append((0.5, Finding("never-refreshed", "note", int(at), words, factor)))
    return few(found, _MOST, "factors never decomposed again")


def refresh_rate_jumps(trace: Trace | TraceView) -> Iterator[Finding]:
    """Stretches of steps in which far more checks decompose than before: the world or the settings have changed."""
    counts = intervals(trace, None, _STRETCHES)
    if counts is None or len(counts.step) <= _BEFORE:
        return
    rate, paid, quiet_until = counts.per_check, counts.per_factor, -1
    for at in range(_BEFORE, len(rate)):
        recent = slice(max(at - 2 * _BEFORE, 1), at)
        before = rate[recent]
        before = before[np.isfinite(before)]
        if at <= quiet_until or len(before) < _BEFORE - 1 or not np.isfinite(rate[at]):
            continue
        usual = float(np.median(before))
        deviation = np.sqrt(max(usual * (1 - usual), 0.01) / max(counts.checks[at], 1.0))
        rise = float(rate[at]) - usual
        enough = counts.decompositions[at] >= _FEWEST
        if enough and rise > JUMP_RISE and rate[at] > JUMP_FACTOR * usual and rise > JUMP_DEVIATIONS * deviation:
            now, then = percent(float(rate[at])), percent(usual)
            if counts.factors:
                now = f"{number(float(paid[at]))} per factor and 100 steps, at {now} of checks,"
                then = f"{number(float(np.median(paid[recent])))}, at {then} of checks"
            else:
                now = f"{now} of checks"
            words = (
                f"Decompositions rise to {now} from step {counts.start[at]:,.0f} to {counts.step[at]:,.0f}, after "
                f"{then} before ({JUMP_FACTOR:g} times and {100 * JUMP_RISE:.0f} points of checks are a jump)."
            )
            yield Finding("refresh-rate-jump", "warning", int(counts.start[at]), words)
            quiet_until = at + _BEFORE


def failed_checks(trace: Trace | TraceView) -> Iterator[Finding]:
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
