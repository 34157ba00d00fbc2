"""What a finding is: something of a run that a person should look at, and when it happened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["error", "warning", "note"]

ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}
"""The gravest first."""


@dataclass(frozen=True)
class Finding:
    """One thing that was noticed.

    Attributes:
        kind: Stable name: ``diverged``, ``not-finite``, ``loss-spike``, ``step-gap``, ``falling-steps``,
            ``step-time-jump``, ``refresh-rate-jump``, ``epsilon-at-cap``, ``never-refreshed``, ``failed-checks``.
        severity: ``error``: the run is broken from there; ``warning``: look at it; ``note``: know it.
        step: The moment.
        words: What was found, with the numbers and the threshold that made it a finding.
        factor: Index into the manifest's factors; None for the whole run.
        column: Column concerned; empty for none.
    """

    kind: str
    severity: Severity
    step: int
    words: str
    factor: int | None = None
    column: str = ""


def few(found: list[tuple[float, Finding]], most: int, what: str) -> list[Finding]:
    """The ``most`` gravest of a kind, by weight, in order of step; the last one counts those left out.

    Args:
        found: Findings with how grave each is.
        most: How many to keep, 1 or more.
        what: Plural of what they are, for the count.
    """
    kept = sorted(sorted(found, key=lambda pair: -pair[0])[:most], key=lambda pair: pair[1].step)
    findings = [finding for _, finding in kept]
    left = len(found) - len(findings)
    if left > 0:
        findings[-1] = replace(findings[-1], words=f"{findings[-1].words} And {left:,} more {what}.")
    return findings
