"""Commands over the wire: what is sent comes out, and nothing else is taken."""

from __future__ import annotations

import json

import pytest

from foam_viz.engine.wire import commands
from foam_viz.engine.wire.commands import CommandError, Follow, Order, RunTo, SetSpeed, Start, make

EVERY = [
    commands.Start(),
    commands.Pause(),
    commands.RunTo("refresh"),
    commands.RunTo("check", 2, 0),
    commands.NextPhase(),
    commands.SetSpeed(5.0),
    commands.SetSpeed(None),
    commands.Follow(3),
    commands.EditSettings((commands.Change(2, "tau", 0.5, 0.75), commands.Change(None, "grafting", None))),
    commands.UndoEdit(),
    commands.Fork(2, 120, (commands.Change(2, "tau", 0.5),)),
    commands.Fork(1),
    commands.CancelFork(),
    commands.Create(epoch=7, experiment={"task": "x"}, device="cpu", handled=2, restore=True, reached=9),
    commands.Prioritize(2),
    commands.MarkShared(),
    commands.Drop(),
]


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.name)
def test_an_order_comes_back_from_the_wire(command: commands.Command) -> None:
    order = Order("a" * 32, command, 12)
    assert commands.decode(json.loads(json.dumps(commands.encode(order)))) == order


def test_every_command_is_known_on_the_wire() -> None:
    assert {type(command) for command in EVERY} == set(commands.Command.__subclasses__())


@pytest.mark.parametrize(
    ("make_it", "words"),
    [
        (
            lambda: make("explode"),
            "one of start, pause, phase, speed, follow, edit, undo, fork, cancel fork, step, check, refresh",
        ),
        (lambda: make("drop"), "must be one of"),
        (lambda: make("speed"), "cannot have the values"),
        (lambda: SetSpeed(0), "must be a positive number"),
        (lambda: SetSpeed(float("nan")), "must be a positive number"),
        (lambda: SetSpeed("fast"), "must be a positive number"),
        (lambda: RunTo("the end"), "must be one of step, check, refresh"),
        (lambda: Follow(-1), "counted from 0"),
        (lambda: make("fork", lane=0), "lane = 0: must be a whole number, counted from 1"),
        (lambda: make("fork", lane=1, step=-1), "step = -1"),
        (lambda: make("edit", changes=()), "must name at least one setting"),
        (lambda: make("edit", changes=({"lane": 1},)), "must be objects with lane, setting and value"),
        (lambda: commands.decode({"view_id": "v", "number": 1, "command": "nothing"}), "must be one of"),
    ],
)
def test_what_is_no_command_is_named(make_it: object, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        make_it()


def test_buttons_make_commands() -> None:
    assert (make("start"), make("check"), make("speed", steps_per_second=5.0)) == (
        Start(),
        RunTo("check"),
        SetSpeed(5.0),
    )
