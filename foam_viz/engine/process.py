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
from dataclasses import fields
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from foam_viz.engine import config, device, protocol
from foam_viz.engine.group import GOALS, Group
from foam_viz.engine.run import Run
from foam_viz.engine.saver import Saver
from foam_viz.settings import Settings

SLICE_SECONDS = 0.015
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
        self._told: dict[str, tuple[str, str]] = {}
        self._urgent: set[str] = set()
        self._commands: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def run(self) -> None:
        """Until the hub is gone."""
        # A blocking reader in a thread, not a poll: the same code then works where pipes cannot be polled.
        threading.Thread(target=self._listen, daemon=True).start()
        self._send({"type": "hello", "devices": [[d.name, d.label] for d in device.available()]})
        try:
            while self._obey():
                self._train()
                self._publish()
        except OSError:
            pass  # the hub is gone in the middle of a message
        for group in self._groups.values():
            group.close()
        for saver in self._closing.values():
            saver.close()

    def _listen(self) -> None:
        try:
            while True:
                self._commands.put(protocol.receive(self._connection)[0])
        except (OSError, EOFError, ValueError):
            self._commands.put(None)

    def _send(self, header: dict[str, Any], tables: dict[str, Any] | None = None) -> None:
        protocol.send(self._connection, header, tables)

    # --- commands

    def _obey(self) -> bool:
        """Carries out what has arrived; waits for it where nothing is due. False when the hub is gone."""
        now = time.monotonic()
        waits = [w for group in self._groups.values() if (w := group.wait(now)) is not None]
        timeout = min([0.25, *waits])
        while True:
            try:
                command = self._commands.get(timeout=timeout) if timeout else self._commands.get_nowait()
            except queue.Empty:
                return True
            if command is None:
                return False
            timeout = 0
            try:
                self._carry_out(command)
            except Exception as error:  # a command that fails must not end the other groups' training
                traceback.print_exc()
                self._send(
                    {
                        "type": "problem",
                        "view_id": command.get("view_id"),
                        "message": f"{command.get('command')} failed: {type(error).__name__}: {error}",
                    }
                )
            # Failed or not, it was answered. Commands without a number are the hub's own.
            if (group := self._groups.get(command["view_id"])) is not None:
                group.handled = command.get("number", group.handled)

    def _carry_out(self, command: dict[str, Any]) -> None:
        name, view_id = command["command"], command["view_id"]
        if name == "create":
            if (closing := self._closing.pop(view_id, None)) is not None:
                closing.close()  # what is read below is what it writes
            group = Group(
                view_id, config.from_json(command["experiment"]), self._settings, command.get("device", "auto")
            )
            self._groups[view_id] = group
            if command.get("restore"):
                group.restore()
            else:
                group.open_autosave()
            self._announce(group, restored=bool(command.get("restore")))
            if command.get("start"):
                group.start()
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
            group.reset(experiment)
            group.open_autosave()
            self._announce(group, restored=False)
        elif name == "drop":
            self._closing[view_id] = group.close(seconds=0)
            del self._groups[view_id]
            return
        self._urgent.add(view_id)

    def _announce(self, group: Group, *, restored: bool) -> None:
        """Tells the hub what the lanes are; their traces begin anew, or are cut to the step restored."""
        self._send(
            {
                "type": "lanes",
                "view_id": group.view_id,
                "experiment": group.experiment.to_json(),
                "manifests": group.manifests(),
                "restored_step": group.step if restored else None,
            }
        )
        self._urgent.add(group.view_id)

    # --- training

    def _train(self) -> None:
        for group in list(self._groups.values()):
            began = now = time.monotonic()
            while group.due(now) and now - began < SLICE_SECONDS:
                try:
                    group.advance(now)
                except Exception as error:  # one group's failure must not end the others
                    traceback.print_exc()
                    group.pause()
                    self._send(
                        {
                            "type": "problem",
                            "view_id": group.view_id,
                            "message": f"Training stopped at step {group.step}: {type(error).__name__}: {error}",
                        }
                    )
                now = time.monotonic()
                if not group.running:
                    self._urgent.add(group.view_id)

    def _publish(self) -> None:
        """Sends new rows and saves. A checkpoint is made only here, after its rows were drained: rows still in the
        recorder would be lost to whoever continues from it."""
        now = time.monotonic()
        for view_id, group in self._groups.items():
            urgent = view_id in self._urgent
            due = group.running and now - self._published.get(view_id, 0.0) >= self._settings.publish_seconds
            if not (urgent or due or group.autosave_told != self._told.get(view_id)):
                group.save(now)
                continue
            self._told[view_id] = group.autosave_told
            self._published[view_id] = now
            tables = {
                f"{lane}/{name}": table for lane, drained in enumerate(group.drain()) for name, table in drained.items()
            }
            self._send({"type": "rows", **group.header()}, tables)
            group.save(now)
        self._urgent.clear()


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
    connection = protocol.connect(start["port"], bytes.fromhex(start["identity"]), bytes.fromhex(start["key"]))
    _warm_up()
    Engine(connection, settings).run()
    os._exit(0)


def _warm_up() -> None:
    """Pays for imports, the data set and the first decomposition now, not at the first click."""
    experiment, _ = config.build(lanes=[("shampoo", {"start": 1, "period": 1})])
    run = Run(experiment.lane_config(0), run_id="warm-up")
    run.advance()
    run.drain()


if __name__ == "__main__":
    main()
