"""The work of an engine process: groups are trained in turns, and commands are answered between two of them."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from foam_viz import device
from foam_viz.engine.wire import commands, protocol
from foam_viz.engine.wire.commands import Order, Priority
from foam_viz.engine.worker import memory
from foam_viz.engine.worker.group import Group
from foam_viz.engine.worker.saver import Saver
from foam_viz.engine.worker.scheduling import Scheduler
from foam_viz.experiment import config, cost
from foam_viz.settings import Settings

_ALIVE_SECONDS = 0.5
_IDLE_SECONDS = 0.25
# So many runs that train are published, and saved, at the pace of the settings; more of them less often, each.
_PUBLISHED_AT_PACE = 8
_SAVED_AT_PACE = 4
_UNWATCHED_SECONDS = 1.0
_SAVE_SECONDS = 0.1


@dataclass
class _Held:
    """A group and what was done for it.

    Attributes:
        group: The lanes.
        priority: Whose steps come first.
        published: When its rows were sent last.
        saved: When it was asked last what there is to save.
        told: What was said last of saving.
    """

    group: Group
    priority: Priority
    published: float = 0.0
    saved: float = 0.0
    told: tuple[str, str] = ("", "")

    @property
    def trains(self) -> bool:
        return self.group.running or bool(self.group.recovering) or self.group.catching_up


class Worker:
    """Owns groups and trains them in turn.

    Args:
        connection: To the hub.
        settings: How often to publish and to save, and where.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        self._held: dict[str, _Held] = {}
        self._scheduler = Scheduler()
        # Groups that are gone, until the last of them is written: their savers, and the epochs in which they left.
        self._closing: dict[str, Saver] = {}
        self._leaving: dict[str, int] = {}
        self._orders: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._busy: tuple[str, float] | None = None

    def run(self) -> None:
        """Until the hub is gone."""
        # A blocking reader in a thread, not a poll: the same code then works where pipes cannot be polled.
        threading.Thread(target=self._listen, daemon=True).start()
        self._send({"type": "hello", "devices": [[d.name, d.label] for d in device.available()]})
        threading.Thread(target=self._say_alive, daemon=True).start()
        try:
            while self._obey():
                self._train()
                self._publish_due()
                self._save_due()
                self._say_dropped()
        except OSError:
            pass  # the hub is gone in the middle of a message
        for held in self._held.values():
            try:
                held.group.close()
            except Exception:  # one that cannot be saved must not cost the others
                traceback.print_exc()
        for saver in self._closing.values():
            saver.close()

    def _listen(self) -> None:
        try:
            while True:
                self._orders.put(protocol.receive(self._connection)[0])
        except Exception as error:  # an engine that hears nothing is of no use, whatever made it deaf
            if not isinstance(error, OSError | EOFError):
                traceback.print_exc()
            self._orders.put(None)

    def _say_alive(self) -> None:
        """Tells the hub now and then what is being done and for how long: a step may take a minute."""
        with suppress(OSError):
            while True:
                time.sleep(_ALIVE_SECONDS)
                view_id, began = self._busy or (None, time.monotonic())
                self._send({"type": "alive", "view_id": view_id, "seconds": time.monotonic() - began})

    def _send(self, header: dict[str, Any], tables: dict[str, Any] | None = None) -> None:
        with self._sending:
            protocol.send(self._connection, header, tables)

    @contextmanager
    def _working(self, view_id: str) -> Iterator[None]:
        self._busy = (view_id, time.monotonic())
        try:
            yield
        finally:
            self._busy = None

    # --- commands

    def _obey(self) -> bool:
        """Carry out what has arrived and answer each at once; False when the hub is gone.

        Waits for a command only if nothing else is to be done.
        """
        patience = self._patience()
        while True:
            try:
                message = self._orders.get(timeout=patience) if patience else self._orders.get_nowait()
            except queue.Empty:
                return True
            if message is None:
                return False
            patience = 0.0
            try:
                order = commands.decode(message)
            except (commands.CommandError, KeyError):
                traceback.print_exc()
                continue
            with self._working(order.view_id):
                self._carry_out(order)
            if (held := self._held.get(order.view_id)) is not None:
                self._publish(held)

    def _patience(self) -> float:
        """Seconds until the next step is due."""
        now = time.monotonic()
        return min([_IDLE_SECONDS, *(w for held in self._held.values() if (w := held.group.wait(now)) is not None)])

    def _carry_out(self, order: Order) -> None:
        held, number = self._held.get(order.view_id), order.number
        if held is not None and number is not None and number <= held.group.handled:
            return  # it was sent again and had been carried out
        try:
            self._do(order.view_id, order.command, held)
        except Exception as error:  # a command that fails must not end the other groups' training
            traceback.print_exc()
            if isinstance(order.command, commands.Create):
                self._end(order.view_id, order.command.epoch, 0, error)
            elif held is not None:
                self._problem(held.group, f"{order.command.name} failed: {type(error).__name__}: {error}")
        # Failed or not, it was answered. Commands without a number are the hub's own.
        if held is not None and number is not None:
            held.group.handled = number

    def _do(self, view_id: str, command: commands.Command, held: _Held | None) -> None:
        if isinstance(command, commands.Create):
            self._create(view_id, command)
            return
        if held is None:
            return
        group = held.group
        match command:
            case commands.Start():
                group.start()
            case commands.Pause():
                group.pause()
            case commands.RunTo(goal, lane, factor):
                group.until(goal, lane, factor)
            case commands.NextPhase():
                group.next_phase()
            case commands.SetSpeed(speed):
                group.speed = speed
            case commands.Follow(factor):
                group.follow(factor)
            case commands.EditSettings(changes):
                group.edit(changes)
            case commands.UndoEdit():
                group.undo()
            case commands.Fork(lane, step, changes):
                group.fork(lane, step, changes)
            case commands.CancelFork():
                group.cancel_fork()
            case commands.Prioritize(priority):
                held.priority = Priority(priority)
            case commands.MarkShared():
                group.shared_machine = True
            case commands.Drop():
                del self._held[view_id]
                self._closing[view_id] = group.close(seconds=0)
                self._leaving[view_id] = group.epoch

    def _create(self, view_id: str, command: commands.Create) -> None:
        if (before := self._held.pop(view_id, None)) is not None:
            before.group.close()
        self._leaving.pop(view_id, None)
        if (closing := self._closing.pop(view_id, None)) is not None:
            closing.close()  # what is read below is what it writes
        experiment = config.from_json(command.experiment)
        used = device.choose(self._settings.device if command.device == "auto" else command.device)
        cost.require(experiment, self._settings, on_cpu=used == "cpu")
        group = Group(view_id, experiment, self._settings, command.device)
        group.epoch, group.handled = command.epoch, command.handled
        self._held[view_id] = _Held(group, Priority(command.priority))
        if command.restore:
            group.restore()
        else:
            group.open_autosave()
        group.resume(command.controls, command.reached)
        # The hub's traces begin anew, or are cut to the step restored.
        self._send(
            {
                "type": "lanes",
                "view_id": view_id,
                "epoch": group.epoch,
                "experiment": group.experiment.to_json(),
                "manifests": group.manifests(),
                "restored_step": group.step if command.restore else None,
            }
        )

    def _problem(self, group: Group, message: str) -> None:
        self._send({"type": "problem", "view_id": group.view_id, "epoch": group.epoch, "message": message})

    def _end(self, view_id: str, epoch: int, step: int, error: Exception) -> None:
        """Lets go of a group that cannot be trained on, so that the others have room again."""
        held = self._held.pop(view_id, None)
        if memory.is_exhausted(error):
            size = self._settings.engine_memory / 2**20
            others = len(self._held)
            shared = f", which it shared with {others:,} other run{'s'[: others > 1]}" if others else ""
            message = (
                f"Ended at step {step:,}: there was no memory left of the {size:,.0f} MiB that a training process may "
                f"take here (engine_memory_mb){shared}. Fewer optimizers, or a smaller width, depth or batch, need "
                "less. What it recorded is saved."
            )
        elif isinstance(error, cost.TooCostly):
            message = str(error)
        else:
            message = f"Ended at step {step:,}: {type(error).__name__}: {error}"
        if held is not None:
            with suppress(Exception):
                held.group.abandon()
        self._send({"type": "ended", "view_id": view_id, "epoch": epoch, "message": message})

    # --- training

    def _train(self) -> None:
        """One turn of one group. It ends early where a command waits."""
        now = time.monotonic()
        turn = self._scheduler.next((view, held.priority) for view, held in self._held.items() if held.group.due(now))
        if turn is None:
            return
        held, began, steps = self._held[turn.view_id], now, 0
        while held.group.due(now) and now - began < turn.seconds and steps < turn.steps and self._orders.empty():
            if not self._advance(held, now):
                return
            steps, now = steps + 1, time.monotonic()
        self._scheduler.took(turn, steps, now - began)
        if not held.trains:
            self._publish(held)

    def _advance(self, held: _Held, now: float) -> bool:
        """One step; False where it failed."""
        with self._working(held.group.view_id):
            try:
                held.group.advance(now)
            except Exception as error:  # one group's failure must not end the others
                self._fail(held, error)
                return False
        return True

    def _fail(self, held: _Held, error: Exception) -> None:
        traceback.print_exc()
        group = held.group
        if memory.is_exhausted(error):
            # They hold the tensors of the step.
            error.__traceback__ = error.__cause__ = error.__context__ = None
            self._end(group.view_id, group.epoch, group.step, MemoryError(str(error)))
            return
        group.recovering = 0
        group.pause()
        self._problem(group, f"Training stopped at step {group.step}: {type(error).__name__}: {error}")
        held.published = 0.0

    # --- what others see, and what is kept

    @property
    def _training(self) -> int:
        """Runs that train."""
        return sum(held.trains for held in self._held.values())

    def _publish_due(self) -> None:
        """Sends the rows of the one group that has waited longest beyond its time, so that commands come between."""
        now = time.monotonic()
        pace = self._settings.publish_seconds * max(1.0, self._training / _PUBLISHED_AT_PACE)

        def late(held: _Held) -> float:
            if held.trains:
                least = _UNWATCHED_SECONDS if held.priority == Priority.UNWATCHED else 0.0
                return now - held.published - max(pace, least)
            return 0.0 if held.group.autosave_told != held.told or not held.published else -1.0

        latest = max(self._held.values(), key=late, default=None)
        if latest is not None and late(latest) >= 0:
            self._publish(latest)

    def _publish(self, held: _Held) -> None:
        """Sends the state of a group and its new rows."""
        group = held.group
        held.told, held.published = group.autosave_told, time.monotonic()
        with self._working(group.view_id):
            try:
                drained = group.drain()
            except Exception as error:
                self._fail(held, error)
                return
        tables = {f"{lane}/{name}": table for lane, rows in enumerate(drained) for name, table in rows.items()}
        if group.notice:
            self._problem(group, group.notice)
            group.notice = ""
        self._send({"type": "rows", **group.header(), **group.take_reconfigured()}, tables)
        held.saved = 0.0

    def _save_due(self) -> None:
        """Hand over what is to be saved, unless a command waits for its answer.

        A checkpoint is made only here, after its rows were drained: a run that continues from it would lack rows that
        are still in the recorder.
        """
        now, stretch = time.monotonic(), max(1.0, self._training / _SAVED_AT_PACE)
        for held in list(self._held.values()):
            if not self._orders.empty():
                return
            if now - held.saved >= _SAVE_SECONDS:
                held.saved = now
                with self._working(held.group.view_id):
                    try:
                        held.group.save(now, stretch=stretch, interrupted=lambda: not self._orders.empty())
                    except Exception as error:
                        self._fail(held, error)

    def _say_dropped(self) -> None:
        """Tells of groups that are gone and written to the last row: another engine may open them."""
        for view_id, epoch in list(self._leaving.items()):
            if self._closing[view_id].closed:
                del self._leaving[view_id], self._closing[view_id]
                self._send({"type": "dropped", "view_id": view_id, "epoch": epoch})
