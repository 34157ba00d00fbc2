"""What the hub tells an engine: one frozen dataclass a command, encoded and decoded here alone. Imports no torch.

An :class:`Order` is a command for one run. Orders of those who steer are numbered from 1 in the order in which they
were given; the engine says the number of the last one that it carried out. The hub's own orders have no number and no
answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, ClassVar

GOALS = ("step", "check", "refresh")


class CommandError(ValueError):
    """No such command, or a value that it cannot have."""


class Priority(IntEnum):
    """Whose steps come first on an engine that runs share."""

    UNWATCHED = 0
    WATCHED = 1
    PRESENTED = 2


@dataclass(frozen=True)
class Command:
    """What an engine is told of one run.

    Attributes:
        name: Of the command on the wire.
        trains: Whether the run makes steps by it.
        steers: Whether those may give it who hold the run's control key; the others are the hub's own.
    """

    name: ClassVar[str]
    trains: ClassVar[bool] = False
    steers: ClassVar[bool] = True


@dataclass(frozen=True)
class Start(Command):
    """Train until paused."""

    name: ClassVar[str] = "start"
    trains: ClassVar[bool] = True


@dataclass(frozen=True)
class Pause(Command):
    """Stop after the step at hand."""

    name: ClassVar[str] = "pause"


@dataclass(frozen=True)
class RunTo(Command):
    """Train to the next ``step``, ``check`` or ``refresh``, then pause; to the latter two at full speed.

    Attributes:
        goal: What to train to.
        lane: Number of the lane whose check or refresh counts, counted from 1; None for any lane's.
        factor: Index of the factor in it that counts; None for any.
    """

    goal: str
    lane: int | None = None
    factor: int | None = None
    name: ClassVar[str] = "run to"
    trains: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.goal not in GOALS:
            raise CommandError(f"goal = {self.goal!r}: must be one of {', '.join(GOALS)}")
        for name, least in (("lane", 1), ("factor", 0)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise CommandError(f"{name} = {value!r}: must be a whole number, counted from {least}, or None")


@dataclass(frozen=True)
class NextPhase(Command):
    """Make the next phase of a step in every lane, and stop there."""

    name: ClassVar[str] = "phase"
    trains: ClassVar[bool] = True


@dataclass(frozen=True)
class SetSpeed(Command):
    """Make at most so many steps a second; None makes as many as the machine can."""

    steps_per_second: float | None
    name: ClassVar[str] = "speed"

    def __post_init__(self) -> None:
        speed = self.steps_per_second
        if speed is not None and not (isinstance(speed, float | int) and 0 < speed < math.inf):
            raise CommandError(f"steps_per_second = {speed!r}: must be a positive number, or None for full speed")


@dataclass(frozen=True)
class Follow(Command):
    """Record the spectra of another factor, counted from 0."""

    factor: int
    name: ClassVar[str] = "follow"

    def __post_init__(self) -> None:
        if not isinstance(self.factor, int) or self.factor < 0:
            raise CommandError(f"factor = {self.factor!r}: must be a whole number, counted from 0")


@dataclass(frozen=True)
class Change:
    """One setting that shall have another value.

    Attributes:
        lane: Number of the lane, counted from 1; None for all that have the setting.
        setting: Name of the setting.
        value: The new value.
        shown: The value that whoever asks saw before; where it is another one, somebody else has changed it since.
    """

    lane: int | None
    setting: str
    value: Any
    shown: Any = None


def _changes(told: Any) -> tuple[Change, ...]:
    try:
        made = tuple(one if isinstance(one, Change) else Change(**one) for one in told)
    except TypeError:
        raise CommandError(f"changes = {told!r}: must be objects with lane, setting and value") from None
    if not all(isinstance(one.setting, str) for one in made):
        raise CommandError(f"changes = {told!r}: must be objects with lane, setting and value")
    return made


@dataclass(frozen=True)
class EditSettings(Command):
    """Train on with other settings from the next step; they are judged together."""

    changes: tuple[Change, ...]
    name: ClassVar[str] = "edit"

    def __post_init__(self) -> None:
        object.__setattr__(self, "changes", _changes(self.changes))
        if not self.changes:
            raise CommandError("changes = (): must name at least one setting")


@dataclass(frozen=True)
class UndoEdit(Command):
    """Take the last edit back, from the next step on."""

    name: ClassVar[str] = "undo"


@dataclass(frozen=True)
class Fork(Command):
    """Add a lane that is another up to a step, and a lane of its own after it.

    Attributes:
        lane: Number of the lane that is forked, counted from 1.
        step: The last step that both share; None for the last that was made.
        changes: What is otherwise from the next step on; their lane counts for nothing.
    """

    lane: int
    step: int | None = None
    changes: tuple[Change, ...] = ()
    name: ClassVar[str] = "fork"
    trains: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value, least in (("lane", self.lane, 1), ("step", self.step, 0)):
            allowed_none = name == "step" and value is None
            if not allowed_none and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise CommandError(f"{name} = {value!r}: must be a whole number, counted from {least}")
        object.__setattr__(self, "changes", _changes(self.changes))


@dataclass(frozen=True)
class CancelFork(Command):
    """Remove the fork that catches up with the other lanes."""

    name: ClassVar[str] = "cancel fork"


@dataclass(frozen=True)
class Create(Command):
    """Build a run, or take it over.

    Attributes:
        epoch: Goes with everything that the engine says of the run from now on.
        experiment: Of :meth:`foam_viz.experiment.config.Experiment.to_json`.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        handled: Number of the last order that an engine has carried out.
        restore: Whether to go on from what is saved.
        controls: Of :attr:`foam_viz.engine.server.lab_run.LabRun.controls`.
        reached: Step up to which to train at once.
        priority: Whose steps come first.
    """

    epoch: int
    experiment: Mapping[str, Any]
    device: str
    handled: int = 0
    restore: bool = False
    controls: Mapping[str, Any] = field(default_factory=dict)
    reached: int = 0
    priority: int = Priority.WATCHED
    name: ClassVar[str] = "create"
    steers: ClassVar[bool] = False


@dataclass(frozen=True)
class Prioritize(Command):
    """Give the run's steps another place among those of others."""

    priority: int
    name: ClassVar[str] = "prioritize"
    steers: ClassVar[bool] = False


