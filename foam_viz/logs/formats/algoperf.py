"""AlgoPerf trials: ``<submission>/.../<workload>/trial_K/`` with two tables, three JSON files, and TensorBoard events.

``measurements.csv`` has rows of training and of evaluation, several of them for one step; ``eval_measurements.csv`` has
the evaluations alone, and all of them. Event files of the trial say the same as the tables in 32 bits, so they are used
only for what the tables lack. The clock for comparing submissions is ``accumulated_submission_time``.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence

import numpy as np

from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.mask import masked
from foam_viz.logs.core.naming import run_id
from foam_viz.logs.core.reader import ColumnRule, Group, LogError, LogFile, Options, Reader
from foam_viz.logs.core.records import certain
from foam_viz.logs.core.rows import traces_from_columns
from foam_viz.logs.formats import tensorboard
from foam_viz.logs.parsing.cells import parse_column
from foam_viz.logs.parsing.text_lines import decode
from foam_viz.trace import Manifest, Trace

MEASUREMENTS, EVALUATIONS = "measurements.csv", "eval_measurements.csv"
_JSON = ("hparams.json", "flags_0.json", "meta_data_0.json")
_TRIAL = re.compile(r"trial_\d+")
_CLOCK_COLUMN = "accumulated_submission_time"
_LARGEST_JSON = 4 << 20
_LARGEST_CSV = 256 << 20

_RULES: dict[str, ColumnRule] = {
    "global_step": ColumnRule(target="step", unit="step"),
    "loss": ColumnRule(target="loss"),
    "grad_norm": ColumnRule(target="gradient_norm"),
    "validation/loss": ColumnRule(target="held_out_loss"),
    _CLOCK_COLUMN: ColumnRule(target="optimizer_seconds", unit="s"),
    "total_duration": ColumnRule(target="total_seconds", unit="s"),
    "accumulated_eval_time": ColumnRule(target="accumulated_eval_time", unit="s"),
    "accumulated_logging_time": ColumnRule(target="accumulated_logging_time", unit="s"),
    "score": ColumnRule(target="score", unit="s"),
    **{f"{split}/loss": ColumnRule(target=f"{split}/loss") for split in ("train", "test")},
    **{
        f"{split}/{name}": ColumnRule(target=f"{split}/{name}", unit=unit)
        for split in ("train", "validation", "test")
        for name, unit in (("accuracy", "fraction"), ("bleu", ""), ("num_examples", ""))
    },
}


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim folders that hold one of the tables by its columns, or settings and events in a folder called trial_K."""
    folders: dict[str, list[LogFile]] = {}
    for file in files:
        folders.setdefault(file.folder, []).append(file)
    groups: list[Group] = []
    for folder, inside in folders.items():
        tables = [file for file in inside if _is_table(file)]
        settings = [file for file in inside if file.base in _JSON]
        events = [file for file in inside if ".tfevents." in file.base]
        trial = _TRIAL.fullmatch(folder.rpartition("/")[2]) and settings
        if tables or (trial and events):
            groups.append((*tables, *settings, *events))
    return groups


def _is_table(file: LogFile) -> bool:
    if file.base not in (MEASUREMENTS, EVALUATIONS):
        return False
    columns = _columns_of(file)
    return "global_step" in columns and bool(columns & {_CLOCK_COLUMN, "preemption_count", "total_duration"})


def _columns_of(file: LogFile) -> set[str]:
    header = decode(file.head)[0].lstrip("\ufeff").split("\n", 1)[0]
    return {name.strip() for name in header.split(",")}


