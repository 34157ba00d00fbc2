"""One recorded run under other thresholds: everything that is known of it at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from foam_viz.analysis.fronts import Work
from foam_viz.analysis.replay import Replay, Summary
from foam_viz.analysis.replay_setting import Setting, fields_of

OWN, WHAT_IF, FIRST_PIN, FIRST_TRUTH = 0, 1, 2, 5
"""Positions of lanes: the recorded run, the what-if, up to three pinned settings, runs really trained."""
MOST_PINS = FIRST_TRUTH - FIRST_PIN


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A setting that was really trained, and what a replay had foretold of it.

    Attributes:
        setting: The setting.
        seed: Of the run.
        step: Steps made so far.
        steps: Steps to make.
        decompositions: Up to that step.
        predicted: Decompositions that the replay foretold of the whole run.
        loss: Mean of the last training losses.
        done: Whether the run has ended.
        error_left: Mean error of its own factors, by a replay of its stream; None where it is not known yet.
        kernel_seconds: The same of its decompositions, measures and rebuilds.
    """

    setting: Setting
    seed: int
    step: int = 0
    steps: int = 0
    decompositions: int = 0
    predicted: int = 0
    loss: float | None = None
    done: bool = False
    error_left: float | None = None
    kernel_seconds: float | None = None

    @property
    def off(self) -> float | None:
        """By what share more decompositions were predicted than came; None until the run has ended."""
        return self.predicted / self.decompositions - 1 if self.done and self.decompositions else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """What the panels of the threshold lab draw. It never changes.

    Attributes:
        own: Replay of the recorded setting; None until it is computed.
        what_if: Replay of the chosen setting; None until it is computed.
        setting: The chosen setting; that of ``what_if`` may be an earlier one.
        taus, caps: tau and eps_max of the map, rising.
        points: The map, row by row of eps_max; empty until it is computed.
        references: Fixed periods and taking turns.
        pins: Replays of pinned settings.
        truths: Settings that were really trained.
        updates, own_updates: Replays with the errors of updates, of the chosen setting and of the recorded one; None
            until they are computed.
        quantiles: Eigenvalues of all factors and checks at 0, 0.05, ..., 1, gradient^2; empty until known.
        color: The column of a summary that colours the map.
        work: The column of a summary that the front's horizontal axis shows.
    """

    own: Replay | None = None
    what_if: Replay | None = None
    setting: Setting | None = None
    taus: tuple[float, ...] = ()
    caps: tuple[float, ...] = ()
    points: tuple[Summary, ...] = ()
    references: tuple[Summary, ...] = ()
    pins: tuple[Replay, ...] = ()
    truths: tuple[Truth, ...] = ()
    updates: Replay | None = None
    own_updates: Replay | None = None
    quantiles: tuple[float, ...] = ()
    color: str = "decompositions"
    work: Work = "decompositions"

    @property
    def replays(self) -> list[tuple[int, Replay]]:
        """Position and replay of each setting that was replayed as a whole."""
        known = [(OWN, self.own), (WHAT_IF, self.what_if)]
        return [(p, r) for p, r in known if r is not None] + [(FIRST_PIN + i, r) for i, r in enumerate(self.pins)]


def summary_of(replay: Replay) -> Summary:
    """The totals of a replay."""
    return Summary(
        setting=replay.setting,
        exact=replay.exact,
        checks=replay.checks,
        decompositions=replay.decompositions,
        cap_refreshes=replay.cap_refreshes,
        error_left=replay.error_left,
        staleness_error=replay.mean("staleness_error"),
        damping_error=replay.mean("damping_error"),
        directions_damped=replay.mean("directions_damped"),
        kernel_seconds=replay.kernel_seconds,
    )


def difference(setting: Setting, own: Setting | None) -> str:
    """A setting by what differs from the recorded one: ``τ = 0.3``; all of it where that one is not known."""
    if own is None:
        return setting.label()
    if setting == own:
        return "the recorded setting"
    moved = setting.optimizer != own.optimizer
    told = [setting.spec.label] if moved else []
    for one in fields_of(setting.spec):
        value = setting.values[one.name]
        if value != own.values.get(one.name) and value is not None and one.name != "start":
            told.append(f"{one.symbol or one.label} = {one.format(value)}")
    return ", ".join(told) or "another start"
