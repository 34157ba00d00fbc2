"""Steps of a FOAM artifact run: a row an epoch from its metrics, a row a step from what it printed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.reader import ColumnRule, Options
from foam_viz.logs.core.records import certain
from foam_viz.logs.core.rows import traces_from_columns
from foam_viz.logs.formats.foam_artifact_checks import has_factors
from foam_viz.logs.formats.foam_artifact_tables import Rows
from foam_viz.trace import Manifest, Trace

_RULES = {
    "global_step": ColumnRule(target="step", unit="step"),
    "epoch": ColumnRule(target="epoch", unit="epoch"),
    "objective": ColumnRule(target="loss"),
    "val_ce": ColumnRule(target="held_out_loss"),
    "val_accuracy": ColumnRule(target="val_accuracy", unit="%"),
    "best_val_accuracy": ColumnRule(target="best_val_accuracy", unit="%"),
    "learning_rate": ColumnRule(target="learning_rate"),
    "train_compute_seconds_cumulative": ColumnRule(target="optimizer_seconds", unit="s"),
    "end_to_end_wall_clock_seconds": ColumnRule(target="total_seconds", unit="s"),
    "evd_calls": ColumnRule(target="decompositions"),
}
_ALIASES = {
    "train_full_ce": "train_full_hard_ce",
    "wall_clock_seconds": "end_to_end_wall_clock_seconds",
    "train_compute_seconds": "train_compute_seconds_cumulative",
}
_PRINTED = {"lr": "learning_rate"}
_OF_FACTORS = ("left_", "right_", "proxy_seconds", "evd_seconds", "reuse_seconds", "evd_rate")


def steps_traces(
    metrics: Rows | None,
    printed: Rows | None,
    summary: Mapping[str, object],
    template: Manifest,
    options: Options,
    notes: list[str],
) -> list[Trace]:
    """Make the trace of one run, with its table ``steps``; none when no row has a step.

    Args:
        metrics: Rows of ``metrics.csv``.
        printed: Lines of single steps.
        summary: ``summary.json``; used only when there is neither.
        template: Manifest of the run.
        options: What the user said of columns.
        notes: What was left out or assumed is added.
    """
    tables = [table for table in (_printed(printed), _metrics(metrics, notes)) if table]
    if not tables:
        tables = [table for table in (_summary(summary, notes),) if table]
    if not tables:
        return []
    series = _united(tables)
    names = {one.name for one in series}
    rules = {one.name: _RULES.get(one.name) or ColumnRule(target=one.name, unit=_unit(one.name)) for one in series}
    if "objective" in names:
        notes.append(
            "The loss is the objective printed at each step, augmentation and label smoothing included; "
            "'train_online_objective' is its mean over an epoch."
        )
    elif "train_online_objective" in names:
        rules["train_online_objective"] = ColumnRule(target="loss")
        notes.append(
            "The loss is 'train_online_objective', the mean of the objective over an epoch, augmentation and label "
            "smoothing included: the lines of single steps that the program prints are not here."
        )
    counter = next((one for one in series if one.name == "evd_calls"), None)
    if counter is not None and not _is_count(counter):
        rules["evd_calls"] = ColumnRule(target="evd_calls")
    return traces_from_columns(series, template, certain(options, **rules), split=False)


def _is_count(one: Series) -> bool:
    values = one.present()
    return bool(np.all(np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < 2**53)))


def _unit(name: str) -> str:
    if "seconds" in name:
        return "s"
    return "gradient^2" if "epsilon" in name else ""


def _printed(rows: Rows | None) -> dict[str, Series]:
    if rows is None:
        return {}
    return {_PRINTED.get(name, name): _renamed(rows.series(name), _PRINTED.get(name, name)) for name in rows.columns}


def _renamed(one: Series, name: str) -> Series:
    return Series(name, one.values, one.missing, one.unit, one.samples)


def _metrics(rows: Rows | None, notes: list[str]) -> dict[str, Series]:
    if rows is None:
        return {}
    left: list[str] = []
    found: dict[str, Series] = {}
    for name in rows.columns:
        if name.startswith(_OF_FACTORS) and not has_factors(rows):
            left.append(name)
        elif name not in _ALIASES or _ALIASES[name] not in rows.columns:
            target = _ALIASES.get(name, name)
            measured = "_proxy_" in name or name == "evd_calls"
            found[target] = _renamed(rows.series(name, nan_is_missing=measured), target)
    if left:
        notes.append(f"The run has no factors: {len(left)} columns about them are left out.")
    for name, cells in rows.texts.items():
        if name != "global_step":
            notes.append(f"{name!r} is text and no curve: {cells[-1][:200]!r}.")
    return found


def _summary(summary: Mapping[str, object], notes: list[str]) -> dict[str, Series]:
    """One row with what the summary says of the end."""
    found = {}
    for name, value in summary.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in ("world_size",):
            target = _ALIASES.get(name, name)
            if target not in found or target == name:
                found[target] = Series(target, np.array([float(value)]))
    if "global_step" not in found:
        return {}
    notes.append("There is neither metrics.csv nor printed lines: all that is known is the summary of the end.")
    return found


def _united(tables: list[dict[str, Series]]) -> list[Series]:
    """Rows of all tables under each other; where two have a value for one step, that of the later table stays."""
    steps = [table["global_step"].values for table in tables]
    united = []
    for name in dict.fromkeys(name for table in tables for name in table):
        values, missing = [], []
        for index, table in enumerate(tables):
            size = len(steps[index])
            one = table.get(name)
            values.append(np.full(size, np.nan) if one is None else one.values)
            absent = (
                np.ones(size, bool) if one is None else np.zeros(size, bool) if one.missing is None else one.missing
            )
            if name != "global_step":
                better = [
                    other for other, later in zip(steps[index + 1 :], tables[index + 1 :], strict=True) if name in later
                ]
                for other in better:
                    absent = absent | np.isin(steps[index], other)
            missing.append(absent)
        absent = np.concatenate(missing)
        united.append(Series(name, np.concatenate(values), absent if absent.any() else None))
    order = np.argsort(np.concatenate(steps), kind="stable")
    return [one.take(order) for one in united]
