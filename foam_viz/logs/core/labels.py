"""Tables in which a row is not a whole step: a column that names the run, the split, the layer, or the metric.

Such a table is spread: a trace for each run, and a column for each combination of label and metric.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from foam_viz.logs.core.column_names import HELD_OUT, TEST, TRAIN, role_of, words
from foam_viz.logs.core.columns import Series, can_be_steps
from foam_viz.logs.parsing.table_model import Table, means, pivot

MOST_COLUMNS = 2000
"""More columns than this are not made; the mean over the labels stands for them."""

_RUNS = frozenset(
    {"run", "run_id", "run_name", "runid", "experiment", "experiment_id", "experiment_name", "exp", "exp_name", "trial",
     "trial_id", "seed", "optimizer", "method", "algorithm", "config_id", "job_id", "job"}
)  # fmt: skip
_LABELS = frozenset(
    {"layer", "layer_id", "layer_idx", "block", "head", "rank", "worker", "gpu", "device", "param_group", "group",
     "axis",
     "expert", "stage", "fold", "factor", "factor_index", "depth", "node", "process"}
)  # fmt: skip
_METRIC_NAMES = frozenset({"metric", "metric_name", "key", "tag", "name", "variable", "measure"})
_METRIC_VALUES = frozenset({"value", "val", "metric_value", "values"})
_SETTINGS = ("config/", "params/", "hparams/", "hyperparameters/", "args/")
_SPLITS = TRAIN | HELD_OUT | TEST
_SPLIT_FILLER = frozenset(
    {"step", "epoch", "iter", "iteration", "batch", "end", "log", "logs", "metrics", "set", "loop"}
)
_SPLIT_COLUMNS = frozenset(
    {"type", "split", "phase", "mode", "kind", "event", "stage", "set", "subset", "partition", "dataset", "loop",
     "_type", "event_type", "log_type", "record_type", "row_type"}
)  # fmt: skip
"""Columns in which a row may also be of neither training nor evaluation: a summary, settings."""
_SHARED = frozenset({"step", "epoch", "tokens", "optimizer_seconds", "total_seconds", "timestamp", "learning_rate"})


def spread(table: Table, said: Mapping[str, object]) -> list[Table]:
    """Turn a table into one for each run, with one row a step and only numbers.

    Args:
        table: As read; it is not changed.
        said: Columns that the user spoke of; they are never labels.
    """
    parts = _runs(_settle_constants(table), said)
    return [_finish(_labels(_splits(_metrics(part)), said)) for part in parts]


def _settle_constants(table: Table) -> Table:
    """Text that is the same throughout belongs to the configuration, and so do settings repeated in every row."""
    texts: dict[str, np.ndarray] = {}
    config = dict(table.config)
    for name, cells in table.texts.items():
        distinct = {cell for cell in cells if cell is not None}
        if len(distinct) == 1:
            config.setdefault(name, next(iter(distinct)))
        elif distinct:
            texts[name] = cells
    series = []
    for one in table.series:
        values = one.present()
        if one.name.startswith(_SETTINGS) and len(values) > 1 and (values == values[0]).all():
            config.setdefault(one.name, float(values[0]))
        else:
            series.append(one)
    return Table(series, texts, list(table.notes), config, table.name, table.length)


def _codes(table: Table, name: str) -> tuple[list[str], np.ndarray]:
    """Return the distinct labels of a column, in order of appearance, and the index of each row's among them."""
    if name in table.texts:
        cells = list(table.texts[name])
    else:
        one = next(one for one in table.series if one.name == name)
        cells = [f"{value:g}" for value in one.values]
    known: dict[object, int] = {}
    codes = np.array([known.setdefault(cell, len(known)) for cell in cells], np.int64)
    return [str(label) for label in known], codes


def _runs(table: Table, said: Mapping[str, object]) -> list[Table]:
    names = [name for name in table.texts if _plain(name) in _RUNS]
    names += [
        one.name for one in table.series if _plain(one.name) in _RUNS and one.missing is None and can_be_steps(one)
    ]
    picked = [(name, *_codes(table, name)) for name in names if name not in said]
    picked = [item for item in picked if 2 <= len(item[1]) <= 500 and len(item[1]) <= len(item[2]) / 2]
    if not picked:
        return [table]
    combined = np.zeros(len(picked[0][2]), np.int64)
    for _, labels, codes in picked:
        combined = combined * len(labels) + codes
    parts = []
    values, firsts = np.unique(combined, return_index=True)
    for value in values[np.argsort(firsts)]:
        part = table.with_rows(np.flatnonzero(combined == value))
        first = int(firsts[values == value][0])
        own = {name: labels[codes[first]] for name, labels, codes in picked}
        part.config.update(own)
        part.name = " ".join(text if name in table.texts else f"{name} {text}" for name, text in own.items())
        part.series = [one for one in part.series if one.name not in own]
        part.texts = {name: cells for name, cells in part.texts.items() if name not in own}
        part.notes.append(f"The table holds {len(values):,} runs, told apart by {', '.join(map(repr, own))}.")
        parts.append(part)
    return parts


def _plain(name: str) -> str:
    return "_".join(words(name))


