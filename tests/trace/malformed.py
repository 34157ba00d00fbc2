"""Run bundles with one thing wrong, and the means to make any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path

import pyarrow as pa

from foam_viz.trace import TABLES, Trace
from foam_viz.trace import manifest as manifests
from foam_viz.trace.disk.parts import encode
from foam_viz.trace.manifest import Manifest
from tests.synthetic import SyntheticRun

Tables = dict[str, pa.Table]


@lru_cache(maxsize=1)
def whole() -> Trace:
    """A valid run with every table."""
    return SyntheticRun().advance(100).trace


def tables() -> Tables:
    """Its tables."""
    return {name: whole().table(name) for name in TABLES}


def replaced(rows: pa.Table, column: str, values: Mapping[int, object]) -> pa.Table:
    """The rows with other values in a column; rows that are not there are passed over."""
    place = rows.schema.get_field_index(column)
    cells = rows.column(place).to_pylist()
    for row, value in values.items():
        if -len(cells) <= row < len(cells):
            cells[row] = value
    field = rows.schema.field(place)
    return rows.set_column(place, field, pa.array(cells, field.type))


def write(folder: Path, manifest: Manifest | str, parts: Tables) -> Path:
    """Write a bundle as it is told, without any check."""
    (folder / "tables").mkdir(parents=True)
    text = manifest if isinstance(manifest, str) else manifests.dumps(manifest)
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    for name, rows in parts.items():
        if len(rows):
            (folder / "tables" / f"{name}.00000000-00000000.arrow").write_bytes(encode(rows))
    return folder


def _cells(table: str, column: str, value: object, rows: Iterable[int], folder: Path) -> Path:
    parts = tables()
    parts[table] = replaced(parts[table], column, dict.fromkeys(rows, value))
    return write(folder, whole().manifest, parts)


def _manifest(changes: Mapping[str, object], folder: Path) -> Path:
    return write(folder, whole().manifest.with_(**changes), tables())


def _factors(changes: Mapping[str, object], folder: Path) -> Path:
    factors = tuple(dataclasses.replace(factor, **changes) for factor in whole().manifest.factors)
    return write(folder, whole().manifest.with_(factors=factors), tables())


def _text(old: str, new: str, folder: Path) -> Path:
    return write(folder, manifests.dumps(whole().manifest).replace(old, new, 1), tables())


_HUGE = (2**53, 2**63 - 1, -(2**63), -1)
_BIDI = "\u202ex\x1b[2J<b>"
_CELLS: tuple[tuple[str, str, tuple[object, ...]], ...] = (
    *((table, "step", _HUGE) for table in ("steps", "checks", "snapshots", "events", "pictures")),
    *((table, "factor", (-1, 999, 2**31 - 1)) for table in ("checks", "snapshots", "events")),
    ("checks", "interval_start", _HUGE),
    ("checks", "last_decomposition_step", _HUGE),
    *(("checks", column, (-1, 2**31 - 1)) for column in ("checks", "decompositions", "reuses", "cap_refreshes")),
    *(
        ("checks", column, (1e308, -1e308, float("inf"), float("nan"), -1.0, 0.0, 5e-324))
        for column in ("proxy", "epsilon", "epsilon_before", "residual", "alpha", "relative_condition")
    ),
    *(
        ("steps", column, (1e308, -1e308, float("inf"), -1.0))
        for column in ("loss", "held_out_loss", "optimizer_seconds", "tokens", "epoch", "learning_rate")
    ),
    ("steps", "decompositions", _HUGE),
    *(
        ("snapshots", column, ([], [1.0], [float("nan")] * 64, [-1.0] * 64, [3e38] * 64, [1.0] * 5000))
        for column in ("eigenvalues", "basis_eigenvalues")
    ),
    ("snapshots", "overlap", (b"", b"x", b"\0" * 4096)),
    ("snapshots", "overlap_size", (-1, 0, 1, 46341, 2**31 - 1)),
    ("snapshots", "true_error", (1e308, float("nan"), -1.0)),
    ("pictures", "shape", ([], [0], [-1, -64], [2**31 - 1] * 4, [640], [1] * 70, [10, 64], None)),
    ("pictures", "values", ([], [1.0], [float("nan")] * 640, None)),
    ("pictures", "array", ("x" * 10_000, _BIDI, "")),
    ("events", "kind", ("x" * 10_000, _BIDI)),
    ("events", "message", ("x" * 100_000, _BIDI)),
)
_MANIFESTS: tuple[dict[str, object], ...] = (
    {"name": "n" * 100_000}, {"name": _BIDI}, {"name": ""}, {"picture": "nothing"}, {"picture": "decision"},
    {"picture": "ellipse"}, {"picture": "singular-values"}, {"loss_floor": 1e308}, {"diverged_step": -3},
    {"optimizer": "o" * 9_999}, {"notes": ("n" * 100_000,) * 3}, {"files": ("/etc/passwd",)}, {"factors": ()},
    {"config": {"optimizer_settings": {"tau": 1e308, "epsilon": -1, "epsilon_max": 0}}},
    {"config": {"optimizer_settings": [1]}}, {"source_columns": ({"source": 5},)}, {"software": {"a": _BIDI}},
)  # fmt: skip
_FACTORS: tuple[dict[str, object], ...] = tuple(
    {key: value} for key in ("size", "dim", "order", "block") for value in (-1, 0, 5, 2**40)
) + ({"parameter": "p" * 100_000}, {"parameter": _BIDI}, {"id": "same"})
_TEXTS = {
    "lone surrogate": ('"foam"', '"\\ud800"'),
    "too deep": ('"config": {', '"config": {"a":' + "[" * 900 + "]" * 900 + ","),
    "too long a number": ('"config": {', '"config": {"a":' + "9" * 5000 + ","),
    "bare word": ('"config": {', '"config": {"a": NaN,'),
}

MALFORMED: dict[str, Callable[[Path], Path]] = {
    **{
        f"{table}.{column} = {value!r:.30} in rows {rows}": partial(_cells, table, column, value, rows)
        for table, column, values in _CELLS
        for value in values
        for rows in (range(1), range(60))
        if len(rows) == 1 or column in ("factor", "proxy", "shape", "overlap_size", "interval_start")
    },
    **{f"manifest {changes!r:.60}": partial(_manifest, changes) for changes in _MANIFESTS},
    **{f"factors {changes!r:.60}": partial(_factors, changes) for changes in _FACTORS},
    **{f"manifest with {name}": partial(_text, *texts) for name, texts in _TEXTS.items()},
}
"""Makers by what is wrong: each writes a bundle into a folder that is not there yet, and returns it."""