def read(group: Group, options: Options) -> list[Trace]:
    """Read one trial.

    Raises:
        LogError: Neither its tables nor its events hold a row with a step.
    """
    files = {file.base: file for file in group}
    notes: list[str] = []
    settings = {name: _json(files[name], notes) for name in _JSON if name in files}
    tables = [_table(files[name], notes) for name in (MEASUREMENTS, EVALUATIONS) if name in files]
    series = _joined([table for table in tables if table])
    series = _with_events(series, [file for file in group if ".tfevents." in file.base], notes)
    if not series:
        raise group[0].problem(
            "", "the trial holds no row with a step: " + ("; ".join(notes) or "its tables are empty")
        )
    template = _manifest(group, settings, options).with_notes(notes)
    rules = {one.name: _RULES[one.name] for one in series if one.name in _RULES}
    traces = traces_from_columns(series, template, certain(options, **rules), split=False)
    if not traces:
        raise group[0].problem("column global_step", "no row has a whole number from 0")
    return [_with_divergence(trace) for trace in traces]


def _json(file: LogFile, notes: list[str]) -> Mapping[str, object]:
    try:
        if file.size > _LARGEST_JSON:
            raise ValueError(f"{file.size:,} bytes are too many for settings")
        loaded = json.loads(decode(file.path.read_bytes())[0])
        if not isinstance(loaded, dict):
            raise ValueError("holds no names with values")
        return loaded
    except (ValueError, RecursionError) as error:
        notes.append(f"{file.name} could not be read: {error}.")
        return {}


def _table(file: LogFile, notes: list[str]) -> dict[str, Series]:
    """Columns of one table; rows with another number of cells than the header are dropped, aloud."""
    if file.size > _LARGEST_CSV:
        raise file.problem("", f"{file.size:,} bytes are too many for a trial's table")
    text, remarks = decode(file.path.read_bytes())
    notes += [f"{file.name}: {remark}" for remark in remarks]
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip() for name in next(rows, [])]
        whole: list[list[str]] = []
        ragged: list[int] = []
        for row in rows:
            if len(row) == len(header):
                whole.append(row)
            elif row:
                ragged.append(rows.line_num)
    except csv.Error as error:
        raise file.problem(f"line {rows.line_num}", f"is no CSV: {error}") from error
    if ragged:
        notes.append(
            f"{file.name}: {len(ragged):,} rows dropped, the first at line {ragged[0]:,}: not {len(header)} cells; "
            "the last row of a run that was killed looks so."
        )
    columns = {}
    for name, cells in zip(header, zip(*whole, strict=True) if whole else (), strict=False):
        parsed = parse_column(name, cells)
        if parsed is not None and name not in columns:
            columns[name] = parsed.series
            notes += [f"{file.name}: {note}" for note in parsed.notes]
    return columns if "global_step" in columns else {}


def _joined(tables: Sequence[Mapping[str, Series]]) -> list[Series]:
    """Rows of the tables under each other, by step. A later table adds only what no earlier one has for a step."""
    if not tables:
        return []
    steps = [table["global_step"].values for table in tables]
    names = list(dict.fromkeys(name for table in tables for name in table))
    joined = []
    for name in names:
        values = [np.full(len(own), np.nan) for own in steps]
        missing = [np.ones(len(own), bool) for own in steps]
        seen = np.empty(0)
        for index, (own, table) in enumerate(zip(steps, tables, strict=True)):
            if name in table:
                one = table[name]
                gone = np.isin(own, seen) if name != "global_step" else np.zeros(len(own), bool)
                values[index], missing[index] = one.values, gone if one.missing is None else gone | one.missing
                seen = np.append(seen, own[~missing[index]])
        absent = np.concatenate(missing)
        first = next(table[name] for table in tables if name in table)
        joined.append(Series(name, np.concatenate(values), absent if absent.any() else None, first.unit, first.three()))
    order = np.argsort(np.concatenate(steps), kind="stable")
    return [one.take(order) for one in joined]


def _with_events(series: list[Series], events: Sequence[LogFile], notes: list[str]) -> list[Series]:
    """Add curves of the event files that no table has."""
    if not events:
        return series
    try:
        found = tensorboard.merged(events)
    except LogError as error:
        notes.append(str(error.problem))
        return series
    known = {one.name for one in series}
    steps, curves = found.steps, [one for one in found.curves if one.name not in known | {"global_step"}]
    if not curves:
        notes.append("Its event files say what the tables say and were not used.")
        return series
    notes += found.notes
    notes.append(f"From event files, the tables lacking it: {', '.join(repr(one.name) for one in curves)}.")
    rows = np.flatnonzero(
        np.any([np.ones(len(steps)) if one.missing is None else ~one.missing for one in curves], axis=0)
    )
    below = {one.name: one.take(rows) for one in curves} | {"global_step": Series("global_step", steps[rows])}
    return _joined([*([{one.name: one for one in series}] if series else []), below])


