"""The lanes of one experiment as they are trained: step by step, phase by phase, and the forks among them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute

from foam_viz.engine.worker.inside import PHASES, InsideStep
from foam_viz.engine.worker.run import Run
from foam_viz.engine.worker.shared_past import SharedPast
from foam_viz.experiment import cost
from foam_viz.experiment.config import Experiment, Parent
from foam_viz.recording.stream import Sample

Tables = dict[str, pa.Table]


class Lockstep:
    """Trains the lanes of an experiment together: same initial weights, same batches, same step.

    Args:
        view_id: Identity of the lab run.
        experiment: What is trained.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Attributes:
        runs: One a lane, in order.
        trained_seconds: What training has taken, on one core; of a GPU, by the clock.
        phase: The last phase that was made of the step at hand; empty between two steps.
        seen_phase: The last phase that was made since training was last led through a step; empty where none was.
    """

    def __init__(self, view_id: str, experiment: Experiment, device: str) -> None:
        self.experiment = experiment
        self.trained_seconds = 0.0
        self.phase = self.seen_phase = ""
        self._view_id, self._device = view_id, device
        self._inside: dict[int, InsideStep] = {}
        self.runs = [self._new_run(lane, cost.streams_by_default(experiment, lane)) for lane in range(self.count)]
        self._shared = SharedPast(self.parents)
        # Of lanes that were forked here: the last step whose rows are their parents'.
        self._past: dict[int, int] = {}
        self._catching: int | None = None
        self._catch_up_to = 0

    def _new_run(self, lane: int, stream: bool) -> Run:
        config = self.experiment.lane_config(lane)
        return Run(config, run_id=f"{self._view_id}-{lane + 1}", device=self._device, stream=stream)

    @property
    def count(self) -> int:
        """How many lanes there are."""
        return len(self.experiment.lanes)

    @property
    def parents(self) -> list[Parent | None]:
        """The parent of each lane, where it has one."""
        return [lane.parent for lane in self.experiment.lanes]

    @property
    def step(self) -> int:
        """The step of the lane that is furthest."""
        return max(run.step for run in self.runs)

    @property
    def live(self) -> bool:
        """Whether any lane can go on."""
        return any(run.live for run in self.runs)

    @property
    def device(self) -> str:
        """The device on which the lanes are trained."""
        return self.runs[0].device

    @property
    def within_step(self) -> bool:
        """Whether a lane is between two phases of a step, or lags behind the others: nothing can be saved then."""
        return self.catching_up or any(run.within_step for run in self.runs)

    def trained(self, lane: int) -> Run:
        """The run whose state a lane has, counted from 0: its own, or until its own steps begin that of its parent."""
        return self.runs[self._shared.source(lane)]

    @property
    def _training(self) -> list[int]:
        """The lanes that the next step is made of: those that can go on, without forks that are their parents still."""
        return [lane for lane, run in enumerate(self.runs) if run.live and not self._shared.waits(lane)]

    # --- a step

    def advance(self) -> tuple[list[Run], float]:
        """One step of every lane that can still make one.

        Returns:
            The runs that made it, and the seconds of this thread that it took: those of the clock would make a group
            slow on a machine that is busy elsewhere.
        """
        self.phase, self._inside, self.seen_phase = "", {}, ""
        moved = [self.runs[lane] for lane in self._training]
        began, clock = time.thread_time(), time.perf_counter()
        for run in moved:
            run.advance()
        self._shared.keep_up(self.runs)
        seconds = time.thread_time() - began
        self.trained_seconds += seconds if self.device == "cpu" else time.perf_counter() - clock
        return moved, seconds

    def advance_phase(self) -> None:
        """The next phase of every lane; after the last one the step is made."""
        if not self.phase:
            self._inside = {lane: InsideStep(self.runs[lane]) for lane in self._training}
        following = PHASES[PHASES.index(self.phase) + 1 if self.phase else 0]
        began = time.thread_time()
        for lane, inside in self._inside.items():
            run = self.runs[lane]
            while (name := run.next_phase) == following or (following == PHASES[-1] and run.within_step):
                run.advance_phase()
                inside.after(name)
                if not run.within_step:
                    break
        self.trained_seconds += time.thread_time() - began
        self.phase = "" if following == PHASES[-1] else following
        if not self.phase:
            self._shared.keep_up(self.runs)
        self.seen_phase = following

    def inside(self) -> dict[str, Any] | None:
        """What the phases of the step at hand used, or of the one that was just made; None outside."""
        if not self._inside:
            return None
        return {
            "phase": self.phase,
            "done": self.seen_phase,
            "step": self.step + bool(self.phase),
            "lanes": {str(lane): inside.phases for lane, inside in self._inside.items()},
        }

    # --- edits and forks

    def edit(self, experiment: Experiment) -> None:
        """Have the edits of this experiment, and no others, from the next step on."""
        self.experiment = experiment
        for lane, run in enumerate(self.runs):
            run.take_edits(experiment.edits_of(lane))

    def fork(self, experiment: Experiment, state: Mapping[str, Any] | None) -> None:
        """Add the last lane of an experiment, which is a fork of another.

        Where its state is of an earlier step than the other lanes', it is trained up to them first, by
        :meth:`catch_up`.

        Args:
            experiment: With the fork as its last lane.
            state: What the fork begins with; None for the very first weights.
        """
        reached, self.experiment, parent = self.step, experiment, experiment.lanes[-1].parent
        assert parent is not None  # a fork
        child = self._new_run(self.count - 1, self.runs[parent.lane - 1].streams)
        if state is not None:
            child.restore({**state, "status": "paused"})
        self._past[self.count - 1] = parent.step
        self.runs.append(child)
        if child.step < reached:
            self._catching, self._catch_up_to = self.count - 1, reached

    @property
    def catching_up(self) -> bool:
        """True while a fork of an earlier step is trained up to the others, which wait."""
        return self._catching is not None

    def catch_up(self) -> None:
        """One step of the fork that catches up, alone."""
        if self._catching is None:
            return
        began = time.thread_time()
        child = self.runs[self._catching]
        child.advance()
        if child.step >= self._catch_up_to or not child.live:
            self._catching = None
        self.trained_seconds += time.thread_time() - began

    def cancel_fork(self) -> None:
        """Remove the fork that catches up, where one does."""
        if self._catching is None:
            return
        lane, self._catching = self._catching, None
        self._past.pop(lane, None)
        self.runs.pop()
        self.experiment = self.experiment.without(lane)

    def catching(self) -> dict[str, int] | None:
        """How far the fork is that catches up; None where none does."""
        if self._catching is None:
            return None
        return {"lane": self._catching + 1, "step": self.runs[self._catching].step, "until": self._catch_up_to}

    # --- what was recorded

    def drain(self) -> tuple[list[Tables], list[list[list[Sample]]]]:
        """The new rows of each lane, and the samples of its factor stream."""
        rows = self._shared.rows([self._own(lane, run.drain()) for lane, run in enumerate(self.runs)])
        return rows, self._shared.samples([self._own_samples(lane, run) for lane, run in enumerate(self.runs)])

    def _own(self, lane: int, tables: Tables) -> Tables:
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

    def restore(self, step: int, states: Sequence[Mapping[str, Any]]) -> None:
        """Go on from the saved states of all lanes; without any, from step 0."""
        for run, state in zip(self.runs, states, strict=False):
            run.restore(state)
            self.trained_seconds = state.get("trained_seconds", 0.0)
        self._shared.begin_at(step)
