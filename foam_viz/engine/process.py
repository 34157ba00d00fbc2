"""The engine process: ``python -m foam_viz.engine.process``, started by the hub, never by a person.

It reads one JSON line from standard input (port, identity, key, settings), connects to the hub, and then trains
the groups it is told to, in short slices, publishing new rows a few times a second. When the hub is gone it saves
and ends.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from foam_viz.engine import config, cost, device, memory, protocol
from foam_viz.engine.group import GOALS, Group
from foam_viz.engine.run import Run
from foam_viz.engine.saver import Saver
from foam_viz.settings import Settings

SLICE_SECONDS = 0.015
_ALIVE_SECONDS = 0.5
_CONNECT_TRIES = 5
# Training takes what is left of the cores: the page that shows it, and the browser on the same machine, come first.
# (Windows is given the same by the flags that the process is started with.)
_NICENESS = 10


class Engine:
    """Owns groups and trains them in turn.

    Args:
        connection: To the hub.
        settings: How often to publish and to save, and where.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        self._groups: dict[str, Group] = {}
        self._published: dict[str, float] = {}
        self._closing: dict[str, Saver] = {}
        self._leaving: dict[str, int] = {}
        self._told: dict[str, tuple[str, str]] = {}
        self._urgent: set[str] = set()
        self._commands: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._busy: tuple[str, float] | None = None

    def run(self) -> None:
        """Until the hub is gone."""
        # A blocking reader in a thread, not a poll: the same code then works where pipes cannot be polled.
        threading.Thread(target=self._listen, daemon=True).start()
        self._send({"type": "hello", "devices": [[d.name, d.label] for d in device.available()]})
        threading.Thread(target=self._say_alive, daemon=True).start()
        try:
            while self._obey(self._patience()) and self._train():
                self._publish()
        except OSError:
            pass  # the hub is gone in the middle of a message
        for group in self._groups.values():
            try:
                group.close()
            except Exception:  # one that cannot be saved must not cost the others
                traceback.print_exc()
        for saver in self._closing.values():
            saver.close()

    def _listen(self) -> None:
        try:
            while True:
                self._commands.put(protocol.receive(self._connection)[0])
        except Exception as error:  # an engine that hears nothing is of no use, whatever made it deaf
            if not isinstance(error, OSError | EOFError):
                traceback.print_exc()
            self._commands.put(None)

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

    def _patience(self) -> float:
        """Seconds until the next step is due."""
        now = time.monotonic()
        return min([0.25, *(w for group in self._groups.values() if (w := group.wait(now)) is not None)])

    def _obey(self, timeout: float) -> bool:
        """Carries out what has arrived, waiting for it for ``timeout`` seconds, and answers. False when the hub is
        gone."""
        obeyed = False
        while True:
            try:
                command = self._commands.get(timeout=timeout) if timeout else self._commands.get_nowait()
            except queue.Empty:
                break
            if command is None:
                return False
            timeout, obeyed = 0, True
            with self._working(command["view_id"]):
                self._carry_out(command)
        if obeyed:
            self._publish()
        return True

    def _carry_out(self, command: dict[str, Any]) -> None:
        name, view_id, number = command["command"], command["view_id"], command.get("number")
        group = self._groups.get(view_id)
        if group is not None and name != "create" and number is not None and number <= group.handled:
            return  # it was sent again and had been carried out
        try:
            self._do(command)
        except Exception as error:  # a command that fails must not end the other groups' training
            traceback.print_exc()
            if name in ("create", "reset"):
                self._end(view_id, command.get("epoch", group.epoch if group else 0), 0, error)
            else:
                self._problem(group, f"{name} failed: {type(error).__name__}: {error}")
        # Failed or not, it was answered. Commands without a number are the hub's own.
        if (group := self._groups.get(view_id)) is not None and number is not None:
            group.handled = number

    def _do(self, command: dict[str, Any]) -> None:
        name, view_id = command["command"], command["view_id"]
        if name == "create":
            self._create(command)
        elif (group := self._groups.get(view_id)) is None:
            return
        elif name == "start":
            group.start()
        elif name == "pause":
            group.pause()
        elif name in GOALS:
            group.until(name)
        elif name == "speed":
            group.speed = command["steps_per_second"]
        elif name == "follow":
            group.follow(command["factor"])
        elif name == "shared":
            group.shared_machine = True
        elif name == "reset":
            experiment = config.from_json(command["experiment"]) if command.get("experiment") else None
            if experiment is not None:
                self._require(experiment, group.lanes[0].device)
            group.reset(experiment)
            group.open_autosave()
            self._announce(group, restored=False)
        elif name == "drop":
            self._closing[view_id] = group.close(seconds=0)
            self._leaving[view_id] = group.epoch
            del self._groups[view_id]
            return
        self._urgent.add(view_id)

    def _create(self, command: dict[str, Any]) -> None:
        view_id = command["view_id"]
        if (before := self._groups.pop(view_id, None)) is not None:
            before.close()
        self._leaving.pop(view_id, None)
        if (closing := self._closing.pop(view_id, None)) is not None:
            closing.close()  # what is read below is what it writes
        experiment, chosen = config.from_json(command["experiment"]), command.get("device", "auto")
        self._require(experiment, chosen)
        group = Group(view_id, experiment, self._settings, chosen)
        group.epoch, group.handled = command["epoch"], command["number"]
        self._groups[view_id] = group
        if command.get("restore"):
            group.restore()
        else:
            group.open_autosave()
        group.resume(command.get("controls") or {}, command.get("reached") or 0)
        self._announce(group, restored=bool(command.get("restore")))

    def _require(self, experiment: config.Experiment, chosen: str) -> None:
        used = device.choose(self._settings.device if chosen == "auto" else chosen)
        cost.require(experiment, self._settings, on_cpu=used == "cpu")

    def _announce(self, group: Group, *, restored: bool) -> None:
        """Tells the hub what the lanes are; their traces begin anew, or are cut to the step restored."""
        self._send(
            {
                "type": "lanes",
                "view_id": group.view_id,
                "epoch": group.epoch,
                "experiment": group.experiment.to_json(),
                "manifests": group.manifests(),
                "restored_step": group.step if restored else None,
            }
        )
        self._urgent.add(group.view_id)

    def _problem(self, group: Group | None, message: str) -> None:
        if group is not None:
            self._send({"type": "problem", "view_id": group.view_id, "epoch": group.epoch, "message": message})

    def _end(self, view_id: str, epoch: int, step: int, error: Exception) -> None:
        """Lets go of a group that cannot be trained on, so that the others have room again."""
        group = self._groups.pop(view_id, None)
        if memory.is_exhausted(error):
            size = self._settings.engine_memory / 2**20
            others = len(self._groups)
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
        if group is not None:
            with suppress(Exception):
                group.abandon()
        self._send({"type": "ended", "view_id": view_id, "epoch": epoch, "message": message})

    # --- training

    def _train(self) -> bool:
        """A slice of every group that is due. Commands come between slices and are answered at once, and no slice goes
        on while one waits. False when the hub is gone."""
        for group in list(self._groups.values()):
            began = now = time.monotonic()
            while group.due(now) and now - began < SLICE_SECONDS and self._commands.empty():
                self._advance(group, now)
                now = time.monotonic()
                if not group.running and not group.recovering:
                    self._urgent.add(group.view_id)
            if not self._commands.empty() and not self._obey(0):
                return False
        return True

    def _advance(self, group: Group, now: float) -> None:
        with self._working(group.view_id):
            try:
                group.advance(now)
            except Exception as error:  # one group's failure must not end the others
                self._fail(group, error)

    def _fail(self, group: Group, error: Exception) -> None:
        traceback.print_exc()
        if memory.is_exhausted(error):
            # They hold the tensors of the step.
            error.__traceback__ = error.__cause__ = error.__context__ = None
            error = MemoryError(str(error))
            self._end(group.view_id, group.epoch, group.step, error)
            return
        group.recovering = 0
        group.pause()
        self._problem(group, f"Training stopped at step {group.step}: {type(error).__name__}: {error}")
        self._urgent.add(group.view_id)

    def _publish(self) -> None:
        """Sends new rows and saves. A checkpoint is made only here, after its rows were drained: rows still in the
        recorder would be lost to whoever continues from it."""
        now = time.monotonic()
        for view_id, group in list(self._groups.items()):
            urgent = view_id in self._urgent
            trains = group.running or group.recovering
            due = trains and now - self._published.get(view_id, 0.0) >= self._settings.publish_seconds
            if not (urgent or due or group.autosave_told != self._told.get(view_id)):
                self._save(group, now)
                continue
            self._told[view_id] = group.autosave_told
            self._published[view_id] = now
            self._urgent.discard(view_id)
            with self._working(view_id):
                try:
                    drained = group.drain()
                except Exception as error:
                    self._fail(group, error)
                    continue
                tables = {f"{lane}/{name}": table for lane, rows in enumerate(drained) for name, table in rows.items()}
                if group.notice:
                    self._problem(group, group.notice)
                    group.notice = ""
                self._send({"type": "rows", **group.header()}, tables)
                self._save(group, now)
        self._say_dropped()

    def _save(self, group: Group, now: float) -> None:
        try:
            group.save(now)
        except Exception as error:
            self._fail(group, error)

    def _say_dropped(self) -> None:
        """Tells of groups that are gone and written to the last row: another engine may open them."""
        for view_id, epoch in list(self._leaving.items()):
            if self._closing[view_id].closed:
                del self._leaving[view_id], self._closing[view_id]
                self._send({"type": "dropped", "view_id": view_id, "epoch": epoch})


