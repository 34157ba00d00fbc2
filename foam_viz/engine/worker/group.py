"""A lab run: up to six lanes in lockstep under one set of controls, autosaved as they train."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from foam_viz.engine import store
from foam_viz.engine.wire.commands import Change
from foam_viz.engine.worker import states
from foam_viz.engine.worker.inside import PHASES, InsideStep
from foam_viz.engine.worker.run import Run
from foam_viz.engine.worker.saver import CHECKPOINT_STEPS, Opening, Saver, States
from foam_viz.engine.worker.shared_past import SharedPast
from foam_viz.experiment import cost
from foam_viz.experiment.config import MAXIMUM_LANES, Experiment, Parent
from foam_viz.experiment.edits import Edit
from foam_viz.optim.fields import FieldError
from foam_viz.recording.stream import Sample
from foam_viz.settings import Settings
from foam_viz.trace import manifest

# "To the next refresh" gives up here, paused: a policy may never refresh again.
_GOAL_STEPS = 100_000
_SETTLED_SECONDS = 0.5
_CHECKPOINT_BYTES_PER_SECOND = 20e6
_MIB = 2**20
_ABANDON_SECONDS = 2.0
# Of a run so many checkpoints stay, and so many bytes of them.
_KEPT_CHECKPOINTS = 20
_KEPT_BYTES = 100e6
_LEAST_CHECKPOINT_SECONDS = 1.0
# A group is slow when so many of its last steps were longer than this: it should not share an engine.
SLOW_SECONDS = 1.0
_SLOW_STEPS, _SLOW_OF = 2, 20


class Group:
    """The lanes of one experiment: same initial weights, same batches, same step.

    Args:
        view_id: Identity of the lab run.
        experiment: What is trained.
        settings: Where and how often it is autosaved.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``; auto is what the installation chose.

    Attributes:
        epoch: Given by the hub; goes with everything that is said of the run.
        recovering: Step up to which it trains at once, to be again where another engine was; 0 for none.
        trained_seconds: What its training has taken, on one core; of a GPU, by the clock.
        notice: What happened that a person should know; said once.
    """

    def __init__(self, view_id: str, experiment: Experiment, settings: Settings, device: str = "auto") -> None:
        self.view_id = view_id
        self.experiment = experiment
        self.running = False
        self.goal: str | None = None
        self.aim: tuple[int | None, int | None] = (None, None)
        self.phase = ""
        self._inside: dict[int, InsideStep] = {}
        self._phase_before = self._seen_phase = ""
        self.speed: float | None = None
        self.handled = 0
        self.epoch = 0
        self.recovering = 0
        self.trained_seconds = 0.0
        self.notice = ""
        self._reconfigured = False
        self._catching: int | None = None
        self._catch_up_to = 0
        # Of lanes that were forked here: the last step whose rows are their parents'.
        self._past: dict[int, int] = {}
        self._after_recovery: list[Callable[[], None]] = []
        self._slow: deque[bool] = deque(maxlen=_SLOW_OF)
        self.shared_machine = False
        self._goal_left = 0
        self._settings = settings
        self._device = settings.device if device == "auto" else device
        self._next_due = 0.0
        self.lanes = self._new_lanes()
        self._shared = SharedPast(self._parents)
        if self._device not in ("auto", self.lanes[0].device):
            used = self.lanes[0].device.upper()
            self.notice = f"device = {self._device}: this machine has none; the run trains on the {used}."
        self._saver = Saver(self._directory, settings.run_mb)
        self._part_handed = self._checkpoint_handed = time.monotonic()
        self._paused_since: float | None = None
        self._checkpoint_seconds, self._settled_seconds = settings.checkpoint_seconds, _SETTLED_SECONDS
        self._checkpoint_step = self._drained_step = -1
        self._closed_lanes: set[int] = set()
        self._restored = self._saves_rarely = ""

    def _new_lanes(self) -> list[Run]:
        return [
            Run(
                self.experiment.lane_config(lane),
                run_id=f"{self.view_id}-{lane + 1}",
                device=self._device,
                stream=cost.streams_by_default(self.experiment, lane),
            )
            for lane in range(len(self.experiment.lanes))
        ]

    # --- controls

    @property
    def step(self) -> int:
        """The step of the lane that is furthest."""
        return max(run.step for run in self.lanes)

    @property
    def live(self) -> bool:
        """Whether any lane can go on."""
        return any(run.live for run in self.lanes)

    @property
    def cap(self) -> str:
        """The limit of the installation that allows no further step, in words; empty where one may be made."""
        settings = self._settings
        if self.step >= settings.maximum_steps:
            return f"maximum_steps = {settings.maximum_steps:,}"
        if self.trained_seconds >= 3600 * settings.maximum_hours:
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
        self._paused_since = None
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
        aimed = self.lanes[self._shared.source(lane - 1)] if lane is not None and lane <= len(self.lanes) else None
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
        if not self.phase:
            self._inside = {lane: InsideStep(self.lanes[lane]) for lane in self._training}
        following = PHASES[PHASES.index(self.phase) + 1 if self.phase else 0]
        began = time.thread_time()
        for lane, inside in self._inside.items():
            run = self.lanes[lane]
            while (name := run.next_phase) == following or (following == PHASES[-1] and run.within_step):
                run.advance_phase()
                inside.after(name)
                if not run.within_step:
                    break
        self.trained_seconds += time.thread_time() - began
        self.phase = "" if following == PHASES[-1] else following
        if not self.phase:
            self._shared.keep_up(self.lanes)
        self._seen_phase = following

    def _go_on_within_step(self) -> None:
        """To the phase in which another engine was, once its last step is made again."""
        wanted, self._phase_before = self._phase_before, ""
        while wanted and self.live and not self.running and self._seen_phase != wanted:
            self.next_phase()

    def _leave_step(self) -> None:
        self.phase, self._inside, self._seen_phase = "", {}, ""

    def follow(self, factor: int) -> None:
        """Follow a factor in every lane, by its index."""
        for run in self.lanes:
            run.follow(factor)

    # --- edits

    @property
    def _next_step(self) -> int:
        """The step in which an edit of now acts: the next that begins."""
        return max(self.step + bool(self.phase), self.recovering) + 1

    def edit(self, changes: Sequence[Change]) -> None:
        """Changes settings from the next step on. What cannot be is said, and then nothing is changed."""
        step = self._next_step
        ended = [n for n, run in enumerate(self.lanes, 1) if not run.live]
        if refused := [one for one in changes if not self.live or one.lane in ended]:
            which = "The run" if not self.live else f"Lane {refused[0].lane}"
            self.notice = (
                f"{which} has ended at step {self.step:,}: {refused[0].setting} stays as it was. A new run, or a fork "
                "of an earlier step, can have another."
            )
            return
        before = self.experiment
        made, errors = before.edited([Edit(step, one.lane, one.setting, one.value) for one in changes])
        self._reconfigure(made, errors)
        if not errors:
            self._say_overwritten(before, changes, step)

    def undo(self) -> None:
        """Takes the last edit back from the next step on."""
        if not self.live:
            self.notice = f"The run has ended at step {self.step:,}: there is nothing to undo in it."
            return
        self._reconfigure(*self.experiment.undone(self._next_step))

    def _reconfigure(self, experiment: Experiment, errors: Sequence[FieldError]) -> None:
        if errors:
            self.notice = "Not changed. " + " ".join(f"{error}." for error in errors)
            return
        self.experiment, self._reconfigured = experiment, True
        for lane, run in enumerate(self.lanes):
            run.take_edits(experiment.edits_of(lane))
        manifests = [self._manifest(lane) for lane in range(len(self.lanes))]
        self._saver.write(None, manifests, experiment.to_json())

    def _say_overwritten(self, before: Experiment, changes: Sequence[Change], step: int) -> None:
        """Two pages changed one setting, each without having seen the other's value: the last one holds, both know."""
        for one in changes:
            places = range(len(self.lanes)) if one.lane is None else [one.lane - 1]
            values = [now[one.setting] for p in places if one.setting in (now := before.settings_at(p, step))]
            others = [value for value in values if one.shown is not None and value != one.shown]
            if others and one.value not in others:
                whose = "" if one.lane is None else f" of lane {one.lane}"
                self.notice = (
                    f"Two pages changed {one.setting}{whose}: one to {others[0]}, then another to {one.value}, which "
                    f"holds from step {step:,} on."
                )

    # --- forks

    @property
    def catching_up(self) -> bool:
        """True while a fork of an earlier step is trained up to the others, which wait."""
        return self._catching is not None

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
        if why := self._cannot_fork(lane, step):
            self.notice = f"Not forked. {why}"
            return
        parent, number = self.lanes[lane - 1], len(self.lanes) + 1
        shared = parent.step if step is None else step
        made = self.experiment.forked(lane - 1, shared)
        made, errors = made.edited([Edit(shared + 1, number, one.setting, one.value) for one in changes])
        if errors:
            self.notice = "Not forked. " + " ".join(f"{error}." for error in errors)
            return
        child = Run(
            made.lane_config(number - 1),
            run_id=f"{self.view_id}-{number}",
            device=self._device,
            stream=parent.streams,
        )
        if (state := self._state_at(lane - 1, shared)) is not None:
            child.restore({**state, "status": "paused"})
        self.experiment, self._reconfigured = made, True
        self._past[number - 1], self._checkpoint_step = shared, -1
        waits_for = self.step
        self.lanes.append(child)
        forked = made.lanes[-1].parent
        assert forked is not None  # the lane that was just forked
        self._saver.fork(forked, self._manifest(number - 1))
        self._saver.write(None, (), made.to_json())
        if child.step < waits_for:
            self._catching, self._catch_up_to = number - 1, waits_for

    def _cannot_fork(self, lane: int, step: int | None) -> str:
        if not 1 <= lane <= len(self.lanes):
            return f"lane = {lane}: must be one from 1 to {len(self.lanes)}."
        parent, most = self.lanes[lane - 1], min(MAXIMUM_LANES, self._settings.maximum_lanes)
        if len(self.lanes) >= most:
            return f"There are {len(self.lanes)} lanes, as many as a run may have: remove one, which makes a new run."
        if self.catching_up:
            return "Another fork catches up: wait for it, or cancel it."
        last = min(parent.step, self.experiment.run_settings["steps"] - 1)
        if parent.diverged_step is not None:
            last = parent.diverged_step - 1
        least = 0 if (own := self.experiment.lanes[lane - 1].parent) is None else own.step
        shared = parent.step if step is None else step
        if not least <= shared <= last:
            ended = f"lane {lane} has ended at step {parent.step:,}; " if not parent.live else ""
            return f"step = {shared:,}: {ended}must be from {least:,} to {last:,}; move the time cursor there."
        return ""

    def _state_at(self, lane: int, step: int) -> Mapping[str, Any] | None:
        """The state of a lane at a step, or at the nearest checkpoint before it; None for the very first."""
        run = self.lanes[lane]
        if run.step == step and run.diverged_step is None:
            return states.copied(run.state(), lambda: False)
        directories = [store.lane_directory(self._directory, place) for place in range(len(self.lanes))]
        return states.at_most(directories, [one.parent for one in self.experiment.lanes], lane, step)

    def cancel_fork(self) -> None:
        """Removes the fork that catches up."""
        if self._catching is None:
            self.notice = "No fork catches up: there is nothing to cancel."
            return
        lane = self._catching
        self._catching = None
        self._past.pop(lane, None)
        self.lanes.pop()
        self.experiment, self._reconfigured = self.experiment.without(lane), True
        self._saver.drop_last_lane()
        self._saver.write(None, (), self.experiment.to_json())

    def _catch_up(self) -> None:
        """One step of the fork alone."""
        if self._catching is None:
            return
        child = self.lanes[self._catching]
        child.advance()
        if child.step >= self._catch_up_to or not child.live:
            self._catching = None
            self._checkpoint_step = -1

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
            began = time.thread_time()
            self._catch_up()
            self.trained_seconds += time.thread_time() - began
            return
        self._leave_step()
        moved = [self.lanes[lane] for lane in self._training]
        # Seconds of this thread, not of the clock: a machine that is busy elsewhere does not make a group slow.
        began, clock = time.thread_time(), time.perf_counter()
        for run in moved:
            run.advance()
        self._shared.keep_up(self.lanes)
        seconds = time.thread_time() - began
        self.trained_seconds += seconds if self.lanes[0].device == "cpu" else time.perf_counter() - clock
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

    @property
    def _training(self) -> list[int]:
        """The lanes that the next step is made of: those that can go on, without forks that are their parents still."""
        return [lane for lane, run in enumerate(self.lanes) if run.live and not self._shared.waits(lane)]

    # --- what others see

    def drain(self) -> list[dict[str, pa.Table]]:
        """New rows of each lane; they go to the autosave too."""
        for step, kind, message in self._saver.take_thinned():
            for run in self.lanes:
                run.recorder.events.add({"step": step, "kind": kind, "factor": None, "value": None, "message": message})
        drained = self._shared.rows([self._own(lane, run.drain()) for lane, run in enumerate(self.lanes)])
        self._drained_step = self.step
        samples = self._shared.samples([self._own_samples(lane, run) for lane, run in enumerate(self.lanes)])
        self._saver.add(drained, self.step, samples)
        return drained

    def _own(self, lane: int, tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
        """Rows without those of the past that a fork shares: they are there already, as its parent's."""
        if (shared := self._past.get(lane)) is None:
            return tables
        later = {
            name: rows.filter(pyarrow.compute.call_function("greater", [rows["step"], shared]))
            for name, rows in tables.items()
        }
        return {name: rows for name, rows in later.items() if len(rows)}

    def _own_samples(self, lane: int, run: Run) -> list[list[Sample]]:
        """The factors that a lane has kept, without those of the past that a fork shares."""
        shared = self._past.get(lane, 0)
        return [samples for samples in run.drain_stream() if samples[0].step > shared]

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
            "inside": self._told_of_step(),
            "catching_up": self._told_of_fork(),
            "speed": self.speed,
            "device": self.lanes[0].device,
            "autosave_problem": self.autosave_problem,
            "autosave_notice": self.autosave_notice,
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

    def _told_of_fork(self) -> dict[str, int] | None:
        """How far the fork is that catches up; None where none does."""
        if self._catching is None:
            return None
        return {"lane": self._catching + 1, "step": self.lanes[self._catching].step, "until": self._catch_up_to}

    def _told_of_step(self) -> dict[str, Any] | None:
        """What the phases of the step at hand used, or of the one that was just made; None outside."""
        if not self._inside:
            return None
        return {
            "phase": self.phase,
            "done": self._seen_phase,
            "step": self.step + bool(self.phase),
            "lanes": {str(lane): inside.phases for lane, inside in self._inside.items()},
        }

    def take_reconfigured(self) -> dict[str, Any]:
        """The configuration, where it has changed since this was asked last."""
        changed, self._reconfigured = self._reconfigured, False
        return {"experiment": self.experiment.to_json()} if changed else {}

    def manifests(self) -> list[dict[str, Any]]:
        """Return the manifest of every lane as JSON."""
        return [manifest.to_json(self._manifest(lane)) for lane in range(len(self.lanes))]

    def _manifest(self, lane: int) -> manifest.Manifest:
        run = self.lanes[lane]
        told = run.manifest(name=self.experiment.label(lane), shared_machine=self.shared_machine)
        return told.with_(status=self.lane_status(run))

    # --- autosave

    @property
    def _directory(self) -> Path:
        return store.run_directory(self._settings.data_directory, self.view_id)

    @property
    def autosave_problem(self) -> str:
        """What the page must say while nothing is saved; empty otherwise."""
        return self._saver.problem

    @property
    def autosave_notice(self) -> str:
        """What else the page must say of saving."""
        return " ".join(filter(None, (self._restored, self._saver.notice, self._saves_rarely)))

    @property
    def autosave_told(self) -> tuple[str, str]:
        """What the page must say of saving, now."""
        return self.autosave_problem, self.autosave_notice

    def _opening(self, step: int | None) -> Opening:
        manifests = [self._manifest(lane) for lane in range(len(self.lanes))]
        return Opening(self.experiment.to_json(), manifests, step, self._parents)

    @property
    def _parents(self) -> list[Parent | None]:
        return [lane.parent for lane in self.experiment.lanes]

    def open_autosave(self) -> None:
        """Begins to autosave; where nothing can be written, training goes on and the problem is told."""
        self._saver.open(self._opening(None))

    def save(
        self,
        now: float,
        *,
        stretch: float = 1.0,
        everything: bool = False,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Hands over what is due: rows about every second, a checkpoint about every ten; both where asked.

        A run that paused is checkpointed a moment later, so that steps made one after another do not wait for it.

        Args:
            now: Seconds of the monotonic clock.
            stretch: By how much these times are longer.
            everything: Whether all of it is due.
            interrupted: Tells whether something more urgent has come: the checkpoint is then made another time.
        """
        trains = self.running or bool(self.recovering) or self.catching_up
        if trains:
            self._paused_since = None
        elif self._paused_since is None:
            self._paused_since = now
        settled = self._paused_since is not None and now - self._paused_since >= self._settled_seconds
        due = now - self._checkpoint_handed >= stretch * self._checkpoint_seconds or self._due_by_steps(now)
        try:
            handed = self._states(now, everything, interrupted) if everything or due or settled else None
        except states.Interrupted:
            handed = None
        ended = [lane for lane, run in enumerate(self.lanes) if not run.live and lane not in self._closed_lanes]
        self._closed_lanes.update(ended)
        if handed or ended or everything or not trains or now - self._part_handed >= stretch * self._part_seconds:
            self._part_handed = now
            manifests = [self._manifest(lane) for lane in range(len(self.lanes))] if handed or ended else ()
            self._saver.write(handed, manifests)

    def _due_by_steps(self, now: float) -> bool:
        """Whether a checkpoint is due from which a fork of this step can begin.

        As many are made as may stay: their distance grows with the run.
        """
        distance = CHECKPOINT_STEPS
        while distance * _KEPT_CHECKPOINTS <= self.step:
            distance *= 2
        return (
            self.step - self._checkpoint_step >= distance and now - self._checkpoint_handed >= _LEAST_CHECKPOINT_SECONDS
        )

    @property
    def _part_seconds(self) -> float:
        return self._settings.part_seconds * 0.8

    def _states(self, now: float, everything: bool, interrupted: Callable[[], bool]) -> States | None:
        """The state of every lane; None where it is on the disk or waits for it, or is too large to keep."""
        if self._saver.busy and not everything:
            return None
        if self.catching_up or any(run.within_step for run in self.lanes):
            return None
        # Rows still in the recorder would be lost to whoever continues from the checkpoint.
        if self.step in (self._checkpoint_step, 0) or self.step != self._drained_step:
            return None
        limit = self._settings.run_mb * _MIB
        trained = [self.lanes[self._shared.source(lane)] for lane in range(len(self.lanes))]
        taken = [{**run.state(), "trained_seconds": self.trained_seconds} for run in trained]
        size = sum(map(states.size, taken))
        if size <= limit:
            taken = [states.copied(state, interrupted) for state in taken]
        self._checkpoint_handed, self._checkpoint_step = now, self.step
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
        return States(self.step, writers, size, newest, max(most, newest))

    def restore(self) -> None:
        """Continues, paused, from the newest step at which every lane has a readable checkpoint; from 0 without one.

        Nothing is written until training goes on, and nothing that was saved is deleted then: rows beyond that step
        stay on the disk in the branch before.
        """
        directories = [store.lane_directory(self._directory, lane) for lane in range(len(self.lanes))]
        found = states.newest(directories, self._parents)
        for run, state in zip(self.lanes, found.states, strict=False):
            run.restore(state)
            self.trained_seconds = state.get("trained_seconds", 0.0)
        self._shared.begin_at(found.step)
        self._closed_lanes = {lane for lane, run in enumerate(self.lanes) if not run.live}
        self._restored, self._checkpoint_step = found.message, found.step
        self._saver.open(self._opening(found.step))

    def abandon(self) -> None:
        """Writes the rows that are whole and lets go of everything: a step failed in its middle, so no checkpoint."""
        self.pause()
        self.drain()
        manifests = [self._manifest(lane) for lane in range(len(self.lanes))]
        told = [
            one.with_(status="interrupted") if run.live else one for one, run in zip(manifests, self.lanes, strict=True)
        ]
        self._saver.write(None, told)
        self._saver.close(_ABANDON_SECONDS)

    def close(self, seconds: float = 30.0) -> Saver:
        """Writes everything that is left, waiting for at most so many seconds; a step that was begun is made first."""
        self.pause()
        if self.phase:
            self.advance(time.monotonic())
        self.drain()
        self.save(time.monotonic(), everything=True)
        self._saver.close(seconds)
        return self._saver
