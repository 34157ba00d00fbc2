"""Everything worth a look in one run, each with its moment: what a person would find by looking at every curve."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from foam_viz.analysis import findings_curves, findings_factors
from foam_viz.analysis.finding import ORDER, Finding
from foam_viz.trace import Trace, TraceView

CHECKS: tuple[Callable[[Trace | TraceView], Iterable[Finding]], ...] = (
    findings_curves.divergence,
    findings_curves.not_finite,
    findings_curves.spikes,
    findings_factors.failed_checks,
    findings_factors.epsilon_at_cap,
    findings_factors.never_refreshed,
    findings_factors.refresh_rate_jumps,
    findings_curves.slower_steps,
    findings_curves.gaps,
)
"""What is looked for; a new one is a function and a line."""


def findings(trace: Trace | TraceView) -> list[Finding]:
    """Look for everything in :data:`CHECKS`; the gravest first, then by step. An empty list says all is calm."""
    trace = trace.view()  # of one moment: a live run grows meanwhile
    found = [finding for check in CHECKS for finding in check(trace)]
    return sorted(found, key=lambda finding: (ORDER[finding.severity], finding.step))