def main() -> None:
    start = json.loads(sys.stdin.readline())
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    names = {field.name for field in fields(Settings)}
    settings = Settings(
        **{
            key: Path(value) if key == "data_directory" else value
            for key, value in start["settings"].items()
            if key in names
        }
    )
    _warm_up()
    connection = _connect(start["port"], bytes.fromhex(start["identity"]), bytes.fromhex(start["key"]))
    if device.available()[0].name == "cpu":  # drivers of other devices reserve far more than they use
        memory.limit(settings.engine_memory)
    Engine(connection, settings).run()
    os._exit(0)


def _connect(port: int, identity: bytes, key: bytes) -> Connection:
    """The connection to the hub; strangers may crowd its door for a moment."""
    for _ in range(_CONNECT_TRIES - 1):
        with suppress(protocol.HandshakeError):
            return protocol.connect(port, identity, key)
        time.sleep(0.2)
    return protocol.connect(port, identity, key)


def _warm_up() -> None:
    """Pays for imports, the data set and the first decomposition now, not at the first click."""
    experiment, _ = config.build(lanes=[("shampoo", {"start": 1, "period": 1})])
    run = Run(experiment.lane_config(0), run_id="warm-up")
    run.advance()
    run.drain()


if __name__ == "__main__":
    main()
