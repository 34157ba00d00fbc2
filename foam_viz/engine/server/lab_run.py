"""One lab run as the hub's process sees it: traces that grow, and what the engine last said of the controls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from foam_viz.engine.wire.commands import Order, Priority
from foam_viz.experiment.config import Experiment
from foam_viz.experiment.cost import Cost
from foam_viz.trace.model import Trace

_RATE_SECONDS = 2.0
NOWHERE = -1
"""The engine of a run that no engine has yet."""


@dataclass
class LabRun:
    """What the hub knows of a lab run. Read it under ``lock``.

    Attributes:
        view_id: Who knows it may watch.
        experiment: What is trained.
        cost: What its training is projected to take.
        owner: Fingerprint of the browser that made the run and steers it; empty where none is known.
        browser: Fingerprint of the browser against whose limits it counts: the one that made or opened it.
        engine: The engine that holds it; :data:`NOWHERE` until there is room for it.
        name: What its owner calls it; empty for none.
        traces: One a lane, growing.
        header: The state of the controls, as the engine last told it.
        notice: Message of a crash or a problem, true for all who look; empty without one. :meth:`say` sets it.
        advice: What who steers can do about it; nobody else is shown this.
        revision: Grows with everything that changes.
        steps_per_second: Measured over the last two seconds; 0 while paused.
        successor: View id of the run that its owner began in its place; empty while there is none.
        sent: Number of commands given; the engine says in ``header["handled"]`` how many it has carried out.
        waiting: Orders that no engine has answered yet, in order: they are sent again to an engine that takes over.
        epoch: Changes when an engine takes over: what an earlier one still says of the run is not heard.
        reached: Last step that an engine has told; one that takes over trains up to it at once.
        recovering: True until the engine that takes over has got there.
        moving: True while the run changes its engine: commands wait.
        awaited: The engine of its own that still writes what is left of the run; it is opened after that.
        queued: True while it waits for room; its commands wait too.
        ahead: How many runs wait before it; None where it is not queued.
        room: What it waits for, in words.
        priority: Whose steps come first, as its engine was told.
        gone: True where no engine holds the run, as it could not be trained on; the next command opens it again.
        misread: Messages of its engine that could not be read, since somebody steered.
        listeners: Called under ``lock`` after everything that changes; they must return at once.
        saved: True where the run may be on disk, so that whoever opens it continues from there.
    """

    view_id: str
    experiment: Experiment
    device: str
    key_fingerprint: str
    cost: Cost
    owner: str
    browser: str
    engine: int = NOWHERE
    name: str = ""
    traces: list[Trace] = field(default_factory=list)
    header: dict[str, Any] = field(default_factory=dict)
    notice: str = ""
    advice: str = ""
    revision: int = 0
    steps_per_second: float = 0.0
    sent: int = 0
    waiting: list[Order] = field(default_factory=list)
    successor: str = ""
    epoch: int = 0
    reached: int = 0
    recovering: bool = False
    moving: bool = False
    awaited: int | None = None
    queued: bool = False
    ahead: int | None = None
    room: str = ""
    priority: Priority = Priority.WATCHED
    gone: bool = False
    saved: bool = False
    misread: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    changed: threading.Condition = field(init=False)
    listeners: set[Callable[[], None]] = field(default_factory=set)
    _rate: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.changed = threading.Condition(self.lock)

    def say(self, notice: str, advice: str = "") -> None:
        """Put a message, and what who steers can do about it, in the place of the last one."""
        self.notice, self.advice = notice, advice

    @property
    def running(self) -> bool:
        """Whether the run is training."""
        return bool(self.header.get("running"))

    @property
    def trains(self) -> bool:
        """True where it makes steps, or will as soon as its engine hears of it."""
        busy = self.running or self.recovering or bool(self.header.get("catching_up"))
        return busy or any(order.command.trains for order in self.waiting)

    @property
    def starting(self) -> bool:
        """True until the engine has answered for the first time."""
        return not self.header

    @property
    def pending(self) -> bool:
        """True while a command waits for the engine, but not while the run waits for room."""
        return not self.queued and (self.recovering or self.handled < self.sent)

    @property
    def handled(self) -> int:
        """Number of the last command that was answered; -1 until the engine has answered for the first time."""
        return int(self.header.get("handled", -1))

    @property
    def step(self) -> int:
        """The last step published."""
        return int(self.header.get("step", 0))

    @property
    def ended(self) -> bool:
        """True where no lane can make another step."""
        lanes = self.header.get("lanes", ())
        return bool(lanes) and all(lane["status"] in ("diverged", "finished") for lane in lanes)

    @property
    def controls(self) -> dict[str, Any]:
        """The state of the controls that an engine needs to take over."""
        lanes = self.header.get("lanes", ())
        followed = lanes[0]["followed"] if lanes else None
        kept = {name: self.header.get(name) for name in ("running", "goal", "aim", "speed")}
        kept["phase"] = (self.header.get("inside") or {}).get("phase")
        shared = any(trace.manifest.shared_machine for trace in self.traces)
        return {**kept, "followed": followed, "shared": shared}

    def answer_all(self) -> None:
        """Lets go of commands that nobody will answer."""
        self.waiting = []
        self.header = {**self.header, "handled": self.sent}

    def wait(self, seconds: float) -> None:
        """Waits until every command so far was carried out or waits for room, for at most ``seconds``."""
        with self.lock:
            self.changed.wait_for(lambda: not self.pending, seconds)

    def touch(self) -> None:
        """Tells those who wait that something changed; called under ``lock``."""
        self.revision += 1
        self.changed.notify_all()
        for tell in list(self.listeners):
            tell()

    def forget_rate(self) -> None:
        """The steps of another engine count no more."""
        self._rate = []

    def measure(self, now: float) -> None:
        """Brings ``steps_per_second`` up to date."""
        if not self.running:
            self._rate, self.steps_per_second = [], 0.0
            return
        self._rate.append((now, self.step))
        while len(self._rate) > 2 and now - self._rate[0][0] > _RATE_SECONDS:
            self._rate.pop(0)
        (first, before), (last, after) = self._rate[0], self._rate[-1]
        self.steps_per_second = (after - before) / (last - first) if last > first else 0.0