def _step_of(table: Table) -> Series | None:
    found = [one for one in table.series if role_of(one.name).kind == "step" and can_be_steps(one)]
    found.sort(key=lambda one: role_of(one.name).penalty)
    return found[0] if found else next((one for one in table.series if role_of(one.name).kind == "epoch"), None)


def _metrics(table: Table) -> Table:
    """A table with a name and a value in each row."""
    keys = [name for name in table.texts if _plain(name) in _METRIC_NAMES]
    values = [one.name for one in table.series if _plain(one.name) in _METRIC_VALUES]
    step = _step_of(table)
    if not keys or not values or step is None:
        return table
    labels, codes = _codes(table, keys[0])
    if len(labels) > MOST_COLUMNS or len(labels) > len(codes) / 2:
        return table
    table, step, codes = _by_step(table, step, codes)
    table.notes.append(f"Each row holds one metric: {keys[0]!r} names it and {values[0]!r} holds its value.")
    names = dict(enumerate(labels))
    return pivot(table, step, [keys[0]], codes, {(values[0], code): text for code, text in names.items()})


def _by_step(table: Table, step: Series, codes: np.ndarray) -> tuple[Table, Series, np.ndarray]:
    """Sort the rows of a table that holds one metric after the other, each by rising step."""
    values = step.values
    each = np.argsort(codes, kind="stable")
    inside = np.diff(codes[each]) == 0
    if not (np.diff(values) < 0).any() or (np.diff(values[each])[inside] < 0).any():
        return table, step, codes
    order = np.argsort(values, kind="stable")
    table = table.with_rows(order)
    return table, next(one for one in table.series if one.name == step.name), codes[order]


def _splits(table: Table) -> Table:
    """Rows of training and of evaluation under one header."""
    for name in list(table.texts):
        labels, codes = _codes(table, name)
        step = _step_of(table)
        splits = {label for label in labels if words(label) and set(words(label)) <= _SPLITS | _SPLIT_FILLER}
        splits = {label for label in splits if set(words(label)) & _SPLITS}
        others = set(labels) - splits - {"None"}
        if step is None or not splits or others and _plain(name) not in _SPLIT_COLUMNS:
            continue
        targets = {
            (one.name, code): f"{label}/{one.name}"
            if label in splits and not set(words(one.name)) & _SPLITS
            else one.name
            for one in table.series
            if role_of(one.name).kind not in _SHARED
            for code, label in enumerate(labels)
        }
        table.notes.append(f"{name!r} tells rows of {', '.join(labels)} apart; it became part of the metrics' names.")
        return pivot(table, step, [name], codes, targets)
    return table


def _labels(table: Table, said: Mapping[str, object]) -> Table:
    """Several rows a step, told apart by layer, module or the like."""
    step = _step_of(table)
    if step is None or len(step.values) < 3:
        return table
    steps = step.values
    names = [
        one.name for one in table.series if _plain(one.name) in _LABELS and one.missing is None and can_be_steps(one)
    ]
    names = [name for name in (*names, *table.texts) if name not in said]
    picked = [(name, *_codes(table, name)) for name in names]
    picked = [item for item in picked if 2 <= len(item[1]) <= min(500, len(steps) / 2)]
    if not picked or (np.diff(steps) == 0).mean() < 0.3 and len(np.unique(steps)) > 0.7 * len(steps):
        return table
    combined = np.zeros(len(steps), np.int64)
    for _, labels, codes in picked:
        combined = combined * len(labels) + codes
    distinct, firsts, codes = np.unique(combined, return_index=True, return_inverse=True)
    if (np.diff(steps) == 0).mean() < 0.3:
        if len(np.unique(np.stack([steps, codes]), axis=1)[0]) < len(steps):
            return table  # not one row a step and label: these labels do not explain why steps repeat
        order = np.argsort(steps, kind="stable")
        table, codes, step = table.with_rows(order), codes[order], step.take(order)
    endings = {
        code: "/".join(
            f"{name}={labels[own[first]]}" if _plain(name) in _LABELS else labels[own[first]]
            for name, labels, own in picked
        )
        for code, first in enumerate(firsts)
    }
    label_names = [name for name, _, _ in picked]
    metrics = [
        one.name for one in table.series if role_of(one.name).kind not in _SHARED and one.name not in label_names
    ]
    said_names = ", ".join(map(repr, label_names))
    if len(metrics) * len(distinct) > MOST_COLUMNS:
        table.notes.append(
            f"Rows of one step differ in {said_names}: {len(distinct):,} kinds, too many; the mean stands for them."
        )
        return means(table, step, label_names, metrics)
    table.notes.append(
        f"Rows of one step differ in {said_names}: {len(distinct):,} kinds, a column for each of them and each metric."
    )
    return pivot(
        table,
        step,
        label_names,
        codes,
        {(name, code): f"{name}/{text}" for name in metrics for code, text in endings.items()},
    )


def _finish(table: Table) -> Table:
    """What is text after all that cannot be drawn; say so."""
    if table.texts:
        names = ", ".join(repr(name) for name in list(table.texts)[:8])
        table.notes.append(f"Left out as text: {names}{' and others' if len(table.texts) > 8 else ''}.")
    return table
