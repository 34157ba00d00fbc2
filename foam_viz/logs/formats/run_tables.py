"""Tables of which each row is a whole run: sweeps exported from W&B, MLflow, Optuna or Ray, and tables of results.

They hold settings and end values and no curve, so they become one trace without steps, whose manifest keeps the table
under ``table_of_runs``: a list of objects, one a run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from foam_viz.logs.core.column_names import STEP_NAMES, role_of, words
from foam_viz.logs.core.columns import Series, can_be_steps
from foam_viz.logs.parsing.table_model import Table
from foam_viz.trace import Manifest, Trace

KEY = "table_of_runs"
MOST_CELLS, MOST_COLUMNS = 100_000, 300

_ALWAYS = frozenset(
    {"run", "run_name", "run_id", "runid", "run_uuid", "trial", "trial_id", "trial_name", "experiment_name", "exp_name",
     "config_id", "job_id"}
)  # fmt: skip
_WITHOUT_AXIS = frozenset(
    {"name", "id", "uuid", "experiment", "exp", "job", "optimizer", "method", "algorithm", "model", "model_name",
     "variant", "setting", "config", "configuration", "params", "hyperparameters", "arch", "architecture", "dataset",
     "label", "display_name", "experiment_id"}
)  # fmt: skip
_NUMBERED = frozenset({"seed", "run", "run_id", "trial", "trial_id", "experiment_id", "config_id", "job_id"})
_SIGNATURES = (
    frozenset({"state", "created"}),
    frozenset({"state", "number"}),
    frozenset({"status", "start_time"}),
    frozenset({"status", "artifact_uri"}),
)
_TOTALS = frozenset(STEP_NAMES[STEP_NAMES.index("batch") :]) | {"epochs", "steps", "iterations", "iters", "num_steps"}


def identity_of(table: Table) -> str | None:
    """Return the column that names the run of each row; empty where the columns tell it together, None for a log."""
    rows = _rows(table)
    if not rows or not table.series:
        return None
    plain = {name: "_".join(words(name)) for name in [*table.texts, *(one.name for one in table.series)]}
    unique = [name for name in table.texts if _is_unique(table.texts[name])]
    numbered = [one.name for one in table.series if plain[one.name] in _NUMBERED and _counts(one)]
    named = next((name for name in [*unique, *numbered] if plain[name] in _ALWAYS), None)
    if named is not None and len(table.series) > len(numbered) - (named in unique):
        return named
    if any(signature <= set(plain.values()) for signature in _SIGNATURES):
        return next((name for name in unique if plain[name] in _WITHOUT_AXIS), "")
    if rows < 2 or any(_is_axis(one, plain[one.name]) for one in table.series):
        return None
    known = [name for name in unique if plain[name] in _WITHOUT_AXIS or name.startswith("column ")]
    seeds = [name for name in numbered if len(table.series) > 1]
    return next(iter([*known, *seeds]), None)


def names_runs(table: Table) -> bool:
    """Say whether a column that can only name runs tells the rows of a table apart."""
    identity = identity_of(table)
    return identity is not None and "_".join(words(identity)) in _ALWAYS


def _rows(table: Table) -> int:
    columns: Iterable[np.ndarray] = [*(one.values for one in table.series), *table.texts.values()]
    return len(next(iter(columns), ()))


def _is_unique(cells: np.ndarray) -> bool:
    return all(cell is not None for cell in cells) and len(set(cells)) == len(cells)


def _counts(one: Series) -> bool:
    return one.missing is None and can_be_steps(one) and len(np.unique(one.values)) == len(one.values)


def _is_axis(one: Series, plain: str) -> bool:
    """Say whether a column moves as the axis of a curve does: it rises from row to row."""
    if role_of(one.name).kind not in ("step", "epoch", "tokens") or plain in _TOTALS:
        return False
    changes = np.diff(one.present())
    return bool(len(changes)) and bool((changes >= 0).all()) and bool((changes > 0).any())


def trace_of_runs(table: Table, identity: str, manifest: Manifest) -> Trace:
    """Return a trace without steps that keeps the table.

    Args:
        table: Its rows are runs.
        identity: As from :func:`identity_of`.
        manifest: Of the source; notes and the table are added.
    """
    rows = _rows(table)
    columns: dict[str, list[object]] = {}
    order = [*([identity] if identity else []), *table.texts, *(one.name for one in table.series)]
    numbers = {one.name: one for one in table.series}
    for name in dict.fromkeys(order):
        columns[name] = list(table.texts[name]) if name in table.texts else _plain(numbers[name])
    filled = {name: cells for name, cells in columns.items() if any(cell is not None for cell in cells)}
    kept = list(filled)[:MOST_COLUMNS]
    most = max(1, MOST_CELLS // max(len(kept), 1))
    notes = [
        f"This is a table of {rows:,} {'run' if rows == 1 else 'runs'}, one row each"
        + (f", told apart by {identity!r}" if identity else "")
        + ": it holds settings and end values, and no curves."
    ]
    if len(kept) < len(filled):
        notes.append(f"{len(filled) - len(kept):,} of {len(filled):,} columns were left out: too many.")
    if rows > most:
        notes.append(f"The first {most:,} of {rows:,} rows are shown.")
    table_of_runs = [{name: filled[name][row] for name in kept} for row in range(min(rows, most))]
    return Trace(manifest.with_(extra={**manifest.extra, KEY: table_of_runs}).with_notes([*table.notes, *notes]))


def _plain(one: Series) -> list[object]:
    """Values as JSON has them: whole numbers without a fraction, dates and NaN as text, None where nothing stands."""
    cells: list[object] = []
    for position, value in enumerate(one.values.tolist()):
        absent = one.missing is not None and bool(one.missing[position])
        if absent or not math.isfinite(value):
            cells.append(None if absent else str(value))
        elif one.unit == "date":
            cells.append(str(np.datetime64(int(value), "s")).replace("T", " "))
        else:
            cells.append(int(value) if value == int(value) and abs(value) < 2**53 else value)
    return cells


def table_of(manifest: Manifest) -> list[Mapping[str, object]] | None:
    """Return the rows of a table of runs; None for a run with steps of its own."""
    rows = manifest.extra.get(KEY)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else None
