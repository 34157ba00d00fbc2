"""What is saved of a group of lanes, and when: rows about every second, states rarely enough to cost little."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from foam_viz.engine import store
from foam_viz.engine.worker import states
from foam_viz.engine.worker.lockstep import Lockstep
from foam_viz.engine.worker.saver import Saver
from foam_viz.engine.worker.to_save import CHECKPOINT_STEPS, Opening, States
from foam_viz.recording.stream import Sample
from foam_viz.settings import Settings
from foam_viz.trace.manifest import Manifest

_SETTLED_SECONDS = 0.5
_CHECKPOINT_BYTES_PER_SECOND = 20e6
_MIB = 2**20
# Of a run so many checkpoints stay, and so many bytes of them.
_KEPT_CHECKPOINTS = 20
_KEPT_BYTES = 100e6
_LEAST_CHECKPOINT_SECONDS = 1.0

Manifests = Callable[[], list[Manifest]]
"""Gives the manifest of every lane as it is now."""


class Saving:
    """Hands what is due of a group to its saver.

    Args:
        lockstep: The lanes.
        directory: The folder of the run.
        settings: Where and how often it is saved.
        manifests: Of the lanes.
        now: Seconds of the monotonic clock.

    Attributes:
        saver: Writes what it is given, in a thread of its own.
    """

    def __init__(
        self, lockstep: Lockstep, directory: Path, settings: Settings, manifests: Manifests, now: float
    ) -> None:
        self.saver = Saver(directory, settings.run_mb)
        self._lockstep, self._directory, self._settings, self._manifests = lockstep, directory, settings, manifests
        self._part_handed = self._checkpoint_handed = now
        self._paused_since: float | None = None
        self._checkpoint_seconds, self._settled_seconds = settings.checkpoint_seconds, _SETTLED_SECONDS
        self._checkpoint_step = self._drained_step = -1
        self._closed_lanes: set[int] = set()
        self._restored = self._saves_rarely = ""

    @property
    def problem(self) -> str:
        """What the page must say while nothing is saved; empty otherwise."""
        return self.saver.problem

    @property
    def notice(self) -> str:
        """What else the page must say of saving."""
        return " ".join(filter(None, (self._restored, self.saver.notice, self._saves_rarely)))

    # --- beginning

    def open(self) -> None:
        """Begin anew; where nothing can be written, training goes on and the problem is reported."""
        self.saver.open(self._opening(None))

    def restore(self) -> None:
        """Let the lanes go on from the newest step at which all have a readable checkpoint; from 0 without one.

        Nothing is written until training goes on, and nothing that was saved is deleted then: rows beyond that step
        stay on the disk in the branch before.
        """
        found = states.newest(self._lanes(), self._lockstep.parents)
        self._lockstep.restore(found.step, found.states)
        self._closed_lanes = {lane for lane, run in enumerate(self._lockstep.runs) if not run.live}
        self._restored, self._checkpoint_step = found.message, found.step
        self.saver.open(self._opening(found.step))

    def _opening(self, step: int | None) -> Opening:
        lanes = self._lockstep
        return Opening(lanes.experiment.to_json(), self._manifests(), step, lanes.parents)

    def _lanes(self) -> list[Path]:
        return [store.lane_directory(self._directory, lane) for lane in range(self._lockstep.count)]

    def state_at(self, lane: int, step: int) -> Any:
        """The state of a lane, counted from 0, at a step or the nearest checkpoint before it; None for the very first.

        It is a copy: its lane may train on.
        """
        run = self._lockstep.runs[lane]
        if run.step == step and run.diverged_step is None:
            return states.copied(run.state(), lambda: False)
        return states.at_most(self._lanes(), self._lockstep.parents, lane, step)

    # --- the experiment has changed

    def write_experiment(self, *, with_manifests: bool = False) -> None:
        """Write the configuration, which has changed, and where asked the manifests, too."""
        self.saver.write(None, self._manifests() if with_manifests else (), self._lockstep.experiment.to_json())

    def add_fork(self) -> None:
        """Save the last lane too, a fork that was just added."""
        parent = self._lockstep.parents[-1]
        assert parent is not None  # a fork
        self.saver.fork(parent, self._manifests()[-1])
        self.write_experiment()
        self.expect_checkpoint()

    def drop_fork(self) -> None:
        """Delete the last lane, which is a fork that was cancelled."""
        self.saver.drop_last_lane()
        self.write_experiment()

    def expect_checkpoint(self) -> None:
        """Take a checkpoint of the step at hand even where there is one: the lanes are others now."""
        self._checkpoint_step = -1

    # --- while it trains

    def add(self, rows: list[dict[str, pa.Table]], samples: list[list[list[Sample]]]) -> None:
        """Take the rows and samples of each lane up to the step at hand."""
        self._drained_step = self._lockstep.step
        self.saver.add(rows, self._drained_step, samples)

    def resumed(self) -> None:
        """Training goes on: a pause before does not count."""
        self._paused_since = None

    def save(
        self, now: float, trains: bool, *, stretch: float, everything: bool, interrupted: Callable[[], bool]
    ) -> None:
        """Hand over what is due: rows about every second, a checkpoint about every ten; both where asked.

        A run that paused is checkpointed a moment later, so that steps made one after another do not wait for it.

        Args:
            now: Seconds of the monotonic clock.
            trains: Whether the next step is due without anybody's asking for it.
            stretch: By how much these times are longer.
            everything: Whether all of it is due.
            interrupted: Tells whether something more urgent has come: the checkpoint is then made another time.
        """
        if trains:
            self._paused_since = None
        elif self._paused_since is None:
            self._paused_since = now
        settled = self._paused_since is not None and now - self._paused_since >= self._settled_seconds
        due = now - self._checkpoint_handed >= stretch * self._checkpoint_seconds or self._due_by_steps(now)
        try:
            handed = self.checkpoint(now, everything, interrupted) if everything or due or settled else None
        except states.Interrupted:
            handed = None
        runs = self._lockstep.runs
        ended = [lane for lane, run in enumerate(runs) if not run.live and lane not in self._closed_lanes]
        self._closed_lanes.update(ended)
        part_due = now - self._part_handed >= stretch * self._settings.part_seconds * 0.8
        if handed or ended or everything or not trains or part_due:
            self._part_handed = now
            self.saver.write(handed, self._manifests() if handed or ended else ())

    def _due_by_steps(self, now: float) -> bool:
        """Whether a checkpoint is due from which a fork of this step can begin.

        As many are made as may stay: their distance grows with the run.
        """
        distance, step = CHECKPOINT_STEPS, self._lockstep.step
        while distance * _KEPT_CHECKPOINTS <= step:
            distance *= 2
        return step - self._checkpoint_step >= distance and now - self._checkpoint_handed >= _LEAST_CHECKPOINT_SECONDS

    def checkpoint(self, now: float, everything: bool, interrupted: Callable[[], bool]) -> States | None:
        """The state of every lane; None where it is on the disk or waits for it, or is too large to keep.

        Args:
            now: Seconds of the monotonic clock.
            everything: Whether it is made though another is being written.
            interrupted: Tells whether something more urgent has come.

        Raises:
            states.Interrupted: Something had.
        """
        lanes = self._lockstep
        if (self.saver.busy and not everything) or lanes.within_step:
            return None
        # Rows still in the recorder would be lost to whoever continues from the checkpoint.
        if lanes.step in (self._checkpoint_step, 0) or lanes.step != self._drained_step:
            return None
        limit = self._settings.run_mb * _MIB
        trained = [lanes.trained(lane) for lane in range(lanes.count)]
        taken = [{**run.state(), "trained_seconds": lanes.trained_seconds} for run in trained]
        size = sum(map(states.size, taken))
        if size <= limit:
            taken = [states.copied(state, interrupted) for state in taken]
        self._checkpoint_handed, self._checkpoint_step = now, lanes.step
        if size > limit:
            self._saves_rarely = (
                f"The weights of this run, {size / _MIB:,.0f} MiB, are over the {self._settings.run_mb:,} MiB that a "
                "run may take (run_mb), so they are not saved: after a restart training begins again at step 0."
            )
            return None
        self._checkpoint_seconds = max(self._settings.checkpoint_seconds, size / _CHECKPOINT_BYTES_PER_SECOND)
        self._settled_seconds = max(_SETTLED_SECONDS, 0.1 * size / _CHECKPOINT_BYTES_PER_SECOND)
        self._saves_rarely = (
            f"A checkpoint of this run takes {size / _MIB:,.0f} MiB: one is saved about every "
            f"{self._checkpoint_seconds:,.0f} s."
            if self._checkpoint_seconds > self._settings.checkpoint_seconds
            else ""
        )
        newest = 2 if 4 * size <= limit else 1
        most = int(min(_KEPT_CHECKPOINTS, min(_KEPT_BYTES, limit / 4) // max(size, 1)))
        writers = [partial(states.write, state) for state in taken]
        return States(lanes.step, writers, size, newest, max(most, newest))
