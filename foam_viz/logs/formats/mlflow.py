"""MLflow's file store: a folder a run, with ``meta.yaml`` and a file for each metric, parameter and tag.

A line of a metric is ``timestamp value step``, the time in milliseconds since 1970; later versions write further fields
behind. ``/`` in the name of a metric is a folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.mask import masked
from foam_viz.logs.core.metric_points import Points, side_by_side
from foam_viz.logs.core.naming import optimizer_of
from foam_viz.logs.core.reader import ColumnRule, Group, LogError, LogFile, Options, Reader
from foam_viz.logs.core.records import certain
from foam_viz.logs.core.rows import traces_from_columns
from foam_viz.logs.parsing.dates import iso_date
from foam_viz.logs.parsing.plain_yaml import load
from foam_viz.trace import Manifest, Trace

_META = "meta.yaml"
_RUN = re.compile(rb"^run_(?:id|uuid):", re.MULTILINE)
_EXPERIMENT = re.compile(rb"^artifact_location:", re.MULTILINE)
_EXPERIMENT_ID = re.compile(rb"^experiment_id:", re.MULTILINE)
_PARTS = ("metrics", "params", "tags", "artifacts", "inputs", "outputs")
_STATUSES = {1: "running", 2: "running", 3: "finished", 4: "interrupted", 5: "interrupted"}
_MOST_TEXT = 4096


def _find(files: Sequence[LogFile]) -> list[Group]:
    metas = [file for file in files if file.base == _META and _EXPERIMENT_ID.search(file.head)]
    runs = {file.folder: [file] for file in metas if _RUN.search(file.head)}
    experiments = {file.folder: file for file in metas if file.folder not in runs and _EXPERIMENT.search(file.head)}
    for file in files:
        folder, part = file.folder, ""
        while folder and folder not in runs:
            folder, _, part = folder.rpartition("/")
        if not part and folder == "":
            part = file.name.partition("/")[0]
        if folder in runs and part in _PARTS:
            runs[folder].append(file)
    groups = []
    for folder, members in runs.items():
        experiment = experiments.get(folder.rpartition("/")[0])
        groups.append((*members, experiment) if experiment else tuple(members))
    # Experiments without runs say nothing: every store has an empty one called Default.
    alone = [file for file in experiments.values() if not any(file in group for group in groups)]
    if groups and alone:
        groups[0] = (*groups[0], *alone)
    elif alone:
        groups.append(tuple(alone))
    return groups


def _read(group: Group, options: Options) -> list[Trace]:
    head = group[0]
    if not _RUN.search(head.head):
        raise head.problem("", "is an MLflow experiment without runs", "give the folder that holds its runs as well")
    meta = _mapping(head)
    run_id = str(meta.get("run_id") or meta.get("run_uuid"))
    if meta.get("lifecycle_stage") == "deleted":
        remedy = f"`mlflow runs restore --run-id {run_id}` brings it back"
        raise head.problem("", "is a run that was deleted in MLflow, so it is skipped", remedy)
    notes: list[str] = []
    parts: dict[str, dict[str, LogFile]] = {part: {} for part in _PARTS}
    start = len(head.folder) + 1 if head.folder else 0
    for file in group:
        part, _, key = file.name[start:].partition("/")
        if part in parts and file is not head:
            parts[part][key] = file
    parameters = {key: _text(file) for key, file in parts["params"].items()}
    tags = {key: _text(file) for key, file in parts["tags"].items()}
    if parts["artifacts"]:
        notes.append(f"{len(parts['artifacts'])} artifacts are not read; give them alone if one is a log")
    experiment = next((file for file in group[1:] if file.base == _META and _holds(file, head)), None)
    config: Mapping[str, object] = {"params": parameters, "tags": tags}
    if not options.show_secrets:
        config, hidden = masked(config)
        notes += hidden
    manifest = Manifest(
        run_id=run_id,
        name=tags.get("mlflow.runName") or str(meta.get("run_name") or run_id),
        format=READER.name,
        created=iso_date(meta.get("start_time"), per_second=1000),
        task=str(_mapping(experiment).get("name", "")) if experiment else "",
        optimizer=optimizer_of(parameters),
        config=config,
        files=tuple(file.name for file in group if file.base != _META or file in (head, experiment)),
        notes=tuple(notes),
        status=_STATUSES.get(status, "finished") if isinstance(status := meta.get("status"), int) else "finished",
    )
    columns, remarks = _columns(parts["metrics"])
    manifest = manifest.with_notes(remarks)
    if not columns:
        return [Trace(manifest.with_notes(["the run logged no metrics"]))]
    rule = ColumnRule(target="step", unit="step")
    traces = traces_from_columns(columns, manifest, certain(options, step=rule), split=False)
    if traces and manifest.status != "finished" and traces[0].manifest.status == "finished":
        traces[0].manifest = traces[0].manifest.with_(status=manifest.status)
    return traces


def _columns(metrics: Mapping[str, LogFile]) -> tuple[list[Series], list[str]]:
    """Join the metrics by step: the step, the time at which it was logged last, and a column each."""
    notes: list[str] = []
    points = {}
    for key, file in metrics.items():
        times, values, steps = _metric(file, notes)
        points[key] = Points(steps, values, times / 1000.0)
    return side_by_side(points, notes), notes


def _metric(file: LogFile, notes: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows: list[tuple[float, float, float]] = []
    bad = first_bad = 0
    for number, line in enumerate(file.path.read_bytes().splitlines(), 1):
        fields = line.split()
        try:
            rows.append((float(fields[0]), float(fields[1]), float(int(fields[2])) if len(fields) > 2 else 0.0))
        except (ValueError, IndexError, OverflowError):
            if fields:
                bad += 1
                first_bad = first_bad or number
    if bad:
        notes.append(f"{file.name}: {bad:,} lines dropped, the first at line {first_bad}: not `timestamp value step`")
    times, values, steps = np.array(rows, np.float64).reshape(-1, 3).T
    return times, values, steps


def _holds(experiment: LogFile, run: LogFile) -> bool:
    return experiment.folder == run.folder.rpartition("/")[0] and experiment.folder != run.folder


def _mapping(file: LogFile) -> dict[str, object]:
    try:
        content = load(file)
    except LogError:
        # A meta.yaml that was cut off still has whole lines in front.
        pairs = re.findall(rb"^(\w+): *'?([^'\r\n]*)'?\r?$", file.head, re.MULTILINE)
        content = {key.decode(): value.decode(errors="replace") for key, value in pairs}
    return content if isinstance(content, dict) else {}


def _text(file: LogFile) -> str:
    return file.head[:_MOST_TEXT].decode("utf-8", "replace").strip()


READER = Reader(
    name="mlflow",
    label="MLflow file store",
    summary="Folders of runs with meta.yaml, metrics/, params/ and tags/; deleted runs are skipped.",
    find=_find,
    read=_read,
)
