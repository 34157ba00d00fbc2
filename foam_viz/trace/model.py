"""The trace of a run: a manifest and five Arrow tables that grow while it trains.

Live runs, recorded ones and logs of other programs are all this one thing, so whatever draws or computes needs to know
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import RLock

import numpy as np
import pyarrow as pa

from foam_viz.trace.batches import conform
from foam_viz.trace.manifest import Manifest
from foam_viz.trace.schema import TABLES, table_schema
from foam_viz.trace.store import Store
from foam_viz.trace.view import Snapshot, Source, TraceView

__all__ = ["Snapshot", "Trace", "TraceView"]


class Trace:
    """The manifest and the tables ``steps``, ``checks``, ``snapshots``, ``events`` and ``pictures`` of one run.

    One thread may append while others read. A single call answers for one moment; whoever makes several takes a
    :meth:`view` first, so that all of its answers belong together. Arrays and tables handed out never change.

    Attributes:
        source: Stands for this trace in the keys of what is computed once for a run that grows.
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
        self.source = Source()
        self._manifest = manifest
        self._revision = 0
        self._lock = RLock()
        self._stores = {name: Store(name) for name in TABLES}
        self._view: TraceView | None = None
        given = {"steps": steps, "checks": checks, "snapshots": snapshots, "events": events, "pictures": pictures}
        for name, rows in given.items():
            if rows is not None:
                self._stores[name].append(conform(name, rows))

    @classmethod
    def empty(cls, manifest: Manifest) -> Trace:
        """Return a trace without rows."""
        return cls(manifest)

    def view(self, at: int | None = None) -> TraceView:
        """Return the trace as it is now, fixed; the same object until something changes.

        Args:
            at: Step after which the run is seen, see :meth:`TraceView.view`; None for all of it.
        """
        with self._lock:
            if self._view is None:
                self._view = TraceView(self.source, self._manifest, self._revision, self._stores, self._lock, Trace)
            return self._view.view(at)

    # --- growing

    def append(self, name: str, batch: pa.RecordBatch | pa.Table) -> None:
        """Add rows to a table; meant to be called several times a second for hours.

        Raises:
            KeyError: There is no such table.
            SchemaError: The rows do not fit it, see :func:`foam_viz.trace.batches.conform`.
            ValueError: A column comes with another unit than before.
        """
        self.extend({name: batch})

    def extend(self, batches: Mapping[str, pa.RecordBatch | pa.Table]) -> None:
        """Add rows to several tables at once: a reader sees all of them or none.

        Raises:
            KeyError, SchemaError, ValueError: As :meth:`append` does; rows of the other tables may have been added.
        """
        fitted = {table_schema(name).name: conform(name, batch) for name, batch in batches.items()}
        with self._lock:
            self._view = None
            self._revision += 1
            for name, rows in fitted.items():
                self._stores[name].append(rows)

    @property
    def manifest(self) -> Manifest:
        """What the run is; assigning a new one counts as a revision."""
        return self._manifest

    @manifest.setter
    def manifest(self, manifest: Manifest) -> None:
        with self._lock:
            self._view = None
            self._manifest = manifest
            self._revision += 1

    # --- reading: each as the view of now answers

    @property
    def revision(self) -> int:
        """Grows with each append and each new manifest. Comparable within one Trace object only."""
        return self._revision

    @property
    def steps(self) -> pa.Table:
        """The steps table."""
        return self.view().steps

    @property
    def checks(self) -> pa.Table:
        """The checks table."""
        return self.view().checks

    @property
    def snapshots(self) -> pa.Table:
        """The snapshots table."""
        return self.view().snapshots

    @property
    def events(self) -> pa.Table:
        """The events table."""
        return self.view().events

    def table(self, name: str) -> pa.Table:
        """See :meth:`TraceView.table`."""
        return self.view().table(name)

    @property
    def nbytes(self) -> int:
        """Bytes that the tables take in memory; what is converted from them to be drawn is not counted."""
        return sum(self.table(name).nbytes for name in TABLES)

    def rows(self, name: str) -> int:
        """See :meth:`TraceView.rows`."""
        return self.view().rows(name)

    def values(self, name: str, column: str) -> np.ndarray:
        """See :meth:`TraceView.values`."""
        return self.view().values(name, column)

    def derived(self, name: str, key: str, convert: Callable[[pa.Table], np.ndarray]) -> np.ndarray:
        """See :meth:`TraceView.derived`."""
        return self.view().derived(name, key, convert)

    def has(self, name: str, column: str) -> bool:
        """See :meth:`TraceView.has`."""
        return self.view().has(name, column)

    @property
    def units(self) -> dict[str, str]:
        """See :attr:`TraceView.units`."""
        return self.view().units

    def unit(self, column: str, name: str = "steps") -> str:
        """See :meth:`TraceView.unit`."""
        return self.view().unit(column, name)

    def factor_numbers(self, name: str, factor: int | None) -> np.ndarray:
        """See :meth:`TraceView.factor_numbers`."""
        return self.view().factor_numbers(name, factor)

    def latest_snapshot(self, factor: int) -> Snapshot | None:
        """See :meth:`TraceView.latest_snapshot`."""
        return self.view().latest_snapshot(factor)

    def latest_picture(self) -> dict[str, np.ndarray]:
        """See :meth:`TraceView.latest_picture`."""
        return self.view().latest_picture()

    def truncated(self, step: int) -> Trace:
        """See :meth:`TraceView.truncated`."""
        return self.view().truncated(step)
