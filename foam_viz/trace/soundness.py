"""What a trace from a file must hold to be drawn: numbers in their ranges, tables that agree with each other.

A bundle is a file like any other: what is in it may be damaged, or made to do harm. Everything out of range is left out
here, aloud, so that whatever draws or computes may rely on the schema.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from foam_viz.trace.manifest import Manifest
from foam_viz.trace.model import Trace
from foam_viz.trace.schema import DECISIONS, LARGEST_REAL, PICTURE_KINDS, TABLES, Column, TableSchema
from foam_viz.trace.visible import cut, visible, visible_json

LONGEST_NAME = 300
LONGEST_NOTE = 2_000
MOST_NOTES = 1_000
_LARGEST_SIDE = 4096
_LEAST_SIDES = {"width": 2, "height": 2, "classes": 2}
_SHOWN = 40
_WORD = "^[a-z][a-z0-9-]{0,39}$"


def sound(trace: Trace) -> Trace:
    """Return the trace without what no run can have recorded, with a note for each kind of thing left out.

    A row is left out where a value that says what the row is about is out of range: its step, its factor, the interval
    it counts. Of any other column only the value is left out. Texts become
    :func:`~foam_viz.trace.visible.visible`, and long ones are cut.
    """
    manifest = sound_manifest(trace.manifest)
    notes: list[str] = []
    tables = {}
    for schema in TABLES.values():
        rows = trace.table(schema.name)
        if len(rows):
            rows = _TableCheck(schema, rows, manifest, notes).result()
        tables[schema.name] = rows
    return Trace(manifest.with_notes(notes), **tables)


def sound_manifest(manifest: Manifest) -> Manifest:
    """Return the manifest with texts that can be shown, none of them endless."""
    names = {
        name: cut(visible(getattr(manifest, name)), LONGEST_NAME)
        for name in ("run_id", "name", "format", "created", "task", "optimizer", "device", "picture")
    }
    trees = {
        name: visible_json(getattr(manifest, name)) for name in ("config", "hardware", "software", "recorder", "extra")
    }
    notes = [cut(visible(note), LONGEST_NOTE) for note in manifest.notes]
    if len(notes) > MOST_NOTES:
        notes = [*notes[:MOST_NOTES], f"and {len(notes) - MOST_NOTES:,} more notes, which are left out"]
    return manifest.with_(
        **names,
        **trees,
        notes=tuple(notes),
        files=tuple(visible(name) for name in manifest.files),
        source_columns=tuple(visible_json(column) for column in manifest.source_columns),
        factors=tuple(
            replace(
                factor,
                id=cut(visible(factor.id), LONGEST_NAME),
                parameter=cut(visible(factor.parameter), LONGEST_NAME),
                extra=visible_json(factor.extra),
            )
            for factor in manifest.factors
        ),
    )


@dataclass
class _TableCheck:
    """Checks one table, column by column."""

    schema: TableSchema
    rows: pa.Table
    manifest: Manifest
    notes: list[str]

    def __post_init__(self) -> None:
        self._numbers = np.arange(1, len(self.rows) + 1)  # of the rows that remain, as the file counts them

    def result(self) -> pa.Table:
        """Return the rows that remain, with nulls for the values that do not."""
        if self.schema.open:
            self._column_names()
        if "factor" in self.rows.column_names:
            self._factors()
        for column in self.schema.columns:
            if pa.types.is_string(column.type):
                self._texts(column)
            elif column.least is not None or column.most is not None:
                self._range(column)
        for cross in (self._intervals, self._last_decompositions, self._decisions, self._spectra, self._overlaps):
            cross()
        if self.schema.name == "pictures":
            self._pictures()
        if self.schema.open:
            self._falls()
        return self.rows

    def _column_names(self) -> None:
        """Further columns of steps under names that can be shown and differ."""
        taken: set[str] = set()
        names = []
        for given in self.rows.column_names:
            name = unique = cut(visible(given), LONGEST_NAME)
            count = 1
            while unique in taken:
                count += 1
                unique = f"{name} ({count})"
            taken.add(unique)
            names.append(unique)
        if names != self.rows.column_names:
            self.rows = self.rows.rename_columns(names)

    def _falls(self) -> None:
        """Steps that fall are kept, as a run may have begun again; that must be known when curves are read."""
        steps = _whole(self.rows["step"])
        falls = np.flatnonzero(steps[1:] < steps[:-1])
        if len(falls):
            row = int(falls[0]) + 1
            where = f"{self.schema.name} row {self._numbers[row]:,}, column step"
            self.notes.append(f"{where}: {steps[row]:,} comes after {steps[row - 1]:,}; rows are kept as they came")

    def _factors(self) -> None:
        """A row of a factor that the manifest does not list is about nothing."""
        count = len(self.manifest.factors)
        column = self.schema.column("factor")
        values = _reals(self.rows["factor"])
        allowed = f"0 to {count - 1:,}, the factors of the manifest" if count else "possible: the manifest has none"
        self._refuse(column, (values < 0) | (values >= count), allowed)

    def _range(self, column: Column) -> None:
        values = self.rows[column.name]
        bad = np.zeros(len(self.rows), bool)
        if column.least is not None:
            bad |= _mask(_call("less", values, pa.scalar(column.least, column.type)))
        if column.most is not None:
            bad |= _mask(_call("greater", values, pa.scalar(column.most, column.type)))
        if pa.types.is_floating(column.type) and bad.any():
            bad &= np.isfinite(_reals(values))
        low, high = _words(column.least), _words(column.most)
        allowed = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
        self._refuse(column, bad, allowed)

    def _texts(self, column: Column) -> None:
        """Texts are repaired: a message that is too long or holds control characters still says something."""
        longest = int(column.most or LONGEST_NOTE)
        known: dict[str | None, str | None] = {None: None}
        given = self.rows[column.name].to_pylist()
        shown = [
            known[text] if text in known else known.setdefault(text, cut(visible(text), longest)) for text in given
        ]
        if shown != given:
            self._put(column.name, pa.array(shown, pa.string()))

    def _intervals(self) -> None:
        if "interval_start" in self.rows.column_names:
            late = _mask(_call("greater", self.rows["interval_start"], self.rows["step"]))
            self._refuse(self.schema.column("interval_start"), late, "a step up to the row's own")

    def _last_decompositions(self) -> None:
        if "last_decomposition_step" in self.rows.column_names:
            late = _mask(_call("greater", self.rows["last_decomposition_step"], self.rows["step"]))
            self._refuse(self.schema.column("last_decomposition_step"), late, "a step up to the row's own")

    def _decisions(self) -> None:
        """A later version may know further decisions; they are words, as those of this one are."""
        column = self.schema.find("decision")
        if column is None:
            return
        words = self.rows["decision"].cast(pa.string())
        known = _mask(_call("match_substring_regex", words, options=pc.MatchSubstringOptions(_WORD)))
        odd = ~known & ~_mask(words.is_null())
        self._refuse(column, odd, f"one of {', '.join(DECISIONS)}, or another word of lower-case letters")

    def _spectra(self) -> None:
        """At most as many eigenvalues as the factor has rows, those of factor and basis as many as each other."""
        if self.schema.name != "snapshots" or not len(self.rows):
            return
        sizes = np.array([factor.size for factor in self.manifest.factors])[_whole(self.rows["factor"])]
        lengths = {}
        for name in ("eigenvalues", "basis_eigenvalues", "top_angles"):
            length = _reals(_call("list_value_length", self.rows[name]))
            bad = (length < 1) | (length > sizes)
            self._refuse(self.schema.column(name), bad, "a list of 1 to as many numbers as the factor has rows")
            lengths[name] = np.where(bad, np.nan, length)
        both = lengths["eigenvalues"] - lengths["basis_eigenvalues"]
        unlike = np.isfinite(both) & (both != 0)
        self._refuse(self.schema.column("basis_eigenvalues"), unlike, "as long as eigenvalues of the same row")

    def _overlaps(self) -> None:
        if self.schema.name != "snapshots" or not len(self.rows):
            return
        size, length = _reals(self.rows["overlap_size"]), _reals(_call("binary_length", self.rows["overlap"]))
        sides = np.array([factor.size for factor in self.manifest.factors])[_whole(self.rows["factor"])]
        self._refuse(self.schema.column("overlap_size"), size > sides, "at most the rows of the factor")
        size = np.where(size > sides, np.nan, size)
        bad = np.isfinite(length) & ~(length == size * size)
        self._refuse(self.schema.column("overlap"), bad, "overlap_size times overlap_size bytes")

    def _pictures(self) -> None:
        """Arrays as the kind of picture has them; a kind that this version does not know is drawn by nobody."""
        kind = PICTURE_KINDS.get(self.manifest.picture)
        bad: dict[int, str] = {}
        bound: dict[str, int] = {}
        uses = [word for dims in (kind or {}).values() for word in set(dims) if isinstance(word, str)]
        shapes, lengths = self.rows["shape"].to_pylist(), _reals(_call("list_value_length", self.rows["values"]))
        for row, (name, shape, length) in enumerate(zip(self.rows["array"].to_pylist(), shapes, lengths, strict=True)):
            if reason := _bad_shape(shape, length):
                bad[row] = reason
            elif kind is not None and name in kind:
                dims = kind[name]
                wanted = [bound.get(dim, dim) if isinstance(dim, str) else dim for dim in dims]
                fits = len(shape) == len(dims) and all(
                    side == want if isinstance(want, int) else side >= _LEAST_SIDES.get(want, 1)
                    for side, want in zip(shape, wanted, strict=True)
                )
                if not fits:
                    bad[row] = (
                        f"({', '.join(map(str, wanted))}) for {name} of a picture of the kind {self.manifest.picture}"
                    )
                    continue
                named = ((dim, side) for dim, side in zip(dims, shape, strict=True) if isinstance(dim, str))
                bound |= {dim: side for dim, side in named if uses.count(dim) > 1}
        column = replace(self.schema.column("shape"), places=True)
        for reason in dict.fromkeys(bad.values()):
            mask = np.zeros(len(shapes), bool)
            mask[[row for row, why in bad.items() if why == reason]] = True
            self._note(column, mask, reason)
        if bad:
            kept = np.ones(len(shapes), bool)
            kept[list(bad)] = False
            self._keep(kept)

    def _refuse(self, column: Column, bad: np.ndarray, allowed: str) -> None:
        if not bad.any():
            return
        self._note(column, bad, allowed)
        if column.places:
            self._keep(~bad)
        else:
            # take, not if_else: it knows lists, bytes and dictionaries as well.
            places = pa.array(np.where(bad, 0, np.arange(len(bad))), mask=bad)
            self._put(column.name, self.rows[column.name].take(places))

    def _note(self, column: Column, bad: np.ndarray, allowed: str) -> None:
        first = int(np.argmax(bad))
        value = self.rows[column.name][first].as_py()
        what = "the row is left out" if column.places else "the value is left out"
        more = int(bad.sum()) - 1
        rest = f", and {more:,} more like it" if more else ""
        where = f"{self.schema.name} row {self._numbers[first]:,}, column {column.name}"
        self.notes.append(f"{where}: {_shown(value)} is not {allowed}; {what}{rest}")

    def _keep(self, kept: np.ndarray) -> None:
        self.rows, self._numbers = self.rows.filter(pa.array(kept)), self._numbers[kept]

    def _put(self, name: str, values: pa.Array | pa.ChunkedArray) -> None:
        position = self.rows.schema.get_field_index(name)
        self.rows = self.rows.set_column(position, self.rows.schema.field(position), values)


def _bad_shape(shape: list[int | None] | None, length: float) -> str:
    """Why a shape cannot be that of so many values; empty when it can."""
    sides = [side for side in shape or () if side is not None and 1 <= side <= _LARGEST_SIDE]
    if not shape or len(sides) < len(shape):
        return f"a list of lengths from 1 to {_LARGEST_SIDE:,}"
    return "" if math.prod(sides) == length else "the shape of as many values as the row has"


def _call(function: str, *values: pa.ChunkedArray | pa.Scalar, options: Any = None) -> pa.ChunkedArray:
    return pc.call_function(function, list(values), options)


def _mask(values: pa.ChunkedArray) -> np.ndarray:
    return values.fill_null(False).to_numpy().astype(bool)


def _reals(values: pa.ChunkedArray) -> np.ndarray:
    """As float64, null as NaN."""
    return values.cast(pa.float64(), safe=False).to_numpy()


def _whole(values: pa.ChunkedArray) -> np.ndarray:
    return values.to_numpy().astype(np.int64)


def _words(limit: float | None) -> str:
    if limit is None:
        return ""
    return f"{limit:.0e}".replace("e+", "e") if abs(limit) >= LARGEST_REAL else f"{limit:,}"


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, list) and len(value) > 4:
        return f"a list of {len(value):,} numbers"
    return cut(visible(f"{value!r}"), _SHOWN)
