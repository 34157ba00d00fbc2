"""Which engine trains a run, and the queue of those for which there is no room yet. Imports no torch.

The engines that runs share have room by two measures, both projected from the configuration alone: the memory of the
runs that an engine holds, and the time of a round in which each run that trains there makes its longest step. A run
whose steps are too long, or whose memory is too large, gets an engine of its own while one is left.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Mapping

from foam_viz.engine.server.lab_run import NOWHERE, LabRun
from foam_viz.engine.server.pool import EnginePool
from foam_viz.engine.wire.commands import Command, Create, Drop, Order, Pause, encode
from foam_viz.experiment import cost
from foam_viz.experiment.config import Experiment
from foam_viz.settings import Settings

_REMEMBERED = 256


class Placement:
    """Gives runs to engines. What is said of one run is called under its lock.

    Args:
        settings: Of the installation.
        pool: The engines.
        runs: All runs of the hub by view id.
    """

    def __init__(self, settings: Settings, pool: EnginePool, runs: Mapping[str, LabRun]) -> None:
        self.settings = settings
        self.devices: list[tuple[str, str]] = [("cpu", "CPU")]
        self._pool, self._runs = pool, runs
        self._lock = threading.RLock()
        self._queue: list[LabRun] = []
        # Where a run was that has ended: its engine may still be writing it, and must be the one that opens it again.
        self._ended_on: OrderedDict[str, int] = OrderedDict()
        self._epochs = itertools.count(1)

    # --- what a run needs

    def device(self, name: str) -> str:
        """The device on which a run trains that asks for ``name``: ``auto`` is what the installation chose."""
        chosen = self.settings.device if name == "auto" else name
        names = [known for known, _ in self.devices]
        return chosen if chosen in names else names[0]

    def on_cpu(self, device: str) -> bool:
        """Say whether a run that asks for `device` trains on the CPU."""
        return self.device(device) == "cpu"

    def needs_own(self, run: LabRun) -> bool:
        """Whether the run should share no engine."""
        return self.on_cpu(run.device) and cost.needs_own_engine(run.cost, self.settings)

    def require(self, experiment: Experiment, device: str) -> None:
        """Refuses what goes beyond the limits of this installation.

        Raises:
            TooCostly: The error names the setting, the limit and a value that is allowed.
        """
        cost.require(experiment, self.settings, on_cpu=self.on_cpu(device))

    # --- commands

    def give(self, run: LabRun, command: Command) -> None:
        """A command of those who steer, kept until it is answered."""
        run.sent += 1
        order = Order(run.view_id, command, run.sent)
        run.waiting.append(order)
        if isinstance(command, Pause) and run.queued:
            self._withdraw(run)
        elif run.queued or run.moving:
            return
        elif run.engine == NOWHERE or run.gone:
            self.open(run)
        elif command.trains and not self._may_train(run):
            self._enqueue(run)
        elif not run.moving:
            self._pool.send(run.engine, encode(order))

    def tell(self, run: LabRun, command: Command) -> None:
        """A command of the hub's own; nobody answers it."""
        self._pool.send(run.engine, encode(Order(run.view_id, command)))

    # --- engines

    def open(self, run: LabRun, *, queue: bool = True) -> bool:
        """Gives a run that no engine holds to one; where there is no room it waits for it, if ``queue``."""
        if self._seat(run):
            if run.awaited is None:
                self.take_over(run)
            return True
        if queue:
            self._enqueue(run)
        return False

    def take_over(self, run: LabRun) -> None:
        """Gives a run to its engine as the hub knows it: what an earlier engine still says of it is not heard."""
        # One that was never there has nothing to be trained again.
        fresh = not run.saved and not run.header
        run.epoch, run.recovering, run.moving, run.gone = next(self._epochs), not fresh, False, False
        create = Create(
            epoch=run.epoch,
            experiment=run.experiment.to_json(),
            device=run.device,
            handled=max(run.handled, 0),
            restore=run.saved,
            controls=run.controls,
            reached=run.reached,
            priority=int(run.priority),
        )
        self.tell(run, create)
        if not run.queued:
            self._send_waiting(run)
        run.touch()

    def move(self, run: LabRun) -> None:
        """Takes a run out of an engine that it shares; commands wait until it has arrived in one of its own."""
        if 0 <= run.engine < len(self._pool) and not (run.moving or run.gone):
            run.moving = True
            self.tell(run, Drop())

    def isolate(self, run: LabRun, why: str) -> bool:
        """Gives a run an engine of its own, where there is one left."""
        if run.engine >= len(self._pool):
            return False
        with self._lock:
            if self._pool.own >= self.settings.own_engines:
                run.header, run.reached = {**run.header, "running": False, "goal": None}, 0
                run.answer_all()
                run.say(
                    f"Paused: the run needs a training process of its own, as {why}, and all "
                    f"{self.settings.own_engines} for such runs (own_engines) are taken.",
                    "A smaller model or batch makes shorter steps.",
                )
                return False
            run.engine = self._pool.add()
        run.say(f"The run has a training process of its own now, as {why}.")
        return True

    def release(self, run: LabRun) -> None:
        """Lets an engine save a run and forget it."""
        with self._lock:
            if run in self._queue:
                self._queue.remove(run)
        if run.engine == NOWHERE:
            return
        self.tell(run, Drop())
        if run.engine >= len(self._pool):
            self._pool.remove(run.engine)
        with self._lock:
            self._ended_on[run.view_id] = run.engine if run.awaited is None else run.awaited
            while len(self._ended_on) > _REMEMBERED:
                self._ended_on.popitem(last=False)

    def open_awaited(self) -> None:
        """Opens runs whose old engine has written the last of them."""
        for run in list(self._runs.values()):
            if run.awaited is not None and not self._pool.leaves(run.awaited):
                with run.lock:
                    run.awaited = None
                    self.take_over(run)

    # --- room

    def _seat(self, run: LabRun) -> bool:
        """Chooses the engine of a run; False where there is no room."""
        with self._lock:
            before = self._ended_on.get(run.view_id, run.engine)
            engine = self._engine_for(run, before)
            if engine is None:
                return False
            self._ended_on.pop(run.view_id, None)
            run.engine = engine
            run.awaited = before if self._pool.leaves(before) else None
            run.moving = run.awaited is not None
            return True

    def _engine_for(self, run: LabRun, before: int) -> int | None:
        if run.engine >= len(self._pool):  # one of its own
            return run.engine
        if self.needs_own(run) and (run.trains or not run.saved):
            return self._pool.add() if self._pool.own < self.settings.own_engines else None
        open_to = [index for index in range(len(self._pool)) if self._has_memory(index, run)]
        if run.trains:
            open_to = [index for index in open_to if self._has_time(index, run)]
        if before in open_to:
            return before
        held = [other.engine for other in self._runs.values() if other is not run]
        return min(open_to, key=held.count, default=None)

    def _others(self, engine: int, run: LabRun) -> list[LabRun]:
        return [o for o in list(self._runs.values()) if o.engine == engine and o is not run and not o.gone]

    def _has_memory(self, engine: int, run: LabRun) -> bool:
        taken = sum(other.cost.memory for other in self._others(engine, run) if self.on_cpu(other.device))
        return not taken or not self.on_cpu(run.device) or taken + run.cost.memory <= self.settings.engine_memory

    def _has_time(self, engine: int, run: LabRun) -> bool:
        training = [o for o in self._others(engine, run) if o.trains and not o.queued and self.on_cpu(o.device)]
        taken = sum(other.cost.seconds for other in training)
        return not taken or not self.on_cpu(run.device) or taken + run.cost.seconds <= self.settings.round_seconds

    def _may_train(self, run: LabRun) -> bool:
        """Whether a run that an engine holds may train now; one that should share no engine sets out for its own."""
        if run.engine >= len(self._pool):
            return True
        with self._lock:
            if not self.needs_own(run):
                return self._has_time(run.engine, run)
            if self._pool.own >= self.settings.own_engines:
                return False
        self.move(run)
        return True

    # --- the queue

    def _enqueue(self, run: LabRun) -> None:
        with self._lock:
            run.queued = True
            if self.needs_own(run):
                run.room = f"one of the {self.settings.own_engines} training processes for long steps (own_engines)"
            else:
                run.room = "its share of the training process (engine_memory_mb, round_seconds)"
            run.ahead = self._before(run)
            if run not in self._queue:
                self._queue.append(run)
        run.touch()

    def _before(self, run: LabRun) -> int:
        """How many runs wait before this one, or before one that comes now, for the same kind of room."""
        before = list(itertools.takewhile(lambda other: other is not run, list(self._queue)))
        return sum(self.needs_own(other) == self.needs_own(run) for other in before)

    def _leave_queue(self, run: LabRun) -> None:
        with self._lock:
            if run in self._queue:
                self._queue.remove(run)
            run.queued, run.ahead, run.room = False, None, ""

    @property
    def waits(self) -> bool:
        """Whether a run waits for room."""
        return bool(self._queue)

    def admit_waiting(self) -> None:
        """Lets runs begin for which there is room now, those that have waited longest first."""
        stuck: set[bool] = set()
        for run in list(self._queue):
            with run.lock:
                own = self.needs_own(run)
                if not run.queued:
                    continue
                held = run.engine != NOWHERE and not run.gone
                if own in stuck or not (self._may_train(run) if held else self._seat(run)):
                    stuck.add(own)
                    if run.ahead != (ahead := self._before(run)):
                        run.ahead = ahead
                        run.touch()
                    continue
                self._leave_queue(run)
                if not held and run.awaited is None:
                    self.take_over(run)
                elif held and not run.moving:
                    self._send_waiting(run)
                run.touch()

    def _withdraw(self, run: LabRun) -> None:
        """Pause: the run waits for nothing any more."""
        self._leave_queue(run)
        run.waiting = [order for order in run.waiting if not order.command.trains]
        if run.engine != NOWHERE and not run.gone:
            self._send_waiting(run)
            return
        run.gone = True
        run.header = {"step": 0, "goal": None, "lanes": (), **run.header, "running": False}
        run.answer_all()
        run.touch()

    def _send_waiting(self, run: LabRun) -> None:
        for order in run.waiting:
            self._pool.send(run.engine, encode(order))
