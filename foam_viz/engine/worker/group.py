"""A lab run: up to six lanes in lockstep under one set of controls, saved as they train."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from foam_viz.engine import store
from foam_viz.engine.wire.commands import Change
from foam_viz.engine.worker.editor import Editor
from foam_viz.engine.worker.inside import PHASES
from foam_viz.engine.worker.lockstep import Lockstep
from foam_viz.engine.worker.run import Run
from foam_viz.engine.worker.saver import Saver
from foam_viz.engine.worker.saving import Saving
from foam_viz.experiment.config import MAXIMUM_LANES, Experiment
from foam_viz.settings import Settings
from foam_viz.trace import manifest

# "To the next refresh" gives up here, paused: a policy may never refresh again.
_GOAL_STEPS = 100_000
_ABANDON_SECONDS = 2.0
# A group is slow when so many of its last steps were longer than this: it should not share an engine.
SLOW_SECONDS = 1.0
_SLOW_STEPS, _SLOW_OF = 2, 20


class Group:
    """The controls of the lanes of one experiment.

    Args:
        view_id: Identity of the lab run.
        experiment: What is trained.
        settings: Where and how often it is saved.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``; auto is what the installation chose.

    Attributes:
        lockstep: The lanes, as they are trained.
        saving: What is saved of them.
        epoch: Given by the hub; goes with everything that is said of the run.
        recovering: Step up to which it trains at once, to be again where another engine was; 0 for none.
        notice: What happened that a person should know; said once.
    """

    def __init__(self, view_id: str, experiment: Experiment, settings: Settings, device: str = "auto") -> None:
        self.view_id = view_id
        self.running = False
        self.goal: str | None = None
        self.aim: tuple[int | None, int | None] = (None, None)
        self.speed: float | None = None
        self.handled = 0
        self.epoch = 0
        self.recovering = 0
        self.notice = ""
        self.shared_machine = False
        self._phase_before = ""
        self._after_recovery: list[Callable[[], None]] = []
        self._slow: deque[bool] = deque(maxlen=_SLOW_OF)
        self._goal_left = 0
        self._next_due = 0.0
        self._settings = settings
        asked = settings.device if device == "auto" else device
        self.lockstep = Lockstep(view_id, experiment, asked)
        if asked not in ("auto", used := self.lockstep.device):
            self.notice = f"device = {asked}: this machine has none; the run trains on the {used.upper()}."
        directory = store.run_directory(settings.data_directory, view_id)
        self.saving = Saving(self.lockstep, directory, settings, self._manifests, time.monotonic())
        self._editor = Editor(self.lockstep, self.saving, min(MAXIMUM_LANES, settings.maximum_lanes))

    @property
    def experiment(self) -> Experiment:
        """What is trained, with the edits and forks so far."""
        return self.lockstep.experiment

    @property
    def lanes(self) -> list[Run]:
        """The runs, one a lane, in order."""
        return self.lockstep.runs

    @property
    def phase(self) -> str:
        """The last phase that was made of the step at hand; empty between two steps."""
        return self.lockstep.phase

    # --- controls

    @property
    def step(self) -> int:
        """The step of the lane that is furthest."""
        return self.lockstep.step

    @property
    def live(self) -> bool:
        """Whether any lane can go on."""
        return self.lockstep.live

    @property
    def cap(self) -> str:
        """The limit of the installation that allows no further step, in words; empty where one may be made."""
        settings = self._settings
        if self.step >= settings.maximum_steps:
            return f"maximum_steps = {settings.maximum_steps:,}"
        if self.lockstep.trained_seconds >= 3600 * settings.maximum_hours:
            return f"maximum_hours = {settings.maximum_hours:g}"
        return ""

    def start(self) -> None:
        """Train without a goal."""
        self._go(None)

    def pause(self) -> None:
        """Stop training after the step under way."""
        self.running, self.goal = False, None

    def _go(self, goal: str | None) -> None:
        self.running, self.goal, self._next_due = self.live and not self.cap, goal, 0.0
        self.saving.resumed()
        self._say_cap()

    def _say_cap(self) -> None:
        if self.live and (cap := self.cap):
            self.notice = (
                f"Paused at step {self.step:,}: this installation ends runs at {cap}. A new run begins at step 0."
            )

    def resume(self, controls: Mapping[str, Any], reached: int) -> None:
        """Takes over from an engine that was lost.

        Args:
            controls: What the hub knows of the controls, see :attr:`foam_viz.engine.server.lab_run.LabRun.controls`.
            reached: The last step that others have seen: training goes there at once, whatever the speed.
        """
        self.speed, self.shared_machine = controls.get("speed"), bool(controls.get("shared"))
        if controls.get("followed") is not None:
            self.follow(controls["followed"])
        if controls.get("running"):
            if goal := controls.get("goal"):
                self.until(goal, *(controls.get("aim") or ()))
            else:
                self.start()
        self.recovering = reached if self.live and reached > self.step else 0
        self._phase_before = controls.get("phase") or ""
        if not self.recovering:
            self._go_on_within_step()

    def until(self, goal: str, lane: int | None = None, factor: int | None = None) -> None:
        """Runs to the next ``step``, ``check`` or ``refresh``, then pauses.

        Args:
            goal: What to train to.
            lane: Number of the lane that counts, counted from 1; None for any. One that has ended counts no more.
            factor: Index of the factor that counts; None for any.
        """
        self.aim = (lane, factor)
        self._goal_left = _GOAL_STEPS
        self._go(goal)

    def _reached(self, moved: Sequence[Run]) -> bool:
        goal = self.goal
        if goal is None or goal == "step":
            return True
        lane, factor = self.aim
        aimed = self.lockstep.trained(lane - 1) if lane is not None and lane <= len(self.lanes) else None
        if aimed is None or not aimed.live or not aimed.factors:
            aimed, factor = None, None
        runs = moved if aimed is None else [aimed]
        return any(run.came_to(goal, factor) for run in runs)

    # --- inside a step

    def next_phase(self) -> None:
        """Makes the next phase of every lane and stops there; after the last one the step is made."""
        self.pause()
        if self.recovering:  # where it stood comes first, see _go_on_within_step
            before = self._phase_before
            self._phase_before = PHASES[PHASES.index(before) + 1 if before in PHASES[:-1] else 0]
            return
        if not self.live or self.cap:
            self._say_cap()
            return
        self.lockstep.advance_phase()

    def _go_on_within_step(self) -> None:
        """To the phase in which another engine was, once its last step is made again."""
        wanted, self._phase_before = self._phase_before, ""
        while wanted and self.live and not self.running and self.lockstep.seen_phase != wanted:
            self.next_phase()

    def follow(self, factor: int) -> None:
        """Follow a factor in every lane, by its index."""
        for run in self.lanes:
            run.follow(factor)

    # --- edits and forks

    @property
    def _next_step(self) -> int:
        """The step in which an edit of now acts: the next that begins."""
        return max(self.step + bool(self.phase), self.recovering) + 1

    def edit(self, changes: Sequence[Change]) -> None:
        """Changes settings from the next step on. What cannot be is said, and then nothing is changed."""
        self.notice = self._editor.edit(changes, self._next_step) or self.notice

    def undo(self) -> None:
        """Takes the last edit back from the next step on."""
        self.notice = self._editor.undo(self._next_step) or self.notice

    @property
    def catching_up(self) -> bool:
        """True while a fork of an earlier step is trained up to the others, which wait."""
        return self.lockstep.catching_up

    def fork(self, lane: int, step: int | None, changes: Sequence[Change] = ()) -> None:
        """Adds a lane that is another up to a step. Its state is copied in memory, or comes from a checkpoint.

        Args:
            lane: Number of the lane, counted from 1.
            step: The last step that both share; None for the last that was made.
            changes: What is otherwise from the next step on.
        """
        if self.recovering:
            self._after_recovery.append(lambda: self.fork(lane, step, changes))
            return
        if self.phase:  # a step that was begun is made first
            self.advance(time.monotonic())
        self.notice = self._editor.fork(lane, step, changes) or self.notice

    def cancel_fork(self) -> None:
        """Removes the fork that catches up."""
        self.notice = self._editor.cancel_fork() or self.notice

    # --- training

    def due(self, now: float) -> bool:
        """True where a step should be made now."""
        return self.catching_up or bool(self.recovering) or (self.running and now >= self._next_due)

    def wait(self, now: float) -> float | None:
        """Seconds until the next step is due; None where none will be."""
        if self.recovering or self.catching_up:
            return 0.0
        return max(0.0, self._next_due - now) if self.running else None

    @property
    def slow(self) -> bool:
        """True where its steps are so long that others on the same engine wait for them."""
        return sum(self._slow) >= _SLOW_STEPS

    def advance(self, now: float) -> None:
        """One lockstep step of every lane that can still make one; while a fork catches up, one of it alone."""
        if self.catching_up:
            self.lockstep.catch_up()
            if not self.catching_up:
                self.saving.expect_checkpoint()
            return
        moved, seconds = self.lockstep.advance()
        self._slow.append(seconds > SLOW_SECONDS)
        if self.recovering:
            self._next_due = now
            if self.step >= self.recovering or not self.live:
                self.recovering = 0
            if not self.live:
                self.pause()
            if not self.recovering:
                self._go_on_within_step()
                waiting, self._after_recovery = self._after_recovery, []
                for ask in waiting:
                    ask()
            return
        if self.speed and self.goal not in ("check", "refresh"):
            self._next_due = max(self._next_due + 1 / self.speed, now)
        if self.goal:
            self._goal_left -= 1
            if self._reached(moved) or self._goal_left <= 0:
                self.pause()
        if not self.live:
            self.pause()
        elif self.running and self.cap:
            self.pause()
            self._say_cap()

    # --- what others see

    def drain(self) -> list[dict[str, pa.Table]]:
        """New rows of each lane; they go to the autosave too."""
        for step, kind, message in self.saving.saver.take_thinned():
            for run in self.lanes:
                run.recorder.events.add({"step": step, "kind": kind, "factor": None, "value": None, "message": message})
        rows, samples = self.lockstep.drain()
        self.saving.add(rows, samples)
        return rows

    def lane_status(self, run: Run) -> str:
        """Return the status of a lane as the page shows it."""
        return run.status if not run.live else ("running" if self.running else "paused")

    def header(self) -> dict[str, Any]:
        """The state of the controls and of each lane, as plain values."""
        return {
            "view_id": self.view_id,
            "epoch": self.epoch,
            "recovering": self.recovering,
            "slow": self.slow,
            "handled": self.handled,
            "step": self.step,
            "running": self.running,
            "goal": self.goal,
            "aim": list(self.aim),
            "inside": self.lockstep.inside(),
            "catching_up": self.lockstep.catching(),
            "speed": self.speed,
            "device": self.lockstep.device,
            "autosave_problem": self.saving.problem,
            "autosave_notice": self.saving.notice,
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

    def take_reconfigured(self) -> dict[str, Any]:
        """The configuration, where it has changed since this was asked last."""
        return {"experiment": self.experiment.to_json()} if self._editor.take_changed() else {}

    def manifests(self) -> list[dict[str, Any]]:
        """Return the manifest of every lane as JSON."""
        return [manifest.to_json(one) for one in self._manifests()]

    def _manifests(self) -> list[manifest.Manifest]:
        return [
            run.manifest(name=self.experiment.label(lane), shared_machine=self.shared_machine).with_(
                status=self.lane_status(run)
            )
            for lane, run in enumerate(self.lanes)
        ]

    # --- saving

    @property
    def autosave_told(self) -> tuple[str, str]:
        """What the page must say of saving, now: the problem, and what else there is to say."""
        return self.saving.problem, self.saving.notice

    def open_autosave(self) -> None:
        """Begins to save; where nothing can be written, training goes on and the problem is reported."""
        self.saving.open()

    def save(
        self,
        now: float,
        *,
        stretch: float = 1.0,
        everything: bool = False,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Hands over what is due, see :meth:`Saving.save`."""
        trains = self.running or bool(self.recovering) or self.catching_up
        self.saving.save(now, trains, stretch=stretch, everything=everything, interrupted=interrupted)

    def restore(self) -> None:
        """Continues, paused, from what was saved, see :meth:`Saving.restore`."""
        self.saving.restore()

    def abandon(self) -> None:
        """Writes the rows that are whole and lets go of everything: a step failed in its middle, so no checkpoint."""
        self.pause()
        self.drain()
        told = [
            one.with_(status="interrupted") if run.live else one
            for one, run in zip(self._manifests(), self.lanes, strict=True)
        ]
        self.saving.saver.write(None, told)
        self.saving.saver.close(_ABANDON_SECONDS)

    def close(self, seconds: float = 30.0) -> Saver:
        """Writes everything that is left, waiting for at most so many seconds; a step that was begun is made first."""
        self.pause()
        if self.phase:
            self.advance(time.monotonic())
        self.drain()
        self.save(time.monotonic(), everything=True)
        self.saving.saver.close(seconds)
        return self.saving.saver
