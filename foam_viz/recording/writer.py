"""Records somebody's own training loop as a run bundle: scalars, checks, and what an optimizer keeps inside.

    with Writer("runs/first", config=vars(args)) as writer:
        writer.observe(optimizer, model=model)
        for step in range(1, steps + 1):
            loss = train_step()
            writer.log(step, loss=loss)

After construction nothing here raises into the training loop: what cannot be recorded becomes an event of the run and
one line of the log ``foam_viz.trace``.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 (pyarrow's first conversion imports it, too late when the process ends)
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

from foam_viz.recording.observe.observe import Observer
from foam_viz.recording.stream import Stream
from foam_viz.recording.stream.writing import StreamFile
from foam_viz.recording.writer_destination import Destination, describe
from foam_viz.recording.writer_rows import Rows, StepRows
from foam_viz.trace.disk.autosave import Autosave, AutosaveError

FLUSH_SECONDS = 1.0
FLUSH_SHARE = 0.01
"""Of the time at most: on a slow disk flushes become rarer."""

_log = logging.getLogger("foam_viz.trace")
_Method = TypeVar("_Method", bound=Callable[..., Any])


def _never_raises(method: _Method) -> _Method:
    """An exception of the method becomes an event, once a kind; training goes on."""

    @wraps(method)
    def guarded(self: Writer, *arguments: Any, **named: Any) -> Any:
        try:
            return method(self, *arguments, **named)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is not worth a training run)
            kind = type(error).__name__
            self._trouble(f"{method.__name__.strip('_')}-failed", f"{method.__name__}: {kind}: {error}", kind)
            return None

    return guarded  # type: ignore[return-value]


class Writer:
    """Writes one run, and with several ranks one process's share of it, into a bundle directory.

    Rows are flushed about every second into numbered parts, so a kill at any moment costs the last second. It belongs
    to one thread.

    Args:
        path: The bundle directory, which is made. With several ranks each writes ``path/rank_00000`` and so on.
        name: Name to show; the last part of the path by default.
        config: Configuration of the run; what JSON cannot hold is kept as text. Put no secrets there.
        units: Units of the logged columns, for example ``{"validation/accuracy": "fraction"}``.
        task: What is trained, in a word or two.
        rank: This process among ``world_size``; the environment's ``RANK`` by default, 0 where there is none.
        world_size: Number of processes; the environment's ``WORLD_SIZE`` by default, 1 where there is none.
        snapshot_every: Steps between looks at spectrum, overlap and true error of some factors.
        factors: Which factors those are: patterns of factor ids or parameter names. By default four of matrices, no
            larger than 1024 rows.
        stream: Factors and gradients to keep whole.
        resume_step: Continue the run that is there after this step: later rows are dropped, as after a restart from a
            checkpoint. Where no run is there one is begun. By default a path that holds a run is refused.

    Raises:
        ValueError: An argument is outside its range, or the path holds a run that cannot be continued.
        TypeError: ``stream`` or ``config`` is of the wrong type.
        AutosaveError: The path cannot be written to.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
        units: Mapping[str, str] | None = None,
        task: str = "",
        rank: int | None = None,
        world_size: int | None = None,
        snapshot_every: int = 1000,
        factors: Sequence[str] | None = None,
        stream: Stream | None = None,
        resume_step: int | None = None,
    ) -> None:
        if isinstance(snapshot_every, bool) or not isinstance(snapshot_every, int) or snapshot_every < 1:
            raise ValueError(f"snapshot_every = {snapshot_every!r}: must be a whole number from 1, in steps")
        if isinstance(factors, str) or not all(isinstance(pattern, str) for pattern in factors or ()):
            raise ValueError(f"factors = {factors!r}: must be a list of patterns, like ['0.block_0.*', 'head.weight']")
        if stream is not None and not isinstance(stream, Stream):
            raise TypeError(f"stream = {stream!r}: must be a foam_viz.trace.Stream")
        destination = Destination.find(path, rank, world_size, resume_step)
        recorder = {
            "snapshot_period": snapshot_every,
            "factors": None if factors is None else list(factors),
            "stream": None if stream is None else {**vars(stream), "factors": list(stream.factors)},
        }
        self.directory = destination.directory
        self._units = dict(units or {})
        self._manifest = destination.manifest(name, config, task, self._units, recorder)
        self._autosave = Autosave(destination.directory, self._manifest)
        if destination.resumes:
            self._autosave.rewind(destination.resume_step)
        self._seconds_before, self._decompositions_before = destination.totals()
        self._start_step = self._last_step = destination.resume_step
        self._continued = destination.resumes
        self._stream = stream
        self._stream_file = None
        if stream is not None:
            self._stream_file = StreamFile(
                destination.directory, stream.byte_cap, destination.resume_step, stream.every
            )
        self._schedule = {"snapshot_every": snapshot_every, "factors": factors}
        self._steps, self._checks = Rows("steps"), Rows("checks")
        self._snapshots, self._events = Rows("snapshots"), Rows("events")
        self._rows = StepRows(self._steps, self._trouble)
        self._numbers = {info.id: info for info in self._manifest.factors}
        self._observers: dict[int, Observer] = {}
        self._hooks: list[Any] = []
        self._depths: dict[int, int] = {}  # calls of step that have begun and not ended, by optimizer
        self._told: set[tuple[str, str]] = set()
        self._process = os.getpid()
        self._began = self._flushed = time.monotonic()
        self._flush_after = FLUSH_SECONDS
        self.closed = False
        atexit.register(self._at_exit)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close("finished" if kind is None else "interrupted")

    @_never_raises
    def log(self, step: int, values: Mapping[str, Any] | None = None, /, **scalars: Any) -> None:
        """Record numbers of a step; calls for the same step, one after another, share a row.

        ``total_seconds``, and for observed optimizers ``learning_rate`` and ``decompositions``, are added unless they
        are given.

        Args:
            step: Optimizer step, counted from 1; evaluations before training are at 0.
            values: Numbers by name, for names that are no Python words: ``{"validation/loss": 0.3}``.
            scalars: Numbers by name: ints, floats, NaN and infinity too, numpy scalars, tensors of one element. None is
                a missing value.
        """
        if self.closed:
            self._trouble("log-after-close", "log was called after close; nothing is recorded any more")
            return
        step = int(step)
        if step < 0:
            raise ValueError(f"step = {step}: must be a whole number from 0")
        self._depths.clear()  # a step that raised has not ended
        self._last_step = max(self._last_step, step)
        self._rows.add(step, {**(values or {}), **scalars}, self._defaults())
        self._flush_in_time()

    @_never_raises
    def observe(self, optimizer: Any, step: int | None = None, *, model: Any = None) -> None:
        """Read an optimizer from now on, or now.

        Called once without ``step`` it hooks ``optimizer.step()`` and counts those calls, from ``resume_step``. Called
        after each step of the optimizer with ``step`` it hooks nothing. Load an optimizer's saved state before.

        Args:
            optimizer: A torch optimizer, or anything with ``param_groups`` and ``state``.
            step: The step that just ended.
            model: The module whose parameters these are, for their names.
        """
        if self.closed:
            self._trouble("observe-after-close", "observe was called after close; nothing is recorded any more")
            return
        observer = self._observers.get(id(optimizer))
        if observer is None:
            hookable = callable(getattr(optimizer, "register_step_post_hook", None))
            if step is None and not hookable:
                kind = type(optimizer).__name__
                raise TypeError(f"{kind} cannot be hooked: call observe(optimizer, step) after each of its steps")
            observer = self._watch(optimizer, model)
            observer.start(self._start_step, counted=step is None or self._continued)
            if step is None:
                self._hook(optimizer, observer)
            self._observers[id(optimizer)] = observer
        if step is not None:
            self._observed(observer, int(step))

    @_never_raises
    def event(self, step: int, kind: str, message: str = "", value: float | None = None) -> None:
        """Record something that happened once.

        Args:
            step: When.
            kind: A short word for machines, like ``"learning-rate-changed"``.
            message: The event in words.
            value: A number that belongs to it.
        """
        given = None if value is None else float(value)
        self._events.add({"step": int(step), "kind": str(kind), "message": str(message), "value": given})
        self._flush_in_time()

    @_never_raises
    def flush(self) -> None:
        """Write what was recorded so far; the row of the latest step stays open until the next step or ``close``."""
        if os.getpid() != self._process:  # a fork, of a data loader say, has only a copy of the rows
            return
        began = time.monotonic()
        self._flushed = began
        for table, rows in (
            ("steps", self._steps),
            ("checks", self._checks),
            ("snapshots", self._snapshots),
            ("events", self._events),
        ):
            batch = rows.drain(self._units if table == "steps" else None)
            if batch is not None:
                self._autosave.append(table, batch)
        try:
            if len(self._numbers) > len(self._manifest.factors):
                self._describe(factors=tuple(self._numbers.values()))
            self._autosave.flush()
        except AutosaveError as error:
            self._trouble("not-saved", f"{error} Rows are kept in memory and tried again.")
            self._flush_after = 60.0
            return
        took = time.monotonic() - began
        self._flush_after = max(FLUSH_SECONDS, took / FLUSH_SHARE)

    @_never_raises
    def close(self, status: str = "finished") -> None:
        """Write what is left and how the run ended; a second call does nothing.

        Args:
            status: ``finished`` or ``interrupted``; a run whose last loss is NaN or infinite is ``diverged``.
        """
        if self.closed or os.getpid() != self._process:
            return
        self.closed = True
        atexit.unregister(self._at_exit)
        for hook in self._hooks:
            hook.remove()
        for observer in self._observers.values():
            observer.finish()
        self._rows.settle()
        if self._stream_file is not None:
            self._stream_file.flush()
        self.flush()
        diverged = self._rows.bad_since
        self._describe(status=status if diverged is None else "diverged", diverged_step=diverged)

    def _defaults(self) -> dict[str, Any]:
        """What a row of steps has that nobody logs."""
        row: dict[str, Any] = {"total_seconds": self._seconds_before + time.monotonic() - self._began}
        for observer in self._observers.values():
            if observer.finds_factors:
                made = row.get("decompositions", self._decompositions_before)
                row["decompositions"] = made + observer.decompositions
            if "learning_rate" not in row:
                rate = observer.parameters.optimizer.param_groups[0].get("lr")
                row["learning_rate"] = float(rate) if isinstance(rate, int | float) else None
        return row

    def _watch(self, optimizer: Any, model: Any) -> Observer:
        first = sum(len(known.parameters) for known in self._observers.values())
        observer = Observer(
            optimizer,
            model,
            numbers=self._numbers,
            first_parameter=first,
            checks=self._checks,
            snapshots=self._snapshots,
            tell=self._tell,
            stream=self._stream,
            stream_file=self._stream_file,
            **self._schedule,
        )
        if not self._manifest.optimizer:
            config = describe(optimizer, self._manifest.config)
            self._describe(optimizer=type(optimizer).__name__, config=config)
        return observer

    def _hook(self, optimizer: Any, observer: Observer) -> None:
        # A class whose step calls that of its parent runs the hooks of both: the outermost call counts.
        steps, key = self._start_step, id(optimizer)

        def before_step(*_: Any) -> None:
            self._depths[key] = self._depths.get(key, 0) + 1

        def after_step(*_: Any) -> None:
            nonlocal steps
            self._depths[key] = self._depths.get(key, 1) - 1
            if self._depths[key] <= 0:
                self._depths[key] = 0
                steps += 1
                self._observed(observer, steps)

        if callable(getattr(optimizer, "register_step_pre_hook", None)):
            self._hooks.append(optimizer.register_step_pre_hook(before_step))
        self._hooks.append(optimizer.register_step_post_hook(after_step))

    @_never_raises
    def _observed(self, observer: Observer, step: int) -> None:
        self._last_step = max(self._last_step, step)
        observer.after_step(step)
        self._flush_in_time()

    def _flush_in_time(self) -> None:
        if time.monotonic() - self._flushed >= self._flush_after:
            self.flush()

    def _describe(self, **changes: Any) -> None:
        changed = self._manifest.with_(**changes)
        self._autosave.write_manifest(changed)
        self._manifest = changed

    def _tell(self, kind: str, factor: int | None, message: str, key: str = "") -> None:
        """An event of the writer's own, and once a kind and key a line of the log."""
        self._events.add({"step": self._last_step, "kind": kind, "factor": factor, "message": message})
        if (kind, key) not in self._told:
            self._told.add((kind, key))
            _log.warning("%s: %s", self.directory, message)

    def _trouble(self, kind: str, message: str, key: str = "") -> None:
        """The same, and an event only once a kind and key too."""
        if (kind, key) not in self._told:
            self._tell(kind, None, message, key)

    def _at_exit(self) -> None:
        self.close("interrupted")
