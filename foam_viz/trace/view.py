"""A trace at one moment: what everything that draws or computes reads.

A run grows while it is drawn. A view is fixed: its tables belong together, whatever is appended meanwhile, and no
column is copied for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from foam_viz.trace.manifest import Manifest
from foam_viz.trace.schema import table_schema, unit_of
from foam_viz.trace.store import Store

if TYPE_CHECKING:
    from foam_viz.trace.model import Trace


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One row of the snapshots table as numpy arrays; None where the run did not record a value.

    Attributes:
        step: Step of the snapshot.
        factor: Index into the manifest's factors.
        last_decomposition_step: Step at which the basis in force was decomposed.
        epsilon: Damping in force, gradient^2.
        eigenvalues: (n,) float32, of the current factor, descending, gradient^2.
        basis_eigenvalues: (n,) float32, kept with the basis in force, descending, gradient^2.
        true_error: Relative error of the inverse root in force.
        overlap: (k, k) uint8, 255 is 1.
        turn: Share of the trace that has turned, see :mod:`foam_viz.trace.eigenbasis`.
        top_angles: (k,) float32, rising, radians, between the leading subspaces.
    """

    step: int
    factor: int
    last_decomposition_step: int | None
    epsilon: float | None
    eigenvalues: np.ndarray | None
    basis_eigenvalues: np.ndarray | None
    true_error: float | None
    overlap: np.ndarray | None
    turn: float | None = None
    top_angles: np.ndarray | None = None


_KEPT = 8
"""Earlier moments kept of one view: those that a reader goes back and forth between."""


class Source:
    """Stands for a trace: a key that is gone when the trace and all of its views are."""


