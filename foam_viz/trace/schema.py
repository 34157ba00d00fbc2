"""Every table and column of a trace, as data.

The tables of ``docs/trace.md`` are generated from this module and a test compares them, so a column is described in one
place only. Arrow fields carry their unit in the field metadata under ``b"unit"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 1

DECISIONS: tuple[str, ...] = ("first", "reuse", "cadence", "cap", "threshold", "failure")
"""What a check decided. The position of a word is its code in every batch that :mod:`foam_viz.trace.batches` builds."""

DECISION_TYPE = pa.dictionary(pa.int8(), pa.string())


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Name in the Arrow table.
        type: Arrow type on disk and in memory.
        meaning: One line for the documentation.
        unit: Unit of the values, empty for pure numbers.
        required: True when a row without a value is an error.
        least: Smallest number allowed, of text the least characters; None for no limit. NaN and infinity are numbers
            that a diverged run has, so no limit concerns them.
        most: Largest number allowed, of text the most characters; None for no limit.
        places: True for a column that says what a row is about: a row out of range there is left out, whereas of any
            other column only the value is.
    """

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    required: bool = False
    least: float | None = None
    most: float | None = None
    places: bool = False

    def field(self) -> pa.Field:
        """Return the Arrow field, with the unit in its metadata."""
        return make_field(self.name, self.type, self.unit)


@dataclass(frozen=True)
class TableSchema:
    """One table of a trace: its name, what a row is, and its columns in order.

    ``open`` marks the one table (steps) that takes any further numeric column.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    open: bool = False

    @cached_property
    def _arrow(self) -> pa.Schema:
        return pa.schema([column.field() for column in self.columns])

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def arrow(self) -> pa.Schema:
        """Return the Arrow schema of the columns defined here; built once."""
        return self._arrow

    def find(self, name: str) -> Column | None:
        """Return the column called ``name``, or None when the schema does not define it."""
        return self._by_name.get(name)

    def column(self, name: str) -> Column:
        """Return the column called ``name``.

        Raises:
            KeyError: The schema does not define it.
        """
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found


def make_field(name: str, data_type: pa.DataType, unit: str = "") -> pa.Field:
    """Return an Arrow field that carries ``unit`` in its metadata (no metadata for an empty unit)."""
    return pa.field(name, data_type, metadata={b"unit": unit.encode()} if unit else None)


def unit_of(field: pa.Field) -> str:
    """Return the unit in a field's metadata, or the empty string."""
    return (field.metadata or {}).get(b"unit", b"").decode(errors="replace")


LARGEST_STEP = 2**53 - 1
"""Whole numbers up to this one are exact as doubles, in JSON and in the browser."""

LARGEST_REAL = 1e100
"""Measures beyond this are no measurements: their square would overflow. Not a limit on losses, which may explode."""

LARGEST_COUNT = 2**31 - 1

_INT32, _INT64, _REAL, _TEXT = pa.int32(), pa.int64(), pa.float64(), pa.string()
_SPECTRUM = pa.list_(pa.float32())
_STEP: dict[str, Any] = {"unit": "step", "least": 0, "most": LARGEST_STEP}
_AT: dict[str, Any] = {**_STEP, "required": True, "places": True}
_COUNT: dict[str, Any] = {"least": 0, "most": LARGEST_COUNT}
_DAMPING: dict[str, Any] = {"unit": "gradient^2", "least": 0, "most": LARGEST_REAL}
_MEASURE: dict[str, Any] = {"least": -LARGEST_REAL, "most": LARGEST_REAL}

STEPS = TableSchema(
    name="steps",
    meaning="One row for each optimizer step that logged anything. Additional numeric columns are allowed.",
    open=True,
    columns=(
        Column("step", _INT64, "Optimizer step, counted from 1; evaluations before training are at 0.", **_AT),
        Column("epoch", _REAL, "Passes over the training data so far, fractions allowed.", "epoch"),
        Column("tokens", _REAL, "Training tokens consumed so far.", "token"),
        Column("optimizer_seconds", _REAL, "Cumulative seconds charged to training: no evaluation, no recording.", "s"),
        Column("total_seconds", _REAL, "Cumulative seconds in all, evaluation and recording included.", "s"),
        Column("loss", _REAL, "Training loss of the step; NaN or inf where training diverged."),
        Column("held_out_loss", _REAL, "Loss on data kept out of training, where it was evaluated."),
        Column("learning_rate", _REAL, "Learning rate of the step."),
        Column("gradient_norm", _REAL, "Euclidean norm of the whole gradient."),
        Column("update_norm", _REAL, "Euclidean norm of what the step changed in all parameters."),
        Column("gradient_seconds", _REAL, "Cumulative seconds of loss and gradient.", "s"),
        Column("statistics_seconds", _REAL, "Cumulative seconds of the factors' statistics.", "s"),
        Column("check_seconds", _REAL, "Cumulative seconds of checks, without decompositions.", "s"),
        Column("decomposition_seconds", _REAL, "Cumulative seconds of decompositions and the roots made of them.", "s"),
        Column("update_seconds", _REAL, "Cumulative seconds of applying the update.", "s"),
        Column(
            "decompositions",
            _INT64,
            "Cumulative eigendecompositions of all factors together.",
            least=0,
            most=LARGEST_STEP,
        ),
    ),
)

