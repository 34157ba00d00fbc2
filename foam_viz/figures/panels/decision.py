"""The last check of the followed factor, in words and numbers."""

from __future__ import annotations

import math

import numpy as np

from foam_viz.analysis.checks import DECISION_ORDER, Checks, checks_of
from foam_viz.analysis.settings import Settings, settings_at
from foam_viz.figures import theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.panels.waiting import why_empty
from foam_viz.figures.scene import Scene
from foam_viz.trace.counts import refreshes


def draw(scene: Scene) -> Drawing:
    """A sentence with the decision, and the numbers behind it."""
    target = scene.followed
    rows = checks_of(target[0].trace, target[1]) if target else None
    if target is None or rows is None or len(rows) == 0:
        return Drawing(empty=why_empty(scene, "The last decision about the followed factor"))
    lane, factor = target
    at = len(rows) - 1
    chosen = settings_at(lane.trace, int(rows.step[at]))
    drift = float((rows.residual if chosen.residual else rows.proxy)[at])
    before, after = float(rows.epsilon_before[at]), float(rows.epsilon[at])
    code = int(rows.decision[at])
    decision = DECISION_ORDER[code] if code >= 0 else ""
    if code < 0 and rows.counted:
        text = _interval(rows, at)
        moment = f"steps {int(rows.start[at]):,} to {int(rows.step[at]):,}"
    else:
        text = [
            ("decision", _verdict(decision, rows, at), ""),
            ("because", sentence(decision, drift, before, after, chosen), ""),
        ]
        moment = f"check of step {int(rows.step[at]):,}"
    if np.isfinite(drift):
        text.append(
            (chosen.measure, theme.number(drift), f"{_MEASURES[chosen.residual]}; measured before the decision")
        )
    if chosen.tau is not None:
        text.append(("τ", theme.setting(chosen.tau), f"how much {chosen.measure} is tolerated"))
    if np.isfinite(after):
        text.append(("ε", _change(before, after), "damping: added to every eigenvalue before the inverse root"))
    if chosen.epsilon_max is not None:
        text.append(("εₘₐₓ", theme.setting(chosen.epsilon_max), "beyond it the factor is decomposed again"))
    last = rows.last_decomposition[at]
    if np.isfinite(last):
        age = int(rows.step[at] - last)
        text.append(("basis age", f"{age:,}{theme.THIN}steps", f"decomposed at step {int(last):,}"))
    checked, done = int(rows.checks.sum()), int(rows.decompositions.sum())
    if checked:
        share = theme.percent(done / checked)
        spent = f"{done:,} of {checked:,} checks ({share})"
        text.append(("spent so far", spent, f"decompositions of this factor up to step {int(rows.step[at]):,}"))
        paid = refreshes(lane.trace, [factor])
        if paid and paid.per_factor is not None:
            words = f"decompositions of this factor per 100 steps, from step {paid.first:,} to {paid.last:,}"
            until = f", to step {paid.last:,}" if paid.last != rows.step[at] else ""
            text.append(("per 100 steps", f"{theme.number(paid.per_factor)}{until}", words))
    reading = f"{lane.factor_name(factor)}, {lane.label}"
    return Drawing(text=tuple(text), reading=reading, moment=moment)


def _interval(rows: Checks, at: int) -> list[tuple[str, str, str]]:
    """What a log that counts by intervals tells of the last one: how many checks decomposed, and not why."""
    checked, done, cap = int(rows.checks[at]), int(rows.decompositions[at]), int(rows.cap_refreshes[at])
    told = f"{done:,} of {checked:,} checks decomposed" + (f", {cap:,} by the cap" if cap else "")
    steps = f"steps {int(rows.start[at]):,} to {int(rows.step[at]):,}"
    return [
        ("last interval", told, "the log counts decisions over intervals and tells no single one"),
        ("interval", steps, "the steps that the counts cover; the numbers below are from its end"),
    ]


_MEASURES = {
    False: "h, the drift of the factor since its basis was computed, as the preconditioner feels it",
    True: "r, the share of the factor that its basis no longer diagonalizes",
}


def sentence(decision: str, drift: float, before: float, after: float, settings: Settings) -> str:
    """Why a check ended as it did, with the numbers.

    Args:
        decision: word of the column `decision`, or "" where none was recorded.
        drift: h or r as measured, NaN where it was not.
        before: damping before the check, NaN where not recorded.
        after: damping after the check, likewise.
        settings: the lane's hyperparameters.
    """
    symbol, tau, cap = settings.measure, settings.tau, settings.epsilon_max
    known, damped = np.isfinite(drift), np.isfinite(before) and np.isfinite(after)
    measured = f"{symbol} = {theme.number(drift)}" if known else f"{symbol} was not measured"
    if known and tau is not None:
        measured += f" {'>' if drift > tau else '≤'} τ = {theme.setting(tau)}"
    if decision == "first":
        return "There was no basis yet, and the first check always decomposes."
    if decision == "cadence":
        return f"This optimizer decomposes at every check{f'; {measured}' if known else ''}."
    if decision == "failure":
        return f"{symbol} was not a finite number, so the basis cannot be trusted."
    if decision == "cap" and known and tau and np.isfinite(before) and cap is not None:
        wanted = theme.number(before * drift / tau)
        start = theme.setting(settings.epsilon)
        return (
            f"{measured}, so ε would go from {theme.number(before)} to {wanted}, above εₘₐₓ = {theme.setting(cap)}: "
            f"decompose, and ε goes back to ε₀ = {start}."
        )
    if decision == "threshold":
        return f"{measured}: the basis has drifted too far."
    if decision == "reuse" and damped:
        return f"{measured}, {_damping(before, after, settings)}: keep the basis."
    return f"{measured}."


def _damping(before: float, after: float, settings: Settings) -> str:
    floor, cap = settings.epsilon, settings.epsilon_max
    if _equal(before, after):
        at = "ε₀" if floor and _equal(after, floor) else "ε"
        at = "εₘₐₓ" if cap and cap != floor and _equal(after, cap) else at
        return f"so ε stays at {at} = {theme.number(after)}"
    way = f"so ε goes from {theme.number(before)} to {theme.number(after)}"
    if after > before and cap is not None:
        return f"{way}, {'at' if _equal(after, cap) else 'below'} εₘₐₓ = {theme.setting(cap)}"
    return way


def _equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6)


def _verdict(decision: str, rows: Checks, at: int) -> str:
    if decision == "reuse" or (not decision and rows.decompositions[at] == 0):
        return "Keep the basis"
    return f"Decompose, {theme.DECISION_WORDS[decision]}" if decision and decision != "first" else "Decompose"


def _change(before: float, after: float) -> str:
    if not np.isfinite(before) or before == after:
        return theme.number(after)
    return f"{theme.number(before)} → {theme.number(after)}"
