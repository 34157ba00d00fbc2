"""What settings did at every recorded check, as arrays: what a walk leaves behind, and everything else is read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

import numpy as np

from foam_viz.analysis.replay_setting import Setting
from foam_viz.optim.refresh import Reason

REASONS: tuple[Reason, ...] = get_args(Reason)
"""``Tracks.reason`` counts these."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """Arrays (S, T): by setting, and by recorded check of all factors, those of one factor next to each other.

    A setting need not check wherever the run did. Where it does not, ``epsilon``, ``decomposed`` and ``refreshed`` tell
    what stays in force, and the rest means nothing.

    Attributes:
        made: Whether the setting checks there.
        fresh: eps0 at that step.
        reason: Place in ``REASONS`` of what was carried out.
        before: Damping before.
        measured: Whether h or r was measured.
        measure: h or r.
        epsilon: Damping after.
        decomposed: Check of the decomposition in force, s; -1 where there is none.
        refreshed: Check of the eigenvalues in force; s, or later where they were refreshed since.
    """

    made: np.ndarray
    fresh: np.ndarray
    reason: np.ndarray
    before: np.ndarray
    measured: np.ndarray
    measure: np.ndarray
    epsilon: np.ndarray
    decomposed: np.ndarray
    refreshed: np.ndarray

    @classmethod
    def begin(cls, settings: Sequence[Setting], made: np.ndarray, steps: np.ndarray) -> Tracks:
        """Tracks in which nothing has happened yet.

        Args:
            settings: The settings, S.
            made: Where each checks, (S, T).
            steps: Of the recorded checks, (T,).
        """
        fresh = np.empty(made.shape)
        for mine, setting in zip(fresh, settings, strict=True):
            mine[:] = setting.policy.epsilon
            if setting.edits:
                mine[:] = [setting.at(step).policy.epsilon for step in steps.tolist()]
        return cls(
            made=made,
            fresh=fresh,
            reason=np.zeros(made.shape, np.int8),
            before=np.full(made.shape, np.nan),
            measured=np.zeros(made.shape, bool),
            measure=np.full(made.shape, np.nan),
            epsilon=np.full(made.shape, np.nan),
            decomposed=np.full(made.shape, -1, np.int32),
            refreshed=np.full(made.shape, -1, np.int32),
        )

    def __getitem__(self, chosen: Any) -> Tracks:
        """The same of some settings or checks, as numpy chooses them."""
        return Tracks(*(getattr(self, part.name)[chosen] for part in fields(self)))

    def count(self, *reasons: Reason) -> int:
        """How many checks ended in one of some reasons."""
        found = np.bincount(self.reason[self.made], minlength=len(REASONS))
        return int(sum(found[REASONS.index(reason)] for reason in reasons))