class TraceView:
    """The manifest and the tables of one run at one moment; it never changes. Any number of threads may read it.

    Made by :meth:`foam_viz.trace.model.Trace.view`. The manifest of an earlier moment says that the run goes on, for
    it did.

    Attributes:
        source: Stands for the trace that it is a view of, in the keys of what is computed once for a run that grows.
        manifest: What the run is.
        revision: Revision of the trace at the moment.
        at: Step after which the run is seen; None for all of it.
    """

    def __init__(
        self,
        source: Source,
        manifest: Manifest,
        revision: int,
        stores: Mapping[str, Store],
        lock: RLock,
        make: Callable[..., Trace],
    ) -> None:
        self.source, self.manifest, self.revision = source, manifest, revision
        self._stores, self._lock, self._make = stores, lock, make
        self.at: int | None = None
        self._tables = {name: store.rows.table for name, store in stores.items()}
        self._read: dict[tuple[str, object], np.ndarray] = {}
        self._filled: dict[tuple[str, str], bool] = {}
        self._past: OrderedDict[int, TraceView] = OrderedDict()

    def view(self, at: int | None = None) -> TraceView:
        """Return the run as it was after a step, or this very view.

        Of every table the rows whose step is at most ``at`` are there, in the order in which they were written, so that
        of a step that was written again the last row counts. Where steps rise, no column is copied. A run that had
        ended by then is seen at its end.

        Args:
            at: The step; None for all that this view holds.
        """
        if at is None or all(not len(steps) or int(steps.max()) <= at for steps in self._steps()):
            return self
        with self._lock:
            known = self._past.get(at)
            if known is None:
                known = self._past[at] = self._cut(at)
                while len(self._past) > _KEPT:
                    self._past.popitem(last=False)
            return known

    def _steps(self) -> Iterator[np.ndarray]:
        return (self.values(name, "step") for name in self._tables)

    def _cut(self, at: int) -> TraceView:
        """The view after a step that the run went beyond."""
        manifest = self.manifest
        if manifest.diverged_step is None or manifest.diverged_step > at:
            manifest = manifest.with_(status="running", diverged_step=None)
        if all(_rise(steps) for steps in self._steps()):
            past = TraceView(self.source, manifest, self.revision, self._stores, self._lock, self._make)
            past._tables = {name: self.until(name, at) for name in self._tables}
        else:
            past = self._make(manifest, **{name: self.until(name, at) for name in self._tables}).view()
            past.revision = self.revision
        past.at = at
        return past

    @property
    def steps(self) -> pa.Table:
        """The steps table."""
        return self.table("steps")

    @property
    def checks(self) -> pa.Table:
        """The checks table."""
        return self.table("checks")

    @property
    def snapshots(self) -> pa.Table:
        """The snapshots table."""
        return self.table("snapshots")

    @property
    def events(self) -> pa.Table:
        """The events table."""
        return self.table("events")

    def table(self, name: str) -> pa.Table:
        """Return all rows of a table, without a copy; every column of the schema is there.

        Raises:
            KeyError: There is no such table.
        """
        table_schema(name)
        return self._tables[name]

    def rows(self, name: str) -> int:
        """Return the number of rows of a table."""
        return self.table(name).num_rows

    def values(self, name: str, column: str) -> np.ndarray:
        """Return one column as a read-only array, one element a row.

        Numbers are int64 where they are whole and none is null, else float64 with NaN for null. Text, decisions
        included, is an object array of str and None. Rows are converted once, however many views are read.

        Raises:
            KeyError: There is no such table or column.
            TypeError: The column holds lists or bytes; read it from the table.
        """
        return self._once(name, column, lambda store: store.values(column))

    def derived(self, name: str, key: str, convert: Callable[[pa.Table], np.ndarray]) -> np.ndarray:
        """Return what ``convert`` makes of the rows of a table: a read-only int64 array, one element a row.

        Args:
            name: The table.
            key: Names the result; one function a key.
            convert: Called with rows not seen before, in any grouping, so that each row is converted once.

        Raises:
            KeyError: There is no such table.
        """
        return self._once(name, (key, convert), lambda store: store.derived(key, convert))

    def _once(self, name: str, key: object, read: Callable[[Store], np.ndarray]) -> np.ndarray:
        rows = self.rows(name)
        known = self._read.get((name, key))
        if known is None:
            with self._lock:  # columns only ever grow at their end: the first rows of them are those of this moment
                known = read(self._stores[name])[:rows]
            self._read[name, key] = known
        return known

    def has(self, name: str, column: str) -> bool:
        """Say whether a table has the column and at least one value that is not null in it."""
        known = self._filled.get((name, column))
        if known is None:
            # By index: the list of names would be made anew for each of perhaps thousands of columns.
            table = self.table(name)
            index = table.schema.get_field_index(column)
            known = index >= 0 and table.column(index).null_count < table.num_rows
            self._filled[name, column] = known
        return known

    @property
    def units(self) -> dict[str, str]:
        """Units of the columns of steps, without those that have none."""
        return {item.name: unit for item in self.steps.schema if (unit := unit_of(item))}

    def unit(self, column: str, name: str = "steps") -> str:
        """Return the unit of a column, the empty string for a pure number or an unknown column."""
        schema = self.table(name).schema
        index = schema.get_field_index(column)
        return unit_of(schema.field(index)) if index >= 0 else ""

    def factor_numbers(self, name: str, factor: int | None) -> np.ndarray:
        """Return the numbers of the rows of one factor, ascending; None asks for rows of all factors together.

        Raises:
            KeyError: There is no such table, or it has no column ``factor``.
        """
        rows = self.rows(name)
        with self._lock:
            numbers = self._stores[name].factor_index(factor)
        return numbers[: int(np.searchsorted(numbers, rows))]

    def latest_snapshot(self, factor: int) -> Snapshot | None:
        """Return the newest snapshot of a factor, or None while there is none."""
        rows = self.factor_numbers("snapshots", factor)
        if not len(rows):
            return None
        row = {name: array[0] for name, array in _columns(self.snapshots.slice(int(rows[-1]), 1)).items()}
        size, pixels = row["overlap_size"].as_py(), row["overlap"].as_py()
        overlap = None
        if size is not None and pixels is not None and len(pixels) == size * size:
            overlap = np.frombuffer(pixels, np.uint8).reshape(size, size)
        return Snapshot(
            step=row["step"].as_py(),
            factor=row["factor"].as_py(),
            last_decomposition_step=row["last_decomposition_step"].as_py(),
            epsilon=row["epsilon"].as_py(),
            eigenvalues=_spectrum(row["eigenvalues"]),
            basis_eigenvalues=_spectrum(row["basis_eigenvalues"]),
            true_error=row["true_error"].as_py(),
            overlap=overlap,
            turn=row["turn"].as_py(),
            top_angles=_spectrum(row["top_angles"]),
        )

    def latest_picture(self) -> dict[str, np.ndarray]:
        """Return the newest state of every array of the picture by name, float32; empty while there is none."""
        newest = {name: row for row, name in enumerate(self.values("pictures", "array"))}
        table = self.table("pictures")
        return {name: _array(table.slice(row, 1)) for name, row in newest.items()}

    @property
    def last_step(self) -> int:
        """The largest step of a row of steps or checks, 0 before the first."""
        steps = (self.values(name, "step") for name in ("steps", "checks"))
        return max((int(values.max()) for values in steps if len(values)), default=0)

    def until(self, name: str, step: int) -> pa.Table:
        """Return the rows of a table whose step is at most ``step``."""
        steps, table = self.values(name, "step"), self.table(name)
        if _rise(steps):
            return table.slice(0, int(np.searchsorted(steps, step, side="right")))
        return table.filter(pa.array(steps <= step))

    def truncated(self, step: int) -> Trace:
        """Return the trace as it was after a step: the rows whose step is at most ``step``, and the same manifest."""
        return self._make(self.manifest, **{name: self.until(name, step) for name in self._tables})


def _rise(steps: np.ndarray) -> bool:
    return len(steps) < 2 or bool(np.all(steps[1:] >= steps[:-1]))


def _columns(row: pa.Table) -> dict[str, pa.ChunkedArray]:
    return dict(zip(row.column_names, row.columns, strict=True))


def _array(row: pa.Table) -> np.ndarray:
    values, shape = _numbers(row["values"][0]), row["shape"][0].as_py()
    return values.reshape(shape) if int(np.prod(shape)) == len(values) else values


def _spectrum(value: pa.ListScalar) -> np.ndarray | None:
    return _numbers(value) if value.is_valid else None


def _numbers(value: pa.ListScalar) -> np.ndarray:
    return value.values.to_numpy(zero_copy_only=False)