CHECKS = TableSchema(
    name="checks",
    meaning="One row for each factor and check, or for each factor and interval of steps with its counts.",
    columns=(
        Column("step", _INT64, "Step of the check, or the last step of the interval.", **_AT),
        Column("interval_start", _INT64, "First step the row covers; null for a single check.", **_STEP, places=True),
        Column(
            "factor",
            _INT32,
            "Index into the manifest's `factors`; null for all factors together.",
            least=0,
            places=True,
        ),
        Column("checks", _INT32, "Checks the row stands for; 1 for a single check.", **_COUNT),
        Column("decompositions", _INT32, "Eigendecompositions among them.", **_COUNT),
        Column("reuses", _INT32, "Checks that kept the basis by decision.", **_COUNT),
        Column("cap_refreshes", _INT32, "Decompositions because the damping would have passed its maximum.", **_COUNT),
        Column("decision", DECISION_TYPE, "What a single check decided: " + ", ".join(DECISIONS) + "."),
        Column("epsilon_before", _REAL, "Damping in force before the decision.", **_DAMPING),
        Column("epsilon", _REAL, "Damping in force after the decision.", **_DAMPING),
        Column("proxy", _REAL, "Staleness proxy h, measured before the decision.", **_MEASURE),
        Column("relative_condition", _REAL, "Whitened drift RC, a term of the proxy.", **_MEASURE),
        Column("alpha", _REAL, "Concentration of the inverse root, a term of the proxy.", **_MEASURE),
        Column("residual", _REAL, "Diagonalization residual of the basis before the decision.", **_MEASURE),
        Column("last_decomposition_step", _INT64, "Step of the latest decomposition, after the decision.", **_STEP),
    ),
)

SNAPSHOTS = TableSchema(
    name="snapshots",
    meaning="One row for each factor looked at closely; at a check it describes the basis before the decision.",
    columns=(
        Column("step", _INT64, "Step of the snapshot.", **_AT),
        Column("factor", _INT32, "Index into the manifest's `factors`.", required=True, least=0, places=True),
        Column("last_decomposition_step", _INT64, "Step at which the basis in force was decomposed.", **_STEP),
        Column("epsilon", _REAL, "Damping in force.", **_DAMPING),
        Column("eigenvalues", _SPECTRUM, "Eigenvalues of the current factor, descending, as the optimizer would have "
               "them had it decomposed it now.", "gradient^2"),
        Column("basis_eigenvalues", _SPECTRUM, "Eigenvalues kept with the basis in force, descending; floored where "
               "the optimizer floors them.", "gradient^2"),
        Column("true_error", _REAL, "Relative Frobenius error of the inverse root in force against a fresh one, which "
               "is decomposed in float64.", **_MEASURE),
        Column("overlap", pa.binary(), "Overlap matrix, row-major unsigned bytes, 255 is 1. Rows are basis directions, "
               "columns current ones, both by descending eigenvalue; pooled when large."),
        Column("overlap_size", _INT32, "Rows, and columns, of `overlap`.", least=1, most=4096),
        Column("turn", _REAL, "Share of the factor's trace that has turned out of its group of near-equal eigenvalues, "
               "0 to 1.", **_MEASURE),
        Column("top_angles", _SPECTRUM, "Principal angles of the leading 8 or more directions, rising.", "rad"),
    ),
)  # fmt: skip

EVENTS = TableSchema(
    name="events",
    meaning="One row for each thing that happened once: a changed setting, a numerical failure, a pause.",
    columns=(
        Column("step", _INT64, "Step of the event.", **_AT),
        Column(
            "kind", _TEXT, "Short machine-readable word, for example `eigh-retry-float64`.", required=True, most=100
        ),
        Column("factor", _INT32, "Index into the manifest's `factors`, for an event of one factor.", least=0),
        Column(
            "setting", _TEXT, "Setting that an edit changed, for example `tau`; null for any other event.", most=100
        ),
        Column("value", _REAL, "A number that belongs to the event; of an edit the value that holds from its step on."),
        Column("message", _TEXT, "The event in words.", most=2000),
    ),
)

PICTURES = TableSchema(
    name="pictures",
    meaning="One row for each array of a picture of what the model does, where the task has one; an array that did not "
    "change since its last row has none.",
    columns=(
        Column("step", _INT64, "Step of the picture.", **_AT),
        Column("array", _TEXT, "Name of the array; the manifest's `picture` names the kind, which says what it is.",
               required=True, most=100, places=True),
        Column("shape", pa.list_(pa.int32()), "Lengths of its dimensions."),
        Column("values", pa.list_(pa.float32()), "Its elements, row-major."),
    ),
)  # fmt: skip

PICTURE_KINDS: Mapping[str, Mapping[str, tuple[str | int, ...]]] = {
    "decision": {
        "x": ("width",),
        "y": ("height",),
        "probability": ("classes", "height", "width"),
        "points": ("points", 2),
        "labels": ("points",),
        "held_out_points": ("held out", 2),
        "held_out_labels": ("held out",),
    },
    "reconstruction": {"input": ("images", "rows", "columns"), "reconstruction": ("images", "rows", "columns")},
    "ellipse": {
        "trail": ("steps", 2),
        "position": (2,),
        "optimum": (2,),
        "ellipse": ("around", 2),
        "covariance": (2, 2),
    },
    "singular-values": {"target": ("values",), "learned": ("values",)},
}
"""The arrays of each kind of picture with their dimensions: a number is that length, a word the same in all arrays."""

TABLES: Mapping[str, TableSchema] = {table.name: table for table in (STEPS, CHECKS, SNAPSHOTS, EVENTS, PICTURES)}


def table_schema(name: str) -> TableSchema:
    """Return the schema of one table.

    Raises:
        KeyError: There is no table of that name.
    """
    try:
        return TABLES[name]
    except KeyError:
        raise KeyError(f"no table {name!r}: a trace has {', '.join(TABLES)}") from None


def is_numeric(data_type: pa.DataType) -> bool:
    """Say whether a column of this type may join the steps table (integers, reals and booleans)."""
    return pa.types.is_integer(data_type) or pa.types.is_floating(data_type) or pa.types.is_boolean(data_type)
