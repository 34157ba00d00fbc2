"""Watches optimizers for a writer: checks as they pass, and on a schedule what needs a decomposition to know.

Which optimizers can be read is :data:`ADAPTERS`: functions that look at the shape of an optimizer's state and return a
:class:`~foam_viz.recording.observe.views.Source`, or None. A further optimizer is a further function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from foam_viz.recording.observe.heavyball import read_heavyball
from foam_viz.recording.observe.kronecker import read_kronecker
from foam_viz.recording.observe.matrices import snapshot
from foam_viz.recording.observe.project import read_project
from foam_viz.recording.observe.pytorch_optimizer import read_pytorch_optimizer
from foam_viz.recording.observe.soap import read_soap
from foam_viz.recording.observe.views import FactorView, Matrices, Parameters, Reading, Source, precision, to_host
from foam_viz.recording.stream import Sample, Stream
from foam_viz.recording.stream.writing import StreamFile
from foam_viz.recording.writer_rows import Rows
from foam_viz.trace.manifest import FactorInfo

ADAPTERS: tuple[Callable[[Parameters], Source | None], ...] = (
    read_project,
    read_soap,
    read_kronecker,
    read_heavyball,
    read_pytorch_optimizer,
)

MOST_SNAPSHOTS = 4
"""So many factors are looked at when none are named."""

LARGEST_SNAPSHOT = 1024
"""Larger factors are looked at only when they are named: a decomposition takes a third of a second at this size."""

_PATIENCE = 2  # steps without factors after which an optimizer is ignored, until its state grows


@dataclass
class _Seen:
    """What is known of one factor."""

    view: FactorView
    number: int
    reading: Reading = field(default_factory=Reading)
    before: Matrices | None = None
    pictured: bool = False


class Observer:
    """Watches one optimizer.

    Args:
        optimizer: The optimizer.
        model: Names its parameters; None takes the names that the optimizer has.
        numbers: Numbers of factors by id, shared by all observers of a writer; new factors are added.
        first_parameter: Number of its first parameter.
        checks: Takes rows of checks.
        snapshots: Takes rows of snapshots.
        tell: Takes an event: its kind, the number of a factor or None, and the message.
        snapshot_every: Steps between snapshots.
        factors: Patterns of the factors to look at; None chooses.
        stream: What to keep whole.
        stream_file: Where.
    """

    def __init__(
        self,
        optimizer: Any,
        model: Any,
        *,
        numbers: dict[str, FactorInfo],
        first_parameter: int,
        checks: Rows,
        snapshots: Rows,
        tell: Callable[[str, int | None, str], None],
        snapshot_every: int,
        factors: Sequence[str] | None,
        stream: Stream | None,
        stream_file: StreamFile | None,
    ) -> None:
        self.parameters = Parameters(optimizer, model, first_parameter)
        self.decompositions = 0
        self._numbers, self._checks, self._snapshots, self._tell = numbers, checks, snapshots, tell
        self._every, self._patterns = snapshot_every, factors
        self._stream, self._stream_file = stream, stream_file
        self._source: Source | None = None
        self._seen: dict[str, _Seen] = {}
        self._pictured: list[_Seen] = []
        self._streamed: list[_Seen] = []
        self._signature: tuple[int, int] | None = None
        self._looks = 0
        self._read_at = self._last = 0

    @property
    def finds_factors(self) -> bool:
        """Whether the optimizer has shown any."""
        return bool(self._seen)

    def start(self, step: int, *, counted: bool) -> None:
        """Begin after ``step``.

        Args:
            step: The last step that is not observed.
            counted: Whether what the optimizer has counted so far belongs to the steps before, and is not reported.
        """
        self._extend()
        self._read_at = self._last = step
        if self._source is not None and counted:
            for view, reading in self._source.readings(step):
                self._seen[view.info.id].reading = reading

    def after_step(self, step: int) -> None:
        """Record what happened in the steps since the last call, which end with ``step``."""
        last, self._last = self._last, step
        if self._signature != self.parameters.signature():
            self._extend()
        if self._source is None or not self._seen:
            self._give_up()
            return
        checked = self.read(step) if step - self._read_at >= self._source.period else {}
        due = step // self._every > last // self._every
        for seen in self._pictured:
            if due or not seen.pictured:
                self._picture(seen, step, checked.get(seen.number))
        if (step + 1) % self._every == 0:
            for seen in self._pictured:
                with suppress(TypeError):  # told when it is looked at
                    seen.before = seen.view.matrices()
        stream, file = self._stream, self._stream_file
        if stream is None or file is None:
            return
        if step // stream.every > last // stream.every and not file.full:
            self._sample(step, stream, file)

    def finish(self) -> None:
        """Read the counters that are not read at every step a last time."""
        if self._source is not None and self._last > self._read_at:
            self.read(self._last)

    def read(self, step: int) -> dict[int, dict[str, Any]]:
        """Read the counters; one row for each factor that was checked since the last time, by its number."""
        rows = {}
        if self._source is None:
            return rows
        start, self._read_at = self._read_at, step
        for view, reading in self._source.readings(step):
            seen = self._seen[view.info.id]
            row = _difference(seen.reading, reading)
            row |= {"step": step, "factor": seen.number}
            if self._source.period > 1 or row["checks"] > 1:
                row |= {"interval_start": start + 1, "decision": None, "epsilon_before": None}
            seen.reading = reading
            if row["checks"] > 0:
                self.decompositions += row["decompositions"]
                self._checks.add(row)
                rows[seen.number] = row
        return rows

    def _extend(self) -> None:
        self._signature = self.parameters.signature()
        if self._source is None:
            found = (adapter(self.parameters) for adapter in ADAPTERS)
            self._source = next((source for source in found if source is not None), None)
        if self._source is None:
            return
        for view in self._source.extend():
            self._numbers.setdefault(view.info.id, view.info)
            self._seen[view.info.id] = _Seen(view, list(self._numbers).index(view.info.id))
        self._choose()

    def _choose(self) -> None:
        every = list(self._seen.values())
        if self._patterns is not None:
            self._pictured = [seen for seen in every if _matches(seen.view.info, self._patterns)]
        elif not self._pictured:
            self._pictured = _spread(every)
        if self._stream is not None:
            self._streamed = [seen for seen in every if _matches(seen.view.info, self._stream.factors)]

    def _give_up(self) -> None:
        self._looks += 1
        if self._looks == _PATIENCE:
            kind = type(self.parameters.optimizer).__name__
            self._tell(
                "no-factors",
                None,
                f"{kind} shows no factors that this version can read: what is logged is recorded, and nothing of the "
                "optimizer's inside.",
            )

    def _picture(self, seen: _Seen, step: int, check: dict[str, Any] | None) -> None:
        try:
            after = seen.view.matrices()
        except TypeError as error:
            seen.pictured = True  # no use in trying again at every step
            self._tell("snapshot-failed", seen.number, f"no snapshot of {seen.view.info.id}: {error}")
            return
        if after is None:
            return
        before, seen.before = seen.before, None
        known = before is not None and (before.basis is not None or before.inverse is not None)
        if before is None or not known:
            before = after
        if before.basis is None and before.inverse is None:
            return
        seen.pictured = True
        reading = seen.reading
        row = {"step": step, "factor": seen.number, "last_decomposition_step": reading.last_decomposition_step}
        if known and check is not None and check["decompositions"]:
            row["last_decomposition_step"] = check.get("_decomposed_before")
        try:
            found, residual = snapshot(after.current, before)
        except np.linalg.LinAlgError as error:
            self._tell("snapshot-failed", seen.number, f"no snapshot of {seen.view.info.id}: {error}")
            return
        self._snapshots.add({**row, **found})
        if check is not None and known and check.get("residual") is None:
            check["residual"] = residual

    def _sample(self, step: int, stream: Stream, file: StreamFile) -> None:
        before = file.spacing.stride
        file.add(self._samples(step, stream))
        cap, stride = f"{stream.byte_cap:,} bytes are its cap", file.spacing.stride
        if file.full:
            self._tell("stream-full", None, f"the factor stream ends before step {step}: {cap}")
        elif stride > before:
            message = f"the factor stream keeps every {stride * stream.every} steps: {cap}"
            self._tell("stream-thinned", None, message)

    def _samples(self, step: int, stream: Stream) -> Iterator[Sample]:
        parameters = {}
        for seen in self._streamed:
            matrices, info = seen.view.matrices(), seen.view.info
            if matrices is None:
                continue
            kept = matrices.current if matrices.statistics is None else matrices.statistics
            root = int(matrices.root) if matrices.root and float(matrices.root).is_integer() else None
            values = kept.astype(matrices.precision, copy=False)
            yield Sample(step, "factor", info.id, values, root, matrices.epsilon, matrices.beta, matrices.steps)
            parameters[info.parameter] = seen.view.parameter
        wanted = stream.gradients and step // stream.every % stream.gradients_every == 0
        for name, parameter in parameters.items():
            if wanted and getattr(parameter, "grad", None) is not None:
                yield Sample(step, "gradient", name, to_host(parameter.grad).astype(precision(parameter.grad)))


def _difference(old: Reading, new: Reading) -> dict[str, Any]:
    """A row of checks from two readings of one factor; ``_decomposed_before`` is not stored."""
    return {
        "checks": _grown(old.checks, new.checks),
        "decompositions": _grown(old.decompositions, new.decompositions),
        "reuses": _grown(old.reuses, new.reuses),
        "cap_refreshes": _grown(old.cap_refreshes, new.cap_refreshes),
        "decision": new.decision,
        "epsilon_before": old.epsilon,
        "epsilon": new.epsilon,
        "proxy": new.proxy,
        "relative_condition": new.relative_condition,
        "alpha": new.alpha,
        "residual": new.residual,
        "last_decomposition_step": new.last_decomposition_step,
        "_decomposed_before": old.last_decomposition_step,
    }


def _grown(old: int | None, new: int | None) -> int | None:
    return None if new is None else max(new - (old or 0), 0)


def _matches(info: FactorInfo, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(info.id, pattern) or fnmatchcase(info.parameter, pattern) for pattern in patterns)


def _spread(every: list[_Seen]) -> list[_Seen]:
    """A few factors of matrices from first to last, left and right in turn; of anything where there is no matrix."""
    small = [seen for seen in every if seen.view.info.size <= LARGEST_SNAPSHOT]
    pairs = [seen for seen in small if seen.view.info.order == 2 and seen.view.info.dim == 0]
    if len(pairs) < 2:
        return small[:MOST_SNAPSHOTS]
    ends = [pairs[0], pairs[-1]]
    chosen = []
    for left in ends:
        mate = left.view.info.id.removesuffix("0") + "1"
        chosen += [left, *(seen for seen in small if seen.view.info.id == mate)]
    return chosen[:MOST_SNAPSHOTS]
