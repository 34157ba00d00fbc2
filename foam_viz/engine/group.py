"""A lab run: up to four lanes in lockstep under one set of controls, autosaved as they train."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from foam_viz.engine import store
from foam_viz.engine.config import MAXIMUM_LANES, Experiment
from foam_viz.engine.run import Run
from foam_viz.settings import Settings
from foam_viz.trace import manifest
from foam_viz.trace.autosave import Autosave, checkpoints

GOALS = ("step", "check", "refresh")
# "To the next refresh" gives up here, paused: a policy may never refresh again.
_GOAL_STEPS = 100_000


class Group:
    """The lanes of one experiment: same initial weights, same batches, same step.

    Args:
        view_id: Identity of the lab run.
        experiment: What is trained.
        settings: Where and how often it is autosaved.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(self, view_id: str, experiment: Experiment, settings: Settings, device: str = "auto") -> None:
        self.view_id = view_id
        self.experiment = experiment
        self.running = False
        self.goal: str | None = None
        self.speed: float | None = None
        self.handled = 0
        self.autosave_problem = ""
        self.shared_machine = False
        self._goal_left = 0
        self._settings = settings
        self._device = device
        self._next_due = 0.0
        self.lanes = self._new_lanes()
        self._autosaves: list[Autosave] = []
        self._part_written = self._checkpoint_written = time.monotonic()
        self._checkpoint_step = self._drained_step = -1
        self._closed_lanes: set[int] = set()

    def _new_lanes(self) -> list[Run]:
        return [
            Run(self.experiment.lane_config(lane), run_id=f"{self.view_id}-{lane + 1}", device=self._device)
            for lane in range(len(self.experiment.lanes))
        ]

    # --- controls

    @property
    def step(self) -> int:
        return max(run.step for run in self.lanes)

    @property
    def live(self) -> bool:
        return any(run.live for run in self.lanes)

    def start(self) -> None:
        self.running, self.goal, self._next_due = self.live, None, 0.0

    def pause(self) -> None:
        self.running, self.goal = False, None

    def until(self, goal: str) -> None:
        """Runs to the next ``step``, ``check`` or ``refresh`` of any lane, then pauses."""
        self.running, self.goal, self._goal_left, self._next_due = self.live, goal, _GOAL_STEPS, 0.0

    def follow(self, factor: int) -> None:
        for run in self.lanes:
            run.follow(factor)

    # --- training

    def due(self, now: float) -> bool:
        """True where a step should be made now."""
        return self.running and now >= self._next_due

    def wait(self, now: float) -> float | None:
        """Seconds until the next step is due; None where none will be."""
        return max(0.0, self._next_due - now) if self.running else None

    def advance(self, now: float) -> None:
        """One lockstep step of every lane that can still make one."""
        moved = [run for run in self.lanes if run.live]
        for run in moved:
            run.advance()
        if self.speed:
            self._next_due = max(self._next_due + 1 / self.speed, now)
        if self.goal:
            self._goal_left -= 1
            reached = (
                self.goal == "step"
                or (self.goal == "check" and any(run.checked for run in moved))
                or (self.goal == "refresh" and any(run.refreshed for run in moved))
            )
            if reached or self._goal_left <= 0:
                self.pause()
        if not self.live:
            self.pause()

    # --- what others see

    def drain(self) -> list[dict[str, pa.Table]]:
        """New rows of each lane; they go to the autosave too."""
        drained = [run.drain() for run in self.lanes]
        self._drained_step = self.step
        for autosave, tables in zip(self._autosaves, drained, strict=False):
            for name, table in tables.items():
                autosave.append(name, table)
        return drained

    def lane_status(self, run: Run) -> str:
        return run.status if not run.live else ("running" if self.running else "paused")

    def header(self) -> dict[str, Any]:
        """The state of the controls and of each lane, as plain values."""
        return {
            "view_id": self.view_id,
            "handled": self.handled,
            "step": self.step,
            "running": self.running,
            "goal": self.goal,
            "speed": self.speed,
            "device": self.lanes[0].device,
            "autosave_problem": self.autosave_problem,
            "lanes": [
                {
                    "step": run.step,
                    "status": self.lane_status(run),
                    "diverged_step": run.diverged_step,
                    "followed": run.recorder.followed,
                }
                for run in self.lanes
            ],
        }

    def manifests(self) -> list[dict[str, Any]]:
        return [manifest.to_json(self._manifest(lane)) for lane in range(len(self.lanes))]

    def _manifest(self, lane: int) -> manifest.Manifest:
        run = self.lanes[lane]
        told = run.manifest(name=self.experiment.lanes[lane].label(), shared_machine=self.shared_machine)
        return told.with_(status=self.lane_status(run))

    # --- autosave

    @property
    def _directory(self) -> Path:
        return store.run_directory(self._settings.data_directory, self.view_id)

    def open_autosave(self) -> None:
        """Begins to autosave; where nothing can be written, training goes on and the problem is told."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            store.write_json(self._directory / "experiment.json", self.experiment.to_json())
            for lane in range(len(self.lanes)):
                autosave = Autosave(store.lane_directory(self._directory, lane), self._manifest(lane))
                autosave.rewind(0)  # a run that was reset begins anew
                self._autosaves.append(autosave)
            for lane in range(len(self.lanes), MAXIMUM_LANES):
                shutil.rmtree(store.lane_directory(self._directory, lane), ignore_errors=True)
        except OSError as error:
            self._autosave_failed(error)

    def _autosave_failed(self, error: OSError) -> None:
        self._autosaves = []
        self.autosave_problem = (
            f"Autosave is off: {error.strerror or error}. Training goes on; make the data directory writable or "
            "set data_directory, then reset."
        )

    def save(self, now: float, *, everything: bool = False) -> None:
        """Writes what is due: parts about every second, a checkpoint about every ten; both where asked."""
        if not self._autosaves:
            return
        try:
            if everything or now - self._part_written >= self._settings.part_seconds * 0.8:
                self._part_written = now
                for autosave in self._autosaves:
                    autosave.flush()
                self._write_ended()
            if (everything or now - self._checkpoint_written >= self._settings.checkpoint_seconds) and (
                self.step != self._checkpoint_step
                # Rows still in the recorder would be lost to whoever continues from the checkpoint.
                and self.step == self._drained_step
            ):
                self._checkpoint_written, self._checkpoint_step = now, self.step
                for lane, autosave in enumerate(self._autosaves):
                    state = self.lanes[lane].state()
                    # A lane that has ended keeps its own step in the state; the file carries the lockstep's, so
                    # that the lanes' files can be matched.
                    autosave.checkpoint(lambda file, state=state: torch.save(state, file), self.step)
                    autosave.write_manifest(self._manifest(lane))
        except OSError as error:
            self._autosave_failed(error)

    def _write_ended(self) -> None:
        for lane, run in enumerate(self.lanes):
            if not run.live and lane not in self._closed_lanes:
                self._closed_lanes.add(lane)
                self._autosaves[lane].write_manifest(self._manifest(lane))

    def reset(self, experiment: Experiment | None = None) -> None:
        """Back to step 0, under a new configuration where one is given."""
        self.experiment = experiment or self.experiment
        self.pause()
        self.lanes = self._new_lanes()
        self._autosaves, self._closed_lanes = [], set()
        self._checkpoint_step = self._drained_step = -1
        self.autosave_problem = ""

    def restore(self) -> None:
        """Continues, paused, from the newest checkpoints that all lanes have; from step 0 without any."""
        self._autosaves = []
        states = [self._checkpoints(lane) for lane in range(len(self.lanes))]
        common = _newest_common(states)
        try:
            for lane, run in enumerate(self.lanes):
                if common is not None:
                    run.restore(states[lane][common])
                autosave = Autosave(store.lane_directory(self._directory, lane), self._manifest(lane))
                autosave.rewind(common or 0)
                self._autosaves.append(autosave)
        except OSError as error:
            self._autosave_failed(error)

    def _checkpoints(self, lane: int) -> dict[int, Any]:
        """The checkpoints of a lane that can be read, keyed by the lockstep step they belong to."""
        found = {}
        for path, step in checkpoints(store.lane_directory(self._directory, lane)):
            try:
                found[step] = torch.load(path, weights_only=True, map_location="cpu")
            except Exception as error:  # noqa: BLE001 -- a torn file may raise anything; an older one may do
                self.autosave_problem = f"A checkpoint of step {step} could not be read ({type(error).__name__})."
        return found

    def close(self) -> None:
        """Writes everything that is left."""
        self.pause()
        self.drain()
        self.save(time.monotonic(), everything=True)


def _newest_common(states: Iterable[dict[int, Any]]) -> int | None:
    common: set[int] | None = None
    for found in states:
        common = set(found) if common is None else common & set(found)
    return max(common, default=None) if common else None
