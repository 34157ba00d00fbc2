"""The trace of a run: a manifest and five Arrow tables that grow while it trains.

Live runs, recorded ones and logs of other programs are all this one thing, so whatever draws or computes needs to know
nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock

import numpy as np
import pyarrow as pa

from foam_viz.trace.batches import conform
from foam_viz.trace.manifest import Manifest
from foam_viz.trace.schema import TABLES, table_schema, unit_of
from foam_viz.trace.store import Store


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
    """

    step: int
    factor: int
    last_decomposition_step: int | None
    epsilon: float | None
    eigenvalues: np.ndarray | None
    basis_eigenvalues: np.ndarray | None
    true_error: float | None
    overlap: np.ndarray | None


class Trace:
    """The manifest and the tables ``steps``, ``checks``, ``snapshots``, ``events`` and ``pictures`` of one run.

    One thread may append while others read. Arrays and tables handed out never change afterwards.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        steps: pa.Table | None = None,
        checks: pa.Table | None = None,
        snapshots: pa.Table | None = None,
        events: pa.Table | None = None,
        pictures: pa.Table | None = None,
    ) -> None:
        self._manifest = manifest
        self._revision = 0
        self._lock = RLock()
        self._stores = {name: Store(name) for name in TABLES}
        given = {"steps": steps, "checks": checks, "snapshots": snapshots, "events": events, "pictures": pictures}
        for name, rows in given.items():
            if rows is not None:
                self._stores[name].append(conform(name, rows))

    @classmethod
    def empty(cls, manifest: Manifest) -> Trace:
        """Return a trace without rows."""
        return cls(manifest)

    @property
    def manifest(self) -> Manifest:
        """What the run is; assigning a new one counts as a revision."""
        return self._manifest

    @manifest.setter
    def manifest(self, manifest: Manifest) -> None:
        with self._lock:
            self._manifest = manifest
            self._revision += 1

    @property
    def revision(self) -> int:
        """Grows with each append and each new manifest. Comparable within one Trace object only."""
        return self._revision

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
        with self._lock:
            return self._store(name).rows.table

    def rows(self, name: str) -> int:
        """Return the number of rows of a table."""
        return self._store(name).rows.rows

    def append(self, name: str, batch: pa.RecordBatch | pa.Table) -> None:
        """Add rows to a table; meant to be called several times a second for hours.

        Raises:
            KeyError: There is no such table.
            SchemaError: The rows do not fit it, see :func:`foam_viz.trace.batches.conform`.
            ValueError: A column comes with another unit than before.
        """
        fitted = conform(name, batch)
        with self._lock:
            self._store(name).append(fitted)
            self._revision += 1

    def values(self, name: str, column: str) -> np.ndarray:
        """Return one column as a read-only array, one element a row.

        Numbers are int64 where they are whole and none is null, else float64 with NaN for null. Text, decisions
        included, is an object array of str and None. Only rows appended since the last call are converted.

        Raises:
            KeyError: There is no such table or column.
            TypeError: The column holds lists or bytes; read it from the table.
        """
        with self._lock:
            return self._store(name).values(column)

    def has(self, name: str, column: str) -> bool:
        """Say whether a table has the column and at least one value that is not null in it."""
        with self._lock:
            return self._store(name).has(column)

    @property
    def units(self) -> dict[str, str]:
        """Units of the columns of steps, without those that have none."""
        with self._lock:
            return {item.name: unit for item in self._store("steps").rows.schema if (unit := unit_of(item))}

    def unit(self, column: str, name: str = "steps") -> str:
        """Return the unit of a column, the empty string for a pure number or an unknown column."""
        with self._lock:
            schema = self._store(name).rows.schema
            return unit_of(schema.field(column)) if column in schema.names else ""

    def factor_numbers(self, name: str, factor: int | None) -> np.ndarray:
        """Return the numbers of the rows of one factor, ascending; None asks for rows of all factors together.

        Raises:
            KeyError: There is no such table, or it has no column ``factor``.
        """
        with self._lock:
            return self._store(name).factor_index(factor)

    def factor_rows(self, name: str, factor: int | None) -> pa.Table:
        """Return the rows of one factor in order of arrival; None asks for the rows of all factors together.

        Raises:
            KeyError: There is no such table, or it has no column ``factor``.
        """
        with self._lock:
            store = self._store(name)
            rows = store.factor_index(factor)
            table = store.rows.table
            if not len(rows):
                return table.slice(0, 0)
            first = int(rows[0])
            return table.slice(first).take(pa.array(rows - first)).combine_chunks()

    def latest_snapshot(self, factor: int) -> Snapshot | None:
        """Return the newest snapshot of a factor, or None while there is none."""
        with self._lock:
            store = self._store("snapshots")
            rows = store.factor_index(factor)
            if not len(rows):
                return None
            row = {name: array[0] for name, array in _columns(store.rows.table.slice(int(rows[-1]), 1)).items()}
        size, pixels = row["overlap_size"].as_py(), row["overlap"].as_py()
        square = size is not None and pixels is not None and len(pixels) == size * size
        return Snapshot(
            step=row["step"].as_py(),
            factor=row["factor"].as_py(),
            last_decomposition_step=row["last_decomposition_step"].as_py(),
            epsilon=row["epsilon"].as_py(),
            eigenvalues=_spectrum(row["eigenvalues"]),
            basis_eigenvalues=_spectrum(row["basis_eigenvalues"]),
            true_error=row["true_error"].as_py(),
            overlap=np.frombuffer(pixels, np.uint8).reshape(size, size) if square else None,
        )

    def latest_picture(self) -> dict[str, np.ndarray]:
        """Return the newest state of every array of the picture by name, float32; empty while there is none."""
        with self._lock:
            names = self.values("pictures", "array")
            newest = {name: row for row, name in enumerate(names)}
            table = self._store("pictures").rows.table
            return {name: _array(table.slice(row, 1)) for name, row in newest.items()}

    def truncated(self, step: int) -> Trace:
        """Return the trace as it was after a step: the rows whose step is at most ``step``, and the same manifest."""
        with self._lock:
            manifest = self._manifest
            tables = {name: _until(store, step) for name, store in self._stores.items()}
        return Trace(manifest, **tables)

    def _store(self, name: str) -> Store:
        table_schema(name)
        return self._stores[name]


def _until(store: Store, step: int) -> pa.Table:
    steps, table = store.values("step"), store.rows.table
    if len(steps) < 2 or bool(np.all(steps[1:] >= steps[:-1])):
        return table.slice(0, int(np.searchsorted(steps, step, side="right")))
    return table.filter(pa.array(steps <= step))


def _columns(row: pa.Table) -> dict[str, pa.ChunkedArray]:
    return dict(zip(row.column_names, row.columns, strict=True))


def _array(row: pa.Table) -> np.ndarray:
    values, shape = _spectrum(row["values"][0]), row["shape"][0].as_py()
    return values.reshape(shape) if int(np.prod(shape)) == len(values) else values


def _spectrum(value: pa.ListScalar) -> np.ndarray | None:
    return value.values.to_numpy(zero_copy_only=False) if value.is_valid else None