def _manifest(group: Group, settings: Mapping[str, Mapping[str, object]], options: Options) -> Manifest:
    hyperparameters, flags, meta = (settings.get(name, {}) for name in _JSON)
    parts = [part for part in group[0].folder.split("/") if part]
    places = [part for part in parts if not re.fullmatch(r"study_\d+", part)]
    submission = places[-3] if len(places) >= 3 else _submission(flags)
    workload = str(flags.get("workload") or (places[-2] if len(places) >= 2 else ""))
    framework = str(flags.get("framework") or "")
    folder_workload = places[-2] if len(places) >= 2 and workload and places[-2].startswith(workload) else workload
    trial = parts[-1] if parts else ""
    config: Mapping[str, object] = {
        **hyperparameters,
        "flags": dict(flags),
        "workload": {
            key.removeprefix("workload."): value for key, value in meta.items() if key.startswith("workload.")
        },
    }
    planned = meta.get("workload.step_hint") or flags.get("max_global_steps")
    if isinstance(planned, int):
        config = {**config, "steps_planned": planned}
    notes: list[str] = []
    if not options.show_secrets:
        config, notes = masked(config)
    devices = meta.get("gpu_count") or meta.get("gpu.count")
    return Manifest(
        run_id=run_id(group),
        name="/".join(filter(None, (submission, folder_workload, trial))) or "AlgoPerf trial",
        format=READER.name,
        task=workload,
        optimizer=submission,
        config=config,
        device="cuda" if devices else "",
        hardware=_known(
            device_name=meta.get("gpu_model_name"),
            devices=devices,
            world_size=devices if framework == "pytorch" else None,
            cpu_name=meta.get("cpu_model_name"),
            cpus=meta.get("cpu_count"),
            driver=meta.get("gpu_driver"),
            memory_bytes=meta.get("mem.total"),
        ),
        software=_known(
            framework=framework or None,
            python=meta.get("python_version"),
            platform=meta.get("os_platform"),
            commit=meta.get("git_commit_hash"),
        ),
        files=tuple(file.name for file in group),
        notes=tuple(notes),
    )


def _submission(flags: Mapping[str, object]) -> str:
    """What ``submission_path`` calls the submission: its folder, or its file where the file says more."""
    parts = str(flags.get("submission_path") or "").replace("\\", "/").split("/")
    stem = parts[-1].removesuffix(".py")
    return parts[-2] if stem == "submission" and len(parts) > 1 else stem


def _known(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}


def _with_divergence(trace: Trace) -> Trace:
    """Mark a trial whose loss became NaN or inf: the blank cells behind it are no gap in logging."""
    first = [
        (int(trace.values("steps", "step")[row]), column)
        for column in ("loss", "held_out_loss")
        if trace.has("steps", column)
        for row in _lost(trace, column)
    ]
    if first:
        step, column = min(first)
        note = f"{column} is not finite from step {step:,} on; blank cells behind it are no gap in logging."
        trace.manifest = trace.manifest.with_(status="diverged", diverged_step=step).with_notes([note])
    return trace


def _lost(trace: Trace, column: str) -> list[int]:
    """Row of the first value that is not finite and is followed by no finite one; empty when there is none."""
    rows = np.flatnonzero(trace.steps[column].is_valid().to_numpy())
    finite = np.isfinite(trace.values("steps", column)[rows])
    last = np.flatnonzero(finite)[-1] if finite.any() else -1
    return [int(rows[last + 1])] if last + 1 < len(rows) else []


READER = Reader(
    name="algoperf",
    label="AlgoPerf trial",
    summary="A trial folder: training and evaluation rows united, settings, machine; event files where they add.",
    find=find,
    read=read,
)