@dataclass(frozen=True)
class MarkShared(Command):
    """Note that other runs train on the machine at the same time."""

    name: ClassVar[str] = "shared"
    steers: ClassVar[bool] = False


@dataclass(frozen=True)
class Drop(Command):
    """Save the run and let go of it."""

    name: ClassVar[str] = "drop"
    steers: ClassVar[bool] = False


_COMMANDS: dict[str, type[Command]] = {
    command.name: command
    for command in (
        Start, Pause, RunTo, NextPhase, SetSpeed, Follow, EditSettings, UndoEdit, Fork, CancelFork, Create, Prioritize,
        MarkShared, Drop,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Order:
    """A command for one run.

    Attributes:
        view_id: The run.
        command: What to do.
        number: Its place among what was ordered of the run, from 1; None for the hub's own.
    """

    view_id: str
    command: Command
    number: int | None = None


def make(name: str, **values: Any) -> Command:
    """A command by the name of its button: those of :data:`GOALS` run to that goal.

    Raises:
        CommandError: No such command for those who steer, or a value that it cannot have.
    """
    if name in GOALS:
        return _made(RunTo.name, {"goal": name, **values})
    steering = [known.name for known in _COMMANDS.values() if known.steers and known is not RunTo]
    if name not in steering:
        raise CommandError(f"command {name!r}: must be one of {', '.join((*steering, *GOALS))}")
    return _made(name, values)


def encode(order: Order) -> dict[str, Any]:
    """An order as the JSON object that goes over the wire."""
    told = {"view_id": order.view_id, "number": order.number, "command": order.command.name}
    return {**told, "values": asdict(order.command)}


def decode(message: Mapping[str, Any]) -> Order:
    """The order of :func:`encode`.

    Raises:
        CommandError: No such command, or a value that it cannot have.
    """
    return Order(message["view_id"], _made(message["command"], message.get("values", {})), message["number"])


def _made(name: str, values: Mapping[str, Any]) -> Command:
    if name not in _COMMANDS:
        raise CommandError(f"command {name!r}: must be one of {', '.join(_COMMANDS)}")
    try:
        return _COMMANDS[name](**values)
    except TypeError:
        raise CommandError(f"command {name!r}: cannot have the values {dict(values)!r}") from None
